//! Apache Kafka as an engine of events, against a real broker.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod declared;
mod foreign;
mod gaps;
mod partitions;
mod speed;
mod trouble;

use motet_adapters::kafka::{Kafka, Settings};
use motet_broker::{
    Entry, Event, Limits, Position, Stored, Time, TopicName, TopicSpec, Transport, port::TransportError,
};
use motet_kernel::{clock, task::TaskGroup};
use motet_store::{Options, Store};
use motet_testkit::kafka::Kafka as Fixture;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// No test waits longer than this for one thing.
const LIMIT: Duration = Duration::from_secs(30);
const ALL: Limits = Limits { items: 10_000, bytes: usize::MAX };

/// The server that tests share.
async fn shared() -> Option<Arc<Fixture>> {
    tokio::task::spawn_blocking(|| Fixture::shared().map(Arc::new)).await.unwrap()
}

/// The same over a network that a test may break.
async fn proxied() -> Option<Arc<Fixture>> {
    tokio::task::spawn_blocking(|| Fixture::proxied().map(Arc::new)).await.unwrap()
}

/// A server that a test may kill.
async fn own() -> Option<Arc<Fixture>> {
    tokio::task::spawn_blocking(|| Fixture::own().map(Arc::new)).await.unwrap()
}

/// Work with the fixture, which blocks.
async fn with<T: Send + 'static>(fixture: &Arc<Fixture>, work: impl FnOnce(&Fixture) -> T + Send + 'static) -> T {
    let fixture = Arc::clone(fixture);
    tokio::task::spawn_blocking(move || work(&fixture)).await.unwrap()
}

/// How another program is configured.
fn client(fixture: &Fixture) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", fixture.address());
    config
}

fn settings(fixture: &Fixture) -> Settings {
    Settings { brokers: vec![fixture.address()], prefix: "suite".to_owned(), partitions: 1, replicas: None }
}

/// Makes a topic as an administrator does, beside Motet.
async fn make(fixture: &Fixture, topic: &TopicName, partitions: i32, with: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = client(fixture).create().unwrap();
    let name = format!("suite.{topic}");
    let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    let topic = with.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
    let made = admin.create_topics([&topic], &AdminOptions::new().operation_timeout(Some(LIMIT))).await.unwrap();
    made.into_iter().for_each(|made| drop(made.unwrap()));
}

/// An open engine with one topic's name to itself.
struct Port {
    kafka: Kafka,
    topic: TopicName,
    store: Store,
    group: TaskGroup,
    _place: TempDir,
}

impl Port {
    async fn open(fixture: &Fixture) -> Self {
        Self::open_with(settings(fixture)).await
    }

    async fn open_with(settings: Settings) -> Self {
        let place = motet_testkit::place::new("motet-adapters-").unwrap();
        let store = Store::open(place.path(), Options { reserve_bytes: 0, ..Options::default() }).unwrap();
        let group = TaskGroup::new();
        let kafka = Kafka::connect(settings, &store, &group).await.unwrap();
        let topic = format!("k{:012x}", fastrand::u64(..) >> 16).parse().unwrap();
        Self { kafka, topic, store, group, _place: place }
    }

    /// The same topic, by a process that has just begun.
    async fn again(self, fixture: &Fixture) -> Self {
        self.again_with(settings(fixture)).await
    }

    async fn again_with(self, settings: Settings) -> Self {
        drop(self.kafka);
        let kafka = Kafka::connect(settings, &self.store, &self.group).await.unwrap();
        let port = Self { kafka, ..self };
        port.ensure().await;
        port
    }

    fn spec(&self) -> TopicSpec {
        TopicSpec::new(self.topic.clone())
    }

    async fn ensure(&self) {
        self.kafka.ensure(&self.spec()).await.unwrap();
    }

    fn name(&self) -> String {
        format!("suite.{}", self.topic)
    }

    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Position>, TransportError> {
        self.kafka.append(&self.topic, entries, None).await
    }

    /// What stands from there to the end.
    async fn read(&self, from: u64) -> Vec<Stored> {
        let (mut found, mut at) = (Vec::new(), Position(from));
        loop {
            let more = self.kafka.read(&self.topic, at, ALL).await.unwrap();
            let Some(last) = more.last() else { return found };
            at = last.position.next();
            found.extend(more);
        }
    }

    /// The same, once it is what it should be.
    async fn read_until(&self, from: u64, wanted: impl Fn(&[Stored]) -> bool) -> Vec<Stored> {
        let until = Instant::now() + LIMIT;
        loop {
            let found = self.read(from).await;
            if wanted(&found) {
                return found;
            }
            assert!(Instant::now() < until, "{} events after {LIMIT:?}: {:?}", found.len(), ids(&found));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn ids(found: &[Stored]) -> Vec<&str> {
    found.iter().map(|stored| stored.entry.event.id()).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "so that numbers and texts are written in place")]
fn entry(id: impl ToString) -> Entry {
    let event = Event::builder(&id.to_string(), "/test", "test.happened").data("{}").build().unwrap();
    let now = u64::try_from(clock::now().as_millisecond()).unwrap();
    Entry::new(event, None, Time(now))
}
