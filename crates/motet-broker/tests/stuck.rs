//! A key whose handler fails or hangs delays no other key: in numbers.
//!
//! Two keys are stuck, one because its handler fails at once and one because it hangs until its timeout, while events of a thousand others
//! are published all the time. `MOTET_STUCK_SECONDS` says for how long (default 2; 30 is what the promise says).

use crate::script::{event, spec, sub, topic};
use async_trait::async_trait;
use motet_broker::{
    Broker, Config, Declaration, Deliver, Delivery, Embedded, Outcome, Retry, SubscriptionSpec, TopicSpec,
};
use motet_kernel::{backoff::Backoff, task::TaskGroup};
use motet_store::{Options, Store};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const PUBLISHERS: usize = 8;
/// Each publisher rests so long after each event.
const PACE: Duration = Duration::from_millis(10);

/// Notes when each event of another key came, and what the stuck ones saw.
struct Handler {
    stuck_until: Instant,
    came: Mutex<HashMap<String, Instant>>,
    stuck: Mutex<Vec<String>>,
}

#[async_trait]
impl Deliver for Handler {
    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        let event = &delivery.parcels[0].event;
        let is_over = Instant::now() >= self.stuck_until;
        match event.partition_key() {
            Some("hangs" | "fails") if is_over => self.stuck.lock().unwrap().push(event.id().to_owned()),
            Some("hangs") => std::future::pending().await,
            Some("fails") => return vec![Outcome::retry("not now")],
            _ => {
                self.came.lock().unwrap().insert(event.id().to_owned(), Instant::now());
            }
        }
        vec![Outcome::Ack]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_fails_and_one_that_hangs_delay_no_other_key() {
    let seconds: u64 = std::env::var("MOTET_STUCK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let lasts = Duration::from_secs(seconds);
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options { reserve_bytes: 0, ..Options::default() }).unwrap();
    let transport = Arc::new(Embedded::new(store.clone(), directory.path()).unwrap());
    let begun = Instant::now();
    let handler = Arc::new(Handler { stuck_until: begun + lasts, came: Mutex::default(), stuck: Mutex::default() });
    let handle = Broker::start(Config::default(), store, transport, handler.clone(), &TaskGroup::new()).unwrap();
    let backoff = Backoff { initial: Duration::from_millis(20), max: Duration::from_secs(1), factor: 2.0 };
    let retry = Retry { backoff, attempts: 10_000, max_age: None };
    let subscription = SubscriptionSpec { retry, timeout: lasts / 2, ..spec("s", "t") };
    let declaration = Declaration { topics: vec![TopicSpec::new(topic("t"))], subscriptions: vec![subscription] };
    handle.declare(declaration).await.unwrap();
    for number in 0..50 {
        let stuck = ["hangs", "fails"].map(|key| event(&format!("{key}-{number}"), key));
        handle.publish(&topic("t"), stuck.to_vec()).await.unwrap();
    }
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let handle = handle.clone();
        publishers.spawn(async move {
            let mut published = Vec::new();
            while begun.elapsed() < lasts {
                let id = format!("{publisher}-{}", published.len());
                let key = (published.len() * PUBLISHERS + publisher) % 1000;
                handle.publish(&topic("t"), vec![event(&id, &key.to_string())]).await.unwrap();
                published.push((id, Instant::now()));
                tokio::time::sleep(PACE).await;
            }
            published
        });
    }
    let published: Vec<_> = publishers.join_all().await.concat();
    let limit = Instant::now() + lasts + Duration::from_secs(30);
    while handle.describe().await.subscriptions[0].counts.depth > 0 {
        assert!(Instant::now() < limit, "everything settled: {:?}", handle.describe().await.subscriptions);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let came = handler.came.lock().unwrap().clone();
    // From being durable to being with the handler: how long a publish takes is the disk's.
    let mut late: Vec<_> = published.iter().map(|(id, at)| came[id].saturating_duration_since(*at)).collect();
    late.sort_unstable();
    let quantile = |share: usize| late[(late.len() * share / 1000).min(late.len() - 1)];
    println!(
        "{} events of other keys in {seconds} s: p50 {:?}, p99 {:?}, longest {:?}",
        late.len(),
        quantile(500),
        quantile(990),
        quantile(1000)
    );
    assert!(quantile(990) < Duration::from_millis(100), "p99 {:?}", quantile(990));
    for key in ["hangs", "fails"] {
        let of_key: Vec<_> = handler.stuck.lock().unwrap().iter().filter(|id| id.starts_with(key)).cloned().collect();
        let wanted: Vec<_> = (0..50).map(|number| format!("{key}-{number}")).collect();
        assert_eq!(of_key, wanted, "in order, once it works again");
    }
    assert_eq!(handle.describe().await.subscriptions[0].name, sub("s"));
    handle.stop().await;
}
