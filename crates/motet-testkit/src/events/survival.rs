//! Engines that die, connections that break: nothing acknowledged is lost, no key is out of order.

use super::{
    LIMIT,
    bench::{Bench, answered, entries, event, ids},
    world::World,
};
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
    let found = port.all().await;
    assert_eq!(found.iter().map(|stored| stored.position).collect::<Vec<_>>(), positions);
    let next = port.ends().await.next;
    assert!(next > positions[29], "the end {next:?} is not behind {:?}", positions[29]);
    assert!(*port.transport.head(&port.topic).expect("a head").borrow() > positions[29]);
    let later = port.append(entries([30])).await[0];
    assert!(later > positions[29], "{later:?} comes after {:?}", positions[29]);
    assert_eq!(ids(&port.all().await), (0..=30).map(|n| n.to_string()).collect::<Vec<_>>());
    port.close().await;
}

pub(super) async fn what_was_acknowledged_outlives_the_engine(bench: Bench) {
    let mut port = bench.port().await;
    let mut positions = Vec::new();
    for round in 0..2 {
        positions.extend(port.append(entries((0..50).map(|n| round * 50 + n))).await);
        port = bench.restarted(port).await;
        let until = Instant::now() + LIMIT;
        // The first calls after a restart may meet the broken connection.
        while let Err(error) = answered(port.transport.ends(&port.topic)).await {
            assert!(Instant::now() < until, "not connected again within {LIMIT:?}: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let found = port.all().await;
    assert_eq!(found.iter().map(|stored| stored.position).collect::<Vec<_>>(), positions);
    assert_eq!(ids(&found), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    port.close().await;
}

/// Keys that publish in turn until they are told to stop, each after the one before was acknowledged; what failed is repeated as it is.
const KEYS: usize = 8;

/// How many events of each key were acknowledged.
async fn publish_until(world: &World<'_>, enough: &AtomicBool, acknowledged: &Mutex<HashMap<usize, u64>>) {
    let topic = world.bench.topic("t");
    let publishers = (0..KEYS).map(|key| {
        let topic = &topic;
        async move {
            let mut number = 0;
            while !enough.load(Ordering::Relaxed) {
                let one = event(&format!("{key}-{number}"), &format!("k{key}"));
                match answered(world.handle.publish(topic, vec![one])).await {
                    Ok(_) => {
                        number += 1;
                        acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(key, number);
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

/// Nothing acknowledged is missing, and the first deliveries of each key came in the order of its numbers.
async fn nothing_is_lost_or_out_of_order(world: &World<'_>, acknowledged: &HashMap<usize, u64>) {
    world.drained("s").await;
    let seen = world.ids("s");
    for key in 0..KEYS {
        let prefix = format!("{key}-");
        let mut next = 0;
        for number in seen.iter().filter_map(|id| id.strip_prefix(&prefix)?.parse::<u64>().ok()) {
            assert!(number <= next, "{key}-{number} came before {key}-{next}");
            next = next.max(number + 1);
        }
        let promised = acknowledged.get(&key).copied().unwrap_or_default();
        assert!(next >= promised, "{promised} of key {key} were acknowledged, and {next} came");
    }
}

pub(super) async fn connections_that_break_under_load_lose_and_reorder_nothing(bench: Bench) {
    if !bench.engine.is_remote() {
        return;
    }
    let world = bench.broker(vec![bench.spec("s")]).await;
    let (enough, acknowledged) = (AtomicBool::new(false), Mutex::new(HashMap::new()));
    let total = || acknowledged.lock().unwrap_or_else(PoisonError::into_inner).values().sum::<u64>();
    let trouble = async {
        for _ in 0..3 {
            let before = total();
            wait_until("events are acknowledged", || total() >= before + 40).await;
            bench.engine.cut().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            bench.engine.heal().await;
        }
        let before = total();
        wait_until("events are acknowledged after the last cut", || total() >= before + 40).await;
        enough.store(true, Ordering::Relaxed);
    };
    tokio::join!(publish_until(&world, &enough, &acknowledged), trouble);
    let acknowledged = acknowledged.into_inner().unwrap_or_else(PoisonError::into_inner);
    nothing_is_lost_or_out_of_order(&world, &acknowledged).await;
    world.stop().await;
}

async fn wait_until(what: &str, satisfied: impl Fn() -> bool) {
    let until = Instant::now() + LIMIT;
    while !satisfied() {
        assert!(Instant::now() < until, "not seen within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
