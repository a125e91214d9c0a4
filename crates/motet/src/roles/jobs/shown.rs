//! A job as it travels.

use motet_api::wire::{
    events::time,
    jobs::{Callback, Job as Shown, LastError, Outcome, State as ShownState},
};
use motet_jobs::{Job, State};

/// A job in the words of the API.
pub(crate) fn shown(job: &Job) -> Shown {
    let content_type = |headers: &[(String, String)]| {
        headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.clone())
    };
    Shown {
        id: job.id.to_string(),
        service: job.target.service.clone(),
        path: job.target.path.clone(),
        caller: job.caller.clone(),
        state: state(job.state),
        attempts: job.attempts,
        attempts_max: job.attempts_max,
        created_at: time(job.created_at),
        due_at: job.due_at.map(time),
        begun_at: job.begun_at.map(time),
        leased_until: job.leased_until.map(time),
        finished_at: job.finished_at.map(time),
        progress: job.progress.clone(),
        last_error: job.failure.as_ref().map(|failure| LastError {
            status: failure.status,
            detail: failure.detail.clone(),
            at: time(failure.at),
        }),
        result: job.answer.as_ref().map(|answer| Outcome {
            status: answer.status,
            content_type: content_type(&answer.headers),
            bytes: answer.bytes,
        }),
        key: job.key.clone(),
        idempotency_key: job.idempotency_key.clone(),
        callback: job.callback.as_ref().map(|target| Callback {
            service: target.service.clone(),
            path: target.path.clone(),
            job: job.callback_job.clone(),
        }),
        event: job.event.clone(),
        callback_of: job.of.clone(),
    }
}

fn state(state: State) -> ShownState {
    match state {
        State::Queued => ShownState::Queued,
        State::Running => ShownState::Running,
        State::Retrying => ShownState::Retrying,
        State::Succeeded => ShownState::Succeeded,
        State::Failed => ShownState::Failed,
        State::Cancelled => ShownState::Cancelled,
    }
}
