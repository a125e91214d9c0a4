//! What publishers and consumers count, and when: the one place that both ends of a cell share.
//!
//! Only what began within the measured stretch counts for latency, and only what happened within it for the rate. Everything counts for the
//! question whether anything was lost or came twice.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use bytes::Bytes;
use hdrhistogram::Histogram;

use crate::message::{self, Label};

/// A day, in nanoseconds: nothing takes longer.
const LONGEST: u64 = 86_400_000_000_000;

/// So many bits number the messages of a cell.
const CELL_SHIFT: u32 = 40;

/// A message that is about to be published.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Which; no other message of the run has it.
    pub number: u64,
    /// When, in nanoseconds of the tally's clock.
    pub at: u64,
    /// What.
    pub body: Bytes,
}

/// What both ends of a cell share.
#[derive(Debug)]
pub struct Tally {
    epoch: Instant,
    /// Stands above the number of a message: what an earlier cell left behind is known by it.
    cell: u64,
    next: AtomicU64,
    /// The measured stretch, in nanoseconds of the clock; until it is known, nothing is in it.
    from: AtomicU64,
    over: AtomicBool,
    acknowledged: AtomicU64,
    delivered: AtomicU64,
    duplicates: AtomicU64,
    publish: Mutex<Histogram<u64>>,
    end_to_end: Mutex<Histogram<u64>>,
    seen: Mutex<Vec<u64>>,
}

/// How many there were so far.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// When this was read.
    pub at: Instant,
    /// Messages whose publishing was acknowledged.
    pub acknowledged: u64,
    /// Messages that a consumer had.
    pub delivered: u64,
}

impl Tally {
    /// Of the cell with this number.
    pub fn new(cell: u64) -> Self {
        Self {
            epoch: Instant::now(),
            cell,
            next: AtomicU64::new(0),
            from: AtomicU64::new(u64::MAX),
            over: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            publish: Mutex::new(histogram()),
            end_to_end: Mutex::new(histogram()),
            seen: Mutex::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The next message.
    pub fn draft(&self) -> Draft {
        let number = self.cell << CELL_SHIFT | self.next.fetch_add(1, Relaxed);
        let label = Label { number, at: self.now() };
        Draft { number, at: label.at, body: message::write(label) }
    }

    /// A message that was begun at `at` is acknowledged.
    pub fn acknowledged(&self, at: u64) {
        self.acknowledged.fetch_add(1, Relaxed);
        if at >= self.from.load(Relaxed) && !self.is_over() {
            lock(&self.publish).saturating_record((self.now() - at).max(1));
        }
    }

    /// Something came that holds one message or more; how many.
    pub fn delivered(&self, text: &[u8]) -> u64 {
        let (mut rest, mut count) = (text, 0);
        while let Some((label, behind)) = message::read(rest) {
            (rest, count) = (behind, count + 1);
            if label.number >> CELL_SHIFT != self.cell {
                continue;
            }
            if !self.is_new(label.number & ((1 << CELL_SHIFT) - 1)) {
                self.duplicates.fetch_add(1, Relaxed);
                continue;
            }
            self.delivered.fetch_add(1, Relaxed);
            if label.at >= self.from.load(Relaxed) {
                lock(&self.end_to_end).saturating_record(self.now().saturating_sub(label.at).max(1));
            }
        }
        count
    }

    fn is_new(&self, number: u64) -> bool {
        let mut seen = lock(&self.seen);
        let Ok(word) = usize::try_from(number / 64) else { return false };
        if seen.len() <= word {
            seen.resize(word + 1024, 0);
        }
        let bit = 1 << (number % 64);
        let is_new = seen[word] & bit == 0;
        seen[word] |= bit;
        is_new
    }

    /// From now on it counts.
    pub fn begin(&self) -> Counts {
        self.from.store(self.now(), Relaxed);
        self.counts()
    }

    /// Publishers end.
    pub fn end(&self) -> Counts {
        self.over.store(true, Relaxed);
        self.counts()
    }

    /// Whether publishers are to end.
    pub fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// How many there are now.
    pub fn counts(&self) -> Counts {
        let (acknowledged, delivered) = (self.acknowledged.load(Relaxed), self.delivered.load(Relaxed));
        Counts { at: Instant::now(), acknowledged, delivered }
    }

    /// How many came more than once.
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Relaxed)
    }

    /// How long acknowledgements took, and the whole way, in nanoseconds.
    pub fn latencies(&self) -> (Histogram<u64>, Histogram<u64>) {
        (lock(&self.publish).clone(), lock(&self.end_to_end).clone())
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST, 3).expect("three digits up to a day is a range that it takes")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_is_a_duplicate_and_counts_once() {
        let tally = Tally::new(7);
        assert_eq!(tally.delivered(&Tally::new(6).draft().body), 1, "it came, and counts for nothing");
        let early = tally.draft();
        tally.begin();
        let draft = tally.draft();
        let both = [&early.body[..], &draft.body[..]].concat();
        assert_eq!((tally.delivered(&both), tally.delivered(&draft.body)), (2, 1));
        tally.acknowledged(early.at);
        tally.acknowledged(draft.at);
        assert_eq!((tally.counts().delivered, tally.counts().acknowledged, tally.duplicates()), (2, 2, 1));
        let (publish, end_to_end) = tally.latencies();
        assert_eq!((publish.len(), end_to_end.len()), (1, 1), "what began before counts for nothing");
    }
}
