//! Holds a request until there is a place for it (see `bulkhead.rs`), and refuses what could only wait and fail.

use super::connect::Context;
use crate::{
    bulkhead::{Permit, Refused},
    headers,
    rescue::Cause,
    spec::Door,
};
use http::HeaderMap;

/// How urgent the request is.
pub(crate) fn urgency(cx: &Context<'_>, headers: &HeaderMap) -> u8 {
    let policy = cx.rules.policy.priority;
    match cx.lane.plan.door {
        Door::Edge(_) => headers::urgency(headers).unwrap_or(policy),
        Door::Route { .. } => policy,
    }
}

/// A place, which lasts until the answer has ended.
pub(crate) async fn enter(cx: &Context<'_>, urgency: u8) -> Result<Permit, Cause> {
    let policy = cx.rules.policy;
    let bulkhead = &cx.rules.limits.bulkhead;
    let limit = || bulkhead.limit(policy.concurrency.limit);
    bulkhead.enter(&policy.concurrency, urgency, cx.deadline.at).await.map_err(|refused| match refused {
        Refused::Full => Cause::Full { limit: limit(), queue: policy.concurrency.queue_max },
        // The total deadline is the cause when it was nearer.
        Refused::Waited if cx.deadline.left().is_zero() => Cause::Deadline { limit: cx.deadline.limit },
        Refused::Waited => Cause::Queued { limit: limit(), waited: policy.concurrency.queue_wait },
    })
}
