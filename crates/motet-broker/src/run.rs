//! Which run through a topic a subscription is on: what a subscriber needs that keeps, beside what it makes of the events, how far it is.
//!
//! Such a subscriber (a table that is a copy of a topic) passes over what it has seen before. After a crash that is right; after a replay it
//! would be wrong; and when its own store was lost or set back to an older state, passing on would leave a gap. The three look alike in
//! positions. So each order to begin anew makes another run, which is on disk before the first event of it is sent, and a run says what was
//! acknowledged in it: a subscriber that is behind that has lost something, and asks for a replay.

use crate::{time::Time, topic::Position};

/// A run of a subscription through its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Run {
    /// Another one after each replay, and higher than all before it.
    pub id: u64,
    /// Changes only when the subscription or its topic began from nothing: positions of two lineages have nothing to do with each other.
    pub lineage: u64,
    /// Where it began. Rises when the topic gave up events before they were read.
    pub begins: Position,
    /// The end of the topic when it was begun.
    pub until: Position,
    /// The highest position of an event that was acknowledged or became a dead letter in this run. After a crash it may be lower than it was.
    pub acked: Option<Position>,
}

impl Run {
    /// The first one of a subscription, or of a topic that was made again.
    pub(crate) fn first(begins: Position, until: Position, now: Time) -> Self {
        Self { id: now.0, lineage: now.0, begins, until, acked: None }
    }

    /// The one after this.
    pub(crate) fn next(&self, begins: Position, until: Position, now: Time) -> Self {
        Self { id: now.0.max(self.id + 1), lineage: self.lineage, begins, until, acked: None }
    }

    /// An event was acknowledged, or became a dead letter.
    pub(crate) fn settled(&mut self, position: Position) {
        self.acked = self.acked.max(Some(position));
    }
}
