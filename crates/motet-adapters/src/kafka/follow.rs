//! Following the ends of all topics with one consumer, on one thread.
//!
//! A broker holds the follower's request until something is published to any of its topics, so foreign events are noticed within
//! milliseconds and quiet topics cost one request each half second. The thread ends with the engine or with the task group.

use super::{
    Settings,
    client::{self, Cluster, Ear},
    log::{Arrival, Log},
    message::Record,
};
use motet_kernel::task::{Kind, TaskGroup};
use motet_store::{CommitError, Store};
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
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// How often the thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// After so many events readers hear of them, even if more are there already.
const TURN: usize = 256;
/// When the store does not take the count, it is asked again after this.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The consumer that follows, which also asks for offsets and metadata.
pub(super) struct Follower {
    pub(super) consumer: BaseConsumer<Ear>,
    store: Store,
    logs: RwLock<HashMap<String, Arc<Log>>>,
    stop: AtomicBool,
}

impl Follower {
    pub(super) fn new(settings: &Settings, cluster: &Arc<Cluster>, store: &Store) -> KafkaResult<Arc<Self>> {
        let consumer = client::follower(settings).create_with_context(Ear(Arc::clone(cluster)))?;
        Ok(Arc::new(Self { consumer, store: store.clone(), logs: RwLock::default(), stop: AtomicBool::new(false) }))
    }

    /// Begins to follow; the thread ends when the group is cancelled or [`Follower::stop`] is called.
    pub(super) fn start(self: &Arc<Self>, group: &TaskGroup) {
        let (follower, cancelled) = (Arc::clone(self), group.token());
        group.spawn(Kind::ContextLoop, "kafka follower", async move {
            let runtime = Handle::current();
            let thread = tokio::task::spawn_blocking(move || follower.run(&runtime, &cancelled));
            if let Err(error) = thread.await {
                tracing::error!(%error, "Kafka is not followed any more");
            }
        });
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Follows one more topic: each partition from an offset on.
    pub(super) fn add(&self, log: &Arc<Log>, from: &[u64]) -> KafkaResult<()> {
        self.logs.write().insert(log.name.clone(), Arc::clone(log));
        self.consumer.incremental_assign(&places(&log.name, (0..).zip(from.iter().copied()))?)
    }

    fn is_stopped(&self, cancelled: &CancellationToken) -> bool {
        self.stop.load(Ordering::Relaxed) || cancelled.is_cancelled()
    }

    fn run(&self, runtime: &Handle, cancelled: &CancellationToken) {
        while !self.is_stopped(cancelled) {
            let mut arrived: HashMap<String, Vec<Arrival>> = HashMap::new();
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
            for (name, arrived) in arrived {
                let log = self.logs.read().get(&name).cloned();
                if let Some(log) = log {
                    let found = log.count(arrived);
                    if !self.write(&log, runtime, cancelled) {
                        return;
                    }
                    log.arrived(found);
                }
            }
        }
    }

    /// Hands the store what was counted, before anybody hears of it. False when that is not possible any more.
    fn write(&self, log: &Log, runtime: &Handle, cancelled: &CancellationToken) -> bool {
        loop {
            let Some(batch) = log.uncounted() else { return true };
            match runtime.block_on(self.store.write(batch)) {
                Ok(()) => {
                    log.counted();
                    return true;
                }
                Err(CommitError::Closed(_)) => return false,
                Err(_) if self.is_stopped(cancelled) => return false,
                Err(error) => {
                    tracing::error!(topic = log.name, %error, "where events stand could not be written; tried again");
                    runtime.block_on(tokio::time::sleep(TRY_AGAIN));
                }
            }
        }
    }

    fn take(&self, message: &BorrowedMessage<'_>, arrived: &mut HashMap<String, Vec<Arrival>>) {
        let Some(log) = self.logs.read().get(message.topic()).cloned() else { return };
        let record = Record::of(message);
        if log.has_counted(record.partition, record.offset) {
            return;
        }
        let (partition, offset) = (record.partition, record.offset);
        let arrival = Arrival { partition, offset, entry: record.entry(log.pointer().as_ref()) };
        match arrived.get_mut(message.topic()) {
            Some(found) => found.push(arrival),
            None => drop(arrived.insert(message.topic().to_owned(), vec![arrival])),
        }
    }
}

/// Partitions of a topic, each at an offset.
pub(super) fn places(topic: &str, list: impl IntoIterator<Item = (u32, u64)>) -> KafkaResult<TopicPartitionList> {
    let mut places = TopicPartitionList::new();
    for (partition, offset) in list {
        let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        places.add_partition_offset(topic, i32::try_from(partition).unwrap_or(i32::MAX), offset)?;
    }
    Ok(places)
}
