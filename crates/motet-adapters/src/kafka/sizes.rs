//! How many bytes stand behind which position, so that a topic can be held to a size.
//!
//! Kafka gives back by size what it keeps in whole files, late, and tells no client how large anything is. So Motet adds up what it sees of
//! a topic and notes now and then where it stood at which sum. What came while Motet was away is estimated by what it has seen. The notes
//! are written when the topic is trimmed; a crash costs the last of them, which are estimated then.

use bytes::{BufMut, Bytes, BytesMut};
use motet_store::{Batch, Keyspace, Limits, ReadError};
use std::ops::Bound;

/// After so many bytes there is another note.
const NOTE_BYTES: u64 = 256 << 10;
/// So many notes wait to be written at most; without more of them, more is given back at a time.
const UNWRITTEN: usize = 65_536;

/// The sums of one topic.
#[derive(Debug)]
pub(super) struct Sizes {
    keyspace: Keyspace,
    prefix: Bytes,
    sum: u64,
    records: u64,
    noted: u64,
    unwritten: Vec<Mark>,
}

/// Up to here, so many bytes and records were seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    position: u64,
    sum: u64,
    records: u64,
    /// Of each partition, the offset that stands there.
    pub(super) offsets: Vec<u64>,
}

impl Sizes {
    /// Reads how far the sum is; the topic ends before `next` now, with these offsets.
    pub(super) fn open(keyspace: &Keyspace, topic: &str, next: u64, offsets: &[u64]) -> Result<Self, ReadError> {
        let prefix = Bytes::from([topic.as_bytes(), &[0]].concat());
        let end = [&prefix[..], &u64::MAX.to_be_bytes()].concat();
        let last = keyspace.at_or_before(&prefix, &end)?.and_then(|entry| Mark::read(&prefix, &entry));
        let (sum, records) = last.as_ref().map_or((0, 0), |last| {
            let missed = next.saturating_sub(last.position);
            let each = last.sum.checked_div(last.records).unwrap_or(0);
            (last.sum.saturating_add(missed.saturating_mul(each)), last.records.saturating_add(missed))
        });
        let mut sizes = Self { keyspace: keyspace.clone(), prefix, sum, records, noted: sum, unwritten: Vec::new() };
        sizes.note(next, offsets);
        Ok(sizes)
    }

    /// A record came; the next will have the position `next` or a later one.
    pub(super) fn add(&mut self, bytes: usize, next: u64, offsets: impl FnOnce() -> Vec<u64>) {
        self.sum += bytes as u64;
        self.records += 1;
        if self.sum - self.noted >= NOTE_BYTES && self.unwritten.len() < UNWRITTEN {
            self.noted = self.sum;
            self.note(next, &offsets());
        }
    }

    fn note(&mut self, position: u64, offsets: &[u64]) {
        self.unwritten.push(Mark { position, sum: self.sum, records: self.records, offsets: offsets.to_vec() });
    }

    /// What is to be written of the notes since the last time.
    pub(super) fn unwritten(&mut self) -> Batch {
        let mut batch = Batch::with_capacity(self.unwritten.len());
        for mark in std::mem::take(&mut self.unwritten) {
            batch.insert(&self.keyspace, self.key(mark.position), mark.value());
        }
        batch
    }

    /// How many bytes have been seen in all.
    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// Where these notes stand.
    pub(super) fn reader(&self) -> (Keyspace, Bytes) {
        (self.keyspace.clone(), self.prefix.clone())
    }

    fn key(&self, position: u64) -> Bytes {
        [&self.prefix[..], &position.to_be_bytes()].concat().into()
    }
}

/// The first note from which on no more than `bytes` of `sum` stand, and the removal of notes before it.
pub(super) fn first_within(
    (keyspace, prefix): &(Keyspace, Bytes),
    sum: u64,
    bytes: u64,
) -> Result<Option<(Mark, Batch)>, ReadError> {
    let end = [&prefix[..], &u64::MAX.to_be_bytes()].concat();
    let (mut from, mut batch) = (prefix.to_vec(), Batch::new());
    loop {
        let found = keyspace.range(&from, Bound::Included(&end), Limits::items(1024))?;
        let Some((last, _)) = found.last() else { return Ok(None) };
        from = [last.as_ref(), &[0]].concat();
        for entry in found {
            match Mark::read(prefix, &entry) {
                Some(mark) if sum.saturating_sub(mark.sum) <= bytes => return Ok(Some((mark, batch))),
                _ => batch.remove(keyspace, entry.0),
            }
        }
    }
}

impl Mark {
    fn value(&self) -> Bytes {
        let mut value = BytesMut::with_capacity(16 + self.offsets.len() * 8);
        value.put_u64(self.sum);
        value.put_u64(self.records);
        self.offsets.iter().for_each(|offset| value.put_u64(*offset));
        value.freeze()
    }

    fn read(prefix: &Bytes, (key, value): &(Bytes, Bytes)) -> Option<Self> {
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_be_bytes);
        let position = number(key.get(prefix.len()..)?);
        let mut numbers = value.chunks_exact(8).map(number);
        Some(Self { position, sum: numbers.next()?, records: numbers.next()?, offsets: numbers.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_store::{Options, Store};

    #[tokio::test]
    async fn the_place_is_found_from_which_on_a_topic_is_small_enough() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(place.path(), Options { reserve_bytes: 0, ..Options::default() }).unwrap();
        let keyspace = store.keyspace("kafka.sizes").unwrap();
        let mut sizes = Sizes::open(&keyspace, "t", 100, &[100]).unwrap();
        let each = (NOTE_BYTES / 4) as usize;
        for position in 100..140 {
            sizes.add(each, position + 1, || vec![position + 1]);
        }
        store.commit(sizes.unwritten()).await.unwrap();
        let find =
            |sizes: &Sizes, bytes| first_within(&sizes.reader(), sizes.sum(), bytes).unwrap().unwrap().0.position;
        assert_eq!(find(&sizes, u64::MAX), 100);
        assert_eq!(find(&sizes, each as u64 * 10), 132, "8 records are kept, because 12 would be too much");
        assert_eq!(find(&sizes, 0), 140);

        // 40 more came while nobody looked: as large as the others, presumably.
        let mut sizes = Sizes::open(&keyspace, "t", 180, &[180]).unwrap();
        assert_eq!(sizes.sum(), each as u64 * 80);
        store.commit(sizes.unwritten()).await.unwrap();
        assert_eq!(find(&sizes, each as u64 * 60), 120);
        let (mark, batch) = first_within(&sizes.reader(), sizes.sum(), each as u64 * 60).unwrap().unwrap();
        assert_eq!(mark.offsets, [120]);
        store.commit(batch).await.unwrap();
        assert_eq!(find(&sizes, u64::MAX), 120, "what is behind is forgotten");
    }
}
