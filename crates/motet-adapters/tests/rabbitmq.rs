//! Topics on a real RabbitMQ (Debian: `apt install rabbitmq-server`).

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod conformance;
mod foreign;
mod outages;
mod refusals;

use lapin::{Channel, Connection, ConnectionProperties};
use motet_adapters::rabbitmq::{Rabbit, Settings};
use motet_broker::{
    Entry, Event, Limits, Stored, Time, TopicName, TopicSpec, Transport, key, port::TransportError, topic::Position,
};
use motet_kernel::task::TaskGroup;
use motet_store::{Options, Store};
use motet_testkit::rabbitmq::RabbitMq as Server;
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
    rabbit: Arc<Rabbit>,
    settings: Settings,
    _dir: Arc<tempfile::TempDir>,
}

impl Rig {
    async fn open(url: String, prefix: &str) -> Self {
        let dir = Arc::new(motet_testkit::place::new("motet-adapters-").unwrap());
        let store = Store::open(dir.path(), Options::default()).unwrap();
        let settings = Settings { url, prefix: prefix.to_owned(), replicas: None };
        Self::on(store, settings, dir).await
    }

    async fn on(store: Store, settings: Settings, dir: Arc<tempfile::TempDir>) -> Self {
        let group = TaskGroup::new();
        let rabbit = Arc::new(Rabbit::connect(settings.clone(), &store, &group).await.expect("RabbitMQ answers"));
        Self { store, group, rabbit, settings, _dir: dir }
    }

    /// Ends the engine as a crash does, and begins again on the same store.
    async fn again(self) -> Self {
        self.group.cancel();
        self.group.wait().await;
        drop(self.rabbit);
        Self::on(self.store, self.settings, self._dir).await
    }

    async fn topic(&self, name: &str) -> TopicName {
        let spec = TopicSpec::new(name.parse().unwrap());
        self.rabbit.ensure(&spec).await.expect("the topic is made");
        spec.name
    }

    async fn append(&self, topic: &TopicName, ids: &[&str]) -> Result<Vec<Position>, TransportError> {
        let entries = ids.iter().map(|id| entry(id, "k")).collect();
        self.rabbit.append(topic, entries, None).await
    }

    /// Waits until the topic has so many events, and reads all.
    async fn all(&self, topic: &TopicName, count: usize) -> Vec<Stored> {
        let mut head = self.rabbit.head(topic).unwrap();
        let full = timeout(LIMIT, head.wait_for(|head| head.0 >= count as u64)).await;
        assert!(full.is_ok(), "{count} events do not come: the topic ends at {:?}", self.rabbit.ends(topic).await);
        self.rabbit.read(topic, Position(0), Limits::items(usize::MAX)).await.unwrap()
    }

    async fn ids(&self, topic: &TopicName, count: usize) -> Vec<String> {
        self.all(topic, count).await.iter().map(|stored| stored.entry.event.id().to_owned()).collect()
    }
}

fn entry(id: &str, key: &str) -> Entry {
    let event = Event::builder(id, "/test", "test.happened").extension("partitionkey", key).data("{}").build().unwrap();
    let key = key::of(&event, None);
    Entry::new(event, key, Time(1_700_000_000_000))
}

/// As another program connects.
async fn foreign(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(lapin::options::ConfirmSelectOptions::default()).await.unwrap();
    (connection, channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_has_a_position_and_reads_back_as_it_was_after_a_restart_too() {
    let Some(server) = server() else { return };
    let rig = Rig::open(server.url(), "reads-back").await;
    let topic = rig.topic("orders").await;
    let rich = Event::builder("2", "/t%C3%A9st", "t")
        .subject("späce %")
        .content_type("text/plain")
        .extension("count", 7)
        .extension("truth", true)
        .data("")
        .build()
        .unwrap();
    let bare = Event::builder("3", "/s", "t").build().unwrap();
    let at = |event: Event| Entry::new(event, Some(u64::MAX), Time(1_700_000_000_123));
    let entries = vec![entry("1", "a"), at(rich), at(bare)];
    let positions = rig.rabbit.append(&topic, entries.clone(), None).await.unwrap();
    assert_eq!(positions, [Position(0), Position(1), Position(2)]);
    let found = rig.all(&topic, 3).await;
    assert_eq!(found.iter().map(|stored| stored.entry.clone()).collect::<Vec<_>>(), entries);
    let rig = rig.again().await;
    assert_eq!(rig.topic("orders").await, topic);
    assert_eq!(rig.all(&topic, 3).await, found);
    assert_eq!(rig.append(&topic, &["4"]).await.unwrap(), [Position(3)]);
    assert!(rig.rabbit.engine().detail.starts_with("RabbitMQ 3."), "{}", rig.rabbit.engine().detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_appends_at_once_are_each_answered_with_the_places_of_their_own_events() {
    let Some(server) = server() else { return };
    let rig = Rig::open(server.url(), "at-once").await;
    let topic = rig.topic("orders").await;
    let began = Instant::now();
    let appends = (0..64).map(|publisher| {
        let (rabbit, topic) = (Arc::clone(&rig.rabbit), topic.clone());
        async move {
            let mut placed = Vec::new();
            for round in 0..20 {
                let id = format!("{publisher}-{round}");
                let position = rabbit.append(&topic, vec![entry(&id, &id)], None).await.unwrap()[0];
                placed.push((position, id));
            }
            placed
        }
    });
    let mut placed: Vec<_> = futures_util::future::join_all(appends).await.into_iter().flatten().collect();
    let took = began.elapsed();
    placed.sort();
    let found = rig.all(&topic, 64 * 20).await;
    let stands = found.iter().map(|stored| (stored.position, stored.entry.event.id().to_owned())).collect::<Vec<_>>();
    assert_eq!(stands, placed);
    println!("64 publishers, one event each: {:.0} events/s", 1280.0 / took.as_secs_f64());
}
