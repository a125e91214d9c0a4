//! Which messages are in the log already.
//!
//! A message is acknowledged after it is in the log. A crash in between brings it again, and so does an append that is tried again because nobody knows
//! what became of the first try. So the marks of the last messages are kept, in memory to be asked and in the store to outlive the process,
//! written in the same batch as the events: either both are there or none. The server hands out at most [`super::PREFETCH`] messages that are not acknowledged,
//! so the window is a multiple of what can come twice.

use bytes::{BufMut, Bytes, BytesMut};
use motet_broker::TopicName;
use motet_store::{Batch, Keyspace, Limits, ReadError};
use std::collections::{HashMap, VecDeque};

/// How many marks are kept, for each topic.
pub(super) const WINDOW: usize = 16_384;
/// A page of fewer marks is written again with the next ones in it: a quiet topic would otherwise have a page for each event.
const PAGE_MARKS: usize = 64;

/// Eight bytes of a hash of what a message is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark(pub(super) u64);

impl Mark {
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self(u64::from_le_bytes(bytes))
    }
}

/// The marks of a topic. A page of them is written with each batch of events.
pub(super) struct Recent {
    keyspace: Keyspace,
    topic: TopicName,
    known: HashMap<Mark, u32>,
    pages: VecDeque<(u64, Vec<Mark>)>,
    next: u64,
}

/// A page that is on its way to disk.
pub(super) struct Page {
    number: u64,
    marks: Vec<Mark>,
    /// How many of the oldest pages go with it.
    expired: usize,
}

impl Recent {
    /// What the store holds of a topic. Reads the disk.
    pub(super) fn open(keyspace: Keyspace, topic: TopicName) -> Result<Self, ReadError> {
        let mut recent = Self { keyspace, topic, known: HashMap::new(), pages: VecDeque::new(), next: 0 };
        let prefix = recent.key(None);
        for (key, page) in recent.keyspace.prefix(&prefix, Limits::items(usize::MAX))? {
            let Some(number) = key.get(prefix.len()..).and_then(|number| number.try_into().ok()) else { continue };
            let number = u64::from_be_bytes(number);
            let marks = page.chunks_exact(8).filter_map(|mark| Some(Mark(u64::from_le_bytes(mark.try_into().ok()?))));
            recent.remember(number, marks.collect());
        }
        Ok(recent)
    }

    pub(super) fn knows(&self, mark: Mark) -> bool {
        self.known.contains_key(&mark)
    }

    /// Adds to `batch` what remembers `marks` and forgets the oldest. Nothing changes in memory before [`Recent::written`].
    pub(super) fn write(&self, marks: Vec<Mark>, batch: &mut Batch) -> Page {
        let (number, begun) = match self.pages.back() {
            Some((number, begun)) if begun.len() + marks.len() <= PAGE_MARKS => (*number, begun.as_slice()),
            _ => (self.next, [].as_slice()),
        };
        let mut value = BytesMut::with_capacity((begun.len() + marks.len()) * 8);
        begun.iter().chain(&marks).for_each(|mark| value.put_u64_le(mark.0));
        batch.insert(&self.keyspace, self.key(Some(number)), value.freeze());
        let mut total = marks.len() + self.pages.iter().map(|(_, marks)| marks.len()).sum::<usize>();
        let mut expired = 0;
        for (old, gone) in self.pages.iter().take_while(|(old, _)| *old != number) {
            if total - gone.len() < WINDOW {
                break;
            }
            total -= gone.len();
            expired += 1;
            batch.remove(&self.keyspace, self.key(Some(*old)));
        }
        Page { number, marks, expired }
    }

    /// The batch with the page is durable.
    pub(super) fn written(&mut self, page: Page) {
        for (_, marks) in self.pages.drain(..page.expired.min(self.pages.len())) {
            for mark in marks {
                if let Some(count) = self.known.get_mut(&mark) {
                    *count -= 1;
                    if *count == 0 {
                        self.known.remove(&mark);
                    }
                }
            }
        }
        self.remember(page.number, page.marks);
    }

    fn remember(&mut self, number: u64, mut marks: Vec<Mark>) {
        for mark in &marks {
            *self.known.entry(*mark).or_default() += 1;
        }
        match self.pages.back_mut() {
            Some((last, begun)) if *last == number => begun.append(&mut marks),
            _ => self.pages.push_back((number, marks)),
        }
        self.next = number + 1;
    }

    /// `name | 0 | number`. A name has no zero byte, so no topic's pages lie between another's.
    fn key(&self, number: Option<u64>) -> Bytes {
        let mut key = BytesMut::from(self.topic.as_str());
        key.put_u8(0);
        if let Some(number) = number {
            key.put_u64(number);
        }
        key.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_store::{Options, Store};

    fn marks(numbers: std::ops::Range<u64>) -> Vec<Mark> {
        numbers.map(Mark).collect()
    }

    #[tokio::test]
    async fn marks_outlive_a_restart_and_the_oldest_go_when_there_are_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        let keyspace = store.keyspace("recent").unwrap();
        let topic: TopicName = "orders".parse().unwrap();
        let mut recent = Recent::open(keyspace.clone(), topic.clone()).unwrap();
        let pages = (WINDOW as u64).div_ceil(1000) + 3;
        for page in 0..pages {
            let mut batch = Batch::new();
            let page = recent.write(marks(page * 1000..(page + 1) * 1000), &mut batch);
            store.commit(batch).await.unwrap();
            recent.written(page);
        }
        let reopened = Recent::open(keyspace.clone(), topic).unwrap();
        for recent in [&recent, &reopened] {
            assert!(!recent.knows(Mark(0)) && !recent.knows(Mark(1999)));
            assert!(recent.known.len() >= WINDOW && recent.known.len() < WINDOW + 1000);
            assert!((pages * 1000 - WINDOW as u64..pages * 1000).all(|mark| recent.knows(Mark(mark))));
        }
        assert_eq!(reopened.next, pages);
        let other = Recent::open(keyspace, "orders.late".parse().unwrap()).unwrap();
        assert!(other.known.is_empty());
    }

    #[tokio::test]
    async fn a_quiet_topic_has_few_pages() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        let keyspace = store.keyspace("recent").unwrap();
        let topic: TopicName = "orders".parse().unwrap();
        let mut recent = Recent::open(keyspace.clone(), topic.clone()).unwrap();
        for mark in 0..200 {
            let mut batch = Batch::new();
            let page = recent.write(vec![Mark(mark)], &mut batch);
            store.commit(batch).await.unwrap();
            recent.written(page);
        }
        let reopened = Recent::open(keyspace, topic).unwrap();
        assert_eq!((recent.pages.len(), reopened.pages.len()), (4, 4));
        assert!((0..200).all(|mark| recent.knows(Mark(mark)) && reopened.knows(Mark(mark))));
    }

    #[test]
    fn a_mark_tells_apart_where_one_part_ends_and_the_next_begins() {
        assert_ne!(Mark::of(&[b"ab", b"c"]), Mark::of(&[b"a", b"bc"]));
        assert_eq!(Mark::of(&[b"ab"]), Mark::of(&[b"ab"]));
    }
}
