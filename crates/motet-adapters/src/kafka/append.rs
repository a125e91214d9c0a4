//! Appending: in order, each record once, acknowledged by every replica that is in sync, within a deadline.
//!
//! One idempotent producer serves all topics: Kafka numbers what it sends, so a connection that breaks neither doubles nor reorders. When
//! the library says that its numbers are lost (a fatal error), the producer is replaced; whoever waits then hears that it is unknown
//! whether his events are there, as after any failed append. What waits to be sent is bounded in bytes here, before it is copied.

use super::{
    Settings,
    client::{self, CALL, Cluster, Ear},
    index,
    log::{CameBack, Log},
    message,
};
use motet_broker::{Entry, Position, key, port::TransportError};
use motet_store::ReadError;
use parking_lot::{Mutex, RwLock};
use rdkafka::{
    ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Message},
    producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::Instant,
};

/// What may wait to be acknowledged, in KiB.
const WAITING_KIB: usize = 64 << 10;
/// The library gives each record up before that; this is for a library that hangs.
const DEADLINE: Duration = Duration::from_secs(10);
/// No position is this large: Kafka's are signed.
const UNKNOWN: u64 = u64::MAX;

type Inner = ThreadedProducer<Reports, NoCustomPartitioner>;

/// Sends to all topics.
pub(super) struct Producer {
    settings: Settings,
    cluster: Arc<Cluster>,
    inner: RwLock<Arc<Inner>>,
    room: Arc<Semaphore>,
}

impl Producer {
    pub(super) fn new(settings: &Settings, cluster: &Arc<Cluster>) -> Result<Self, KafkaError> {
        Ok(Self {
            settings: settings.clone(),
            cluster: Arc::clone(cluster),
            inner: RwLock::new(Arc::new(make(settings, cluster)?)),
            room: Arc::new(Semaphore::new(WAITING_KIB)),
        })
    }

    /// Appends the entries in this order; answers when all of them are acknowledged, or one is known to have failed.
    pub(super) async fn append(&self, log: &Arc<Log>, entries: Vec<Entry>) -> Result<Vec<Position>, TransportError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let bytes: usize = entries.iter().map(|entry| entry.event.size() + 512).sum();
        let kib = u32::try_from(bytes.div_ceil(1024).min(WAITING_KIB)).unwrap_or(u32::MAX);
        let room = tokio::time::timeout(CALL, Arc::clone(&self.room).acquire_many_owned(kib)).await;
        let Ok(Ok(room)) = room else {
            return Err(self.cluster.unavailable("too much waits to be acknowledged already: try again in a moment"));
        };
        let (done, answered) = oneshot::channel();
        let waiting = Arc::new(Waiting::new(entries.len(), done, room));
        let producer = Arc::clone(&self.inner.read());
        let count = entries.len();
        let any = fastrand::u32(..log.partitions());
        let partitions: Vec<_> = entries.iter().map(|entry| partition(log, entry, any)).collect();
        for (index, entry) in entries.into_iter().enumerate() {
            if let Err(error) = send(&producer, log, entry, partitions[index], index, &waiting) {
                waiting.failed(&error, count - index);
                break;
            }
        }
        let result = match tokio::time::timeout(DEADLINE, answered).await {
            Ok(Ok(Ok(offsets))) => return self.positions(log, partitions.into_iter().zip(offsets).collect()).await,
            Ok(Ok(Err(error))) => Err(self.failed(log, &error)),
            Ok(Err(_)) => Err(self.cluster.unavailable("the client was closed before Kafka answered")),
            Err(_) => Err(self.cluster.unavailable(format!("no answer to an append within {DEADLINE:?}"))),
        };
        self.replace_if_fatal(&producer).await;
        result
    }

    /// The positions of what Kafka has acknowledged. Where there are several partitions, a position is given when the record comes back.
    async fn positions(&self, log: &Arc<Log>, places: Vec<(u32, u64)>) -> Result<Vec<Position>, TransportError> {
        let until = Instant::now() + DEADLINE;
        loop {
            let grown = log.grown();
            tokio::pin!(grown);
            grown.as_mut().enable();
            match log.positions(&places) {
                CameBack::At(positions) => return Ok(positions),
                CameBack::LongAgo => return self.positions_of_old(log, places).await,
                CameBack::NotYet if tokio::time::timeout_at(until, grown).await.is_ok() => {}
                CameBack::NotYet => return Err(self.not_back(log)),
            }
        }
    }

    async fn positions_of_old(&self, log: &Arc<Log>, places: Vec<(u32, u64)>) -> Result<Vec<Position>, TransportError> {
        let asked = Arc::clone(log);
        let found = tokio::task::spawn_blocking(move || {
            let position = |(partition, offset)| Ok(asked.position_from(partition, offset)?.map(Position));
            places.into_iter().map(position).collect::<Result<Option<Vec<_>>, ReadError>>()
        });
        match found.await {
            Ok(Ok(Some(positions))) => Ok(positions),
            Ok(Ok(None)) => Err(self.not_back(log)),
            Ok(Err(error)) => Err(self.cluster.unavailable(error.to_string())),
            Err(error) => Err(self.cluster.unavailable(error.to_string())),
        }
    }

    fn not_back(&self, log: &Log) -> TransportError {
        self.cluster.unavailable(format!(
            "topic `{}` has the events, and they were not seen to come back: a transaction of another program may be open in it",
            log.name
        ))
    }

    fn failed(&self, log: &Log, error: &KafkaError) -> TransportError {
        match client::code(error) {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => self.cluster.unavailable(format!(
                "topic `{}` refuses an event as too large: raise its `max.message.bytes` above the topic's limit of an event",
                log.name
            )),
            Some(RDKafkaErrorCode::NotEnoughReplicas | RDKafkaErrorCode::NotEnoughReplicasAfterAppend) => {
                self.cluster.unavailable(format!(
                    "topic `{}` has fewer replicas in sync than its `min.insync.replicas` asks for: see to its brokers",
                    log.name
                ))
            }
            _ => self.cluster.failed(&format!("appending to topic `{}`", log.name), error),
        }
    }

    /// A producer that lost count never sends again.
    async fn replace_if_fatal(&self, used: &Arc<Inner>) {
        let Some((code, reason)) = used.client().fatal_error() else { return };
        if !Arc::ptr_eq(used, &self.inner.read()) {
            return;
        }
        tracing::warn!(%code, reason, "the producer lost count of what it sent; a new one takes its place");
        let (settings, cluster) = (self.settings.clone(), Arc::clone(&self.cluster));
        let made = tokio::task::spawn_blocking(move || make(&settings, &cluster)).await;
        let Ok(Ok(new)) = made else { return };
        let mut inner = self.inner.write();
        if Arc::ptr_eq(used, &inner) {
            let old = std::mem::replace(&mut *inner, Arc::new(new));
            // Its end waits for its threads.
            drop(tokio::task::spawn_blocking(move || drop(old)));
        }
    }
}

fn make(settings: &Settings, cluster: &Arc<Cluster>) -> Result<Inner, KafkaError> {
    client::producer(settings).create_with_context(Reports(Ear(Arc::clone(cluster))))
}

/// Where an entry goes: events of one key to one partition, by the record's key as Kafka's own clients do it; what has no key, to `any`.
fn partition(log: &Log, entry: &Entry, any: u32) -> u32 {
    let partitions = log.partitions();
    if partitions <= 1 {
        return 0;
    }
    match (entry.key, entry.event.partition_key()) {
        (Some(own), Some(_)) if key::of(&entry.event, None) != Some(own) => remainder(own, partitions),
        (_, Some(key)) => index::partition_of(key.as_bytes(), partitions),
        (Some(own), None) => remainder(own, partitions),
        (None, None) => any,
    }
}

fn remainder(key: u64, partitions: u32) -> u32 {
    u32::try_from(key % u64::from(partitions)).unwrap_or_default()
}

/// Hands one entry to the library, which copies it and does not block.
fn send(
    producer: &Inner,
    log: &Arc<Log>,
    entry: Entry,
    partition: u32,
    index: usize,
    waiting: &Arc<Waiting>,
) -> Result<(), KafkaError> {
    let event = entry.event.clone();
    let headers = message::headers(&entry);
    let timestamp = i64::try_from(entry.published_at.0).unwrap_or(i64::MAX);
    let pending = Box::new(Pending { log: Arc::clone(log), entry, index, waiting: Arc::clone(waiting) });
    let mut record = BaseRecord::<[u8], [u8], Box<Pending>>::with_opaque_to(&log.name, pending);
    record = record.partition(i32::try_from(partition).unwrap_or_default()).timestamp(timestamp).headers(headers);
    if let Some(key) = event.partition_key() {
        record = record.key(key.as_bytes());
    }
    if let Some(data) = event.data() {
        record = record.payload(data.as_ref());
    }
    producer.send(record).map_err(|(error, _)| error)
}

/// An entry that was sent.
pub(super) struct Pending {
    log: Arc<Log>,
    entry: Entry,
    index: usize,
    waiting: Arc<Waiting>,
}

/// Hears what became of each record.
struct Reports(Ear);

impl ClientContext for Reports {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Pending>;

    fn delivery(&self, result: &DeliveryResult<'_>, pending: Box<Pending>) {
        let Pending { log, entry, index, waiting } = *pending;
        match result {
            Ok(message) => {
                let offset = u64::try_from(message.offset()).unwrap_or(UNKNOWN);
                if offset != UNKNOWN {
                    log.acknowledged(offset, entry);
                }
                waiting.acknowledged(index, offset);
            }
            Err((error, _)) => waiting.failed(error, 1),
        }
    }
}

type Answer = oneshot::Sender<Result<Vec<u64>, KafkaError>>;

/// An append that waits for its records. It is answered when all of them are decided, so that who tries again after a failure does not
/// meet what he sent before.
struct Waiting {
    left: AtomicUsize,
    offsets: Vec<AtomicU64>,
    failure: Mutex<Option<KafkaError>>,
    answer: Mutex<Option<Answer>>,
    _room: OwnedSemaphorePermit,
}

impl Waiting {
    fn new(records: usize, answer: Answer, room: OwnedSemaphorePermit) -> Self {
        Self {
            left: AtomicUsize::new(records),
            offsets: (0..records).map(|_| AtomicU64::new(UNKNOWN)).collect(),
            failure: Mutex::new(None),
            answer: Mutex::new(Some(answer)),
            _room: room,
        }
    }

    fn acknowledged(&self, index: usize, offset: u64) {
        self.offsets[index].store(offset, Ordering::Relaxed);
        self.decided(1);
    }

    /// So many records will not get an offset.
    fn failed(&self, error: &KafkaError, records: usize) {
        self.failure.lock().get_or_insert_with(|| error.clone());
        self.decided(records);
    }

    fn decided(&self, records: usize) {
        if self.left.fetch_sub(records, Ordering::AcqRel) > records {
            return;
        }
        let Some(answer) = self.answer.lock().take() else { return };
        let offsets: Vec<_> = self.offsets.iter().map(|offset| offset.load(Ordering::Relaxed)).collect();
        // A record that Kafka knew already, from so long ago that it has forgotten where it stands.
        let is_known = offsets.iter().all(|offset| *offset != UNKNOWN);
        let forgotten = || KafkaError::MessageProduction(RDKafkaErrorCode::DuplicateSequenceNumber);
        let result = match self.failure.lock().take() {
            Some(error) => Err(error),
            None if is_known => Ok(offsets),
            None => Err(forgotten()),
        };
        // Whoever asked may be gone; what was sent is decided either way.
        let _ = answer.send(result);
    }
}
