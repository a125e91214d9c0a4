//! What a case works at: names of its own, a store of its own, and the engine's bare port.

use super::{CALL_LIMIT, Engine, LIMIT};
use motet_broker::{
    Entry, Event, Limits, Position, Retry, Stored, SubscriptionName, SubscriptionSpec, Time, TopicName, TopicSpec,
    Transport,
    port::{Ends, Note, TransportError},
};
use motet_kernel::{backoff::Backoff, clock, task::TaskGroup};
use motet_store::{Batch, Keyspace, Options, Store};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::time::timeout;

/// An engine, and what one case uses of it.
pub(super) struct Bench {
    pub(super) engine: Arc<dyn Engine>,
    place: TempDir,
    prefix: String,
}

impl Bench {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        let place = crate::place::new("motet-events-").expect("a directory for a store");
        Self { engine, place, prefix: format!("t{:012x}", fastrand::u64(..) >> 16) }
    }

    /// A topic that no other case and no earlier run uses.
    pub(super) fn topic(&self, name: &str) -> TopicName {
        format!("{}.{name}", self.prefix).parse().expect("letters, digits and a dot")
    }

    /// The same for a subscription.
    pub(super) fn sub(&self, name: &str) -> SubscriptionName {
        format!("{}.{name}", self.prefix).parse().expect("letters, digits and a dot")
    }

    /// The topic `t` with the defaults.
    pub(super) fn t(&self) -> TopicSpec {
        TopicSpec::new(self.topic("t"))
    }

    /// A subscription to `t` whose retries come quickly.
    pub(super) fn spec(&self, name: &str) -> SubscriptionSpec {
        let backoff = Backoff { initial: Duration::from_millis(20), max: Duration::from_millis(200), factor: 2.0 };
        let retry = Retry { backoff, attempts: 10_000, max_age: None };
        SubscriptionSpec { retry, ..SubscriptionSpec::new(self.sub(name), self.topic("t")) }
    }

    pub(super) fn store(&self) -> Store {
        let options = Options { reserve_bytes: 0, ..Options::default() };
        Store::open(self.place.path(), options).expect("a store in a directory of its own")
    }

    /// The bare port, with `t` ensured.
    pub(super) async fn port(&self) -> Port {
        let port = self.bare_port().await;
        port.ensure(&self.t()).await;
        port
    }

    /// The bare port, with no topic known to it.
    pub(super) async fn bare_port(&self) -> Port {
        let (store, group) = (self.store(), TaskGroup::new());
        let transport = self.engine.open(&store, &group).await;
        Port { transport, store, group, topic: self.topic("t") }
    }

    /// The engine dies and comes back. An engine in this process dies with its transport.
    pub(super) async fn restarted(&self, port: Port) -> Port {
        if self.engine.is_remote() {
            self.engine.restart().await;
            port
        } else {
            port.close().await;
            self.port().await
        }
    }
}

/// The time of day.
pub(super) fn now() -> Time {
    Time(u64::try_from(clock::now().as_millisecond()).unwrap_or_default())
}

/// An event with an id, and a key where there is one.
pub(super) fn event(id: &str, key: &str) -> Event {
    let event = Event::builder(id, "/test", "test.happened").content_type("application/json").data("{}");
    let event = if key.is_empty() { event } else { event.extension("partitionkey", key) };
    event.build().expect("an event")
}

/// An event as the broker hands it to an engine, published now.
pub(super) fn entry(event: Event) -> Entry {
    let key = motet_broker::key::of(&event, None);
    Entry::new(event, key, now())
}

/// Events with these ids, as the broker hands them to an engine.
pub(super) fn entries(ids: impl IntoIterator<Item = impl ToString>) -> Vec<Entry> {
    ids.into_iter().map(|id| entry(event(&id.to_string(), ""))).collect()
}

/// The ids of what was read.
pub(super) fn ids(found: &[Stored]) -> Vec<&str> {
    found.iter().map(|stored| stored.entry.event.id()).collect()
}

/// A call to the engine that has to answer in time, whatever it says.
pub(super) async fn answered<T>(call: impl Future<Output = T>) -> T {
    timeout(CALL_LIMIT, call).await.unwrap_or_else(|_| panic!("a call to the engine hangs for {CALL_LIMIT:?}"))
}

/// The bare port of an engine, and `t`.
pub(super) struct Port {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) topic: TopicName,
    store: Store,
    group: TaskGroup,
}

impl Port {
    pub(super) async fn ensure(&self, topic: &TopicSpec) {
        answered(self.transport.ensure(topic)).await.unwrap_or_else(|error| panic!("ensure {}: {error}", topic.name));
    }

    /// Appends to `t`, and waits until that can be read.
    pub(super) async fn append(&self, entries: Vec<Entry>) -> Vec<Position> {
        self.append_to(&self.topic, entries).await
    }

    pub(super) async fn append_to(&self, topic: &TopicName, entries: Vec<Entry>) -> Vec<Position> {
        let count = entries.len();
        let positions = self.try_append(topic, entries).await.unwrap_or_else(|error| panic!("append: {error}"));
        assert_eq!(positions.len(), count, "a position for each entry");
        let mut head = self.transport.head(topic).expect("a head");
        if let Some(last) = positions.last() {
            let there = timeout(LIMIT, head.wait_for(|head| head > last)).await;
            there.expect("the head moves behind what was appended").expect("the head lives as long as the transport");
        }
        positions
    }

    pub(super) async fn try_append(
        &self,
        topic: &TopicName,
        entries: Vec<Entry>,
    ) -> Result<Vec<Position>, TransportError> {
        answered(self.transport.append(topic, entries, None)).await
    }

    /// The same with a note.
    pub(super) async fn append_noting(
        &self,
        entries: Vec<Entry>,
        batch: Batch,
    ) -> Result<Vec<Position>, TransportError> {
        let note = Note::new(self.store.clone(), batch);
        answered(self.transport.append(&self.topic, entries, Some(note))).await
    }

    /// A keyspace of the broker's store.
    pub(super) fn keyspace(&self, name: &str) -> Keyspace {
        self.store.keyspace(name).expect("a keyspace")
    }

    pub(super) async fn read(&self, from: Position, limits: Limits) -> Vec<Stored> {
        let found = answered(self.transport.read(&self.topic, from, limits)).await;
        self.whole(found.unwrap_or_else(|error| panic!("read: {error}"))).await
    }

    /// With the data of large events, which an engine that stands on the broker's store gives only by name.
    async fn whole(&self, found: Vec<Stored>) -> Vec<Stored> {
        let mut whole = Vec::with_capacity(found.len());
        for Stored { position, entry } in found {
            let entry = entry.whole(&self.store).await.unwrap_or_else(|error| panic!("{position:?}: {error}"));
            whole.push(Stored { position, entry });
        }
        whole
    }

    pub(super) async fn ends(&self) -> Ends {
        answered(self.transport.ends(&self.topic)).await.unwrap_or_else(|error| panic!("ends: {error}"))
    }

    /// Everything from a position on to where the topic ends now. What ends there says can be read at once: the broker finds out after a
    /// restart which ids it knows by reading to the first empty answer.
    pub(super) async fn read_from(&self, topic: &TopicName, from: Position) -> Vec<Stored> {
        let (mut all, mut at) = (Vec::new(), from);
        loop {
            let limits = Limits { items: 1000, bytes: 4 << 20 };
            let found = answered(self.transport.read(topic, at, limits)).await;
            let found = found.unwrap_or_else(|error| panic!("read {topic} from {at:?}: {error}"));
            let found = self.whole(found).await;
            let Some(last) = found.last() else { return all };
            for stored in &found {
                assert!(stored.position >= at, "{:?} was asked for and {:?} given", at, stored.position);
                at = stored.position.next();
            }
            assert_eq!(at, last.position.next());
            all.extend(found);
        }
    }

    /// Everything that `t` has.
    pub(super) async fn all(&self) -> Vec<Stored> {
        self.read_from(&self.topic, Position(0)).await
    }

    /// Waits until the topic's ends satisfy.
    pub(super) async fn until(&self, what: &str, satisfied: impl Fn(Ends) -> bool) -> Ends {
        let until = Instant::now() + LIMIT;
        loop {
            let ends = self.ends().await;
            if satisfied(ends) {
                return ends;
            }
            assert!(Instant::now() < until, "not seen within {LIMIT:?}: {what}; the topic has {ends:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets go of engine and store, so that they can be opened again.
    pub(super) async fn close(self) {
        let Self { transport, store, group, .. } = self;
        group.cancel();
        timeout(LIMIT, group.wait()).await.expect("the engine's tasks end when they are told to");
        drop(transport);
        drop(store);
    }
}
