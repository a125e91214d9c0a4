//! Large data: written once, streamed, gone when nothing needs it, and the trouble of one event only when it is damaged.

use crate::script::{Script, World, event, spec, sub, topic};
use async_trait::async_trait;
use motet_broker::{
    Broker, Config, Declaration, Deliver, Delivery, Embedded, Event, Handle, Keep, Outcome, Reason, SubscriptionSpec,
    TopicSpec, Which, payload::APART_ABOVE_BYTES,
};
use motet_kernel::task::TaskGroup;
use motet_store::{Options, Store};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(30);
const LARGE: usize = 5 << 20;

fn large(id: &str, key: &str, bytes: usize) -> Event {
    let event = event(id, key);
    event.edit().content_type("application/octet-stream").data(vec![7_u8; bytes]).build().unwrap()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory.join("blobs")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

async fn until(what: &str, satisfied: impl Fn() -> bool) {
    let limit = Instant::now() + LIMIT;
    while !satisfied() {
        assert!(Instant::now() < limit, "not seen: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn takes_large(keep: Keep) -> TopicSpec {
    TopicSpec { event_max_bytes: 64 << 20, keep, ..TopicSpec::new(topic("t")) }
}

#[tokio::test]
async fn large_data_is_on_disk_once_however_often_the_event_is_copied() {
    let directory = tempfile::tempdir().unwrap();
    let topics = vec![takes_large(Keep::default())];
    let world = World::open_with(directory.path(), topics, vec![spec("s", "t")], Config::default()).await;
    let refuses = Arc::new(AtomicBool::new(true));
    let is_refused = Arc::clone(&refuses);
    world.script.answers("s", move |parcel| {
        assert_eq!(parcel.event.data().map(bytes::Bytes::len), Some(LARGE));
        match is_refused.load(Relaxed) {
            true => Outcome::Permanent(motet_broker::Refusal::of("no")),
            false => Outcome::Ack,
        }
    });
    let delayed = large("1", "k", LARGE).edit().extension("delay", "100ms").build().unwrap();
    world.publish_all(vec![delayed]).await;
    assert_eq!(files(directory.path()).len(), 1, "while it waits for its time");
    world.until("s", "a dead letter", |status| status.dead_letters == 1).await;
    until("one file in its topic and as a dead letter", || files(directory.path()).len() == 1).await;
    refuses.store(false, Relaxed);
    world.handle.redrive(&sub("s"), Which::default(), 10).await.unwrap();
    world.until("s", "redriven and taken", |status| status.counts.acknowledged == 1).await;
    until("one file after it was redriven", || files(directory.path()).len() == 1).await;
    assert!(world.handle.describe().await.store.bytes < LARGE as u64, "the journal has seen none of it");
    world.stop().await;
}

#[tokio::test]
async fn what_retention_takes_is_given_back_and_a_dead_letter_keeps_its_data() {
    let directory = tempfile::tempdir().unwrap();
    let keep = Keep { time: None, bytes: Some(2 * LARGE as u64) };
    let config = Config { trim_every: Duration::from_millis(50), ..Config::default() };
    let world = World::open_with(directory.path(), vec![takes_large(keep)], vec![spec("s", "t")], config).await;
    world.script.answers("s", |parcel| match parcel.event.id() {
        "0" => Outcome::Permanent(motet_broker::Refusal::of("no")),
        _ => Outcome::Ack,
    });
    for id in 0..8 {
        world.publish_all(vec![large(&id.to_string(), "", LARGE)]).await;
    }
    world.until("s", "a dead letter", |status| status.dead_letters == 1).await;
    let left = || files(directory.path()).len();
    until("the topic kept to its size, and the dead letter", || left() <= 4).await;
    let (letters, _) = world.handle.dead_letters(&sub("s"), Which::default(), 10).await.unwrap();
    assert_eq!(letters[0].event.data().map(bytes::Bytes::len), Some(LARGE));
    let before = left();
    world.handle.drop_dead_letters(&sub("s"), Which::default(), 10).await.unwrap();
    until("the dead letter's data gone", || left() < before).await;
    world.stop().await;
}

/// Reads large data piece by piece, and says how much there was.
#[derive(Default)]
struct Streaming {
    seen: Mutex<Vec<(String, usize)>>,
}

#[async_trait]
impl Deliver for Streaming {
    fn streams(&self, _: &SubscriptionSpec) -> bool {
        true
    }

    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        let parcel = &delivery.parcels[0];
        let mut bytes = parcel.event.data().map_or(0, bytes::Bytes::len);
        if let Some(payload) = &parcel.payload {
            let Ok(mut pieces) = payload.open().await else { return vec![Outcome::retry("not there")] };
            loop {
                match pieces.next().await {
                    Ok(Some(piece)) => bytes += piece.len(),
                    Ok(None) => break,
                    Err(error) => return vec![Outcome::retry(error.to_string())],
                }
            }
        }
        self.seen.lock().unwrap().push((parcel.event.id().to_owned(), bytes));
        vec![Outcome::Ack]
    }
}

async fn broker(directory: &Path, deliver: Arc<dyn Deliver>) -> (Handle, TaskGroup) {
    let store = Store::open(directory, Options { reserve_bytes: 0, ..Options::default() }).unwrap();
    let transport = Arc::new(Embedded::new(store.clone(), directory).unwrap());
    let group = TaskGroup::new();
    let handle = Broker::start(Config::default(), store, transport, deliver, &group).unwrap();
    let topics = vec![takes_large(Keep::default())];
    handle.declare(Declaration { topics, subscriptions: vec![spec("s", "t")] }).await.unwrap();
    (handle, group)
}

#[tokio::test]
async fn damaged_data_becomes_a_dead_letter_that_says_so_and_the_others_of_its_key_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let streaming = Arc::new(Streaming::default());
    let (handle, _group) = broker(directory.path(), streaming.clone()).await;
    handle.pause(&sub("s")).await.unwrap();
    for (id, bytes) in [("damaged", LARGE), ("missing", LARGE), ("whole", LARGE), ("small", 10)] {
        let before = files(directory.path());
        handle.publish(&topic("t"), vec![large(id, "k", bytes)]).await.unwrap();
        let new = files(directory.path()).into_iter().find(|file| !before.contains(file));
        match (id, new) {
            ("damaged", Some(file)) => {
                let mut bytes = std::fs::read(&file).unwrap();
                bytes[LARGE / 2] ^= 1;
                std::fs::write(&file, bytes).unwrap();
            }
            ("missing", Some(file)) => std::fs::remove_file(file).unwrap(),
            (_, new) => assert_eq!(new.is_some(), bytes > APART_ABOVE_BYTES),
        }
    }
    handle.resume(&sub("s")).await.unwrap();
    until("the others delivered", || streaming.seen.lock().unwrap().len() == 2).await;
    assert_eq!(*streaming.seen.lock().unwrap(), [("whole".to_owned(), LARGE), ("small".to_owned(), 10)]);
    // Large ones come in pages of a few.
    let (mut letters, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let page = handle.dead_letters(&sub("s"), Which { from, ..Which::default() }, 10).await.unwrap();
        letters.extend(page.0);
        next = page.1;
    }
    let told: Vec<_> = letters.iter().map(|letter| (letter.event.id(), letter.reason)).collect();
    assert_eq!(told, [("damaged", Reason::Permanent), ("missing", Reason::Permanent)]);
    assert!(letters[0].attempts.last.detail.contains("MO-store-302"), "{:?}", letters[0].attempts);
    assert_eq!(letters[0].event.data(), None);
    handle.stop().await;
}

#[tokio::test]
async fn a_worker_fetches_large_data_one_event_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let pulled = SubscriptionSpec { mode: motet_broker::Mode::Pull, ..spec("s", "t") };
    let topics = vec![takes_large(Keep::default())];
    let world = World::open_with(directory.path(), topics, vec![pulled], Config::default()).await;
    for id in ["1", "2", "3"] {
        world.publish_all(vec![large(id, "", 2 * LARGE)]).await;
    }
    for id in ["1", "2", "3"] {
        let got = world.handle.next(&sub("s"), 10, Duration::from_secs(10)).await.unwrap();
        assert_eq!(got.iter().map(|parcel| parcel.event.id()).collect::<Vec<_>>(), [id]);
        assert_eq!(got[0].event.data().map(bytes::Bytes::len), Some(2 * LARGE));
        world.handle.ack(&sub("s"), &got[0].token).await.unwrap();
    }
    world.stop().await;
}

#[tokio::test]
async fn as_many_dead_letters_are_kept_as_may_be_and_the_oldest_goes_with_a_count() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { letters_max: 5, ..Config::default() };
    let script = Script::new();
    script.answers("s", |_| Outcome::Permanent(motet_broker::Refusal::of("no")));
    let topics = || vec![takes_large(Keep::default())];
    let one_key = |world: &World, ids: std::ops::Range<usize>| {
        let events: Vec<_> = ids.map(|id| large(&id.to_string(), "k", APART_ABOVE_BYTES + 1)).collect();
        let handle = world.handle.clone();
        async move { handle.publish(&topic("t"), events).await.unwrap() }
    };
    let world =
        World::open_to(directory.path(), topics(), vec![spec("s", "t")], config.clone(), Arc::clone(&script)).await;
    one_key(&world, 0..8).await;
    let status = world.until("s", "eight given up", |status| status.counts.buried == 8).await;
    assert_eq!((status.dead_letters, status.dead_letters_gone), (5, 3));
    let numbers = async |world: &World| {
        let (letters, next) = world.handle.dead_letters(&sub("s"), Which::default(), 100).await.unwrap();
        assert_eq!(next, None);
        letters.iter().map(|letter| letter.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&world).await, [4, 5, 6, 7, 8]);
    world.handle.drop_dead_letters(&sub("s"), Which::one(5), 1).await.unwrap();
    world.stop().await;
    // How many there are is remembered, so that it is not counted anew.
    let world = World::open_to(directory.path(), topics(), vec![spec("s", "t")], config, script).await;
    one_key(&world, 8..10).await;
    let status = world.until("s", "two more", |status| status.counts.buried == 2).await;
    assert_eq!((status.dead_letters, status.dead_letters_gone), (5, 1));
    assert_eq!(numbers(&world).await, [6, 7, 8, 9, 10]);
    world.stop().await;
}
