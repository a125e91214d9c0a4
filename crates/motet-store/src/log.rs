//! Records by number, which only rise: read in order, dropped from the front.
//!
//! Records that are written in one group and follow each other lie together in a *page*. The engine asks a price for each thing that it
//! keeps (an item in the journal, a place in memory and one in a table, a search when they are merged): it is paid per page, and the more
//! is written at once, the less it is per record. A record that is written alone is a page of one.

use crate::{
    error::ReadError,
    keyspace::{Keyspace, Limits},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::{collections::HashMap, ops::Bound};

/// A page that has so many bytes gets no further record. Whoever keeps one record keeps its page in memory.
const PAGE_BYTES: usize = 32 << 10;

/// A log in the store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    pages: Keyspace,
}

impl Log {
    pub(crate) fn new(pages: Keyspace) -> Self {
        Self { pages }
    }

    /// The name it was opened by.
    pub fn name(&self) -> &str {
        self.pages.name()
    }

    pub(crate) fn pages(&self) -> &Keyspace {
        &self.pages
    }

    /// Records from number `from` on, in order.
    pub fn range(&self, from: u64, limits: Limits) -> Result<Vec<(u64, Bytes)>, ReadError> {
        let mut found = Found { records: Vec::new(), bytes: 0, limits };
        let key = from.to_be_bytes();
        // Its page begins at it or before it.
        if let Some(page) = self.pages.at_or_before(&FIRST, &key)? {
            found.take(from, &self.read(page)?);
        }
        for page in self.pages.iter(Bound::Excluded(&key), Bound::Unbounded) {
            if found.is_enough() {
                break;
            }
            found.take(from, &self.read(page?)?);
        }
        Ok(found.records)
    }

    /// The highest number.
    pub fn last(&self) -> Result<Option<u64>, ReadError> {
        let Some(page) = self.pages.last()? else { return Ok(None) };
        let page = self.read(page)?;
        Ok(Some(page.first + page.count() as u64 - 1))
    }

    /// Gives back the disk space of whole tables that hold nothing but numbers below `number`. What shares a table with newer records, or is
    /// still in memory, stays until later: the caller remembers itself where its log begins. The newest record never goes, because by its
    /// table the engine knows which journals are done with. Blocks while a compaction runs: call it from a blocking thread.
    pub fn drop_below(&self, number: u64) -> Result<(), ReadError> {
        // The page that it is in may begin before it; and there always is one, so the newest stays.
        let Some((page, _)) = self.pages.at_or_before(&FIRST, &number.to_be_bytes())? else { return Ok(()) };
        self.pages.drop_below(&page)
    }

    /// What it takes on disk in tables, in bytes; what is still in the journal does not count.
    pub fn disk_bytes(&self) -> u64 {
        self.pages.disk_bytes()
    }

    fn read(&self, (key, page): (Bytes, Bytes)) -> Result<Page, ReadError> {
        Page::read(&key, page).ok_or_else(|| ReadError {
            keyspace: self.name().into(),
            reason: format!("the page under {key:02x?} is none").into(),
        })
    }
}

/// Not behind any page's key.
const FIRST: [u8; 8] = [0; 8];

/// `count | count lengths | records`: numbers of four bytes, little-endian. Its key is the first number, big-endian.
struct Page {
    first: u64,
    lengths: Bytes,
    records: Bytes,
}

impl Page {
    fn read(key: &[u8], mut page: Bytes) -> Option<Self> {
        let first = u64::from_be_bytes(key.try_into().ok()?);
        let count = page.try_get_u32_le().ok()? as usize;
        let lengths = (count > 0 && count <= page.len() / 4).then(|| page.split_to(count * 4))?;
        let read = Self { first, lengths, records: page };
        let total: u64 = read.lengths().map(|length| length as u64).sum();
        (total == read.records.len() as u64).then_some(read)
    }

    fn count(&self) -> usize {
        self.lengths.len() / 4
    }

    fn lengths(&self) -> impl Iterator<Item = usize> {
        self.lengths.chunks_exact(4).map(|mut length| length.get_u32_le() as usize)
    }
}

/// What a reader gets.
struct Found {
    records: Vec<(u64, Bytes)>,
    bytes: usize,
    limits: Limits,
}

impl Found {
    fn is_enough(&self) -> bool {
        self.records.len() >= self.limits.items || self.bytes >= self.limits.bytes
    }

    fn take(&mut self, from: u64, page: &Page) {
        let mut at = 0;
        for (number, length) in (page.first..).zip(page.lengths()) {
            if self.is_enough() {
                return;
            }
            if number >= from {
                self.records.push((number, page.records.slice(at..at + length)));
                self.bytes = self.bytes.saturating_add(length);
            }
            at += length;
        }
    }
}

/// The pages that a group is going to have.
#[derive(Default)]
pub(crate) struct Drafts(HashMap<usize, Draft>);

struct Draft {
    log: fjall::Keyspace,
    first: u64,
    records: Vec<Bytes>,
    bytes: usize,
}

impl Drafts {
    /// One more record; `batch` gets the page that is full by it.
    pub(crate) fn add(&mut self, log: &Keyspace, number: u64, record: Bytes, batch: &mut fjall::OwnedWriteBatch) {
        let empty = || Draft { log: log.tree.clone(), first: 0, records: Vec::new(), bytes: 0 };
        let draft = self.0.entry(log.index).or_insert_with(empty);
        let follows = number == draft.first + draft.records.len() as u64;
        if !follows || draft.bytes + record.len() > PAGE_BYTES {
            draft.write(batch);
            draft.first = number;
        }
        draft.bytes += record.len();
        draft.records.push(record);
    }

    /// The pages that are not full.
    pub(crate) fn finish(self, batch: &mut fjall::OwnedWriteBatch) {
        self.0.into_values().for_each(|mut draft| draft.write(batch));
    }
}

impl Draft {
    fn write(&mut self, batch: &mut fjall::OwnedWriteBatch) {
        if self.records.is_empty() {
            return;
        }
        let page = write_page(&self.records, self.bytes);
        batch.insert(&self.log, Bytes::copy_from_slice(&self.first.to_be_bytes()), page);
        self.records.clear();
        self.bytes = 0;
    }
}

fn write_page(records: &[Bytes], bytes: usize) -> Bytes {
    let mut page = BytesMut::with_capacity(4 + 4 * records.len() + bytes);
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    page.put_u32_le(number(records.len()));
    records.iter().for_each(|record| page.put_u32_le(number(record.len())));
    records.iter().for_each(|record| page.put_slice(record));
    page.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(page: &Page) -> Vec<Bytes> {
        let mut found = Found { records: Vec::new(), bytes: 0, limits: Limits::items(usize::MAX) };
        found.take(0, page);
        found.records.into_iter().map(|(_, record)| record).collect()
    }

    #[test]
    fn a_page_reads_back_as_it_was_and_nothing_else_is_one() {
        let all: Vec<Bytes> = ["one", "", "three"].map(Bytes::from).into();
        let page = write_page(&all, 8);
        let key = 7_u64.to_be_bytes();
        let read = Page::read(&key, page.clone()).expect("a page");
        assert_eq!((read.first, read.count(), records(&read)), (7, 3, all));
        for length in 0..page.len() {
            assert!(Page::read(&key, page.slice(..length)).is_none(), "cut at {length}");
        }
        assert!(Page::read(&key[1..], page.clone()).is_none());
        let mut longer = page.to_vec();
        longer.push(0);
        assert!(Page::read(&key, longer.into()).is_none());
        assert!(Page::read(&key, Bytes::from_static(&[0; 4])).is_none(), "a page of none");
        assert!(Page::read(&key, Bytes::from_static(&[0xff; 64])).is_none());
    }

    #[tokio::test]
    async fn what_is_written_in_one_group_is_one_page_until_it_is_full() {
        let directory = tempfile::tempdir().unwrap();
        let store = crate::Store::open(directory.path(), crate::Options::default()).unwrap();
        let log = store.log("log").unwrap();
        let other = store.log("other").unwrap();
        let mut number = 0;
        // A hole in the numbers begins a page, and so does every group.
        for (records, bytes, pages) in [(1000, 10, 1), (1, 10, 1), (64, 1 << 10, 2), (3, PAGE_BYTES, 3), (2, 10, 1)] {
            number += 1;
            let before = log.pages.iter(Bound::Unbounded, Bound::Unbounded).count();
            let mut batch = crate::Batch::new();
            for _ in 0..records {
                batch.append_to(&log, number, vec![1; bytes]);
                batch.append_to(&other, number, "x");
                number += 1;
            }
            store.commit(batch).await.unwrap();
            let after = log.pages.iter(Bound::Unbounded, Bound::Unbounded).count();
            assert_eq!(after - before, pages, "{records} records of {bytes} bytes");
        }
        assert_eq!(other.pages.iter(Bound::Unbounded, Bound::Unbounded).count(), 5);
    }
}
