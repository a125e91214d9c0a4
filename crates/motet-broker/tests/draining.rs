//! A system that stops: deliveries under way end, nothing new is sent, and what is published meanwhile is not lost.

use crate::script::{event, spec, topic};
use async_trait::async_trait;
use motet_broker::{Broker, Config, Declaration, Deliver, Delivery, Embedded, Handle, Outcome, TopicSpec};
use motet_kernel::task::TaskGroup;
use motet_store::{Options, Store};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, watch};

/// Answers when it is let.
struct Slow {
    begun: watch::Sender<usize>,
    may_end: Semaphore,
    done: Mutex<Vec<String>>,
}

#[async_trait]
impl Deliver for Slow {
    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        self.begun.send_modify(|begun| *begun += 1);
        self.may_end.acquire().await.unwrap().forget();
        self.done.lock().unwrap().push(delivery.parcels[0].event.id().to_owned());
        vec![Outcome::Ack]
    }
}

async fn broker(directory: &Path, slow: &Arc<Slow>) -> Handle {
    let store = Store::open(directory, Options { reserve_bytes: 0, ..Options::default() }).unwrap();
    let transport = Arc::new(Embedded::new(store.clone(), directory).unwrap());
    let deliver = Arc::clone(slow) as Arc<dyn Deliver>;
    let handle = Broker::start(Config::default(), store, transport, deliver, &TaskGroup::new()).unwrap();
    let declaration = Declaration { topics: vec![TopicSpec::new(topic("t"))], subscriptions: vec![spec("s", "t")] };
    handle.declare(declaration).await.unwrap();
    handle
}

#[tokio::test]
async fn a_drain_ends_with_the_deliveries_and_sends_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let slow = Arc::new(Slow { begun: watch::Sender::new(0), may_end: Semaphore::new(0), done: Mutex::default() });
    let handle = broker(directory.path(), &slow).await;
    handle.publish(&topic("t"), vec![event("1", "k")]).await.unwrap();
    slow.begun.subscribe().wait_for(|begun| *begun == 1).await.unwrap();
    let drained = async {
        handle.drain().await;
        Instant::now()
    };
    let publishing = async {
        handle.publish(&topic("t"), vec![event("2", "k")]).await.unwrap();
        slow.may_end.add_permits(10);
        Instant::now()
    };
    let (drained, let_go) = tokio::join!(drained, publishing);
    assert!(
        drained.saturating_duration_since(let_go) < Config::default().grace / 2,
        "it waited for more than deliveries"
    );
    assert_eq!(*slow.done.lock().unwrap(), ["1"]);
    handle.stop().await;
    drop(handle);
    let handle = broker(directory.path(), &slow).await;
    let limit = Instant::now() + Duration::from_secs(30);
    while slow.done.lock().unwrap().len() < 2 {
        assert!(Instant::now() < limit, "the second one was never sent");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(*slow.done.lock().unwrap(), ["1", "2"]);
    handle.stop().await;
}
