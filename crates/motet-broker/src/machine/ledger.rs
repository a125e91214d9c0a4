//! Which positions are settled: everything below a cursor, and ranges above it.
//!
//! A subscription with one stuck key goes on with the others, so what is settled has holes. The holes are few (what is in flight, retried or
//! parked), whatever lies between them, so ranges are small in memory and on disk.

use std::{collections::BTreeMap, ops::Range};

/// What is settled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ledger {
    cursor: u64,
    /// Start to end, disjoint, not touching, all above the cursor.
    above: BTreeMap<u64, u64>,
}

impl Ledger {
    /// Everything below `cursor` is settled, and nothing else.
    pub(crate) fn new(cursor: u64) -> Self {
        Self { cursor, above: BTreeMap::new() }
    }

    /// Everything below is settled, this is not.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The settled ranges above the cursor.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.above.iter().map(|(start, end)| (*start, *end))
    }

    /// How many ranges there are above the cursor.
    pub(crate) fn holes(&self) -> usize {
        self.above.len()
    }

    /// How many positions above the cursor are settled.
    pub(crate) fn settled_above(&self) -> u64 {
        self.above.iter().map(|(start, end)| end - start).sum()
    }

    /// Whether a position is settled.
    pub(crate) fn is_settled(&self, position: u64) -> bool {
        position < self.cursor || self.above.range(..=position).next_back().is_some_and(|(_, end)| position < *end)
    }

    /// The first position at or behind `position` that is not settled.
    pub(crate) fn first_open(&self, position: u64) -> u64 {
        let position = position.max(self.cursor);
        match self.above.range(..=position).next_back() {
            Some((_, end)) if *end > position => *end,
            _ => position,
        }
    }

    /// Settles a range; what of it was settled before stays so.
    pub(crate) fn settle(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if start >= end || end <= self.cursor {
            return;
        }
        if start <= self.cursor {
            self.cursor = end;
            self.absorb();
            return;
        }
        if let Some((before, its_end)) = self.above.range(..start).next_back().map(|(start, end)| (*start, *end))
            && its_end >= start
        {
            start = before;
            end = end.max(its_end);
        }
        while let Some((next, its_end)) = self.above.range(start..=end).next().map(|(start, end)| (*start, *end)) {
            self.above.remove(&next);
            end = end.max(its_end);
        }
        self.above.insert(start, end);
    }

    fn absorb(&mut self) {
        while let Some(entry) = self.above.first_entry() {
            if *entry.key() > self.cursor {
                break;
            }
            self.cursor = self.cursor.max(entry.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn settling_in_order_leaves_no_ranges_and_out_of_order_few() {
        let mut ledger = Ledger::new(5);
        ledger.settle(7..8);
        ledger.settle(9..10);
        ledger.settle(8..9);
        assert_eq!((ledger.cursor(), ledger.ranges().collect::<Vec<_>>()), (5, vec![(7, 10)]));
        assert_eq!((ledger.first_open(0), ledger.first_open(7), ledger.first_open(6)), (5, 10, 6));
        ledger.settle(5..7);
        assert_eq!((ledger.cursor(), ledger.holes()), (10, 0));
    }

    proptest! {
        #[test]
        fn a_ledger_says_the_same_as_a_set(ranges in prop::collection::vec((0_u64..60, 0_u64..9), 0..40)) {
            let mut ledger = Ledger::new(3);
            let mut set: BTreeSet<u64> = (0..3).collect();
            for (start, length) in ranges {
                ledger.settle(start..start + length);
                set.extend(start..start + length);
            }
            for position in 0..80 {
                prop_assert_eq!(ledger.is_settled(position), set.contains(&position), "{}", position);
                let open = (position..).find(|other| !set.contains(other));
                prop_assert_eq!(Some(ledger.first_open(position)), open);
            }
            prop_assert_eq!(Some(ledger.cursor()), (0..).find(|position| !set.contains(position)));
            let ranges: Vec<_> = ledger.ranges().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", ranges);
            prop_assert!(ranges.iter().all(|(start, end)| *start > ledger.cursor() && start < end));
        }
    }
}
