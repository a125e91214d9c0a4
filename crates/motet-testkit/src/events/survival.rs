//! Engines that die, connections that break: nothing acknowledged is lost, no key is out of order, nothing hangs.

use super::{
    CALL_LIMIT, LIMIT,
    bench::{Bench, Port, answered, entries, event, ids},
    world::World,
};
use motet_broker::{Event, Limits, Position, port::TransportError};
use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub(super) async fn everything_is_there_after_opening_again(bench: Bench) {
    let port = bench.port().await;
    let positions = port.append(entries(0..30)).await;
    port.close().await;
    let port = bench.port().await;
    let next = port.ends().await.next;
    assert!(next > positions[29], "the end {next:?} is not behind {:?}", positions[29]);
    assert!(*port.transport.head(&port.topic).expect("a head").borrow() > positions[29]);
    let found = port.all().await;
    assert_eq!(found.iter().map(|stored| stored.position).collect::<Vec<_>>(), positions);
    let later = port.append(entries([30])).await[0];
    assert!(later > positions[29], "{later:?} comes after {:?}", positions[29]);
    assert_eq!(ids(&port.all().await), (0..=30).map(|n| n.to_string()).collect::<Vec<_>>());
    port.close().await;
}

/// Waits until the engine answers: the first calls after it came back may meet the broken connection.
async fn back(port: &Port) {
    let until = Instant::now() + LIMIT;
    while let Err(error) = answered(port.transport.append(&port.topic, entries(["back"]), None)).await {
        assert!(Instant::now() < until, "not connected again within {LIMIT:?}: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn what_was_acknowledged_outlives_the_engine(bench: Bench) {
    let mut port = bench.port().await;
    let mut positions = Vec::new();
    for round in 0..2 {
        positions.extend(port.append(entries((0..50).map(|n| round * 50 + n))).await);
        port = bench.restarted(port).await;
        back(&port).await;
    }
    let last = port.append(entries(["last"])).await[0];
    let found = port.all().await;
    let own: Vec<_> = found.iter().filter(|stored| stored.entry.event.id().parse::<u32>().is_ok()).collect();
    assert_eq!(own.iter().map(|stored| stored.position).collect::<Vec<_>>(), positions);
    assert!(own.iter().map(|stored| stored.entry.event.id()).eq((0..100).map(|n| n.to_string())));
    assert_eq!(found.last().map(|stored| stored.position), Some(last));
    port.close().await;
}

pub(super) async fn calls_to_an_engine_that_is_cut_off_fail_in_time_and_succeed_when_it_is_back(bench: Bench) {
    if !bench.engine.is_remote() {
        return;
    }
    let port = bench.port().await;
    let positions = port.append(entries(0..10)).await;
    for hangs in [false, true] {
        if hangs {
            bench.engine.hold().await
        } else {
            bench.engine.cut().await
        }
        let begun = Instant::now();
        let (append, read) = tokio::join!(
            answered(port.transport.append(&port.topic, entries(["lost or not"]), None)),
            // What an engine's side in this process still holds it may give.
            answered(port.transport.read(&port.topic, Position(0), Limits::items(100))),
        );
        let error = append.expect_err("nobody can have made it durable");
        assert!(matches!(error, TransportError::Unavailable { .. }), "{error:?}");
        assert!(begun.elapsed() < CALL_LIMIT, "after {:?}", begun.elapsed());
        if let Ok(found) = read {
            assert_eq!(ids(&found)[..10], (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
        }
        bench.engine.heal().await;
        back(&port).await;
    }
    let last = port.append(entries(["last"])).await[0];
    let found = port.all().await;
    assert_eq!(found[..10].iter().map(|stored| stored.position).collect::<Vec<_>>(), positions);
    assert_eq!(found.last().map(|stored| stored.position), Some(last));
    port.close().await;
}

pub(super) async fn subscriptions_and_delayed_events_go_on_by_themselves_when_the_engine_is_back(bench: Bench) {
    if !bench.engine.is_remote() {
        return;
    }
    let world = bench.broker(vec![bench.spec("s")]).await;
    let late = Event::builder("late", "/test", "x").extension("delay", "300ms").build().expect("an event");
    world.handle.pause(&bench.sub("s")).await.expect("paused");
    world.publish_all(vec![event("before", ""), late]).await;
    bench.engine.cut().await;
    world.handle.resume(&bench.sub("s")).await.expect("resumed");
    tokio::time::sleep(Duration::from_millis(700)).await;
    bench.engine.heal().await;
    let both = |seen: &[String]| ["before", "late"].iter().all(|id| seen.iter().any(|own| own == id));
    wait_until("what was published before the cut, and what became due in it", || both(&world.ids("s"))).await;
    // Anything but a broken connection fails the case.
    while let Err(error) = answered(world.handle.publish(&bench.topic("t"), vec![event("after", "")])).await {
        assert!(error.is_temporary(), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wait_until("what is published afterwards", || world.ids("s").iter().any(|id| id == "after")).await;
    world.stop().await;
}

/// Keys that publish in turn until they are told to stop, each after the one before was acknowledged; what failed is repeated as it is.
const KEYS: usize = 8;

/// How many events of each key were acknowledged.
#[derive(Default)]
struct Acknowledged(Mutex<HashMap<usize, u64>>);

impl Acknowledged {
    fn note(&self, key: usize, number: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, number);
    }

    fn of(&self, key: usize) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied().unwrap_or_default()
    }

    fn total(&self) -> u64 {
        (0..KEYS).map(|key| self.of(key)).sum()
    }

    async fn rises(&self) {
        let before = self.total();
        wait_until("more events are acknowledged", || self.total() >= before + 40).await;
    }
}

async fn publish_until(world: &World<'_>, enough: &AtomicBool, acknowledged: &Acknowledged) {
    let topic = world.bench.topic("t");
    let publishers = (0..KEYS).map(|key| {
        let topic = &topic;
        async move {
            let mut number = acknowledged.of(key);
            while !enough.load(Ordering::Relaxed) {
                let one = event(&format!("{key}-{number}"), &format!("k{key}"));
                match answered(world.handle.publish(topic, vec![one])).await {
                    Ok(_) => {
                        number += 1;
                        acknowledged.note(key, number);
                    }
                    Err(error) => {
                        assert!(error.is_temporary(), "a broken connection is no reason to give up: {error}");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        }
    });
    futures_util::future::join_all(publishers).await;
}

/// Publishes while something happens to the engine.
async fn under_load(world: &World<'_>, acknowledged: &Acknowledged, trouble: impl Future<Output = ()>) {
    let enough = AtomicBool::new(false);
    let trouble = async {
        trouble.await;
        acknowledged.rises().await;
        enough.store(true, Ordering::Relaxed);
    };
    tokio::join!(publish_until(world, &enough, acknowledged), trouble);
}

/// Nothing acknowledged is missing, and the first deliveries of each key came in the order of its numbers. An event may come again, later
/// too: what failed may have arrived all the same, and was published a second time.
async fn nothing_is_lost_or_out_of_order(world: &World<'_>, before: &[String], acknowledged: &Acknowledged) {
    world.publish(&[("end", "")]).await;
    world.drained("s").await;
    let seen = [before, &world.ids("s")].concat();
    let mut again = 0;
    for key in 0..KEYS {
        let prefix = format!("{key}-");
        let mut next = 0;
        for number in seen.iter().filter_map(|id| id.strip_prefix(&prefix)?.parse::<u64>().ok()) {
            assert!(number <= next, "{key}-{number} came before {key}-{next}");
            again += u64::from(number < next);
            next = next.max(number + 1);
        }
        let promised = acknowledged.of(key);
        assert!(next >= promised, "{promised} of key {key} were acknowledged, and {next} came");
    }
    let total = acknowledged.total();
    assert!(again <= total, "{again} of {total} came again: that is more than repeating what failed");
    assert_eq!(world.status("s").await.counts.missed, 0);
}

pub(super) async fn connections_that_break_under_load_lose_and_reorder_nothing(bench: Bench) {
    if !bench.engine.is_remote() {
        return;
    }
    let world = bench.broker(vec![bench.spec("s")]).await;
    let acknowledged = Acknowledged::default();
    let trouble = async {
        for _ in 0..3 {
            acknowledged.rises().await;
            bench.engine.cut().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            bench.engine.heal().await;
        }
    };
    under_load(&world, &acknowledged, trouble).await;
    nothing_is_lost_or_out_of_order(&world, &[], &acknowledged).await;
    world.stop().await;
}

pub(super) async fn an_engine_that_dies_under_load_loses_and_reorders_nothing(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    let acknowledged = Acknowledged::default();
    let (world, before) = if bench.engine.is_remote() {
        let trouble = async {
            acknowledged.rises().await;
            bench.engine.restart().await;
        };
        under_load(&world, &acknowledged, trouble).await;
        (world, Vec::new())
    } else {
        under_load(&world, &acknowledged, async {}).await;
        let before = world.script.clone();
        world.stop().await;
        let world = bench.broker(vec![bench.spec("s")]).await;
        under_load(&world, &acknowledged, async {}).await;
        (world, before.seen(&bench.sub("s")).into_iter().map(|seen| seen.id).collect())
    };
    nothing_is_lost_or_out_of_order(&world, &before, &acknowledged).await;
    world.stop().await;
}

async fn wait_until(what: &str, satisfied: impl Fn() -> bool) {
    // Longer than one call may take: what was under way when connections broke has to fail first.
    let limit = LIMIT + CALL_LIMIT;
    let until = Instant::now() + limit;
    while !satisfied() {
        assert!(Instant::now() < until, "not seen within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
