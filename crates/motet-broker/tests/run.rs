//! Runs: what tells a subscriber that keeps its own place a redelivery from a replay.

use crate::script::{event, spec, sub, topic};
use async_trait::async_trait;
use motet_broker::{
    Broker, Config, Declaration, Deliver, Delivery, Embedded, Handle, Outcome, Position, Refusal, Run, Start,
    TopicSpec, Which,
};
use motet_kernel::task::TaskGroup;
use motet_store::{Options, Store};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// An event as it came: its id, where it stood, whether it was redriven, in which run.
type Came = (String, Option<Position>, bool, Run);

/// Refuses what is called `bad`, once.
#[derive(Default)]
struct Keeper {
    came: Mutex<Vec<Came>>,
}

#[async_trait]
impl Deliver for Keeper {
    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        let mut came = self.came.lock().unwrap();
        let mut outcomes = Vec::new();
        for parcel in &delivery.parcels {
            came.push((parcel.event.id().to_owned(), parcel.position, parcel.redriven, delivery.run));
            let is_bad = parcel.event.id() == "bad" && !parcel.redriven;
            outcomes.push(if is_bad { Outcome::Permanent(Refusal::of("no")) } else { Outcome::Ack });
        }
        outcomes
    }
}

impl Keeper {
    async fn saw(&self, count: usize) -> Vec<Came> {
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            let came = self.came.lock().unwrap().clone();
            if came.len() >= count {
                return came;
            }
            assert!(Instant::now() < limit, "{came:?}, and not {count}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn broker(path: &Path, keeper: &Arc<Keeper>) -> Handle {
    let store = Store::open(path, Options { reserve_bytes: 0, ..Options::default() }).unwrap();
    let transport = Arc::new(Embedded::new(store.clone(), path).unwrap());
    let deliver = Arc::clone(keeper) as Arc<dyn Deliver>;
    let handle = Broker::start(Config::default(), store, transport, deliver, &TaskGroup::new()).unwrap();
    let one_by_one = motet_broker::SubscriptionSpec { in_flight: 1, ..spec("s", "t") };
    let declaration = Declaration { topics: vec![TopicSpec::new(topic("t"))], subscriptions: vec![one_by_one] };
    handle.declare(declaration).await.unwrap();
    handle
}

#[tokio::test]
async fn a_replay_is_another_run_a_restart_is_not_and_a_run_says_what_was_acknowledged_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let keeper = Arc::new(Keeper::default());
    let handle = broker(directory.path(), &keeper).await;
    for id in ["1", "2", "3"] {
        handle.publish(&topic("t"), vec![event(id, "")]).await.unwrap();
    }
    let came = keeper.saw(3).await;
    let first = came[0].3;
    assert_eq!((first.begins, first.until, first.acked), (Position(0), Position(0), None));
    assert_eq!(came[2].3, Run { acked: Some(Position(1)), ..first });
    handle.stop().await;
    drop(handle);

    let handle = broker(directory.path(), &keeper).await;
    handle.publish(&topic("t"), vec![event("4", "")]).await.unwrap();
    assert_eq!(keeper.saw(4).await[3].3, Run { acked: Some(Position(2)), ..first });

    let position = handle.replay(&sub("s"), Start::Position(Position(1))).await.unwrap();
    let came = keeper.saw(7).await;
    let second = came[4].3;
    assert_eq!((position, came[4].1, second.acked), (Position(1), Some(Position(1)), None));
    assert!(second.id > first.id && second.lineage == first.lineage, "{second:?} {first:?}");
    assert_eq!((second.begins, second.until), (Position(1), Position(4)));
    handle.stop().await;
}

#[tokio::test]
async fn a_dead_letter_that_is_redriven_says_where_it_stood() {
    let directory = tempfile::tempdir().unwrap();
    let keeper = Arc::new(Keeper::default());
    let handle = broker(directory.path(), &keeper).await;
    for id in ["1", "bad", "3"] {
        handle.publish(&topic("t"), vec![event(id, "")]).await.unwrap();
    }
    keeper.saw(3).await;
    let limit = Instant::now() + Duration::from_secs(30);
    while handle.redrive(&sub("s"), Which::default(), 10).await.unwrap() == 0 {
        assert!(Instant::now() < limit, "no dead letter");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let came = keeper.saw(4).await;
    assert_eq!((came[3].0.as_str(), came[3].1, came[3].2), ("bad", Some(Position(1)), true));
    // What became a dead letter was answered for.
    handle.publish(&topic("t"), vec![event("4", "")]).await.unwrap();
    assert_eq!(keeper.saw(5).await[4].3.acked, Some(Position(2)));
    handle.stop().await;
}
