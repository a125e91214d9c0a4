//! Apache Kafka as the engine of events.
//!
//! A topic is a topic of one partition, a position is an offset. Kafka keeps events in order and hands them out again from anywhere, which
//! is all that the broker asks of an engine; so no consumer groups, no commits, no transactions: how far each subscription is, is written
//! in Motet's own store, and any number of instances share a topic whatever its partitions.
//!
//! The topic is called `<system>.<topic>`. Its records are CloudEvents in binary mode, so that other programs read and write it too.
//!
//! Map: `client` (librdkafka's settings, errors) · `topics` (made and held to their declaration) · `append` (the producer) · `follow` (the
//! ends of all topics, one consumer) · `log` (a topic's newest events, in memory) · `read` (older ones) · `message` (records and events).

mod append;
mod client;
mod follow;
mod log;
mod message;
mod read;
mod topics;

use append::Producer;
use async_trait::async_trait;
use client::{CALL, Cluster};
use follow::Follower;
use log::{Log, Look};
use motet_broker::{
    Keep, Limits, Position, Stored, SubscriptionName, Time, TopicName, TopicSpec, Transport,
    engine::{Capability, Support},
    port::{Ends, Engine, Entry, Note, TransportError},
};
use motet_kernel::task::{Kind, TaskGroup};
use motet_store::Store;
use parking_lot::RwLock;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::Consumer,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use read::Readers;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use topics::Topics;

/// How long `connect` tries.
const CONNECT: Duration = Duration::from_secs(10);
/// What is acknowledged arrives within milliseconds; after that it is fetched by whoever wants it.
const ARRIVAL: Duration = Duration::from_millis(300);
/// How often readers that nobody uses are looked for.
const SWEEP: Duration = Duration::from_secs(10);

const RETENTION: &str = "The topic is made with what is declared, and Kafka gives back whole segments, minutes later: Motet does not see to it, so more may stay.";

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
    Support::not(Capability::RetentionByTime, RETENTION),
    Support::not(Capability::RetentionBySize, RETENTION),
    Support::not(
        Capability::Partitions,
        "A topic has one partition, and needs no more below what one carries: Motet shares its events among all instances of a subscriber.",
    ),
    Support::engine(Capability::OtherPublishers)
        .noting("CloudEvents in binary or structured mode; anything else arrives as an event of type `motet.message`."),
];

/// How to reach a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Brokers to begin with, `host:port` each; the others are learned from them. TLS and SASL are not built in.
    pub brokers: Vec<String>,
    /// What stands before the name of each topic, with a dot between: the system's name.
    pub prefix: String,
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
}

impl Kafka {
    /// Connects. From then on the connection is made again whenever it breaks.
    ///
    /// # Errors
    /// [`TransportError::Unavailable`] when no broker answers within ten seconds; it says what was seen.
    pub async fn connect(settings: Settings, _: &Store, group: &TaskGroup) -> Result<Self, TransportError> {
        let cluster = Cluster::new(&settings.brokers);
        let made = |error: KafkaError| cluster.unavailable(format!("the client could not be made: {error}"));
        let follower = Follower::new(&settings, &cluster).map_err(made)?;
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
            settings,
            cluster,
        })
    }

    fn log(&self, topic: &TopicName) -> Result<Arc<Log>, TransportError> {
        self.logs.read().get(topic).cloned().ok_or_else(|| TransportError::NoTopic(topic.clone()))
    }

    /// A question to the cluster that blocks.
    async fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> String,
        question: impl FnOnce(&Follower) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, TransportError> {
        let follower = Arc::clone(&self.follower);
        match tokio::task::spawn_blocking(move || question(&follower)).await {
            Ok(result) => result.map_err(|error| self.cluster.failed(&what(), &error)),
            Err(error) => Err(self.cluster.unavailable(error.to_string())),
        }
    }

    async fn ends_of(&self, name: &str) -> Result<Ends, TransportError> {
        let asked = name.to_owned();
        let what = || format!("asking for the ends of topic `{name}`");
        let (first, next) = self.ask(what, move |follower| follower.consumer.fetch_watermarks(&asked, 0, CALL)).await?;
        let position = |offset| Position(u64::try_from(offset).unwrap_or_default());
        Ok(Ends { first: position(first), next: position(next) })
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
        let name = format!("{}.{}", self.settings.prefix, topic.name);
        self.topics.ensure(&self.follower, &name, topic).await?;
        if let Ok(log) = self.log(&topic.name) {
            log.change(topic);
            return Ok(());
        }
        let next = self.ends_of(&name).await?.next.0;
        let mut logs = self.logs.write();
        if !logs.contains_key(&topic.name) {
            let log = Arc::new(Log::new(name.clone(), topic, next));
            let added = self.follower.add(&log, next);
            added.map_err(|error| self.cluster.failed(&format!("following topic `{name}`"), &error))?;
            logs.insert(topic.name.clone(), log);
        }
        Ok(())
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
        self.ends_of(&log.name).await
    }

    fn head(&self, topic: &TopicName) -> Result<watch::Receiver<Position>, TransportError> {
        Ok(self.log(topic)?.head())
    }

    async fn at_time(&self, topic: &TopicName, time: Time) -> Result<Position, TransportError> {
        let log = self.log(topic)?;
        let name = log.name.clone();
        let what = || format!("asking for a time in topic `{}`", log.name);
        let found = self
            .ask(what, move |follower| {
                let mut asked = TopicPartitionList::with_capacity(1);
                let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
                asked.add_partition_offset(&name, 0, Offset::Offset(millis))?;
                let found = follower.consumer.offsets_for_times(asked, CALL)?;
                let place = found.find_partition(&name, 0);
                let place = place.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition))?;
                place.error()?;
                Ok(place.offset())
            })
            .await?;
        match found {
            Offset::Offset(offset) => Ok(Position(u64::try_from(offset).unwrap_or_default())),
            _ => Ok(self.ends_of(&log.name).await?.next),
        }
    }

    async fn settled(&self, _: &TopicName, _: &SubscriptionName, _: Position) -> Result<(), TransportError> {
        Ok(())
    }

    async fn trim(&self, topic: &TopicName, keep: &Keep, now: Time) -> Result<(), TransportError> {
        let Some(time) = keep.time else { return Ok(()) };
        let log = self.log(topic)?;
        let below = self.at_time(topic, now.before(time)).await?;
        let first = self.ends_of(&log.name).await?.first;
        if below <= first {
            return Ok(());
        }
        let what = format!("removing what is old from topic `{}`", log.name);
        let list = follow::place(&log.name, below.0).map_err(|error| self.cluster.failed(&what, &error))?;
        let removed = self.topics.answer(&what, self.topics.admin.delete_records(&list, &topics::options())).await?;
        for place in removed.elements() {
            place.error().map_err(|error| self.cluster.failed(&what, &error))?;
        }
        Ok(())
    }
}
