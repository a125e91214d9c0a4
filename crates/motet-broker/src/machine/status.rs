//! What can be seen of a subscription from outside.

use super::Machine;
use crate::time::Time;

/// What a subscription has done since the broker started, and what it holds now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events handed to subscribers, each attempt counted.
    pub delivered: u64,
    /// Events acknowledged.
    pub acknowledged: u64,
    /// Attempts that failed and are repeated.
    pub failed: u64,
    /// Events that became dead letters.
    pub buried: u64,
    /// Events that the filter did not take.
    pub filtered: u64,
    /// Events that were gone before they were read: retention was faster than the subscriber.
    pub missed: u64,
    /// Deliveries with a subscriber now.
    pub in_flight: usize,
    /// Events with a subscriber now.
    pub in_flight_events: usize,
    /// Events that wait to be tried again.
    pub retrying: usize,
    /// Events that wait behind another one with the same key.
    pub parked: usize,
    /// Events that are read and can be sent at once.
    pub ready: usize,
    /// Events of the topic that are not settled.
    pub depth: u64,
    /// Everything below this is settled.
    pub cursor: u64,
    /// When the oldest event that is not settled was published, as far as it has been read.
    pub oldest: Option<Time>,
    /// Whether it is paused.
    pub paused: bool,
}

impl Machine {
    /// What it has done and what it holds.
    pub(crate) fn counts(&self) -> Counts {
        let held = self.ready.iter().chain(self.flights.items()).chain(self.retrying.items());
        let held = held.chain(self.keys.items()).chain(&self.lacking).chain(self.refetching.values());
        Counts {
            in_flight: self.flights.len(),
            in_flight_events: self.flights.events(),
            retrying: self.retrying.len(),
            parked: self.keys.parked(),
            ready: self.ready.len(),
            depth: self.head.saturating_sub(self.ledger.cursor()).saturating_sub(self.ledger.settled_above()),
            cursor: self.ledger.cursor(),
            oldest: held.map(|item| item.published_at).min(),
            paused: self.paused,
            ..self.counts.clone()
        }
    }
}
