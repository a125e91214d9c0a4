//! Lets no more requests in over time than the policy says (see `rate.rs`).

use super::connect::Context;
use crate::{headers, rescue::Cause, spec::Door};
use http::HeaderMap;
use std::net::IpAddr;

/// Refuses a request that comes too soon.
pub(crate) fn admit(cx: &Context<'_>, headers: &HeaderMap, peer: IpAddr) -> Result<(), Cause> {
    let Some(rate) = &cx.rules.policy.rate else { return Ok(()) };
    // At the gateway: who the client proved to be. What it only claims has been taken off before.
    let subject = match cx.lane.plan.door {
        Door::Route { .. } => headers.get(headers::SUBJECT).and_then(|subject| subject.to_str().ok()),
        Door::Edge(_) => None,
    };
    let admitted = match subject {
        Some(subject) => cx.rules.limits.limiter.admit(rate, subject),
        None => cx.rules.limits.limiter.admit(rate, &peer.to_string()),
    };
    admitted.map_err(|again| Cause::TooMany { requests: rate.requests, per: rate.per, again })
}
