//! Reading what is older than what is kept in memory.
//!
//! A consumer that has been told where to stand fetches ahead by itself, so one that goes on reading where it stopped answers from what it
//! has already. So readers are kept for a while with the place where they stand: who catches up gets the same one each time. They are
//! bounded in number; a reader at its end gives its assignment up, because a consumer that stands at the end of a topic asks for ever.

use super::{
    Settings,
    client::{self, CALL, Cluster, Ear},
    follow::place,
    log::Log,
    message::Record,
};
use motet_broker::{Limits, Position, Stored, port::TransportError};
use parking_lot::Mutex;
use rdkafka::{
    Message,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// So many read at once; others wait.
const READERS: usize = 8;
/// A reader that was not asked for so long gives back its memory and its threads.
const IDLE: Duration = Duration::from_secs(30);
/// How long one look at the library lasts.
const LOOK: Duration = Duration::from_millis(50);

/// The readers that wait to go on.
pub(super) struct Readers {
    settings: Settings,
    cluster: Arc<Cluster>,
    idle: Mutex<Vec<Reader>>,
    turns: Semaphore,
    stop: AtomicBool,
}

impl Readers {
    pub(super) fn new(settings: &Settings, cluster: &Arc<Cluster>) -> Arc<Self> {
        Arc::new(Self {
            settings: settings.clone(),
            cluster: Arc::clone(cluster),
            idle: Mutex::default(),
            turns: Semaphore::new(READERS),
            stop: AtomicBool::new(false),
        })
    }

    /// Ends what reads, soon.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What stands at `from` or behind it, up to the limits. Empty when nothing that may be seen does.
    pub(super) async fn read(
        self: &Arc<Self>,
        log: &Arc<Log>,
        from: u64,
        limits: Limits,
    ) -> Result<Vec<Stored>, TransportError> {
        let turn = tokio::time::timeout(CALL, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(self.cluster.unavailable("too many read old events at once: try again in a moment"));
        };
        let (readers, log) = (Arc::clone(self), Arc::clone(log));
        let read = tokio::task::spawn_blocking(move || readers.read_blocking(&log, from, limits));
        match read.await {
            Ok(result) => result,
            Err(error) => Err(self.cluster.unavailable(format!("reading was cut off: {error}"))),
        }
    }

    fn read_blocking(&self, log: &Log, from: u64, limits: Limits) -> Result<Vec<Stored>, TransportError> {
        let failed = |error: KafkaError| self.cluster.failed(&format!("reading topic `{}`", log.name), &error);
        let mut reader = self.reader(&log.name, from).map_err(failed)?;
        let found = reader.fill(log, from, limits, &self.stop).map_err(failed)?;
        self.keep(reader);
        Ok(found)
    }

    /// The one that stands there, or one that can be sent there.
    fn reader(&self, topic: &str, from: u64) -> KafkaResult<Reader> {
        let kept = {
            let mut idle = self.idle.lock();
            let stands_there = idle.iter().position(|reader| reader.at.as_ref() == Some(&(topic.to_owned(), from)));
            // One that stands elsewhere is left to whom it waits for, if another may be made.
            let free = || idle.iter().position(|reader| reader.at.is_none());
            let oldest = || (idle.len() >= READERS).then_some(0);
            stands_there.or_else(free).or_else(oldest).map(|index| idle.remove(index))
        };
        let mut reader = match kept {
            Some(reader) => reader,
            None => Reader::new(&self.settings, &self.cluster)?,
        };
        reader.stand(topic, from)?;
        Ok(reader)
    }

    /// The longest unused stands first.
    fn keep(&self, mut reader: Reader) {
        reader.used = Instant::now();
        let gone: Vec<_> = {
            let mut idle = self.idle.lock();
            idle.push(reader);
            let (over, now) = (idle.len().saturating_sub(READERS), Instant::now());
            let old = idle.iter().take_while(|reader| now.duration_since(reader.used) > IDLE).count();
            idle.drain(..old.max(over)).collect()
        };
        // Closing waits for the library's threads, and holds up nobody here.
        drop(gone);
    }

    /// Gives up readers that nobody asked for in a while.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let mut idle = self.idle.lock();
        let old = idle.iter().take_while(|reader| now.duration_since(reader.used) > IDLE).count();
        let gone: Vec<_> = idle.drain(..old).collect();
        drop(idle);
        drop(gone);
    }
}

struct Reader {
    consumer: BaseConsumer<Ear>,
    /// Where it stands: the next it gives is this, or the next behind it that there is.
    at: Option<(String, u64)>,
    used: Instant,
}

impl Reader {
    fn new(settings: &Settings, cluster: &Arc<Cluster>) -> KafkaResult<Self> {
        let consumer = client::reader(settings).create_with_context(Ear(Arc::clone(cluster)))?;
        Ok(Self { consumer, at: None, used: Instant::now() })
    }

    fn stand(&mut self, topic: &str, from: u64) -> KafkaResult<()> {
        if self.at.as_ref().is_some_and(|(own, at)| own == topic && *at == from) {
            return Ok(());
        }
        self.consumer.assign(&place(topic, from)?)?;
        self.at = Some((topic.to_owned(), from));
        Ok(())
    }

    fn fill(&mut self, log: &Log, from: u64, limits: Limits, stop: &AtomicBool) -> KafkaResult<Vec<Stored>> {
        let pointer = log.pointer();
        let until = Instant::now() + CALL;
        let (mut found, mut bytes, mut next) = (Vec::new(), 0, from);
        let mut trouble = KafkaError::MessageConsumption(rdkafka::error::RDKafkaErrorCode::OperationTimedOut);
        loop {
            let wait = if found.is_empty() { LOOK } else { Duration::ZERO };
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    // What an earlier place left in the library's queue.
                    if message.topic() != log.name || u64::try_from(message.offset()).is_ok_and(|at| at < next) {
                        continue;
                    }
                    let record = Record::of(&message);
                    next = record.offset + 1;
                    let stored = record.stored(Position(record.offset), pointer.as_ref());
                    bytes += stored.entry.event.size();
                    found.push(stored);
                    if found.len() >= limits.items || bytes >= limits.bytes {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.rest();
                    return Ok(found);
                }
                Some(Err(error)) => trouble = error,
                None if !found.is_empty() => break,
                None if stop.load(Ordering::Relaxed) => return Err(KafkaError::Canceled),
                None if Instant::now() >= until => return Err(trouble),
                None => {}
            }
        }
        self.at = Some((log.name.clone(), next));
        Ok(found)
    }

    fn rest(&mut self) {
        self.at = None;
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!(%error, "a reader of Kafka could not be sent home");
        }
    }
}
