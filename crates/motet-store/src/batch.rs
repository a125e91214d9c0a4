//! What is to be written together: all of it or none.

use crate::{blob::Pin, keyspace::Keyspace, log::Log};
use bytes::Bytes;

/// What the engine adds to a record in memory and on disk, roughly, in bytes.
const OVERHEAD_BYTES: usize = 48;

/// The engine writes the length of a key in two bytes and does not look whether it fits.
const KEY_BYTES_MAX: usize = u16::MAX as usize;

pub(crate) struct Entry {
    /// Where it goes; see [`Keyspace`].
    pub(crate) keyspace: usize,
    pub(crate) change: Change,
}

pub(crate) enum Change {
    Insert(Bytes, Bytes),
    Remove(Bytes),
    /// To the keyspace of a log.
    Append(u64, Bytes),
}

/// Inserts and removals, possibly of several keyspaces of one store, that take effect together.
#[derive(Default)]
pub struct Batch {
    pub(crate) entries: Vec<Entry>,
    bytes: usize,
    /// Blobs that it begins to refer to: they stay until it is written.
    pub(crate) pins: Vec<Pin>,
    /// Blobs that it lets go of.
    pub(crate) loose: Vec<u128>,
}

impl Batch {
    /// An empty batch. Committing it is a barrier: the answer comes when everything handed in before is durable.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with space for `entries`.
    pub fn with_capacity(entries: usize) -> Self {
        Self { entries: Vec::with_capacity(entries), ..Self::default() }
    }

    /// Writes `value` under `key`, over what stood there. Handed over without a copy when both are `Bytes`.
    ///
    /// # Panics
    /// When the key is empty or longer than 65,535 bytes, which the engine could not read back.
    pub fn insert(&mut self, keyspace: &Keyspace, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        self.push(keyspace, key.len() + value.len(), Change::Insert(fit(key), value));
    }

    /// Removes `key`, if it is there.
    ///
    /// # Panics
    /// As [`Batch::insert`].
    pub fn remove(&mut self, keyspace: &Keyspace, key: impl Into<Bytes>) {
        let key = key.into();
        self.push(keyspace, key.len(), Change::Remove(fit(key)));
    }

    /// Adds a record to a log. Its number must be higher than all that were handed in before.
    ///
    /// # Panics
    /// When the record has 4 GiB or more.
    pub fn append_to(&mut self, log: &Log, number: u64, record: impl Into<Bytes>) {
        let record = record.into();
        assert!(u32::try_from(record.len()).is_ok(), "a record has less than 4 GiB, this one has {}", record.len());
        self.push(log.pages(), size_of::<u64>() + record.len(), Change::Append(number, record));
    }

    fn push(&mut self, keyspace: &Keyspace, bytes: usize, change: Change) {
        self.bytes += bytes + OVERHEAD_BYTES;
        self.entries.push(Entry { keyspace: keyspace.index, change });
    }

    /// Adds what another batch holds, after what is here.
    pub fn append(&mut self, mut other: Batch) {
        self.bytes += other.bytes;
        self.entries.append(&mut other.entries);
        self.pins.append(&mut other.pins);
        self.loose.append(&mut other.loose);
    }

    /// How many records it writes or removes.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What it costs while it waits, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn fit(key: Bytes) -> Bytes {
    let length = key.len();
    assert!((1..=KEY_BYTES_MAX).contains(&length), "keys have 1 to {KEY_BYTES_MAX} bytes, this one has {length}");
    key
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("entries", &self.entries.len()).field("bytes", &self.bytes).finish()
    }
}
