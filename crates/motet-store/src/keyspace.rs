//! Reading, and giving space back.
//!
//! A keyspace is a sorted map of its own. Reads see what is committed; they may touch the disk, so callers on an async thread read little at
//! a time or from a blocking thread.

use crate::error::ReadError;
use bytes::Bytes;
use fjall::{
    AbstractTree, KeyspaceCreateOptions,
    config::{BlockSizePolicy, FilterPolicy, PinningPolicy},
};
use std::{ops::Bound, sync::Arc};

/// How the engine keeps a keyspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The pages of a log: large blocks, no filters.
    Log,
    /// Keys in any order, looked up one by one or by prefix, overwritten and removed: small blocks with filters.
    Index,
}

/// How much a range read returns at most. It stops after the record that reaches either limit.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Records.
    pub items: usize,
    /// Bytes of values.
    pub bytes: usize,
}

impl Limits {
    /// Up to `items` records, whatever their size.
    pub fn items(items: usize) -> Self {
        Self { items, bytes: usize::MAX }
    }
}

/// A sorted map of its own in the store. Cheap to clone.
#[derive(Clone)]
pub struct Keyspace {
    pub(crate) tree: fjall::Keyspace,
    /// Its place among those that were opened: what is written names it by that, for less than a shared reference costs.
    pub(crate) index: usize,
    name: Arc<str>,
}

impl Keyspace {
    pub(crate) fn new(name: &str, index: usize, tree: fjall::Keyspace) -> Self {
        Self { tree, index, name: name.into() }
    }

    /// The name it was opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value under `key`.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, ReadError> {
        Ok(self.tree.get(key).map_err(|error| self.trouble(&error))?.map(Bytes::from))
    }

    /// Records from `from` on and below `to`, in the order of their keys.
    pub fn range(&self, from: &[u8], to: Bound<&[u8]>, limits: Limits) -> Result<Vec<(Bytes, Bytes)>, ReadError> {
        let mut found = Vec::new();
        let mut bytes = 0_usize;
        for record in self.iter(Bound::Included(from), to) {
            if found.len() >= limits.items || bytes >= limits.bytes {
                break;
            }
            let (key, value) = record?;
            bytes = bytes.saturating_add(value.len());
            found.push((key, value));
        }
        Ok(found)
    }

    pub(crate) fn iter(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<(Bytes, Bytes), ReadError>> {
        self.tree.range::<&[u8], _>((from, to)).map(|guard| {
            let (key, value) = guard.into_inner().map_err(|error| self.trouble(&error))?;
            Ok((Bytes::from(key), Bytes::from(value)))
        })
    }

    /// Records whose keys begin with `prefix`, in order.
    pub fn prefix(&self, prefix: &[u8], limits: Limits) -> Result<Vec<(Bytes, Bytes)>, ReadError> {
        match after_prefix(prefix) {
            Some(end) => self.range(prefix, Bound::Excluded(&end), limits),
            None => self.range(prefix, Bound::Unbounded, limits),
        }
    }

    /// The last record whose key is at most `key`, and at least `from`.
    pub fn at_or_before(&self, from: &[u8], key: &[u8]) -> Result<Option<(Bytes, Bytes)>, ReadError> {
        if from > key {
            return Ok(None);
        }
        self.iter(Bound::Included(from), Bound::Included(key)).next_back().transpose()
    }

    /// The record with the highest key.
    pub fn last(&self) -> Result<Option<(Bytes, Bytes)>, ReadError> {
        let last = self.tree.last_key_value();
        last.map(|guard| guard.into_inner().map(|(key, value)| (Bytes::from(key), Bytes::from(value))))
            .transpose()
            .map_err(|error| self.trouble(&error))
    }

    /// Gives back the disk space of whole tables that hold nothing but keys below `below`. Blocks while a compaction runs.
    pub(crate) fn drop_below(&self, below: &[u8]) -> Result<(), ReadError> {
        let range = (Bound::Unbounded, Bound::Excluded(below));
        self.tree
            .tree
            .drop_range::<&[u8], _>(range)
            .map_err(|error| ReadError { keyspace: self.name.clone(), reason: format!("{error:?}").into() })
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.tree.disk_space()
    }

    pub(crate) fn unflushed_bytes(&self) -> u64 {
        self.tree.tree.active_memtable().size()
    }

    /// How many parts of memory are full and wait to become tables.
    pub(crate) fn full_parts(&self) -> usize {
        self.tree.tree.sealed_memtable_count()
    }

    fn trouble(&self, error: &fjall::Error) -> ReadError {
        ReadError { keyspace: self.name.clone(), reason: error.to_string().into() }
    }
}

/// The first key that is greater than all keys with this prefix.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

impl Shape {
    pub(crate) fn engine_options(self, memtable_bytes: u64) -> KeyspaceCreateOptions {
        let options = KeyspaceCreateOptions::default()
            .manual_journal_persist(true)
            .max_memtable_size(memtable_bytes)
            .index_block_pinning_policy(PinningPolicy::all(false))
            .filter_block_pinning_policy(PinningPolicy::all(false));
        match self {
            Self::Log => {
                options.data_block_size_policy(BlockSizePolicy::all(16 * 1024)).filter_policy(FilterPolicy::disabled())
            }
            Self::Index => options,
        }
    }
}

impl std::fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keyspace").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::after_prefix;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_that_does_not_have_it() {
        assert_eq!(after_prefix(b"ab").as_deref(), Some(&b"ac"[..]));
        assert_eq!(after_prefix(&[1, 0xff]).as_deref(), Some(&[2][..]));
        assert_eq!(after_prefix(&[0xff, 0xff]), None);
        assert_eq!(after_prefix(b""), None);
    }
}
