//! What the caller gets when the callee gave nothing usable: what another service says, or a fixed answer. Only for failures of the
//! callee (502, 503, 504, whether it said so itself or we say it of it); a caller's own mistake stays its own.

use super::{
    connect::{Answer, Context, Outgoing},
    deadline::Deadline,
    retry,
};
use crate::{
    body::Inbound,
    flight::Held,
    policy::{EdgePolicy, Fallback},
    rescue::Cause,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use std::{pin::pin, time::Duration};
use tokio::time::Instant;

/// Tells the caller who answered instead.
const FALLBACK: HeaderName = HeaderName::from_static("x-motet-fallback");

/// The outcome, or what the policy has in its place.
pub(crate) async fn instead(
    cx: &Context<'_>,
    outgoing: &Outgoing,
    outcome: Result<Box<Answer>, Cause>,
) -> Result<Box<Answer>, Cause> {
    match &cx.rules.policy.fallback {
        Some(fallback) if is_failure(&outcome) => Box::pin(stand_in(cx, outgoing, outcome, fallback)).await,
        _ => outcome,
    }
}

async fn stand_in(
    cx: &Context<'_>,
    outgoing: &Outgoing,
    outcome: Result<Box<Answer>, Cause>,
    fallback: &Fallback,
) -> Result<Box<Answer>, Cause> {
    let (mut answer, who) = match fallback {
        Fallback::Static(fixed) => {
            let mut response = Response::new(Inbound::made(fixed.body.clone()));
            *response.status_mut() = fixed.status;
            response.headers_mut().extend(fixed.headers.iter().cloned());
            let answer = Box::new(Answer { response, held: Held::default(), until: cx.deadline.at });
            (answer, HeaderValue::from_static("static"))
        }
        Fallback::Service(name) => {
            let Some(lane) = cx.lane.fallbacks.get(name) else { return outcome };
            if !outgoing.body.is_intact() {
                return outcome;
            }
            // It has as much time as the first choice had, because that may have used up all.
            let deadline = Deadline::new(Instant::now(), cx.rules.policy.timeout, None);
            let second = Context { lane, rules: lane.rules(0), deadline, ..*cx };
            match deadline.bound(pin!(retry::run(&second, outgoing))).await {
                Ok(answer) => {
                    let name = HeaderValue::from_str(name.as_str()).expect("names are letters, digits, hyphens");
                    (answer, name)
                }
                // The first choice's failure is the one to tell of.
                Err(_) => return outcome,
            }
        }
    };
    cx.lane.shard().fallback();
    answer.response.headers_mut().insert(FALLBACK, who);
    Ok(answer)
}

fn is_failure(outcome: &Result<Box<Answer>, Cause>) -> bool {
    const FAILURES: [StatusCode; 3] =
        [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
    match outcome {
        Ok(answer) => FAILURES.contains(&answer.response.status()),
        Err(cause) => FAILURES.contains(&cause.kind().status()),
    }
}

/// How a service that stands in is called: once more may help, but there is no fallback of a fallback.
pub(crate) fn policy(timeout: Duration) -> EdgePolicy {
    EdgePolicy { timeout, ready_wait: Duration::from_secs(1), ..EdgePolicy::default() }
}
