//! One order over the partitions of a topic.
//!
//! The broker knows one rising position per topic; Kafka knows one rising offset per partition. So where a topic has several partitions,
//! Motet counts its records in the order in which they arrive here, whatever partition they come from, and remembers the count in runs:
//! from this position on, so many records stand at these offsets of that partition. A key is in one partition, so its events keep their
//! order; of what has no key in common, any order is as good.
//!
//! Runs are written lazily, but handed to the store before anybody hears of the positions in them. The store keeps what it is handed in
//! order, so a crash may forget the last positions, and never one that a checkpoint speaks of; what is forgotten is counted again.
//!
//! What is already there when a topic is seen for the first time, or was published while Motet was away, is one run for each partition, without
//! reading it. Partition 0 comes first and begins with its own offsets: so a topic that had one partition keeps its positions.

use bytes::{BufMut, Bytes, BytesMut};
use motet_broker::Limits;
use motet_store::{Batch, Keyspace, ReadError};
use std::collections::VecDeque;

/// So many runs are remembered in memory, to find positions of what was just appended.
const RECENT: usize = 16_384;

/// Records of one partition that were counted one after the other. A gap between offsets is a gap between positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The position of the first.
    pub(super) position: u64,
    /// Where they stand.
    pub(super) partition: u32,
    /// The offset of the first.
    pub(super) offset: u64,
    /// How many offsets it covers.
    pub(super) length: u64,
}

impl Run {
    /// The position behind it.
    pub(super) fn end(&self) -> u64 {
        self.position + self.length
    }

    /// The offset behind it.
    pub(super) fn offset_end(&self) -> u64 {
        self.offset + self.length
    }

    fn position_of(&self, partition: u32, offset: u64) -> Option<u64> {
        let is_in = self.partition == partition && (self.offset..self.offset_end()).contains(&offset);
        is_in.then(|| self.position + (offset - self.offset))
    }
}

/// What a partition holds now: the oldest offset, and the one behind the newest that may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) next: u64,
}

/// The count of one topic.
#[derive(Debug)]
pub(super) struct Index {
    keys: Keys,
    next: u64,
    /// Of each partition, the offset that is counted next.
    offsets: Vec<u64>,
    recent: VecDeque<Run>,
    unwritten: Vec<Run>,
}

impl Index {
    /// Reads how far the count is, and counts what has come since. `spans`: of each partition.
    pub(super) fn open(keyspace: &Keyspace, topic: &str, spans: &[Span]) -> Result<Self, ReadError> {
        let keys = Keys::new(keyspace, topic);
        let (next, offsets) =
            keys.read_ends()?.unwrap_or_else(|| (spans.first().map_or(0, |span| span.first), Vec::new()));
        let mut index = Self { keys, next, offsets, recent: VecDeque::new(), unwritten: Vec::new() };
        index.grow(spans);
        Ok(index)
    }

    /// Counts what is there and has not been counted. A partition that ends before what was counted was made anew.
    fn grow(&mut self, spans: &[Span]) {
        for (partition, span) in (0..).zip(spans) {
            let counted = self.offsets.get(partition as usize).copied().filter(|offset| *offset <= span.next);
            let from = counted.unwrap_or(span.first).max(span.first);
            if self.offsets.len() <= partition as usize {
                self.offsets.push(from);
            }
            self.offsets[partition as usize] = span.next;
            if from < span.next {
                let run = Run { position: self.next, partition, offset: from, length: span.next - from };
                self.next = run.end();
                self.remember(run);
            }
        }
    }

    fn remember(&mut self, run: Run) {
        self.recent.push_back(run);
        self.unwritten.push(run);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// The position that the next record gets, if it does not go on in a partition behind a gap.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// How many partitions it counts.
    pub(super) fn partitions(&self) -> u32 {
        u32::try_from(self.offsets.len()).unwrap_or(u32::MAX)
    }

    /// The offset of a partition that is counted next.
    pub(super) fn offset(&self, partition: u32) -> u64 {
        self.offsets.get(partition as usize).copied().unwrap_or(0)
    }

    /// Of each partition, the offset that is counted next.
    pub(super) fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// Counts a record that arrived. Nothing if it was counted before, or its partition is not known here.
    pub(super) fn count(&mut self, partition: u32, offset: u64) -> Option<u64> {
        let counted = self.offsets.get_mut(partition as usize)?;
        if offset < *counted {
            return None;
        }
        *counted = offset + 1;
        let goes_on = |run: &&mut Run| run.partition == partition && offset >= run.offset;
        if let Some(last) = self.recent.back_mut().filter(goes_on) {
            last.length = offset - last.offset + 1;
            self.next = last.end();
            let run = *last;
            match self.unwritten.last_mut().filter(|unwritten| unwritten.position == run.position) {
                Some(unwritten) => *unwritten = run,
                None => self.unwritten.push(run),
            }
        } else {
            self.remember(Run { position: self.next, partition, offset, length: 1 });
            self.next += 1;
        }
        Some(self.next - 1)
    }

    /// What is to be written of what was counted since [`Index::written`].
    pub(super) fn unwritten(&self) -> Batch {
        let mut batch = Batch::with_capacity(self.unwritten.len() * 2 + 1);
        if self.unwritten.is_empty() {
            return batch;
        }
        for run in &self.unwritten {
            self.keys.write(&mut batch, *run);
        }
        self.keys.write_ends(&mut batch, self.next, &self.offsets);
        batch
    }

    /// It was.
    pub(super) fn written(&mut self) {
        self.unwritten.clear();
    }

    /// The position of what was counted a moment ago.
    pub(super) fn recent_position(&self, partition: u32, offset: u64) -> Option<u64> {
        self.recent.iter().rev().find_map(|run| run.position_of(partition, offset))
    }

    /// The position of the first record of a partition that stands at `offset` or behind it, if that was counted a moment ago.
    pub(super) fn recent_from(&self, partition: u32, offset: u64) -> Option<u64> {
        let run = self.recent.iter().find(|run| run.partition == partition && run.offset_end() > offset)?;
        Some(run.position + offset.saturating_sub(run.offset))
    }

    /// The run of a position, or the next behind it, among those that were counted a moment ago. Nothing: it is older, or there is none.
    pub(super) fn recent_run(&self, position: u64) -> Option<Run> {
        self.oldest_recent().filter(|oldest| oldest.position <= position)?;
        let at = self.recent.partition_point(|run| run.end() <= position);
        self.recent.get(at).copied()
    }

    /// The first of those that were counted a moment ago.
    pub(super) fn oldest_recent(&self) -> Option<Run> {
        self.recent.front().copied()
    }

    /// Where it is written.
    pub(super) fn keys(&self) -> Keys {
        self.keys.clone()
    }
}

/// Where the count of a topic stands in the store: `topic 0 | kind | …`, numbers big-endian. By position, by partition and offset, and
/// how far the count is.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    keyspace: Keyspace,
    prefix: Bytes,
}

const BY_POSITION: u8 = 1;
const BY_OFFSET: u8 = 2;
const ENDS: u8 = 3;

impl Keys {
    fn new(keyspace: &Keyspace, topic: &str) -> Self {
        let prefix = [topic.as_bytes(), &[0]].concat();
        Self { keyspace: keyspace.clone(), prefix: prefix.into() }
    }

    fn key(&self, kind: u8, partition: Option<u32>, number: u64) -> Bytes {
        let mut key = BytesMut::with_capacity(self.prefix.len() + 13);
        key.put_slice(&self.prefix);
        key.put_u8(kind);
        if let Some(partition) = partition {
            key.put_u32(partition);
        }
        key.put_u64(number);
        key.freeze()
    }

    fn write(&self, batch: &mut Batch, run: Run) {
        let mut value = BytesMut::with_capacity(20);
        value.put_u32(run.partition);
        value.put_u64(run.offset);
        value.put_u64(run.length);
        batch.insert(&self.keyspace, self.key(BY_POSITION, None, run.position), value.freeze());
        let key = self.key(BY_OFFSET, Some(run.partition), run.offset);
        batch.insert(&self.keyspace, key, Bytes::copy_from_slice(&run.position.to_be_bytes()));
    }

    fn write_ends(&self, batch: &mut Batch, next: u64, offsets: &[u64]) {
        let mut value = BytesMut::with_capacity(8 + offsets.len() * 8);
        value.put_u64(next);
        offsets.iter().for_each(|offset| value.put_u64(*offset));
        batch.insert(&self.keyspace, self.key(ENDS, None, 0), value.freeze());
    }

    fn read_ends(&self) -> Result<Option<(u64, Vec<u64>)>, ReadError> {
        let Some(value) = self.keyspace.get(self.key(ENDS, None, 0))? else { return Ok(None) };
        let mut numbers = value.chunks_exact(8).map(number);
        Ok(numbers.next().map(|next| (next, numbers.collect())))
    }

    /// The run in which a position stands, or the next behind it.
    pub(super) fn run_at(&self, position: u64) -> Result<Option<Run>, ReadError> {
        let (from, at) = (self.key(BY_POSITION, None, 0), self.key(BY_POSITION, None, position));
        let before = self.keyspace.at_or_before(&from, &at)?.and_then(|entry| self.run(&entry));
        if let Some(run) = before.filter(|run| position < run.end()) {
            return Ok(Some(run));
        }
        Ok(self.runs(position, Limits::items(1))?.into_iter().next())
    }

    /// Runs that begin at a position or behind it, in order.
    pub(super) fn runs(&self, from: u64, limits: Limits) -> Result<Vec<Run>, ReadError> {
        let (from, to) = (self.key(BY_POSITION, None, from), self.key(BY_POSITION, None, u64::MAX));
        let found = self.keyspace.range(&from, std::ops::Bound::Included(&to), limits)?;
        Ok(found.iter().filter_map(|entry| self.run(entry)).collect())
    }

    fn run(&self, (key, value): &(Bytes, Bytes)) -> Option<Run> {
        let position = number(key.get(self.prefix.len() + 1..)?);
        let partition = u32::from_be_bytes(value.get(..4)?.try_into().ok()?);
        Some(Run { position, partition, offset: number(value.get(4..12)?), length: number(value.get(12..20)?) })
    }

    /// The position of the first record of a partition that stands at `offset` or behind it.
    pub(super) fn position_of(&self, partition: u32, offset: u64) -> Result<Option<u64>, ReadError> {
        let from = self.key(BY_OFFSET, Some(partition), 0);
        let at = self.key(BY_OFFSET, Some(partition), offset);
        if let Some((_, value)) = self.keyspace.at_or_before(&from, &at)?
            && let Some(run) = self.run_at(number(&value))?
            && let Some(position) = run.position_of(partition, offset)
        {
            return Ok(Some(position));
        }
        let to = self.key(BY_OFFSET, Some(partition), u64::MAX);
        let behind = self.keyspace.range(&at, std::ops::Bound::Included(&to), Limits::items(1))?;
        Ok(behind.first().map(|(_, value)| number(value)))
    }

    /// Forgets runs between `from` and `position`, as many as one batch should have. Where to go on, if there are more.
    pub(super) fn forget(&self, from: u64, position: u64) -> Result<(Batch, Option<u64>), ReadError> {
        let (mut batch, mut behind) = (Batch::new(), None);
        let runs = self.runs(from, Limits::items(4096))?;
        for run in runs.into_iter().take_while(|run| run.end() <= position) {
            batch.remove(&self.keyspace, self.key(BY_POSITION, None, run.position));
            batch.remove(&self.keyspace, self.key(BY_OFFSET, Some(run.partition), run.offset));
            behind = Some(run.end());
        }
        Ok((batch, behind))
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.get(..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// The partition of a key, as Kafka's own clients choose it (murmur2): other programs that write the same key write to the same partition.
pub(super) fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

/// MurmurHash2 by Austin Appleby, in 32 bits, with the seed of Kafka's clients.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ length;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut mixed = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(M) ^ mixed.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_store::{Options, Store};

    fn store(place: &tempfile::TempDir) -> (Store, Keyspace) {
        let store = Store::open(place.path(), Options { reserve_bytes: 0, ..Options::default() }).unwrap();
        let keyspace = store.keyspace("kafka.index").unwrap();
        (store, keyspace)
    }

    fn spans(list: &[(u64, u64)]) -> Vec<Span> {
        list.iter().map(|(first, next)| Span { first: *first, next: *next }).collect()
    }

    #[test]
    fn partitions_are_those_that_kafkas_own_clients_choose() {
        let known: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (text, hash) in known {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_there_is_one_run_for_each_partition_and_partition_0_keeps_its_offsets() {
        let place = tempfile::tempdir().unwrap();
        let (store, keyspace) = store(&place);
        let mut index = Index::open(&keyspace, "t", &spans(&[(5, 10), (0, 0), (2, 4)])).unwrap();
        assert_eq!(index.next(), 12);
        store.commit(index.unwritten()).await.unwrap();
        index.written();
        let keys = index.keys();
        assert_eq!(keys.run_at(7).unwrap(), Some(Run { position: 5, partition: 0, offset: 5, length: 5 }));
        assert_eq!(keys.run_at(0).unwrap().unwrap().position, 5);
        assert_eq!(keys.run_at(11).unwrap(), Some(Run { position: 10, partition: 2, offset: 2, length: 2 }));
        assert_eq!(keys.run_at(12).unwrap(), None);
        assert_eq!(keys.position_of(0, 7).unwrap(), Some(7));
        assert_eq!(keys.position_of(2, 0).unwrap(), Some(10), "the first that is there");
        assert_eq!(keys.position_of(1, 0).unwrap(), None);
    }

    #[tokio::test]
    async fn records_are_counted_as_they_arrive_and_once() {
        let place = tempfile::tempdir().unwrap();
        let (store, keyspace) = store(&place);
        let mut index = Index::open(&keyspace, "t", &spans(&[(0, 0), (0, 0)])).unwrap();
        let arriving = [(0, 0), (0, 1), (1, 0), (1, 2), (0, 2), (1, 2), (9, 0)];
        let counted: Vec<_> = arriving.map(|(partition, offset)| index.count(partition, offset)).into();
        assert_eq!(counted, [Some(0), Some(1), Some(2), Some(4), Some(5), None, None], "a gap is a gap");
        assert_eq!(index.recent_position(1, 2), Some(4));
        assert_eq!(index.recent_position(1, 3), None);
        let run = |position| index.recent_run(position).map(|run| run.position);
        assert_eq!(
            [run(0), run(1), run(2), run(4), run(5), run(6)],
            [Some(0), Some(0), Some(2), Some(2), Some(5), None]
        );
        store.commit(index.unwritten()).await.unwrap();
        index.written();
        assert_eq!(index.count(0, 3), Some(6));
        store.commit(index.unwritten()).await.unwrap();
        index.written();
        let keys = index.keys();
        let found: Vec<_> = keys.runs(0, Limits::items(9)).unwrap();
        assert_eq!(found.iter().map(|run| (run.position, run.length)).collect::<Vec<_>>(), [(0, 2), (2, 3), (5, 2)]);
        assert_eq!((keys.position_of(1, 1).unwrap(), keys.position_of(0, 3).unwrap()), (Some(3), Some(6)));
        let (batch, behind) = keys.forget(0, 5).unwrap();
        assert_eq!(behind, Some(5));
        store.commit(batch).await.unwrap();
        assert_eq!(keys.forget(5, 5).unwrap().1, None);
        assert_eq!(keys.runs(0, Limits::items(9)).unwrap().len(), 1);
        assert_eq!(keys.position_of(0, 0).unwrap(), Some(5));
    }

    #[tokio::test]
    async fn a_count_goes_on_where_it_was_with_what_came_since_and_new_partitions() {
        let place = tempfile::tempdir().unwrap();
        let (store, keyspace) = store(&place);
        let mut index = Index::open(&keyspace, "t", &spans(&[(0, 3), (0, 1)])).unwrap();
        index.count(1, 1);
        store.commit(index.unwritten()).await.unwrap();
        index.written();
        let mut other = Index::open(&keyspace, "t.t", &spans(&[(0, 1)])).unwrap();
        store.commit(other.unwritten()).await.unwrap();
        other.written();

        let mut index = Index::open(&keyspace, "t", &spans(&[(0, 5), (0, 2), (0, 1)])).unwrap();
        assert_eq!((index.next(), index.partitions(), index.offset(0)), (8, 3, 5));
        store.commit(index.unwritten()).await.unwrap();
        index.written();
        assert_eq!(index.keys().position_of(0, 4).unwrap(), Some(6));
        assert_eq!(index.keys().position_of(2, 0).unwrap(), Some(7));

        let mut anew = Index::open(&keyspace, "t", &spans(&[(0, 1), (0, 2), (0, 1)])).unwrap();
        assert_eq!(anew.next(), 9, "a topic that was made anew is counted on, not again");
        store.commit(anew.unwritten()).await.unwrap();
        anew.written();
        assert_eq!(anew.keys().run_at(8).unwrap(), Some(Run { position: 8, partition: 0, offset: 0, length: 1 }));
    }
}
