//! The embedded engine: a topic is a log of the store, a position is a number in it.
//!
//! Appends are handed to the store in the order of their positions and become visible together with the sync that makes them durable, so
//! the end of the topic that readers see is always durable. Nothing is deleted event by event: a sparse index remembers which position was
//! reached when, retention moves the beginning of the topic along it, and the store drops whole tables behind it. Only large data, which is apart,
//! is let go of one by one.

mod log;
mod recent;

use crate::{
    engine::{Capability, Support},
    error::BrokerError,
    name::{SubscriptionName, TopicName},
    payload,
    port::{Ends, Engine, Entry, Note, Stored, Transport, TransportError},
    record::{read_entry, write_entry},
    time::Time,
    topic::{Keep, Position, TopicSpec},
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use log::{Log, Record};
use motet_store::{Limits, Store};
use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{oneshot, watch};

/// What it keeps, and what Motet adds.
pub const SUPPORT: &[Support] = &[
    Support::engine(Capability::Durable),
    Support::motet(Capability::Order),
    Support::motet(Capability::Redelivery),
    Support::motet(Capability::Delay),
    Support::motet(Capability::DeadLetters),
    Support::motet(Capability::Dedup),
    Support::engine(Capability::ReplayByPosition),
    Support::engine(Capability::ReplayByTime),
    Support::engine(Capability::RetentionByTime),
    Support::engine(Capability::RetentionBySize),
    Support::not(
        Capability::Partitions,
        "A topic is one log, and needs no more: Motet shares its events among all instances of a subscriber.",
    ),
    Support::not(
        Capability::OtherPublishers,
        "Events come through Motet: over HTTP, from outboxes, from `motet publish`.",
    ),
];

/// How long an append waits for room in the store before it says that it is busy.
const ROOM_WAIT: Duration = Duration::from_secs(2);

/// The engine in this process.
pub struct Embedded {
    store: Store,
    /// What the names of its keyspaces begin with.
    prefix: &'static str,
    index: motet_store::Keyspace,
    place: PathBuf,
    logs: ArcSwap<HashMap<TopicName, Arc<Log>>>,
}

impl Embedded {
    /// The engine on a store; `place` is for people: where its files are.
    pub fn new(store: Store, place: impl Into<PathBuf>) -> Result<Self, BrokerError> {
        Self::within(store, place, "")
    }

    /// The engine on a part of a store: all its keyspaces have names that begin with `prefix`. For an engine that keeps a log of what it
    /// receives beside whatever the embedded engine has kept there. The prefix must not begin with `topic.` or `embedded.`.
    pub fn within(store: Store, place: impl Into<PathBuf>, prefix: &'static str) -> Result<Self, BrokerError> {
        let index = store.keyspace(&format!("{prefix}embedded.index"))?;
        Ok(Self { store, prefix, index, place: place.into(), logs: ArcSwap::default() })
    }

    fn log(&self, topic: &TopicName) -> Result<Arc<Log>, TransportError> {
        self.logs.load().get(topic).cloned().ok_or_else(|| TransportError::NoTopic(topic.clone()))
    }
}

/// Runs what reads the disk where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TransportError> + Send + 'static,
) -> Result<T, TransportError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(TransportError::Unavailable { engine: "embedded".to_owned(), reason: error.to_string().into() })
        }
    }
}

fn stored(log: &Log, found: Vec<(u64, bytes::Bytes)>) -> Result<Vec<Stored>, TransportError> {
    let stored = found.into_iter().map(|(position, record)| {
        let entry = read_entry(record).map_err(|error| log.unreadable(position, &error))?;
        Ok(Stored { position: Position(position), entry })
    });
    stored.collect()
}

#[async_trait]
impl Transport for Embedded {
    fn engine(&self) -> Engine {
        Engine { name: "embedded", detail: self.place.display().to_string() }
    }

    fn keeps_payloads(&self) -> bool {
        true
    }

    async fn ensure(&self, topic: &TopicSpec) -> Result<(), TransportError> {
        if self.logs.load().contains_key(&topic.name) {
            return Ok(());
        }
        let (store, prefix, index) = (self.store.clone(), self.prefix, self.index.clone());
        let name = topic.name.clone();
        let log = blocking(move || Log::open(&store, prefix, index, name)).await?;
        let log = Arc::new(log);
        self.logs.rcu(|logs| {
            let mut logs = HashMap::clone(logs);
            logs.entry(topic.name.clone()).or_insert_with(|| Arc::clone(&log));
            logs
        });
        Ok(())
    }

    async fn append(
        &self,
        topic: &TopicName,
        entries: Vec<Entry>,
        note: Option<Note>,
    ) -> Result<Vec<Position>, TransportError> {
        let count = entries.len() as u64;
        let published_at = entries.last().map_or(Time(0), |entry| entry.published_at);
        let mut records = Vec::with_capacity(entries.len());
        for entry in entries {
            // What is rare is boxed, here and below: hardly any event needs the room that it takes in this future.
            let (entry, pin) = match payload::is_small(&entry) {
                true => (entry, None),
                false => Box::pin(payload::apart(&self.store, entry)).await?,
            };
            records.push(Record { bytes: write_entry(&entry), size: entry.size(), pin });
        }
        let note = note.map(Note::into_batch).unwrap_or_default();
        let bytes = note.bytes() + records.iter().map(|record| record.bytes.len() + 64).sum::<usize>();
        let room = match self.store.try_room(bytes) {
            Some(room) => room,
            None => Box::pin(self.store.room(bytes, ROOM_WAIT)).await?,
        };
        let (answer, answered) = oneshot::channel();
        let first = {
            let logs = self.logs.load();
            let log = logs.get(topic).ok_or_else(|| TransportError::NoTopic(topic.clone()))?;
            log.append(records, published_at, note, room, answer)
        };
        match answered.await {
            Ok(result) => result?,
            // The store's thread answers everything it takes; without it, it is gone.
            Err(_) => Box::pin(self.store.flush()).await?,
        }
        Ok((first..first + count).map(Position).collect())
    }

    async fn read(&self, topic: &TopicName, from: Position, limits: Limits) -> Result<Vec<Stored>, TransportError> {
        let log = self.log(topic)?;
        if let Some(found) = log.recent(from.0, limits) {
            return stored(&log, found);
        }
        blocking(move || {
            let (_, found) = log.range(from.0, limits)?;
            stored(&log, found)
        })
        .await
    }

    async fn ends(&self, topic: &TopicName) -> Result<Ends, TransportError> {
        Ok(self.log(topic)?.ends())
    }

    fn head(&self, topic: &TopicName) -> Result<watch::Receiver<Position>, TransportError> {
        Ok(self.log(topic)?.head())
    }

    async fn at_time(&self, topic: &TopicName, time: Time) -> Result<Position, TransportError> {
        let log = self.log(topic)?;
        blocking(move || log.at_time(time)).await
    }

    async fn settled(&self, _: &TopicName, _: &SubscriptionName, _: Position) -> Result<(), TransportError> {
        Ok(())
    }

    async fn trim(&self, topic: &TopicName, keep: &Keep, now: Time) -> Result<(), TransportError> {
        let (log, store, keep) = (self.log(topic)?, self.store.clone(), *keep);
        log.forget_recent();
        let planned = {
            let log = Arc::clone(&log);
            blocking(move || log.plan_trim(&keep, now)).await?
        };
        let Some((first, batch)) = planned else { return Ok(()) };
        store.commit(batch).await?;
        log.begin_at(first);
        blocking(move || log.give_back(first)).await
    }
}
