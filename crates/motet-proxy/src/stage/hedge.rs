//! Sends a second copy of a request that takes long to another instance, and takes the first good answer (Dean and Barroso, "The tail
//! at scale", 2013). A copy is paid for from the retry budget, so a callee that is slow for everybody is not asked twice by everybody.

use super::{
    balance,
    connect::{Answer, Context, Failure, Outgoing, exchange},
};
use crate::{policy::Hedge, rescue::Cause};
use motet_kernel::id::InstanceId;
use std::pin::pin;
use tokio::time::timeout;

/// How a try ended, and with whom. An error when nobody could be chosen.
pub(crate) type Tried = Result<(InstanceId, Result<Box<Answer>, Failure>), Cause>;

/// One try, or two.
pub(crate) async fn run(cx: &Context<'_>, outgoing: &Outgoing, tried: &[InstanceId], last: bool) -> Tried {
    match cx.rules.policy.hedge {
        Some(hedge) if outgoing.repeatable => Box::pin(two(cx, outgoing, tried, hedge)).await,
        _ => one(cx, outgoing, tried, last).await,
    }
}

async fn two(cx: &Context<'_>, outgoing: &Outgoing, tried: &[InstanceId], hedge: Hedge) -> Tried {
    let mut first = pin!(one(cx, outgoing, tried, false));
    if let Ok(ended) = timeout(hedge.after, first.as_mut()).await {
        return ended;
    }
    let mut avoid = tried.to_vec();
    avoid.extend(cx.journey.pending().map(|member| member.upstream.instance));
    let helps = outgoing.body.is_complete() && balance::untried(cx, &avoid);
    if !helps || !cx.rules.budget.withdraw() {
        return first.await;
    }
    cx.lane.shard().hedge();
    let mut second = pin!(one(cx, outgoing, &avoid, false));
    tokio::select! {
        biased;
        ended = first.as_mut() => if is_good(cx, &ended) { ended } else { second.await },
        ended = second.as_mut() => if is_good(cx, &ended) { ended } else { first.await },
    }
}

async fn one(cx: &Context<'_>, outgoing: &Outgoing, tried: &[InstanceId], last: bool) -> Tried {
    let chosen = balance::choose(cx, tried).await?;
    let instance = chosen.member.upstream.instance;
    let number = cx.journey.attempt(&chosen.member.upstream.label);
    Ok((instance, exchange(cx, chosen, outgoing, number, last).await))
}

fn is_good(cx: &Context<'_>, tried: &Tried) -> bool {
    matches!(tried, Ok((_, Ok(answer))) if !cx.is_failure(answer.response.status().as_u16(), answer.response.headers()))
}
