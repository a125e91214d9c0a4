//! Reading what is older than what is kept in memory.
//!
//! A consumer that has been told where to stand fetches ahead by itself, so one that goes on reading where it stopped answers from what it
//! has already. So readers are kept for a while with the place where they stand: who catches up gets the same one each time. They are
//! bounded in number; a reader that is at the end of a partition gives it up, because a consumer that stands there asks for ever.
//!
//! Of a topic with several partitions, a reader follows the runs of the count from one partition to the next. What arrives of the others
//! meanwhile waits in their lanes, up to a bound; a lane that is full is given up, and taken up again when its turn comes.

use super::{
    Settings,
    client::{self, CALL, Cluster, Ear},
    follow::places,
    log::Log,
    message::Record,
};
use motet_broker::{Entry, Limits, Position, Stored, key::Pointer, port::TransportError};
use parking_lot::Mutex;
use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{BorrowedMessage, Message},
};
use std::{
    collections::{HashMap, VecDeque},
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
/// What may wait in a lane, in bytes.
const LANE_BYTES: usize = 4 << 20;
/// To skip so many is quicker than to ask anew.
const SKIP: u64 = 10_000;

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
        let mut take = Take {
            found: Vec::new(),
            bytes: 0,
            limits,
            pointer: log.pointer(),
            until: Instant::now() + CALL,
            stop: &self.stop,
        };
        let next = match log.partitions() {
            1 => {
                let stretch = Stretch { partition: 0, from, until: u64::MAX, position: from };
                reader.pull(&stretch, &mut take).map_err(failed)?;
                take.next().unwrap_or(from)
            }
            _ => {
                let mut at = from;
                loop {
                    let run = log.run_at(at).map_err(|error| self.cluster.unavailable(error.to_string()))?;
                    let Some(run) = run else { break at };
                    let position = at.max(run.position);
                    let offset = run.offset + (position - run.position);
                    let stretch = Stretch { partition: run.partition, from: offset, until: run.offset_end(), position };
                    if reader.pull(&stretch, &mut take).map_err(failed)? == Pulled::Some {
                        break take.next().unwrap_or(position);
                    }
                    at = run.end();
                }
            }
        };
        let found = take.found;
        reader.stand(next);
        self.keep(reader);
        Ok(found)
    }

    /// The one that stands there, or one that can be sent there.
    fn reader(&self, topic: &str, from: u64) -> KafkaResult<Reader> {
        let kept = {
            let mut idle = self.idle.lock();
            let stands_there = idle.iter().position(|reader| reader.topic == topic && reader.at == Some(from));
            // One that stands elsewhere is left to whom it waits for, if another may be made.
            let free = || idle.iter().position(|reader| reader.at.is_none());
            let oldest = || (idle.len() >= READERS).then_some(0);
            stands_there.or_else(free).or_else(oldest).map(|index| idle.remove(index))
        };
        let mut reader = match kept {
            Some(reader) => reader,
            None => Reader::new(&self.settings, &self.cluster)?,
        };
        if reader.topic != topic || reader.at != Some(from) {
            reader.leave(|_| true)?;
            topic.clone_into(&mut reader.topic);
        }
        Ok(reader)
    }

    /// The longest unused stands first.
    fn keep(&self, mut reader: Reader) {
        reader.used = Instant::now();
        let gone: Vec<_> = {
            let mut idle = self.idle.lock();
            idle.push(reader);
            let over = idle.len().saturating_sub(READERS);
            idle.drain(..over).collect()
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

/// A part of a partition that is to be read: what stands at `from` has the position `position`.
struct Stretch {
    partition: u32,
    from: u64,
    until: u64,
    position: u64,
}

/// What has been read for one call.
struct Take<'a> {
    found: Vec<Stored>,
    bytes: usize,
    limits: Limits,
    pointer: Option<Pointer>,
    until: Instant,
    stop: &'a AtomicBool,
}

impl Take<'_> {
    fn is_full(&self) -> bool {
        self.found.len() >= self.limits.items || self.bytes >= self.limits.bytes
    }

    /// The position behind the last.
    fn next(&self) -> Option<u64> {
        self.found.last().map(|stored| stored.position.0 + 1)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Pulled {
    /// Nothing is left of the stretch.
    All,
    /// More may be; the limits are reached, or it would have to be waited for.
    Some,
}

struct Reader {
    consumer: BaseConsumer<Ear>,
    topic: String,
    /// The position that it gives next, or the next behind it that there is. Nothing: it stands nowhere.
    at: Option<u64>,
    lanes: HashMap<u32, Lane>,
    used: Instant,
}

/// A partition that is being fetched.
#[derive(Default)]
struct Lane {
    /// All there is from here on is in the lane or will come.
    from: u64,
    /// What the library gives next stands here or behind.
    next: u64,
    ready: VecDeque<(u64, Entry)>,
    bytes: usize,
    is_at_end: bool,
}

impl Reader {
    fn new(settings: &Settings, cluster: &Arc<Cluster>) -> KafkaResult<Self> {
        let consumer = client::reader(settings).create_with_context(Ear(Arc::clone(cluster)))?;
        Ok(Self { consumer, topic: String::new(), at: None, lanes: HashMap::new(), used: Instant::now() })
    }

    /// What is left to come stands at `next` or behind it; lanes at their end are given up.
    fn stand(&mut self, next: u64) {
        if let Err(error) = self.leave(|lane| lane.is_at_end && lane.ready.is_empty()) {
            tracing::debug!(%error, "a reader of Kafka could not give a partition up");
        }
        self.at = (!self.lanes.is_empty()).then_some(next);
    }

    /// Gives lanes up.
    fn leave(&mut self, which: impl Fn(&Lane) -> bool) -> KafkaResult<()> {
        let gone: Vec<_> = self.lanes.iter().filter(|(_, lane)| which(lane)).map(|(at, _)| (*at, 0)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        gone.iter().for_each(|(partition, _)| drop(self.lanes.remove(partition)));
        self.consumer.incremental_unassign(&places(&self.topic, gone)?)
    }

    /// Takes up a lane from an offset on, unless it is there.
    fn enter(&mut self, partition: u32, from: u64) -> KafkaResult<()> {
        if let Some(lane) = self.lanes.get(&partition) {
            let is_there = lane.from <= from && from <= lane.next.saturating_add(SKIP);
            // At its end a lane knows of nothing more; whoever wants what is behind that asks anew.
            if is_there && (!lane.is_at_end || from < lane.next) {
                return Ok(());
            }
            self.lanes.remove(&partition);
            self.consumer.incremental_unassign(&places(&self.topic, [(partition, 0)])?)?;
        }
        self.lanes.insert(partition, Lane { from, next: from, ..Lane::default() });
        self.consumer.incremental_assign(&places(&self.topic, [(partition, from)])?)
    }

    fn pull(&mut self, stretch: &Stretch, take: &mut Take<'_>) -> KafkaResult<Pulled> {
        self.enter(stretch.partition, stretch.from)?;
        let mut trouble = KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
        loop {
            let lane = self.lanes.entry(stretch.partition).or_default();
            if let Some(pulled) = lane.give(stretch, take) {
                return Ok(pulled);
            }
            let wait = if take.found.is_empty() { LOOK } else { Duration::ZERO };
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let full = arrive(&mut self.lanes, &self.topic, &message, take.pointer.as_ref());
                    drop(message);
                    if let Some(full) = full.filter(|full| *full != stretch.partition) {
                        self.lanes.remove(&full);
                        self.consumer.incremental_unassign(&places(&self.topic, [(full, 0)])?)?;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    let lane = u32::try_from(partition).ok().and_then(|partition| self.lanes.get_mut(&partition));
                    lane.into_iter().for_each(|lane| lane.is_at_end = true);
                }
                Some(Err(error)) => trouble = error,
                None if !take.found.is_empty() => return Ok(Pulled::Some),
                None if take.stop.load(Ordering::Relaxed) => return Err(KafkaError::Canceled),
                None if Instant::now() >= take.until => return Err(trouble),
                None => {}
            }
        }
    }
}

/// Puts a message into its lane; the lane's partition if that is full now. What an earlier place left in the library's queue is nobody's.
fn arrive(
    lanes: &mut HashMap<u32, Lane>,
    topic: &str,
    message: &BorrowedMessage<'_>,
    pointer: Option<&Pointer>,
) -> Option<u32> {
    let record = Record::of(message);
    let lane = lanes.get_mut(&record.partition)?;
    if message.topic() != topic || record.offset < lane.next {
        return None;
    }
    lane.next = record.offset + 1;
    lane.is_at_end = false;
    let entry = record.entry(pointer);
    lane.bytes += entry.event.size();
    lane.ready.push_back((record.offset, entry));
    (lane.bytes > LANE_BYTES).then_some(record.partition)
}

impl Lane {
    /// Gives what is ready of a stretch. Nothing while more has to come.
    fn give(&mut self, stretch: &Stretch, take: &mut Take<'_>) -> Option<Pulled> {
        while let Some((offset, _)) = self.ready.front() {
            if *offset >= stretch.until {
                return Some(Pulled::All);
            }
            if take.is_full() {
                return Some(Pulled::Some);
            }
            let (offset, entry) = self.ready.pop_front()?;
            self.from = offset + 1;
            self.bytes -= entry.event.size();
            if offset >= stretch.from {
                take.bytes += entry.event.size();
                let position = Position(stretch.position + (offset - stretch.from));
                take.found.push(Stored { position, entry });
            }
        }
        if take.is_full() {
            return Some(Pulled::Some);
        }
        (self.next >= stretch.until || self.is_at_end).then_some(Pulled::All)
    }
}
