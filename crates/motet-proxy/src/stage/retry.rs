//! Tries until one stands, the tries or the budget are used up, or another would not be safe. Another instance is tried at once; the same
//! one after a pause, which gives a dead one the time to leave the endpoint set and a restarting one the time to come back. A new
//! set ends the pause.
//!
//! The policy's number of tries limits how often a request is *sent*. While no connection can be made, nothing is sent and nobody is
//! burdened: the request is held like one for which no instance is ready, and as long. So a killed instance costs its callers
//! a wait, whether or not anybody has noticed its death yet.

use super::{
    balance,
    classify::{Verdict, classify},
    connect::{Answer, Context, Outgoing},
    hedge,
};
use crate::rescue::Cause;
use http::header;
use std::time::Duration;
use tokio::time::sleep;

/// Runs the tries.
pub(crate) async fn run(cx: &Context<'_>, outgoing: &Outgoing) -> Result<Box<Answer>, Cause> {
    let policy = cx.rules.policy;
    let mut tried = Vec::new();
    let mut sent = 0;
    let mut before = None;
    cx.rules.budget.deposit(cx.journey.started());
    loop {
        let mut endpoints = cx.lane.endpoints();
        endpoints.mark_unchanged();
        let last = sent + 1 >= policy.retry.attempts;
        let (instance, outcome) = match (hedge::run(cx, outgoing, &tried, last).await, before.take()) {
            (Ok(ended), _) => ended,
            // Nobody is left to try: what the one before said is worth more than that.
            (Err(_), Some(before)) => return before,
            (Err(cause), None) => return Err(cause),
        };
        let kept = match classify(outcome, outgoing, cx) {
            Verdict::Done(answer) => return Ok(answer),
            Verdict::Failed(cause) => return Err(cause),
            Verdict::Again(kept) => kept,
        };
        if matches!(kept, Err(Cause::Unreachable { .. })) {
            if cx.journey.elapsed() >= policy.ready_wait {
                return kept;
            }
        } else {
            sent += 1;
            if last {
                return kept;
            }
            if !cx.rules.budget.withdraw() {
                cx.lane.shard().over_budget();
                return kept;
            }
        }
        cx.lane.shard().retry();
        tried.push(instance);
        if balance::untried(cx, &tried) {
            before = Some(kept);
            continue;
        }
        let pause = policy.retry.backoff.wait_jittered(cx.journey.attempts()).max(asked_to_wait(&kept));
        // Compared as durations: what an instance asks for may be longer than a clock reaches.
        if pause >= cx.deadline.left() {
            return kept;
        }
        // An answer that is not wanted lets go of its instance before the pause.
        drop(kept);
        tokio::select! {
            biased;
            () = sleep(pause) => {}
            Ok(()) = endpoints.changed() => {}
        }
        tried.clear();
    }
}

/// How long the instance asks to be left alone (RFC 9110, section 10.2.3; the form with seconds).
fn asked_to_wait(kept: &Result<Box<Answer>, Cause>) -> Duration {
    let seconds = |answer: &Answer| answer.response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok();
    kept.as_ref().ok().and_then(|answer| seconds(answer)).map_or(Duration::ZERO, Duration::from_secs)
}
