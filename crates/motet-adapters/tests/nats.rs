//! Topics on a real NATS server with JetStream (Debian: `apt install nats-server`).

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod conformance;
mod foreign;
mod outages;
mod refusals;

use motet_adapters::nats::{Nats, SUPPORT, Settings};
use motet_broker::{
    Entry, Event, Limits, Stored, Time, TopicName, TopicSpec, Transport, key, port::TransportError, topic::Position,
};
use motet_kernel::task::TaskGroup;
use motet_store::{Options, Store};
use motet_testkit::nats::Nats as Server;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// No test waits for anything longer than this.
const LIMIT: Duration = Duration::from_secs(60);

/// A server that all tests of this process share: each uses a system of its own.
fn server() -> Option<Arc<Server>> {
    Server::shared()
}

/// Motet's side: a store, and an engine on it.
struct Rig {
    store: Store,
    group: TaskGroup,
    nats: Arc<Nats>,
    settings: Settings,
    dir: tempfile::TempDir,
}

impl Rig {
    async fn open(url: &str, prefix: &str) -> Self {
        let dir = motet_testkit::place::new("motet-adapters-").unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        Self::on(store, Settings::new(url, prefix).unwrap(), dir).await
    }

    async fn on(store: Store, settings: Settings, dir: tempfile::TempDir) -> Self {
        let group = TaskGroup::new();
        let nats = Arc::new(Nats::connect(settings.clone(), &store, &group).await.expect("NATS answers"));
        Self { store, group, nats, settings, dir }
    }

    /// Ends the engine, and begins again on the same store.
    async fn again(self) -> Self {
        self.group.cancel();
        self.group.wait().await;
        drop(self.nats);
        Self::on(self.store, self.settings, self.dir).await
    }

    async fn topic(&self, name: &str) -> TopicName {
        let spec = TopicSpec::new(name.parse().unwrap());
        self.nats.ensure(&spec).await.expect("the topic is made");
        spec.name
    }

    async fn append(&self, topic: &TopicName, ids: &[&str]) -> Result<Vec<Position>, TransportError> {
        self.nats.append(topic, ids.iter().map(|id| entry(id)).collect(), None).await
    }

    /// Everything that is there, read in small pieces.
    async fn all(&self, topic: &TopicName) -> Vec<Stored> {
        let (mut at, mut all) = (Position(0), Vec::new());
        loop {
            let found = self.nats.read(topic, at, Limits { items: 100, bytes: 1 << 20 }).await.unwrap();
            let Some(last) = found.last() else { return all };
            at = last.position.next();
            all.extend(found);
        }
    }

    async fn ids(&self, topic: &TopicName) -> Vec<String> {
        self.all(topic).await.iter().map(|stored| stored.entry.event.id().to_owned()).collect()
    }
}

fn entry(id: &str) -> Entry {
    let event = Event::builder(id, "/test", "test.happened").extension("partitionkey", "k").data("{}").build().unwrap();
    let key = key::of(&event, None);
    Entry::new(event, key, now())
}

fn now() -> Time {
    Time(u64::try_from(motet_kernel::clock::now().as_millisecond()).unwrap())
}

/// As another program connects.
async fn foreign(url: &str) -> async_nats::Client {
    let (login, host) = url.trim_start_matches("nats://").split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let options = async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    options.connect(host).await.unwrap()
}

/// As an administrator asks JetStream.
async fn ask(client: &async_nats::Client, what: &str, body: Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = client.request(format!("$JS.API.{what}"), body.into()).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(answer.get("error"), None, "{what}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_and_events_are_the_same_after_opening_again() {
    let Some(server) = server() else { return };
    let rig = Rig::open(&server.url(), "again").await;
    let topic = rig.topic("orders.placed").await;
    assert_eq!(rig.append(&topic, &["1", "2"]).await.unwrap(), [Position(1), Position(2)]);
    let before = rig.all(&topic).await;
    let rig = rig.again().await;
    rig.topic("orders.placed").await;
    assert_eq!(rig.all(&topic).await, before);
    assert_eq!(rig.append(&topic, &["3"]).await.unwrap(), [Position(3)]);
    assert_eq!(*rig.nats.head(&topic).unwrap().borrow(), Position(4));
    assert!(rig.nats.engine().detail.contains("server 2."), "{}", rig.nats.engine().detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_about_keeping_is_set_on_the_stream_and_changed_with_it() {
    let Some(server) = server() else { return };
    let rig = Rig::open(&server.url(), "keeping").await;
    let client = foreign(&server.url()).await;
    let mut spec = TopicSpec::new("t".parse().unwrap());
    spec.keep.bytes = Some(1 << 20);
    rig.nats.ensure(&spec).await.unwrap();
    let week = 7 * 24 * 3600 * 1_000_000_000_u64;
    let seen = ask(&client, "STREAM.INFO.keeping_t", Value::Null).await;
    let config = &seen["config"];
    assert_eq!(
        (&config["max_age"], &config["max_bytes"], &config["discard"]),
        (&json!(week), &json!(1 << 20), &json!("old"))
    );
    assert_eq!((&config["storage"], &config["retention"]), (&json!("file"), &json!("limits")));
    spec.keep = motet_broker::Keep { time: Some(Duration::from_secs(5)), bytes: None };
    rig.nats.ensure(&spec).await.unwrap();
    let config = &ask(&client, "STREAM.INFO.keeping_t", Value::Null).await["config"];
    assert_eq!((&config["max_age"], &config["max_bytes"]), (&json!(5_000_000_000_u64), &json!(-1)));
}
