//! One topic as it is known here: where it ends, and what was published last.
//!
//! Most subscriptions stand at the end of their topic, and all of them want the same events at the same time. So each topic is followed
//! once, whoever reads it, and what arrives is kept for a while: as many bytes as [`CACHE_BYTES`], the newest. Whoever stands within them
//! reads from memory; only who is further behind reads from Kafka again.
//!
//! The cache is a promise about a range of offsets: between `from` and `next`, it holds everything that a reader may see. Gaps (marks of
//! transactions, what compaction removed) are part of the range without being in it.

use motet_broker::{Entry, Limits, Position, Stored, TopicSpec, key::Pointer};
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
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
    tail: Mutex<Tail>,
    grown: Notify,
}

#[derive(Default)]
struct Tail {
    from: u64,
    next: u64,
    kept: VecDeque<Stored>,
    bytes: usize,
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
    /// A topic that ends before `next`.
    pub(super) fn new(name: String, spec: &TopicSpec, next: u64) -> Self {
        Self {
            name,
            pointer: RwLock::new(spec.key.clone()),
            head: watch::Sender::new(Position(next)),
            tail: Mutex::new(Tail { from: next, next, ..Tail::default() }),
            grown: Notify::new(),
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

    /// The offset up to which everything has arrived here.
    pub(super) fn followed_to(&self) -> u64 {
        self.tail.lock().next
    }

    /// The offset from which on everything that has arrived is in memory.
    pub(super) fn kept_from(&self) -> u64 {
        self.tail.lock().from
    }

    /// Kafka has acknowledged an event of our own. Where nothing is missing before it, it need not be fetched.
    pub(super) fn acknowledged(&self, offset: u64, entry: Entry) {
        {
            let mut tail = self.tail.lock();
            if tail.next == offset {
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
                    tail.push(stored);
                }
            }
            tail.next
        };
        self.advance(next);
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
        while self.bytes > CACHE_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
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
        Log::new("sys.t".to_owned(), &TopicSpec::new("t".parse().unwrap()), next)
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
