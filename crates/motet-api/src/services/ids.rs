//! Ids for events that come without one: UUIDs of version 7 (RFC 9562, section 5.7), without asking the system for randomness each time.
//!
//! What stands behind the time is a number of 74 bits, random when the address is opened and one more with each event. So two events of one
//! address never share an id, those of one millisecond sort as they came, and for those of two addresses to meet, numbers drawn at random would
//! have to lie next to each other.

use jiff::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use uuid::{Builder, Uuid};

/// The ids of one address.
#[derive(Debug)]
pub(crate) struct Ids {
    /// Where its numbers begin.
    origin: u128,
    next: AtomicU64,
}

impl Default for Ids {
    fn default() -> Self {
        // The lower half of a fresh UUID is random but for two bits.
        let random = || Uuid::now_v7().as_u128() & u128::from(u64::MAX);
        Self { origin: random() << 64 | random(), next: AtomicU64::new(0) }
    }
}

impl Ids {
    /// The next one.
    pub(crate) fn next(&self, now: Timestamp) -> Uuid {
        let number = self.origin.wrapping_add(u128::from(self.next.fetch_add(1, Relaxed)));
        let mut bytes = [0; 10];
        // Four bits of the first two bytes and two of the others say which kind of UUID it is: the number goes around them.
        let (high, low) = ((number >> 62) as u16, (number as u64) & (u64::MAX >> 2));
        bytes[..2].copy_from_slice(&high.to_be_bytes());
        bytes[2..].copy_from_slice(&low.to_be_bytes());
        let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
        Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_differ_sort_by_time_and_are_of_version_7() {
        let ids = Ids { origin: (u128::from(u16::MAX) << 62) - 500, next: AtomicU64::new(0) };
        let now = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let made: Vec<Uuid> = (0..1000).map(|_| ids.next(now)).collect();
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), 1000);
        assert!(made.iter().all(|id| id.get_version_num() == 7));
        assert!(made[..500].is_sorted());
        let later = Timestamp::from_millisecond(1_700_000_000_124).unwrap();
        assert!(made.iter().all(|id| *id < ids.next(later)));
        assert_ne!(Ids::default().next(now), Ids::default().next(now));
    }
}
