//! One attempt: from a ticket to what is to become of it.

use super::{Core, Handle};
use crate::{
    error::JobError,
    job::{Answer, Job, JobId},
    machine::{self, Begin, Next},
    port::{Call, Verdict},
    spec::Spec,
};
use motet_kernel::quantity;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// After a failure of the store a ticket comes again.
const AGAIN: Duration = Duration::from_secs(5);
/// A result that the store does not take is offered so often, a second apart: the work is done, and doing it again is worse.
const OFFERS: u32 = 30;

/// A job that is with a service.
pub(super) struct Running {
    pub(super) service: String,
    /// Takes the request back.
    pub(super) cancel: CancellationToken,
    /// Its ticket, while that is leased.
    pub(super) leased: Option<String>,
    /// Whether a request is under way.
    sent: bool,
    /// Which one; an earlier one that ends late leaves this one alone.
    serial: u64,
}

impl Running {
    /// Whether the service works on it, as far as is known.
    pub(super) fn is_active(&self) -> bool {
        self.sent || self.leased.is_some()
    }
}

/// Says that a request is not under way any more, however that came.
struct Sent<'a> {
    core: &'a Core,
    id: JobId,
    serial: u64,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        let mut running = self.core.running.lock();
        if let Some(found) = running.get_mut(&self.id).filter(|found| found.serial == self.serial) {
            found.sent = false;
            if found.leased.is_none() {
                running.remove(&self.id);
            }
        }
    }
}

impl Core {
    /// The ticket by which the queue knows a job that is leased; from now on it is not.
    pub(super) fn unlease(&self, id: JobId) -> Option<String> {
        let mut running = self.running.lock();
        let found = running.get_mut(&id)?;
        let token = found.leased.take();
        if !found.sent {
            running.remove(&id);
        }
        token
    }
}

impl Handle {
    /// A ticket's turn has come. `token` is by what the queue knows it, should it be leased. Dropping this takes the request back; the attempt
    /// counts, and the ticket has to come again.
    pub async fn deliver(&self, id: JobId, round: u32, token: String) -> Verdict {
        let core = &self.core;
        let (cancel, serial) = (CancellationToken::new(), core.serial.fetch_add(1, Relaxed));
        let mut sent = None;
        let begun = core.change(id, |job, spec, now| {
            let mut running = core.running.lock();
            if running.get(&id).is_some_and(|running| running.sent) {
                // The same ticket, put into the queue twice by a crash: the other one is at work.
                return (Begin::Later(AGAIN), None);
            }
            let begin = machine::begin(job, round, spec, now);
            if begin == Begin::Run {
                // Noted before it is durable, so that nobody can cancel the job in between without taking the request back.
                let service = job.target.service.clone();
                running.insert(id, Running { service, cancel: cancel.clone(), leased: None, sent: true, serial });
                sent = Some(Sent { core, id, serial });
            } else if begin == Begin::GivenUp {
                running.remove(&id);
            }
            (begin, None)
        });
        let begun = Box::pin(begun).await;
        match begun {
            Ok((Begin::Run, job)) => Box::pin(self.attempt(job, token, &cancel)).await,
            Ok((Begin::Later(wait), _)) => Verdict::Again(wait),
            Ok((Begin::Nothing | Begin::GivenUp, _)) | Err(JobError::Unknown(_)) => Verdict::Done,
            Err(error) => {
                tracing::error!(job = %id, %error, "an attempt could not be begun; tried again");
                Verdict::Again(AGAIN)
            }
        }
    }

    async fn attempt(&self, job: Job, token: String, cancel: &CancellationToken) -> Verdict {
        let core = &self.core;
        let (id, round, attempt) = (job.id, job.round, job.attempts);
        core.count(&job.target.service, |counts| counts.attempts += 1);
        let spec = core.spec_of(&job.target.service);
        let call = match self.call(job, &spec) {
            Ok(call) => call,
            Err(error) => {
                tracing::error!(job = %id, %error, "the request of a job cannot be read; tried again");
                return Verdict::Again(AGAIN);
            }
        };
        let answer = tokio::time::timeout(spec.timeout, core.reach.call(call));
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => return Verdict::Done,
            answer = answer => answer.unwrap_or_else(|_| {
                Err(format!("no answer within {}", quantity::show_duration(spec.timeout)))
            }),
        };
        if outcome.as_ref().is_ok_and(|answer| answer.status == 202) {
            // Before it is durable: whoever completes the job at once finds the ticket.
            core.running.lock().entry(id).and_modify(|running| running.leased = Some(token));
        }
        for _ in 0..OFFERS {
            match self.conclude(id, round, attempt, &outcome).await {
                Ok(verdict) => return verdict,
                Err(JobError::Unknown(_)) => return Verdict::Done,
                Err(error) => {
                    tracing::error!(job = %id, %error, "what came of a job could not be written; tried again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        core.unlease(id);
        Verdict::Again(AGAIN)
    }

    fn call(&self, job: Job, spec: &Arc<Spec>) -> Result<Call, JobError> {
        let body = self.core.shelves.requests.get(job.id.to_string())?.unwrap_or_default();
        Ok(Call {
            job: job.id,
            attempt: job.attempts,
            caller: job.caller,
            target: job.target,
            headers: job.headers,
            body,
            timeout: spec.timeout,
            answer_max_bytes: spec.body_max_bytes,
        })
    }

    /// Writes down what came of an attempt, if it still counts.
    async fn conclude(
        &self,
        id: JobId,
        round: u32,
        attempt: u32,
        outcome: &Result<Answer, String>,
    ) -> Result<Verdict, JobError> {
        let changed = self.core.change(id, |job, spec, now| {
            if !machine::is_current(job, round, attempt) {
                let wait = job.due_at.or(job.leased_until).map_or(0, |due| due.saturating_sub(now)).max(1);
                let verdict =
                    if job.state.is_over() { Verdict::Done } else { Verdict::Again(Duration::from_millis(wait)) };
                return ((verdict, false), None);
            }
            let told = outcome.as_ref().map_err(String::as_str);
            let verdict = match machine::answered(job, spec, told, now, fastrand::f64()) {
                Next::Leased => Verdict::Leased,
                Next::Again(pause) => Verdict::Again(pause),
                Next::Over => {
                    let body = outcome.as_ref().ok().and_then(|answer| answer.body.clone());
                    return ((Verdict::Done, false), body);
                }
            };
            ((verdict, verdict == Verdict::Leased), None)
        });
        let ((verdict, is_leased), _) = Box::pin(changed).await?;
        if !is_leased {
            self.core.unlease(id);
        }
        Ok(verdict)
    }
}
