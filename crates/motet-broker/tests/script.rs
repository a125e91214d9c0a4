//! A subscriber that does what a test says, and a broker to go with it.

use async_trait::async_trait;
use motet_broker::{
    Broker, Config, Declaration, Deliver, Delivery, Embedded, Entry, Event, Handle, Keep, Limits, Outcome, Parcel,
    Position, Stored, SubscriptionName, SubscriptionSpec, Time, TopicName, TopicSpec, Transport,
    port::{Ends, Engine, Note, TransportError},
};
use motet_kernel::task::TaskGroup;
use motet_store::{Options, Store};
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

/// No test waits longer than this for anything, by a clock that nobody stops.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) type Answer = Box<dyn Fn(&Parcel) -> Outcome + Send + Sync>;

/// What a subscriber saw of one event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) attempt: u32,
    pub(crate) at: tokio::time::Instant,
}

/// Answers by what stands in the event's data, or by a function; remembers what it saw.
pub(crate) struct Script {
    answer: Mutex<HashMap<String, Answer>>,
    seen: Mutex<Vec<(String, Seen)>>,
}

impl Script {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { answer: Mutex::default(), seen: Mutex::default() })
    }

    /// From now on this subscription answers so.
    pub(crate) fn answers(&self, subscription: &str, answer: impl Fn(&Parcel) -> Outcome + Send + Sync + 'static) {
        self.answer.lock().unwrap().insert(subscription.to_owned(), Box::new(answer));
    }

    pub(crate) fn seen(&self, subscription: &str) -> Vec<Seen> {
        let all = self.seen.lock().unwrap();
        all.iter().filter(|(name, _)| name == subscription).map(|(_, seen)| seen.clone()).collect()
    }

    pub(crate) fn ids(&self, subscription: &str) -> Vec<String> {
        self.seen(subscription).into_iter().map(|seen| seen.id).collect()
    }

    /// Waits until the subscription has seen so many deliveries of events.
    pub(crate) async fn saw(&self, subscription: &str, count: usize) -> Vec<Seen> {
        let limit = std::time::Instant::now() + LIMIT;
        loop {
            let seen = self.seen(subscription);
            if seen.len() >= count {
                return seen;
            }
            assert!(
                std::time::Instant::now() < limit,
                "{subscription} saw {:?} and not {count}",
                self.ids(subscription)
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[async_trait]
impl Deliver for Script {
    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        let name = delivery.subscription.name.to_string();
        let at = tokio::time::Instant::now();
        {
            let mut seen = self.seen.lock().unwrap();
            for parcel in &delivery.parcels {
                let id = parcel.event.id().to_owned();
                seen.push((name.clone(), Seen { id, attempt: parcel.attempt, at }));
            }
        }
        let answers = self.answer.lock().unwrap();
        let answer = answers.get(&name);
        delivery.parcels.iter().map(|parcel| answer.map_or(Outcome::Ack, |answer| answer(parcel))).collect()
    }
}

/// The embedded engine, in whose appends a stopped clock stands still.
struct Held(Embedded);

#[async_trait]
impl Transport for Held {
    fn engine(&self) -> Engine {
        self.0.engine()
    }
    async fn ensure(&self, topic: &TopicSpec) -> Result<(), TransportError> {
        self.0.ensure(topic).await
    }
    async fn append(
        &self,
        topic: &TopicName,
        entries: Vec<Entry>,
        note: Option<Note>,
    ) -> Result<Vec<Position>, TransportError> {
        real_time(self.0.append(topic, entries, note)).await
    }
    async fn read(&self, topic: &TopicName, from: Position, limits: Limits) -> Result<Vec<Stored>, TransportError> {
        self.0.read(topic, from, limits).await
    }
    async fn ends(&self, topic: &TopicName) -> Result<Ends, TransportError> {
        self.0.ends(topic).await
    }
    fn head(&self, topic: &TopicName) -> Result<watch::Receiver<Position>, TransportError> {
        self.0.head(topic)
    }
    async fn at_time(&self, topic: &TopicName, time: Time) -> Result<Position, TransportError> {
        self.0.at_time(topic, time).await
    }
    async fn settled(
        &self,
        topic: &TopicName,
        subscription: &SubscriptionName,
        below: Position,
    ) -> Result<(), TransportError> {
        self.0.settled(topic, subscription, below).await
    }
    async fn trim(&self, topic: &TopicName, keep: &Keep, now: Time) -> Result<(), TransportError> {
        real_time(self.0.trim(topic, keep, now)).await
    }
}

/// A broker on a directory, with its subscriber.
pub(crate) struct World {
    pub(crate) handle: Handle,
    pub(crate) script: Arc<Script>,
}

pub(crate) fn topic(text: &str) -> TopicName {
    text.parse().unwrap()
}

pub(crate) fn sub(text: &str) -> SubscriptionName {
    text.parse().unwrap()
}

pub(crate) fn spec(name: &str, of: &str) -> SubscriptionSpec {
    SubscriptionSpec::new(sub(name), topic(of))
}

/// An event with an id, and a key where there is one.
pub(crate) fn event(id: &str, key: &str) -> Event {
    let event = Event::builder(id, "/test", "test.happened").content_type("application/json").data("{}");
    let event = if key.is_empty() { event } else { event.extension("partitionkey", key) };
    event.build().unwrap()
}

impl World {
    /// A broker with topic `t` and these subscriptions.
    pub(crate) async fn open(path: &Path, subscriptions: Vec<SubscriptionSpec>) -> Self {
        Self::open_with(path, vec![TopicSpec::new(topic("t"))], subscriptions, Config::default()).await
    }

    pub(crate) async fn open_with(
        path: &Path,
        topics: Vec<TopicSpec>,
        subscriptions: Vec<SubscriptionSpec>,
        config: Config,
    ) -> Self {
        let script = Script::new();
        Self::open_to(path, topics, subscriptions, config, script).await
    }

    pub(crate) async fn open_to(
        path: &Path,
        topics: Vec<TopicSpec>,
        subscriptions: Vec<SubscriptionSpec>,
        config: Config,
        script: Arc<Script>,
    ) -> Self {
        let store = Store::open(path, Options { reserve_bytes: 0, ..Options::default() }).unwrap();
        let transport = Arc::new(Held(Embedded::new(store.clone(), path).unwrap()));
        let group = TaskGroup::new();
        let handle = Broker::start(config, store, transport, script.clone(), &group).unwrap();
        let world = Self { handle, script };
        world.declare(topics, subscriptions).await;
        world
    }

    pub(crate) async fn declare(&self, topics: Vec<TopicSpec>, subscriptions: Vec<SubscriptionSpec>) {
        real_time(self.handle.declare(Declaration { topics, subscriptions })).await.unwrap();
    }

    /// Publishes into `t`, one by one.
    pub(crate) async fn publish(&self, events: &[(&str, &str)]) {
        for (id, key) in events {
            self.publish_all(vec![event(id, key)]).await;
        }
    }

    pub(crate) async fn publish_all(&self, events: Vec<Event>) -> Vec<motet_broker::Receipt> {
        real_time(self.handle.publish(&topic("t"), events)).await.unwrap()
    }

    /// Waits until a look at the subscription satisfies.
    pub(crate) async fn until(
        &self,
        subscription: &str,
        what: &str,
        satisfied: impl Fn(&motet_broker::SubscriptionStatus) -> bool,
    ) -> motet_broker::SubscriptionStatus {
        let limit = std::time::Instant::now() + LIMIT;
        loop {
            let description = real_time(self.handle.describe()).await;
            let status = description.subscriptions.into_iter().find(|status| status.name.as_str() == subscription);
            let status = status.unwrap();
            if satisfied(&status) {
                return status;
            }
            assert!(std::time::Instant::now() < limit, "{what}: {status:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until everything published is settled.
    pub(crate) async fn drained(&self, subscription: &str) -> motet_broker::SubscriptionStatus {
        self.until(subscription, "everything settled", |status| status.counts.depth == 0 && status.counts.retrying == 0)
            .await
    }

    pub(crate) async fn stop(self) {
        // With the clock running: deliveries that are under way may take their time.
        self.handle.stop().await;
    }
}

/// Does something that waits for the disk, while a stopped clock stands still: a blocking task keeps it from jumping.
pub(crate) async fn real_time<T>(work: impl Future<Output = T>) -> T {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let hold = tokio::task::spawn_blocking(move || wait.recv());
    let result = work.await;
    drop(done);
    let _ = hold.await;
    result
}
