//! What becomes of a job, as pure functions: a job and what happened go in, the changed job and what to do come out.
//!
//! The one rule that everything hangs on: whoever comes back (an answer, a completion, a ticket) says for which attempt of which round, and
//! what has been decided meanwhile wins. So a job that was cancelled stays cancelled, however late its answer comes, and a ticket that the
//! queue delivers twice begins nothing twice.

use crate::{
    job::{Answer, Answered, Failure, Job, State},
    spec::Spec,
};
use std::time::Duration;

/// The longest text of a failure that is kept, in bytes.
pub(crate) const DETAIL_MAX_BYTES: usize = 2048;
/// `Retry-After` may be nonsense; nothing waits longer than this for one.
const RETRY_AFTER_MAX_MS: u64 = 24 * 3600 * 1000;
/// So much later than its age allows a job is given up even if its ticket never came.
const LOST_AFTER_MS: u64 = 10 * 60 * 1000;

/// What a ticket means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// The next attempt has begun: send the request.
    Run,
    /// It is not time yet; the job is as it was.
    Later(Duration),
    /// The job is over, or the ticket is of another round; the job is as it was.
    Nothing,
    /// The job is given up with this.
    GivenUp,
}

/// What follows an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The handler works on; its lease has begun.
    Leased,
    /// It is tried again after this.
    Again(Duration),
    /// The job is over with this.
    Over,
}

/// What an attempt came to.
pub(crate) type Outcome<'a> = Result<&'a Answer, &'a str>;

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Until when a job that counts from then has to be over.
pub(crate) fn deadline(counts_from: u64, spec: &Spec) -> u64 {
    counts_from.saturating_add(ms(spec.max_age)).saturating_add(LOST_AFTER_MS)
}

fn is_too_old(job: &Job, spec: &Spec, now: u64) -> bool {
    now >= job.counts_from.saturating_add(ms(spec.max_age))
}

/// A ticket came.
pub(crate) fn begin(job: &mut Job, round: u32, spec: &Spec, now: u64) -> Begin {
    if job.state.is_over() || job.round != round {
        return Begin::Nothing;
    }
    let until = if job.state == State::Running { job.leased_until } else { job.due_at };
    if let Some(until) = until.filter(|until| *until > now) {
        return Begin::Later(Duration::from_millis(until - now));
    }
    if job.state == State::Running {
        // The attempt before this one has no end: nobody will say any more what came of it.
        let what = match job.leased_until {
            Some(_) => "the handler answered 202, and its lease was over before it said that it was done",
            None => "Motet ended while the attempt was under way",
        };
        job.failure = Some(Failure { status: None, detail: what.to_owned(), at: now });
        if job.attempts >= job.attempts_max {
            finish(job, State::Failed, now);
            return Begin::GivenUp;
        }
    }
    if is_too_old(job, spec, now) {
        if job.failure.is_none() {
            job.failure =
                Some(Failure { status: None, detail: "it became too old before it was begun".into(), at: now });
        }
        finish(job, State::Failed, now);
        return Begin::GivenUp;
    }
    job.state = State::Running;
    job.attempts += 1;
    job.begun_at = Some(now);
    (job.due_at, job.leased_until) = (None, None);
    Begin::Run
}

/// Whether this attempt is still the one that counts.
pub(crate) fn is_current(job: &Job, round: u32, attempt: u32) -> bool {
    job.state == State::Running && job.round == round && job.attempts == attempt
}

/// The attempt that is under way was answered, or failed. The caller has asked [`is_current`].
pub(crate) fn answered(job: &mut Job, spec: &Spec, outcome: Outcome<'_>, now: u64, random: f64) -> Next {
    let status = outcome.ok().map(|answer| answer.status);
    match status {
        Some(202) => {
            job.leased_until = Some(now.saturating_add(ms(spec.lease)));
            return Next::Leased;
        }
        Some(200..300) => {
            keep_answer(job, outcome);
            finish(job, State::Succeeded, now);
            return Next::Over;
        }
        _ => {}
    }
    let detail = match outcome {
        Ok(answer) => said(answer),
        Err(what) => shorten(what.to_owned()),
    };
    job.failure = Some(Failure { status, detail, at: now });
    let is_permanent = status.is_some_and(|status| spec.permanent.contains(&status));
    if is_permanent || job.attempts >= job.attempts_max {
        keep_answer(job, outcome);
        finish(job, State::Failed, now);
        return Next::Over;
    }
    let asked = outcome.ok().and_then(|answer| answer.retry_after_ms).map(|wait| wait.min(RETRY_AFTER_MAX_MS));
    let pause = asked.unwrap_or_else(|| ms(spec.retry.backoff.wait(job.attempts, random)));
    // At the end of its age it comes once more, and is given up then.
    let due = now.saturating_add(pause).min(job.counts_from.saturating_add(ms(spec.max_age)));
    job.state = State::Retrying;
    (job.due_at, job.leased_until) = (Some(due), None);
    Next::Again(Duration::from_millis(due.saturating_sub(now)))
}

/// A handler that answered 202 says what came of the job, or whoever is late does. Nothing if that changes nothing: the job is over, or waits
/// for an attempt that this failure does not belong to.
pub(crate) fn completed(job: &mut Job, spec: &Spec, answer: &Answer, now: u64, random: f64) -> Option<Next> {
    match job.state {
        State::Running => Some(answered(job, spec, Ok(answer), now, random)),
        // Its lease was over, and it has done the work nevertheless.
        State::Queued | State::Retrying if (200..300).contains(&answer.status) && job.attempts > 0 => {
            Some(answered(job, spec, Ok(answer), now, random))
        }
        _ => None,
    }
}

/// Ends a job that is not over. False if it is.
pub(crate) fn cancel(job: &mut Job, now: u64) -> bool {
    let open = !job.state.is_over();
    if open {
        finish(job, State::Cancelled, now);
    }
    open
}

/// Gives a job up whose ticket never came. False if it is over.
pub(crate) fn lose(job: &mut Job, now: u64) -> bool {
    let open = !job.state.is_over();
    if open {
        let what = "its age was over, and the queue did not bring it: its service may not take jobs any more";
        let none = Failure { status: None, detail: what.to_owned(), at: now };
        job.failure.get_or_insert(none);
        finish(job, State::Failed, now);
    }
    open
}

/// Begins a job that did not succeed anew, with all attempts before it. False if it cannot be.
pub(crate) fn retry(job: &mut Job, spec: &Spec, now: u64) -> bool {
    if !matches!(job.state, State::Failed | State::Cancelled) {
        return false;
    }
    job.round += 1;
    job.state = State::Queued;
    job.attempts = 0;
    job.counts_from = now;
    job.deadline = deadline(now, spec);
    (job.due_at, job.begun_at, job.leased_until, job.finished_at) = (None, None, None, None);
    (job.progress, job.answer, job.callback_job) = (None, None, None);
    true
}

/// The lease goes on until `until`, or is as long as it was. False if there is none.
pub(crate) fn extend(job: &mut Job, until: u64) -> bool {
    match (&job.state, &mut job.leased_until) {
        (State::Running, Some(leased)) => {
            *leased = until;
            true
        }
        _ => false,
    }
}

fn finish(job: &mut Job, state: State, now: u64) {
    job.state = state;
    job.finished_at = Some(now);
    (job.due_at, job.leased_until) = (None, None);
}

fn keep_answer(job: &mut Job, outcome: Outcome<'_>) {
    job.answer = outcome.ok().map(|answer| Answered {
        status: answer.status,
        headers: answer.headers.clone(),
        bytes: answer.body.as_ref().map(|body| body.len() as u64),
    });
}

/// The beginning of an answer, for people.
fn said(answer: &Answer) -> String {
    let body = answer.body.as_deref().unwrap_or_default();
    let most = body.len().min(DETAIL_MAX_BYTES);
    shorten(String::from_utf8_lossy(&body[..most]).into_owned())
}

fn shorten(mut text: String) -> String {
    if text.len() > DETAIL_MAX_BYTES {
        text.truncate(text.floor_char_boundary(DETAIL_MAX_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
