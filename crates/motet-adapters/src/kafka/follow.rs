//! Following the ends of all topics with one consumer, on one thread.
//!
//! A broker holds the follower's request until something is published to any of its topics, so foreign events are noticed within
//! milliseconds and quiet topics cost one request each half second. The thread ends with the engine or with the task group.

use super::{
    Settings,
    client::{self, Cluster, Ear},
    log::Log,
    message::Record,
};
use motet_broker::{Position, Stored};
use motet_kernel::task::{Kind, TaskGroup};
use parking_lot::RwLock;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    message::BorrowedMessage,
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How often the thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// After so many events readers hear of them, even if more are there already.
const TURN: usize = 256;

/// The consumer that follows, which also asks for offsets and metadata.
pub(super) struct Follower {
    pub(super) consumer: BaseConsumer<Ear>,
    logs: RwLock<HashMap<String, Arc<Log>>>,
    stop: AtomicBool,
}

impl Follower {
    pub(super) fn new(settings: &Settings, cluster: &Arc<Cluster>) -> KafkaResult<Arc<Self>> {
        let consumer = client::follower(settings).create_with_context(Ear(Arc::clone(cluster)))?;
        Ok(Arc::new(Self { consumer, logs: RwLock::default(), stop: AtomicBool::new(false) }))
    }

    /// Begins to follow; the thread ends when the group is cancelled or [`Follower::stop`] is called.
    pub(super) fn start(self: &Arc<Self>, group: &TaskGroup) {
        let (follower, cancelled) = (Arc::clone(self), group.token());
        group.spawn(Kind::ContextLoop, "kafka follower", async move {
            let thread = tokio::task::spawn_blocking(move || follower.run(&cancelled));
            if let Err(error) = thread.await {
                tracing::error!(%error, "Kafka is not followed any more");
            }
        });
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Follows one more topic, from an offset on.
    pub(super) fn add(&self, log: &Arc<Log>, from: u64) -> KafkaResult<()> {
        self.logs.write().insert(log.name.clone(), Arc::clone(log));
        self.consumer.incremental_assign(&place(&log.name, from)?)
    }

    fn run(&self, cancelled: &CancellationToken) {
        while !self.stop.load(Ordering::Relaxed) && !cancelled.is_cancelled() {
            let mut arrived: HashMap<String, Vec<Stored>> = HashMap::new();
            let mut wait = LOOK;
            for _ in 0..TURN {
                match self.consumer.poll(wait) {
                    None => break,
                    Some(Ok(message)) => self.take(&message, &mut arrived),
                    Some(Err(KafkaError::PartitionEOF(_))) => {}
                    Some(Err(error)) => tracing::debug!(%error, "following Kafka"),
                }
                wait = Duration::ZERO;
            }
            for (name, found) in arrived {
                let log = self.logs.read().get(&name).cloned();
                if let Some(log) = log {
                    log.arrived(found);
                }
            }
        }
    }

    fn take(&self, message: &BorrowedMessage<'_>, arrived: &mut HashMap<String, Vec<Stored>>) {
        let Some(log) = self.logs.read().get(message.topic()).cloned() else { return };
        let record = Record::of(message);
        if record.offset < log.followed_to() {
            return;
        }
        let stored = record.stored(Position(record.offset), log.pointer().as_ref());
        match arrived.get_mut(message.topic()) {
            Some(found) => found.push(stored),
            None => drop(arrived.insert(message.topic().to_owned(), vec![stored])),
        }
    }
}

/// Partition 0 of a topic, at an offset.
pub(super) fn place(topic: &str, offset: u64) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, 0, Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX)))?;
    Ok(list)
}
