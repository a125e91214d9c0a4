//! One topic of the embedded engine.

use super::recent::Recent;
use crate::{
    name::TopicName,
    payload::Owner,
    port::{Ends, TransportError},
    record::{Key, number_at, read_entry},
    time::Time,
    topic::{Keep, Position},
};
use bytes::Bytes;
use motet_store::{Batch, CommitError, Keyspace, Limits, Pin, ReadError, Room, Store};
use parking_lot::Mutex;
use std::{
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::{oneshot, watch};

/// The index gets a line this often at most …
const INDEX_EVERY: Duration = Duration::from_secs(1);
/// … or after so many bytes.
const INDEX_EVERY_BYTES: u64 = 4 << 20;
/// The data of so many events is let go of in one step.
const PAYLOADS_AT_ONCE: usize = 65_536;

pub(super) struct Log {
    topic: TopicName,
    events: motet_store::Log,
    index: Keyspace,
    store: Store,
    writer: Mutex<Writer>,
    tip: Arc<Tip>,
    first: AtomicU64,
}

/// What changes when an append is durable.
struct Tip {
    head: watch::Sender<Position>,
    recent: Mutex<Recent>,
}

impl Tip {
    /// These are durable, and the topic ends behind them.
    fn is_at(&self, first: u64, records: Vec<Bytes>) {
        let next = first + records.len() as u64;
        self.recent.lock().push((first..).zip(records));
        self.head.send_if_modified(|head| {
            let later = next > head.0;
            head.0 = head.0.max(next);
            later
        });
    }
}

/// An entry as it is appended.
pub(super) struct Record {
    pub(super) bytes: Bytes,
    /// What it counts for where the topic is kept up to a size: its data included, wherever that is.
    pub(super) size: usize,
    /// Of its data, if that is kept apart.
    pub(super) pin: Option<Pin>,
}

/// What the next append begins with.
struct Writer {
    next: u64,
    /// Bytes appended since the topic was made.
    total: u64,
    indexed_at: Option<Time>,
    indexed_total: u64,
}

/// A line of the index: at this time the topic ended here, and so many bytes had been appended.
struct Line {
    time: Time,
    position: u64,
    total: u64,
}

impl Log {
    pub(super) fn open(store: &Store, prefix: &str, index: Keyspace, topic: TopicName) -> Result<Self, TransportError> {
        let unavailable = |error: motet_store::OpenError| TransportError::Unavailable {
            engine: "embedded".to_owned(),
            reason: error.to_string().into(),
        };
        let events = store.log(&format!("{prefix}topic.{topic}")).map_err(unavailable)?;
        let writer = Writer { next: 0, total: 0, indexed_at: None, indexed_total: 0 };
        let tip = Arc::new(Tip { head: watch::Sender::new(Position(0)), recent: Mutex::default() });
        let (store, writer) = (store.clone(), Mutex::new(writer));
        let log = Self { topic, events, index, store, writer, tip, first: AtomicU64::new(0) };
        log.recover()?;
        Ok(log)
    }

    fn recover(&self) -> Result<(), TransportError> {
        let last = self.events.last().map_err(|error| self.unreadable(0, &error))?;
        let next = last.map_or(0, |last| last + 1);
        let first = self.index.get(self.first_key()).map_err(|error| self.unreadable(0, &error))?;
        let first = first.and_then(|value| number_at(&value, 0)).unwrap_or(0);
        let newest = self.index.at_or_before(&self.line_key(Time(0)), &self.line_key(Time(u64::MAX)));
        let newest = newest.map_err(|error| self.unreadable(0, &error))?.and_then(|pair| self.line(&pair));
        let (indexed_at, position, indexed_total) =
            newest.map_or((None, first, 0), |line| (Some(line.time), line.position, line.total));
        let mut total = indexed_total;
        for (position, record) in self.range(position, Limits::items(usize::MAX))?.1 {
            let size = record.len() as u64;
            let apart = read_entry(record).map_err(|error| self.unreadable(position, &error))?.payload;
            total += size + apart.map_or(0, |payload| payload.bytes());
        }
        *self.writer.lock() = Writer { next: next.max(first), total, indexed_at, indexed_total };
        self.first.store(first, Relaxed);
        self.tip.head.send_replace(Position(next.max(first)));
        Ok(())
    }

    /// Hands records in; the position of the first. `answer` hears when they are durable.
    pub(super) fn append(
        &self,
        records: Vec<Record>,
        published_at: Time,
        mut batch: Batch,
        room: Room,
        answer: oneshot::Sender<Result<(), CommitError>>,
    ) -> u64 {
        let newest: Vec<Bytes> = records.iter().map(|record| record.bytes.clone()).collect();
        let tip = Arc::clone(&self.tip);
        let mut writer = self.writer.lock();
        let first = writer.next;
        let indexed = writer.indexed_at;
        let due = indexed.is_none_or(|at| published_at.since(at) >= INDEX_EVERY);
        if due || writer.total - writer.indexed_total >= INDEX_EVERY_BYTES {
            let at = indexed.map_or(published_at, |at| published_at.max(Time(at.0 + 1)));
            let value = Key::default().u64(first).u64(writer.total).bytes();
            batch.insert(&self.index, self.line_key(at), value);
            writer.indexed_at = Some(at);
            writer.indexed_total = writer.total;
        }
        for record in records {
            writer.total += record.size as u64;
            batch.append_to(&self.events, writer.next, record.bytes);
            self.owner(writer.next).refers(&self.store, &mut batch, record.pin);
            writer.next += 1;
        }
        // Under the lock: the store writes in the order in which it is handed things.
        self.store.submit(batch, room, move |result| {
            if result.is_ok() {
                tip.is_at(first, newest);
            }
            // Whoever published may be gone; the events stand.
            let _ = answer.send(result);
        });
        first
    }

    /// What is there from a position on, if that is known without the disk.
    pub(super) fn recent(&self, from: u64, limits: Limits) -> Option<Vec<(u64, Bytes)>> {
        self.tip.recent.lock().range(from.max(self.first.load(Relaxed)), limits)
    }

    /// Keeps nothing in memory that was published before now.
    pub(super) fn forget_recent(&self) {
        self.tip.recent.lock().clear();
    }

    /// The oldest position, and what is there from a position on.
    pub(super) fn range(&self, from: u64, limits: Limits) -> Result<(u64, Vec<(u64, Bytes)>), TransportError> {
        let first = self.first.load(Relaxed);
        let from = from.max(first);
        let found = self.events.range(from, limits).map_err(|error| self.unreadable(from, &error))?;
        Ok((first, found))
    }

    pub(super) fn ends(&self) -> Ends {
        Ends { first: Position(self.first.load(Relaxed)), next: *self.tip.head.borrow() }
    }

    pub(super) fn head(&self) -> watch::Receiver<Position> {
        self.tip.head.subscribe()
    }

    pub(super) fn at_time(&self, time: Time) -> Result<Position, TransportError> {
        // Publishers that work side by side are a little out of order in time.
        let before = time.before(Duration::from_secs(1));
        let line = self.index.at_or_before(&self.line_key(Time(0)), &self.line_key(before));
        let line = line.map_err(|error| self.unreadable(0, &error))?.and_then(|pair| self.line(&pair));
        let mut at = line.map_or(0, |line| line.position);
        loop {
            let found = self.range(at, Limits { items: 1024, bytes: 4 << 20 })?.1;
            if found.is_empty() {
                return Ok(self.ends().next.max(Position(at)));
            }
            for (position, record) in found {
                let entry = read_entry(record).map_err(|error| self.unreadable(position, &error))?;
                if entry.published_at >= time {
                    return Ok(Position(position));
                }
                at = position + 1;
            }
        }
    }

    /// Where the topic may begin, if that is later than it does, and what writes that down.
    pub(super) fn plan_trim(&self, keep: &Keep, now: Time) -> Result<Option<(u64, Batch)>, TransportError> {
        let unreadable = |error: ReadError| self.unreadable(0, &error);
        let mut first = self.first.load(Relaxed);
        let lines = self.index.range(
            &self.line_key(Time(0)),
            Bound::Included(&self.line_key(Time(u64::MAX))),
            Limits::items(1 << 20),
        );
        let lines: Vec<(Bytes, Line)> = lines
            .map_err(unreadable)?
            .into_iter()
            .filter_map(|pair| Some((pair.0.clone(), self.line(&pair)?)))
            .collect();
        if let Some(time) = keep.time {
            // What was appended after a line and before the next one is at most as much younger than it as lines are apart.
            let surely = now.before(time + INDEX_EVERY * 2);
            let old = lines.partition_point(|(_, line)| line.time <= surely);
            let next = lines.get(old).map_or_else(|| self.tip.head.borrow().0, |(_, line)| line.position);
            first = first.max(if old == 0 { 0 } else { next });
        }
        if let Some(bytes) = keep.bytes {
            let total = self.writer.lock().total;
            let fits = lines.iter().find(|(_, line)| total - line.total.min(total) <= bytes);
            let newest = || lines.last().map_or(0, |(_, line)| line.position);
            first = first.max(fits.map_or_else(newest, |(_, line)| line.position));
        }
        if first <= self.first.load(Relaxed) {
            return Ok(None);
        }
        let mut batch = Batch::new();
        let (from, to) = (self.owner(0).name(), self.owner(first).name());
        let left = self.store.release_range(&mut batch, &from, &to, PAYLOADS_AT_ONCE).map_err(unreadable)?;
        // With more than that the topic begins where the first is that is left, and the next look goes on.
        let first = left.and_then(|owner| number_at(&owner, owner.len() - 8)).unwrap_or(first);
        batch.insert(&self.index, self.first_key(), Bytes::copy_from_slice(&first.to_be_bytes()));
        // The last line before the beginning stays: it says what the times before the next one mean.
        let gone = lines.iter().zip(lines.iter().skip(1)).filter(|(_, (_, next))| next.position <= first);
        for ((key, _), _) in gone {
            batch.remove(&self.index, key.clone());
        }
        Ok(Some((first, batch)))
    }

    pub(super) fn begin_at(&self, first: u64) {
        self.first.fetch_max(first, Relaxed);
    }

    pub(super) fn give_back(&self, below: u64) -> Result<(), TransportError> {
        self.events.drop_below(below).map_err(|error| self.unreadable(below, &error))
    }

    pub(super) fn unreadable(&self, position: u64, error: &impl ToString) -> TransportError {
        let reason = error.to_string().into();
        TransportError::Unreadable { topic: self.topic.clone(), position: Position(position), reason }
    }

    fn owner(&self, position: u64) -> Owner<'_> {
        Owner::Topic { keyspace: self.events.name(), position }
    }

    /// `name | 0 | l | time`. A name has no zero byte, so no topic's lines lie between another's.
    fn line_key(&self, time: Time) -> Bytes {
        let mut key = self.topic.as_str().as_bytes().to_vec();
        key.extend_from_slice(b"\0l");
        key.extend_from_slice(&time.0.to_be_bytes());
        key.into()
    }

    fn first_key(&self) -> Bytes {
        let mut key = self.topic.as_str().as_bytes().to_vec();
        key.extend_from_slice(b"\0f");
        key.into()
    }

    fn line(&self, (key, value): &(Bytes, Bytes)) -> Option<Line> {
        let time = Time(number_at(key, self.topic.as_str().len() + 2)?);
        Some(Line { time, position: number_at(value, 0)?, total: number_at(value, 8)? })
    }
}
