//! Counts a request from its arrival to the end of its answer, whichever end that is.

use crate::{
    journey::Journey,
    lane::{Lane, Rules},
    rescue::Kind,
};
use http::StatusCode;
use std::rc::Rc;

/// The counting of one request. Dropped without having been told the end, it counts as cancelled: that is how a caller's going
/// away shows.
pub(crate) struct Record {
    lane: Rc<Lane>,
    rule: usize,
    told: bool,
}

impl Record {
    /// `rule` is which of the lane's policies is in force.
    pub(crate) fn begin(lane: Rc<Lane>, rule: usize) -> Self {
        lane.shard().request();
        Self { lane, rule, told: false }
    }

    pub(crate) fn lane(&self) -> &Rc<Lane> {
        &self.lane
    }

    pub(crate) fn rules(&self) -> Rules<'_> {
        self.lane.rules(self.rule)
    }

    /// The answer's head is there.
    pub(crate) fn answered(&self, status: StatusCode, journey: &Journey) {
        let elapsed = journey.elapsed();
        self.lane.shard().response(status, elapsed);
        tracing::debug!(edge = %self.lane.plan.door, %status, attempts = journey.attempts(), ?elapsed, "answered");
    }

    /// The answer is one of ours.
    pub(crate) fn refused(mut self, kind: Kind) {
        self.lane.shard().error(kind);
        self.told = true;
    }

    /// The answer was complete.
    pub(crate) fn ended(mut self) {
        self.told = true;
    }

    /// The answer broke off, not by the caller's wish.
    pub(crate) fn cut(mut self) {
        self.lane.shard().cut();
        self.told = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.lane.shard().ended();
        if !self.told {
            self.lane.shard().cancelled();
        }
    }
}
