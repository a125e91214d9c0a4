//! Counts a request from its arrival to the end of its answer, whichever end that is.

use crate::{journey::Journey, lane::Lane, rescue::Kind};
use http::StatusCode;
use std::{rc::Rc, sync::atomic::Ordering::Relaxed};

/// The counting of one request. Dropped without having been told the end, it counts as cancelled: that is how a caller's going
/// away shows.
pub(crate) struct Record {
    lane: Rc<Lane>,
    ended: bool,
}

impl Record {
    pub(crate) fn begin(lane: Rc<Lane>) -> Self {
        lane.plan.stats.in_flight.fetch_add(1, Relaxed);
        lane.shard().request();
        Self { lane, ended: false }
    }

    /// The answer's head is there.
    pub(crate) fn answered(&self, status: StatusCode, journey: &Journey) {
        self.lane.shard().response(status, journey.elapsed());
        tracing::debug!(
            edge = %self.lane.plan.door, %status, attempts = journey.attempts(), elapsed = ?journey.elapsed(), "answered"
        );
    }

    /// The answer is one of ours.
    pub(crate) fn refused(mut self, kind: Kind) {
        self.lane.shard().error(kind);
        self.ended = true;
    }

    /// The answer was complete.
    pub(crate) fn ended(mut self) {
        self.ended = true;
    }

    /// The answer broke off, not by the caller's wish.
    pub(crate) fn cut(mut self) {
        self.lane.shard().cut();
        self.ended = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.lane.plan.stats.in_flight.fetch_sub(1, Relaxed);
        if !self.ended {
            self.lane.shard().cancelled();
        }
    }
}
