//! One topic as it is known here: where it ends, and what was published last.
//!
//! Most subscriptions stand at the end of their topic, and all of them want the same events at the same time. So each topic is followed
//! once, whoever reads it, and what arrives is kept for a while: as many bytes as [`CACHE_BYTES`], the newest. Whoever stands within them
//! reads from memory; only who is further behind reads from Kafka again.
//!
//! The cache is a promise about a range of offsets: between `from` and `next`, it holds everything that a reader may see. Gaps (marks of
//! transactions, what compaction removed) are part of the range without being in it.

use super::{
    index::{Index, Keys, Run},
    sizes::Sizes,
};
use motet_broker::{Entry, Limits, Position, Stored, TopicSpec, key::Pointer};
use motet_store::{Batch, ReadError};
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};
use tokio::sync::{Notify, watch};

/// How much of the end of a topic is kept in memory, in bytes of attributes and data.
const CACHE_BYTES: usize = 4 << 20;
/// What an event costs beside its bytes.
const EVENT_COST: usize = 160;

/// A topic.
pub(super) struct Log {
    /// Its name at Kafka.
    pub(super) name: String,
    pointer: RwLock<Option<Pointer>>,
    head: watch::Sender<Position>,
    /// What stands below was given back, whoever still has it.
    start: AtomicU64,
    tail: Mutex<Tail>,
    grown: Notify,
    /// Of a topic with several partitions, which have no order between them but the one in which they are counted here.
    index: Option<Counted>,
    /// How large it is.
    sizes: Mutex<Sizes>,
}

struct Counted {
    index: Mutex<Index>,
    keys: Keys,
    partitions: u32,
}

/// A record that has come from Kafka.
pub(super) struct Arrival {
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) entry: Entry,
}

#[derive(Default)]
struct Tail {
    from: u64,
    next: u64,
    kept: VecDeque<Stored>,
    bytes: usize,
}

/// Whether what was appended to a topic with several partitions has come back and was counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CameBack {
    /// It stands there.
    At(Vec<Position>),
    /// Not all of it.
    NotYet,
    /// So long ago that only the store knows where it was counted.
    LongAgo,
}

/// What the cache says to a reader.
#[derive(Debug, PartialEq)]
pub(super) enum Look {
    /// That is there.
    Found(Vec<Stored>),
    /// There is nothing behind the position yet.
    Nothing,
    /// Something is known to be there, and has not arrived.
    Soon,
    /// It is too old to be remembered here.
    Behind,
}

impl Log {
    /// A topic of one partition that ends before `next`: offsets are positions.
    pub(super) fn new(name: String, spec: &TopicSpec, next: u64, sizes: Sizes) -> Self {
        Self::with(name, spec, next, None, sizes)
    }

    /// A topic of several partitions.
    pub(super) fn counted_by(name: String, spec: &TopicSpec, index: Index, sizes: Sizes) -> Self {
        let (next, keys, partitions) = (index.next(), index.keys(), index.partitions());
        Self::with(name, spec, next, Some(Counted { index: Mutex::new(index), keys, partitions }), sizes)
    }

    fn with(name: String, spec: &TopicSpec, next: u64, index: Option<Counted>, sizes: Sizes) -> Self {
        Self {
            name,
            pointer: RwLock::new(spec.key.clone()),
            head: watch::Sender::new(Position(next)),
            start: AtomicU64::new(0),
            tail: Mutex::new(Tail { from: next, next, ..Tail::default() }),
            grown: Notify::new(),
            index,
            sizes: Mutex::new(sizes),
        }
    }

    /// The declaration is another one.
    pub(super) fn change(&self, spec: &TopicSpec) {
        self.pointer.write().clone_from(&spec.key);
    }

    /// Where the key of events stands in their data.
    pub(super) fn pointer(&self) -> Option<Pointer> {
        self.pointer.read().clone()
    }

    pub(super) fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// The position from which on everything that has arrived is in memory.
    pub(super) fn kept_from(&self) -> u64 {
        self.tail.lock().from
    }

    pub(super) fn partitions(&self) -> u32 {
        self.index.as_ref().map_or(1, |counted| counted.partitions)
    }

    /// Where positions of a topic with several partitions are written down.
    pub(super) fn keys(&self) -> Option<&Keys> {
        self.index.as_ref().map(|counted| &counted.keys)
    }

    /// The run in which a position stands, or the next behind it, where positions are counted. Blocks.
    ///
    /// What was counted a moment ago may not be readable in the store yet, so memory is asked first.
    pub(super) fn run_at(&self, position: u64) -> Result<Option<Run>, ReadError> {
        let Some(counted) = &self.index else { return Ok(None) };
        let (recent, oldest) = {
            let index = counted.index.lock();
            (index.recent_run(position), index.oldest_recent())
        };
        match recent {
            Some(run) => Ok(Some(run)),
            None => Ok(counted.keys.run_at(position)?.or(oldest.filter(|oldest| position < oldest.position))),
        }
    }

    /// The position of the first record of a partition that stands at `offset` or behind it, where positions are counted. Blocks.
    pub(super) fn position_from(&self, partition: u32, offset: u64) -> Result<Option<u64>, ReadError> {
        let Some(counted) = &self.index else { return Ok(Some(offset)) };
        // What was counted a moment ago may not be readable in the store yet.
        let written = counted.keys.position_of(partition, offset)?;
        Ok(written.or_else(|| counted.index.lock().recent_from(partition, offset)))
    }

    /// Whether a record has come before.
    pub(super) fn has_counted(&self, partition: u32, offset: u64) -> bool {
        match &self.index {
            None => offset < self.tail.lock().next,
            Some(counted) => offset < counted.index.lock().offset(partition),
        }
    }

    /// Gives what has come its positions. Nobody hears of them before [`Log::arrived`].
    ///
    /// What came together is counted partition by partition: runs are longer then, and it came in no order anyway.
    pub(super) fn count(&self, mut arrived: Vec<Arrival>) -> Vec<Stored> {
        let Some(counted) = &self.index else {
            let stored = |arrival: Arrival| Stored { position: Position(arrival.offset), entry: arrival.entry };
            return arrived.into_iter().map(stored).collect();
        };
        arrived.sort_by_key(|arrival| arrival.partition);
        let (mut index, mut sizes) = (counted.index.lock(), self.sizes.lock());
        let stored = arrived.into_iter().filter_map(|arrival| {
            let position = index.count(arrival.partition, arrival.offset)?;
            sizes.add(arrival.entry.event.size(), position + 1, || index.offsets().to_vec());
            Some(Stored { position: Position(position), entry: arrival.entry })
        });
        stored.collect()
    }

    /// What is to be written of the count, if anything.
    pub(super) fn uncounted(&self) -> Option<Batch> {
        let batch = self.index.as_ref()?.index.lock().unwritten();
        (!batch.is_empty()).then_some(batch)
    }

    /// That was written.
    pub(super) fn counted(&self) {
        if let Some(counted) = &self.index {
            counted.index.lock().written();
        }
    }

    /// The positions of records that Kafka has acknowledged.
    pub(super) fn positions(&self, places: &[(u32, u64)]) -> CameBack {
        let Some(counted) = &self.index else {
            return CameBack::At(places.iter().map(|(_, offset)| Position(*offset)).collect());
        };
        let known_to = self.tail.lock().next;
        let index = counted.index.lock();
        let mut positions = Vec::with_capacity(places.len());
        for (partition, offset) in places {
            match index.recent_position(*partition, *offset) {
                Some(position) if position < known_to => positions.push(Position(position)),
                None if *offset < index.offset(*partition) => return CameBack::LongAgo,
                _ => return CameBack::NotYet,
            }
        }
        CameBack::At(positions)
    }

    /// Kafka has acknowledged an event of our own. Where nothing is missing before it, it need not be fetched.
    pub(super) fn acknowledged(&self, offset: u64, entry: Entry) {
        if self.index.is_some() {
            return;
        }
        {
            let mut tail = self.tail.lock();
            if tail.next == offset {
                self.weigh(&entry, offset + 1);
                tail.push(Stored { position: Position(offset), entry });
            }
        }
        self.advance(offset + 1);
    }

    /// Events came from Kafka, in order; nothing visible stands between them, or between the last of what came before and the first.
    pub(super) fn arrived(&self, found: Vec<Stored>) {
        let next = {
            let mut tail = self.tail.lock();
            for stored in found {
                // What was acknowledged comes a second time.
                if stored.position.0 >= tail.next {
                    if self.index.is_none() {
                        self.weigh(&stored.entry, stored.position.0 + 1);
                    }
                    tail.push(stored);
                }
            }
            tail.next
        };
        self.advance(next);
    }

    /// Of a topic with one partition: elsewhere it is done where positions are given.
    fn weigh(&self, entry: &Entry, next: u64) {
        self.sizes.lock().add(entry.event.size(), next, || vec![next]);
    }

    /// How large the topic is.
    pub(super) fn sizes(&self) -> MutexGuard<'_, Sizes> {
        self.sizes.lock()
    }

    /// The lowest position that may be read.
    pub(super) fn start(&self) -> u64 {
        self.start.load(Ordering::Acquire)
    }

    /// What stands below is not kept any more, also where it is still at hand.
    pub(super) fn forget_below(&self, first: u64) {
        self.start.fetch_max(first, Ordering::AcqRel);
        let mut tail = self.tail.lock();
        while tail.kept.front().is_some_and(|stored| stored.position.0 < first) {
            tail.drop_oldest();
        }
        tail.from = tail.from.max(first.min(tail.next));
    }

    fn advance(&self, next: u64) {
        self.head.send_if_modified(|head| {
            let is_more = head.0 < next;
            head.0 = head.0.max(next);
            is_more
        });
        self.grown.notify_waiters();
    }

    /// What stands at `from` or behind it, as far as it is known here.
    pub(super) fn look(&self, from: u64, limits: Limits) -> Look {
        let head = self.head.borrow().0;
        let tail = self.tail.lock();
        if from >= head.max(tail.next) {
            return Look::Nothing;
        }
        if from >= tail.next {
            return Look::Soon;
        }
        if from < tail.from {
            return Look::Behind;
        }
        let first = tail.kept.partition_point(|stored| stored.position.0 < from);
        let found = take(tail.kept.range(first..).cloned(), limits);
        match found.is_empty() {
            false => Look::Found(found),
            true if head > tail.next => Look::Soon,
            true => Look::Nothing,
        }
    }

    /// Becomes ready when more has arrived. To be made before looking.
    pub(super) fn grown(&self) -> tokio::sync::futures::Notified<'_> {
        self.grown.notified()
    }
}

impl Tail {
    fn push(&mut self, stored: Stored) {
        self.next = stored.position.0 + 1;
        self.bytes += stored.entry.event.size() + EVENT_COST;
        self.kept.push_back(stored);
        while self.bytes > CACHE_BYTES && !self.kept.is_empty() {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.bytes -= oldest.entry.event.size() + EVENT_COST;
            self.from = oldest.position.0 + 1;
        }
    }
}

/// As much as the limits allow, and one in any case.
fn take(stored: impl Iterator<Item = Stored>, limits: Limits) -> Vec<Stored> {
    let mut bytes = 0;
    let mut found = Vec::new();
    for stored in stored {
        bytes += stored.entry.event.size();
        found.push(stored);
        if found.len() >= limits.items || bytes >= limits.bytes {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_broker::{Event, Time};

    fn entry(bytes: usize) -> Entry {
        let event = Event::builder("1", "/s", "t").data(vec![b'x'; bytes]).build().unwrap();
        Entry::new(event, None, Time(0))
    }

    fn stored(offset: u64) -> Stored {
        Stored { position: Position(offset), entry: entry(10) }
    }

    fn log(next: u64) -> Log {
        let place = tempfile::tempdir().unwrap();
        let store = motet_store::Store::open(place.path(), motet_store::Options::default()).unwrap();
        let keyspace = store.keyspace("kafka.sizes").unwrap();
        let sizes = Sizes::open(&keyspace, "sys.t", next, &[next]).unwrap();
        Log::new("sys.t".to_owned(), &TopicSpec::new("t".parse().unwrap()), next, sizes)
    }

    fn positions(look: Look) -> Vec<u64> {
        match look {
            Look::Found(found) => found.iter().map(|stored| stored.position.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    const ALL: Limits = Limits { items: usize::MAX, bytes: usize::MAX };

    #[test]
    fn what_is_acknowledged_without_a_gap_is_there_at_once_and_comes_once() {
        let log = log(5);
        assert_eq!(log.look(5, ALL), Look::Nothing);
        assert_eq!(log.look(4, ALL), Look::Behind);
        log.acknowledged(5, entry(1));
        log.acknowledged(6, entry(1));
        assert_eq!(positions(log.look(5, ALL)), [5, 6]);
        log.arrived(vec![stored(5), stored(6), stored(7)]);
        assert_eq!(positions(log.look(5, ALL)), [5, 6, 7]);
        assert_eq!(*log.head().borrow(), Position(8));
    }

    #[test]
    fn what_is_acknowledged_behind_a_gap_waits_for_what_stands_in_the_gap() {
        let log = log(0);
        log.acknowledged(3, entry(1));
        assert_eq!(*log.head().borrow(), Position(4));
        assert_eq!(log.look(0, ALL), Look::Soon, "0, 1 and 2 may be somebody else's");
        log.arrived(vec![stored(1)]);
        assert_eq!(positions(log.look(0, ALL)), [1]);
        assert_eq!(log.look(2, ALL), Look::Soon);
        log.arrived(vec![stored(3)]);
        assert_eq!(positions(log.look(0, ALL)), [1, 3]);
        assert_eq!(positions(log.look(2, ALL)), [3]);
        assert_eq!(log.look(4, ALL), Look::Nothing);
    }

    #[test]
    fn the_oldest_leave_the_memory_and_are_known_to_have_left() {
        let log = log(0);
        let large = CACHE_BYTES / 3;
        for offset in 0..5 {
            log.acknowledged(offset, entry(large));
        }
        assert_eq!(log.look(2, ALL), Look::Behind);
        assert_eq!(positions(log.look(3, ALL)), [3, 4]);
        assert_eq!(positions(log.look(3, Limits::items(1))), [3]);
        assert_eq!(positions(log.look(3, Limits { items: 9, bytes: 1 })), [3]);
    }
}
