//! What a store has done since it was opened.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A look at the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Durable writes that were answered with yes.
    pub commits: u64,
    /// Lazy writes that were taken.
    pub lazy_writes: u64,
    /// Records written or removed.
    pub records: u64,
    /// Bytes of keys and values, with a constant per record.
    pub bytes: u64,
    /// Syncs of the journal: far fewer than commits when many write at once.
    pub syncs: u64,
    /// Time spent in writing and syncing the journal, in microseconds.
    pub sync_micros: u64,
    /// The longest of them, in microseconds.
    pub sync_longest_micros: u64,
    /// Writes that had to wait for room.
    pub waits: u64,
    /// Writes that were refused: no room in time, no space, or poisoned.
    pub refusals: u64,
    /// Bytes that wait to be written now.
    pub waiting_bytes: u64,
    /// Bytes in the journal that are not in tables yet, now.
    pub unflushed_bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) lazy_writes: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) sync_micros: AtomicU64,
    pub(crate) sync_longest_micros: AtomicU64,
    pub(crate) waits: AtomicU64,
    pub(crate) refusals: AtomicU64,
}

impl Counters {
    pub(crate) fn look(&self, waiting_bytes: u64, unflushed_bytes: u64) -> Stats {
        Stats {
            commits: self.commits.load(Relaxed),
            lazy_writes: self.lazy_writes.load(Relaxed),
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            syncs: self.syncs.load(Relaxed),
            sync_micros: self.sync_micros.load(Relaxed),
            sync_longest_micros: self.sync_longest_micros.load(Relaxed),
            waits: self.waits.load(Relaxed),
            refusals: self.refusals.load(Relaxed),
            waiting_bytes,
            unflushed_bytes,
        }
    }
}
