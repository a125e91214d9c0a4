//! Tries until one stands, the tries are used up, or another would not be safe. Another instance is tried at once; the same one after
//! a pause, which gives a dead one the time to leave the endpoint set and a restarting one the time to come back. A new set ends the pause.
//!
//! The policy's number of tries limits how often a request is *sent*. While no connection can be made, nothing is sent and nobody is
//! burdened: the request is held like one for which no instance is ready, and as long. So a killed instance costs its callers
//! a wait, whether or not anybody has noticed its death yet.

use super::{
    balance,
    classify::{Verdict, classify},
    connect::{Answer, Context, Outgoing, exchange},
};
use crate::rescue::Cause;
use tokio::time::sleep;

/// Runs the tries.
pub(crate) async fn run(cx: &Context<'_>, outgoing: &mut Outgoing) -> Result<Answer, Cause> {
    let policy = cx.lane.policy();
    let mut tried = Vec::new();
    let mut sent = 0;
    loop {
        let mut endpoints = cx.lane.endpoints();
        endpoints.mark_unchanged();
        let chosen = balance::choose(cx, &tried).await?;
        let instance = chosen.upstream.instance;
        let number = cx.journey.attempt(&chosen.upstream.label);
        let last = sent + 1 >= policy.retry.attempts;
        let outcome = exchange(cx, chosen, outgoing, number, last).await;
        let kept = match classify(outcome, outgoing, &policy.retry) {
            Verdict::Done(answer) => return Ok(answer),
            Verdict::Failed(cause) => return Err(cause),
            Verdict::Again(kept) => kept,
        };
        let given_up = if matches!(kept, Err(Cause::Unreachable { .. })) {
            cx.journey.elapsed() >= policy.ready_wait
        } else {
            sent += 1;
            last
        };
        if given_up {
            return kept;
        }
        // An answer that is not wanted lets go of its instance before the next one is chosen.
        drop(kept);
        cx.lane.shard().retry();
        tried.push(instance);
        if !balance::untried(cx, &tried) {
            tokio::select! {
                () = sleep(policy.retry.backoff.wait_jittered(number)) => {}
                Ok(()) = endpoints.changed() => {}
            }
            tried.clear();
        }
    }
}
