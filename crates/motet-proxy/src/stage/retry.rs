//! Tries until one stands, the tries are used up, or another would not be safe. Another instance is tried at once; the same one after
//! a pause, which gives a dead one the time to leave the endpoint set and a restarting one the time to come back.

use super::{
    balance,
    classify::{Verdict, classify},
    connect::{Answer, Context, Outgoing, exchange},
};
use crate::rescue::Cause;
use tokio::time::sleep;

/// Runs the tries.
pub(crate) async fn run(cx: &Context<'_>, outgoing: &mut Outgoing) -> Result<Answer, Cause> {
    let policy = &cx.lane.policy().retry;
    let mut tried = Vec::new();
    loop {
        let chosen = balance::choose(cx, &tried).await?;
        let instance = chosen.upstream.instance;
        let number = cx.journey.attempt(&chosen.upstream.label);
        let outcome = exchange(cx, chosen, outgoing, number).await;
        let kept = match classify(outcome, outgoing, policy) {
            Verdict::Done(answer) => return Ok(answer),
            Verdict::Failed(cause) => return Err(cause),
            Verdict::Again(kept) => kept,
        };
        if number >= policy.attempts {
            return kept;
        }
        // An answer that is not wanted lets go of its instance before the next one is chosen.
        drop(kept);
        cx.lane.shard().retry();
        tried.push(instance);
        if !balance::untried(cx, &tried) {
            sleep(policy.backoff.wait_jittered(number)).await;
            tried.clear();
        }
    }
}
