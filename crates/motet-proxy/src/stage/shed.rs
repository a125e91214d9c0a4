//! Refuses at once what could only wait and fail: more requests under way than the policy allows.

use crate::{lane::Lane, rescue::Cause};
use std::sync::atomic::Ordering::Relaxed;

/// Refuses the request when it is one too many. It has been counted already.
pub(crate) fn admit(lane: &Lane) -> Result<(), Cause> {
    let limit = lane.policy().concurrency.limit.most();
    if lane.plan.stats.in_flight.load(Relaxed) > limit { Err(Cause::Full { limit }) } else { Ok(()) }
}
