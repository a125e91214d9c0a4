//! The newest records of a topic, kept in memory for a moment: who follows its end reads them from here.
//!
//! Subscribers that keep up read each event a moment after it became durable. From the store that would be a search in its tables, on a thread
//! that may block, for every few events: more than everything else in a delivery. What is kept here is bounded, and let go when nothing is
//! published any more. A record comes in when its sync is done, so nothing that is not durable can be read; and in the order of positions, so
//! from its oldest on nothing is missing.

use bytes::Bytes;
use motet_store::Limits;
use std::collections::VecDeque;

/// So many bytes of records are kept.
const MOST_BYTES: usize = 1 << 20;

/// The newest records.
#[derive(Debug, Default)]
pub(super) struct Recent {
    records: VecDeque<(u64, Bytes)>,
    bytes: usize,
}

impl Recent {
    /// These are durable; they come behind everything that was pushed before.
    pub(super) fn push(&mut self, records: impl IntoIterator<Item = (u64, Bytes)>) {
        for (position, record) in records {
            self.bytes += record.len();
            self.records.push_back((position, record));
        }
        while self.bytes > MOST_BYTES {
            let Some((_, oldest)) = self.records.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// What stands at `from` and behind it; nothing if that is not known here. As from the store, what reaches a limit is the last.
    pub(super) fn range(&self, from: u64, limits: Limits) -> Option<Vec<(u64, Bytes)>> {
        let (oldest, newest) = (self.records.front()?.0, self.records.back()?.0);
        if from < oldest || from > newest {
            return None;
        }
        let start = self.records.partition_point(|(position, _)| *position < from);
        let (mut found, mut bytes) = (Vec::new(), 0);
        for (position, record) in self.records.range(start..) {
            if found.len() >= limits.items || bytes >= limits.bytes {
                break;
            }
            bytes += record.len();
            found.push((*position, record.clone()));
        }
        Some(found)
    }

    /// Lets everything go.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(found: Option<Vec<(u64, Bytes)>>) -> Option<Vec<u64>> {
        found.map(|found| found.into_iter().map(|(position, _)| position).collect())
    }

    #[test]
    fn what_is_not_wholly_known_is_not_answered() {
        let mut recent = Recent::default();
        let all = Limits::items(usize::MAX);
        assert_eq!(recent.range(0, all), None);
        recent.push([5, 6, 9].map(|position| (position, Bytes::from_static(b"four"))));
        assert_eq!(positions(recent.range(4, all)), None, "4 may stand in the store");
        assert_eq!(positions(recent.range(10, all)), None);
        assert_eq!(positions(recent.range(7, all)), Some(vec![9]), "7 and 8 were refused");
        assert_eq!(positions(recent.range(5, Limits::items(2))), Some(vec![5, 6]));
        assert_eq!(positions(recent.range(5, Limits { items: 9, bytes: 5 })), Some(vec![5, 6]));
        recent.clear();
        assert_eq!(recent.range(9, all), None);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let mut recent = Recent::default();
        let record = Bytes::from(vec![0; 100_000]);
        recent.push((0..100).map(|position| (position, record.clone())));
        assert_eq!((recent.range(89, Limits::items(1)), recent.bytes), (None, 1_000_000));
        assert_eq!(positions(recent.range(90, Limits::items(1))), Some(vec![90]));
        recent.push([(100, Bytes::from(vec![0; MOST_BYTES + 1]))]);
        assert_eq!((recent.records.len(), recent.bytes), (0, 0));
    }
}
