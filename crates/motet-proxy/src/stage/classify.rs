//! Judges how a try ended: whether it stands, or is worth another one. The only place that knows when repeating is safe.

use super::connect::{Answer, Context, Failure, Outgoing};
use crate::rescue::Cause;

/// What to do with the outcome of a try.
pub(crate) enum Verdict {
    /// It stands.
    Done(Box<Answer>),
    /// It failed for good.
    Failed(Cause),
    /// Another try is safe, and may help; if there can be none, this is what the caller gets.
    Again(Result<Box<Answer>, Cause>),
}

/// Nothing was sent: repeating is safe for every request. Something was sent: it is safe for repeatable ones. In both cases the
/// body must still be there.
pub(crate) fn classify(outcome: Result<Box<Answer>, Failure>, outgoing: &Outgoing, cx: &Context<'_>) -> Verdict {
    let intact = outgoing.body.is_intact();
    let repeatable = outgoing.repeatable && intact;
    let failed = |answer: &Answer| cx.is_failure(answer.response.status().as_u16(), answer.response.headers());
    match outcome {
        Ok(answer) if repeatable && failed(&answer) => Verdict::Again(Ok(answer)),
        Ok(answer) => Verdict::Done(answer),
        Err(Failure::Caller) => Verdict::Failed(Cause::CallerBroke),
        Err(Failure::Unreachable(error)) => again(intact, Cause::Unreachable { reason: error.to_string() }),
        Err(Failure::Unsent(error)) => again(intact, Cause::Unreachable { reason: chain(&error) }),
        Err(Failure::Broken { error, .. }) => again(repeatable, Cause::Broken { reason: chain(&error) }),
        Err(Failure::Slow { key, limit }) => again(repeatable, Cause::Slow { key, limit }),
    }
}

fn again(safe: bool, cause: Cause) -> Verdict {
    if safe { Verdict::Again(Err(cause)) } else { Verdict::Failed(cause) }
}

/// An error with its causes, each of which says only a part.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}
