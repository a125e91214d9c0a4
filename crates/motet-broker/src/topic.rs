//! Topics: what is published where, how long it is kept, what keeps it in order.

use crate::{key::Pointer, name::TopicName, time::Time};
use std::time::Duration;

/// Where an event stands in its topic. Positions rise in the order of publication and are never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// The position behind this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// How long events are kept, whether they were delivered or not. Where both are given, what comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// Not longer than this.
    pub time: Option<Duration>,
    /// Not more bytes than this.
    pub bytes: Option<u64>,
}

/// A topic as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicSpec {
    /// Its name.
    pub name: TopicName,
    /// Where in the event's JSON data the key stands. Without it, or where nothing is found there, the event's `partitionkey` is the key.
    pub key: Option<Pointer>,
    /// How long events are kept. Default seven days.
    pub keep: Keep,
    /// For how long a second event with the same source and id is taken for the first. Zero: never. Default ten minutes.
    pub dedup: Duration,
    /// The largest event, in bytes of attributes and data. Default 1 MiB.
    pub event_max_bytes: usize,
}

impl TopicSpec {
    /// A topic with the defaults.
    pub fn new(name: TopicName) -> Self {
        Self {
            name,
            key: None,
            keep: Keep { time: Some(Duration::from_secs(7 * 24 * 3600)), bytes: None },
            dedup: Duration::from_secs(600),
            event_max_bytes: 1 << 20,
        }
    }
}

/// What a publisher gets for each event, once it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Where the event stands. Nothing for a duplicate, and for one that waits for its time.
    pub position: Option<Position>,
    /// An event with this source and id was published within the window, and is durable: this one was not published again.
    pub duplicate: bool,
    /// When it will be published, where that was asked for.
    pub deliver_at: Option<Time>,
}

/// Where a subscription begins, or begins again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With the oldest event that is kept.
    #[default]
    Earliest,
    /// With what is published from now on.
    Latest,
    /// With the first event that was published at this time or later.
    Time(Time),
    /// With this position.
    Position(Position),
}
