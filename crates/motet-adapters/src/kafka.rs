//! Apache Kafka as the engine of events.
//!
//! A topic is a topic, and where it has one partition, a position is an offset; with several, Motet counts (`index`). Kafka keeps events in
//! order and hands them out again from anywhere, which is all that the broker asks of an engine; so no consumer groups, no commits, no
//! transactions: how far each subscription is, is written in Motet's own store, and any number of instances share a topic whatever its
//! partitions.
//!
//! The topic is called `<system>.<topic>`. Its records are CloudEvents in binary mode, so that other programs read and write it too.
//!
//! Map: `client` (librdkafka's settings, errors) · `topics` (made and held to their declaration) · `append` (the producer) · `follow` (the
//! ends of all topics, one consumer) · `log` (a topic's newest events, in memory) · `read` (older ones) · `ask` (ends, times) · `trim` (what
//! need not be kept) · `message` (records and events) · `index` (one order over several partitions) · `sizes` (how large a topic is).

mod append;
mod ask;
mod client;
mod follow;
mod index;
mod log;
mod message;
mod read;
mod sizes;
mod topics;
mod trim;

use append::Producer;
use async_trait::async_trait;
use client::Cluster;
use follow::Follower;
use index::Index;
use log::{Log, Look};
use motet_broker::{
    Keep, Limits, Position, Stored, SubscriptionName, Time, TopicName, TopicSpec, Transport,
    engine::{Capability, Support},
    port::{Ends, Engine, Entry, Note, TransportError},
};
use motet_kernel::task::{Kind, TaskGroup};
use motet_store::{Keyspace, ReadError, Store};
use parking_lot::RwLock;
use rdkafka::{consumer::Consumer, error::KafkaError};
use read::Readers;
use sizes::Sizes;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep, timeout},
};
use topics::Topics;

/// How long `connect` tries.
const CONNECT: Duration = Duration::from_secs(10);
/// What is acknowledged arrives within milliseconds; after that it is fetched by whoever wants it.
const ARRIVAL: Duration = Duration::from_millis(300);
/// How often readers that nobody uses are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// What Kafka keeps itself, and what Motet adds.
pub const SUPPORT: &[Support] = &[
    Support::engine(Capability::Durable).noting(
        "A topic with one replica is written to disk before it is acknowledged; with three or more, two brokers have to have it.",
    ),
    Support::motet(Capability::Order),
    Support::motet(Capability::Redelivery),
    Support::motet(Capability::Delay),
    Support::motet(Capability::DeadLetters),
    Support::motet(Capability::Dedup),
    Support::engine(Capability::ReplayByPosition),
    Support::engine(Capability::ReplayByTime),
    Support::motet(Capability::RetentionByTime).noting("By the times that records have. Kafka itself gives back whole segments, minutes later."),
    Support::motet(Capability::RetentionBySize).noting("How large that is which came while Motet was away is estimated."),
    Support::motet(Capability::Partitions).noting(
        "One is enough below what one carries: all instances of a subscriber share it. With several, events of one request that have different keys may change places.",
    ),
    Support::engine(Capability::OtherPublishers)
        .noting("CloudEvents in binary or structured mode; anything else arrives as an event of type `motet.message`. With several partitions, a transaction that stays open holds up publishers too."),
];

/// How to reach a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Brokers to begin with, `host:port` each; the others are learned from them. TLS and SASL are not built in.
    pub brokers: Vec<String>,
    /// What stands before the name of each topic, with a dot between: the system's name.
    pub prefix: String,
    /// How many partitions a topic gets that Motet makes; one that exists keeps its own. Default 1.
    pub partitions: u16,
    /// How many brokers keep a copy of a topic that Motet makes; nothing for the cluster's default.
    pub replicas: Option<u16>,
}

/// A cluster of Kafka.
pub struct Kafka {
    settings: Settings,
    cluster: Arc<Cluster>,
    detail: String,
    topics: Topics,
    producer: Producer,
    follower: Arc<Follower>,
    readers: Arc<Readers>,
    logs: RwLock<HashMap<TopicName, Arc<Log>>>,
    /// Held while a topic is seen for the first time, so that nobody counts it twice.
    opening: Mutex<()>,
    store: Store,
    counts: Keyspace,
    sizes: Keyspace,
}

impl Kafka {
    /// Connects. From then on the connection is made again whenever it breaks.
    ///
    /// # Errors
    /// [`TransportError::Unavailable`] when no broker answers within ten seconds; it says what was seen.
    pub async fn connect(settings: Settings, store: &Store, group: &TaskGroup) -> Result<Self, TransportError> {
        let cluster = Cluster::new(&settings.brokers);
        let made = |error: KafkaError| cluster.unavailable(format!("the client could not be made: {error}"));
        let keyspace = |name| store.keyspace(name).map_err(|error| cluster.unavailable(error.to_string()));
        let (counts, sizes) = (keyspace("kafka.index")?, keyspace("kafka.sizes")?);
        let follower = Follower::new(&settings, &cluster, store).map_err(made)?;
        follower.start(group);
        let id = match introduce(&follower, &cluster).await {
            Ok(id) => id,
            Err(error) => {
                follower.stop();
                return Err(error);
            }
        };
        let readers = Readers::new(&settings, &cluster);
        let sweeping = Arc::downgrade(&readers);
        group.spawn_dropping(Kind::Periodic, "kafka readers", async move {
            loop {
                sleep(SWEEP).await;
                let Some(readers) = sweeping.upgrade() else { return };
                drop(tokio::task::spawn_blocking(move || readers.sweep()).await);
            }
        });
        Ok(Self {
            detail: format!("cluster {id} at {}", settings.brokers.join(", ")),
            topics: Topics::new(&settings, &cluster).map_err(made)?,
            producer: Producer::new(&settings, &cluster).map_err(made)?,
            follower,
            readers,
            logs: RwLock::default(),
            opening: Mutex::default(),
            store: store.clone(),
            counts,
            sizes,
            settings,
            cluster,
        })
    }

    fn log(&self, topic: &TopicName) -> Result<Arc<Log>, TransportError> {
        self.logs.read().get(topic).cloned().ok_or_else(|| TransportError::NoTopic(topic.clone()))
    }

    /// Makes the topic, holds it to its declaration, and begins with it.
    async fn see_to(&self, topic: &TopicSpec) -> Result<(), TransportError> {
        let name = format!("{}.{}", self.settings.prefix, topic.name);
        let partitions = self.topics.ensure(&self.follower, &name, topic).await?;
        let _opening = self.opening.lock().await;
        let Ok(log) = self.log(&topic.name) else { return self.begin(name, topic, partitions).await };
        log.change(topic);
        if log.partitions() != partitions {
            return Err(self.cluster.unavailable(format!(
                "topic `{name}` has {partitions} partitions now and had {}: start Motet again to follow the new ones",
                log.partitions()
            )));
        }
        Ok(())
    }

    /// A task of several calls, each of which has a deadline of its own, within one for all.
    async fn within<T>(
        &self,
        what: impl FnOnce() -> String,
        task: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        match timeout(CONNECT, task).await {
            Ok(result) => result,
            Err(_) => {
                let trouble = self.cluster.last_trouble();
                let trouble = trouble.as_deref().unwrap_or("the cluster does not answer");
                Err(self.cluster.unavailable(format!("{} took longer than {CONNECT:?}; last seen: {trouble}", what())))
            }
        }
    }

    /// Begins with a topic: follows it from where it ends now.
    async fn begin(&self, name: String, topic: &TopicSpec, partitions: u32) -> Result<(), TransportError> {
        let spans = self.spans(&name, partitions).await?;
        let from: Vec<_> = spans.iter().map(|span| span.next).collect();
        let (counts, sizes, asked, ends) = (self.counts.clone(), self.sizes.clone(), name.clone(), from.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let index = if spans.len() == 1 { None } else { Some(Index::open(&counts, &asked, &spans)?) };
            let next = index.as_ref().map_or(ends.first().copied().unwrap_or(0), Index::next);
            Ok::<_, ReadError>((index, Sizes::open(&sizes, &asked, next, &ends)?))
        });
        let opened = opened.await.map_err(|error| self.cluster.unavailable(error.to_string()))?;
        let (index, sizes) = opened.map_err(|error| self.cluster.unavailable(error.to_string()))?;
        let log = match index {
            None => Log::new(name, topic, from.first().copied().unwrap_or(0), sizes),
            Some(mut index) => {
                self.store.commit(index.unwritten()).await?;
                index.written();
                Log::counted_by(name, topic, index, sizes)
            }
        };
        let log = Arc::new(log);
        let added = self.follower.add(&log, &from);
        added.map_err(|error| self.cluster.failed(&format!("following topic `{}`", log.name), &error))?;
        self.logs.write().insert(topic.name.clone(), log);
        Ok(())
    }
}

/// The cluster's id, once it answers.
async fn introduce(follower: &Arc<Follower>, cluster: &Cluster) -> Result<String, TransportError> {
    let until = Instant::now() + CONNECT;
    while Instant::now() < until {
        let follower = Arc::clone(follower);
        let asked = tokio::task::spawn_blocking(move || {
            follower.consumer.client().fetch_cluster_id(Duration::from_millis(500))
        });
        if let Ok(Some(id)) = asked.await {
            return Ok(id);
        }
    }
    let trouble = cluster.last_trouble();
    let trouble = trouble.as_deref().unwrap_or("nothing answered");
    Err(cluster.unavailable(format!(
        "no broker answered within {CONNECT:?}: {trouble}. See that it runs, that its address under \
         `engines.events.kafka.brokers` is right, and that it listens there without TLS"
    )))
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.readers.stop();
        self.follower.stop();
    }
}

#[async_trait]
impl Transport for Kafka {
    fn engine(&self) -> Engine {
        Engine { name: "kafka", detail: self.detail.clone() }
    }

    async fn ensure(&self, topic: &TopicSpec) -> Result<(), TransportError> {
        let what = || format!("seeing to topic `{}.{}`", self.settings.prefix, topic.name);
        self.within(what, self.see_to(topic)).await
    }

    async fn append(
        &self,
        topic: &TopicName,
        entries: Vec<Entry>,
        note: Option<Note>,
    ) -> Result<Vec<Position>, TransportError> {
        let log = self.log(topic)?;
        let positions = self.producer.append(&log, entries).await?;
        if let Some(note) = note {
            note.commit().await?;
        }
        Ok(positions)
    }

    async fn read(&self, topic: &TopicName, from: Position, limits: Limits) -> Result<Vec<Stored>, TransportError> {
        let log = self.log(topic)?;
        let from = Position(from.0.max(log.start()));
        let until = Instant::now() + ARRIVAL;
        loop {
            let grown = log.grown();
            tokio::pin!(grown);
            grown.as_mut().enable();
            match log.look(from.0, limits) {
                Look::Found(found) => return Ok(found),
                Look::Nothing => return Ok(Vec::new()),
                Look::Soon if timeout(until.saturating_duration_since(Instant::now()), grown).await.is_ok() => {}
                Look::Soon => return self.readers.read(&log, from.0, limits).await,
                Look::Behind => break,
            }
        }
        let found = self.readers.read(&log, from.0, limits).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        // Nothing between there and what is kept in memory, or it arrived meanwhile.
        match log.look(from.0.max(log.kept_from()), limits) {
            Look::Found(found) => Ok(found),
            _ => Ok(found),
        }
    }

    async fn ends(&self, topic: &TopicName) -> Result<Ends, TransportError> {
        let log = self.log(topic)?;
        self.ends_of(&log).await
    }

    fn head(&self, topic: &TopicName) -> Result<watch::Receiver<Position>, TransportError> {
        Ok(self.log(topic)?.head())
    }

    async fn at_time(&self, topic: &TopicName, time: Time) -> Result<Position, TransportError> {
        let log = self.log(topic)?;
        self.within(|| format!("asking for a time in topic `{}`", log.name), self.find_time(&log, time)).await
    }

    async fn settled(&self, _: &TopicName, _: &SubscriptionName, _: Position) -> Result<(), TransportError> {
        Ok(())
    }

    async fn trim(&self, topic: &TopicName, keep: &Keep, now: Time) -> Result<(), TransportError> {
        let log = self.log(topic)?;
        self.within(|| format!("trimming topic `{}`", log.name), self.give_back(&log, keep, now)).await
    }
}
