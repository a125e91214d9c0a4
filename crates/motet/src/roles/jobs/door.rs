//! What somebody may do with jobs: a service with its own and with those that it does, an operator with all.

use super::shown::shown;
use crate::roles::{events::Declared, session::nearest_text};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::StatusCode;
use motet_api::{
    services::{
        Refusal,
        port::jobs::{JobAnswer, JobRequest, Jobs},
    },
    wire::jobs::Job as Shown,
};
use motet_broker::TopicName;
use motet_jobs::{Answer, Handle, Job, JobError, JobId, Order, State, Target};
use motet_kernel::{code::ErrorCode, name::ServiceName};
use motet_store::CommitError;
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// The caller of jobs that people ask for. Services have no slash in their names.
const OPERATOR: &str = "/operator";

const NO_RESULT: ErrorCode = ErrorCode("MO-jobs-108");
const NOT_ALLOWED: ErrorCode = ErrorCode("MO-jobs-109");

/// When somebody should come again who found no room.
const BUSY_FOR: Duration = Duration::from_secs(1);

/// Who stands at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// A service, at its own address.
    Service(ServiceName),
    /// A person, at the control API.
    Operator,
}

impl Who {
    fn name(&self) -> &str {
        match self {
            Self::Service(service) => service.as_str(),
            Self::Operator => OPERATOR,
        }
    }
}

/// The door of one of them.
pub(super) struct JobsDoor {
    who: Who,
    jobs: Handle,
    declared: Arc<ArcSwap<Declared>>,
}

/// What a job's id is.
pub(crate) fn job_id(text: &str) -> Result<JobId, Refusal> {
    text.parse().map_err(|_| refused(&JobError::Unknown(text.chars().take(80).collect())))
}

impl JobsDoor {
    pub(super) fn new(who: Who, jobs: Handle, declared: Arc<ArcSwap<Declared>>) -> Self {
        Self { who, jobs, declared }
    }

    /// A job that is none of the asker's business is none for him.
    fn own(&self, id: &str) -> Result<Job, Refusal> {
        let job = self.jobs.job(job_id(id)?).map_err(|error| refused(&error))?;
        let name = self.who.name();
        if self.who == Who::Operator || job.caller == name || job.target.service == name {
            return Ok(job);
        }
        Err(refused(&JobError::Unknown(id.to_owned())))
    }

    /// A job that the asker has asked for.
    fn asked(&self, id: &str, what: &str) -> Result<Job, Refusal> {
        let job = self.own(id)?;
        let is_asker = self.who == Who::Operator || job.caller == self.who.name();
        if is_asker {
            Ok(job)
        } else {
            Err(not_allowed(format!("only `{}`, who asked for the job, may {what}", job.caller)))
        }
    }

    /// A job that the asker does.
    fn done_here(&self, id: &str) -> Result<Job, Refusal> {
        let job = self.own(id)?;
        let does = self.who == Who::Operator || job.target.service == self.who.name();
        let service = &job.target.service;
        if does { Ok(job) } else { Err(not_allowed(format!("only `{service}`, which does the job, may say that"))) }
    }

    fn callback(&self, text: &str) -> Result<Target, Refusal> {
        let declared = self.declared.load();
        let (service, path) = match (text.split_once('/'), &self.who) {
            (Some(("", path)), Who::Service(own)) => (own.to_string(), path),
            (Some((service, path)), _) if !service.is_empty() => (service.to_owned(), path),
            _ => {
                let what = "`x-motet-callback` has to be a path of the calling service, `/done`, or another one's, `service/done`";
                return Err(Refusal::Unreadable(what.to_owned()));
            }
        };
        let path = motet_api::services::jobs::callback_path(path)?;
        let jobs = declared.jobs();
        let may = match &self.who {
            Who::Operator => true,
            Who::Service(own) => own.as_str() == service || jobs.may_ask(own, &service),
        };
        if !may || !jobs.can_be_told(&service) {
            let who = self.who.name();
            return Err(not_allowed(format!(
                "`{who}` cannot let `{service}` be called back: that can be itself, or a service that it `uses` and that has `jobs:`"
            )));
        }
        Ok(Target { service, path })
    }

    /// Whoever wants an event published has to be one who publishes it.
    fn event(&self, topic: &str) -> Result<(), Refusal> {
        let declared = self.declared.load();
        let name: Option<TopicName> = topic.parse().ok().filter(|name| declared.topics().contains_key(name));
        let Some(name) = name else {
            let nearest = nearest_text(topic, declared.topics().keys().map(TopicName::as_str));
            return Err(Refusal::UnknownTopic { name: topic.to_owned(), nearest });
        };
        match &self.who {
            Who::Service(own) if !declared.publishes(own, &name) => Err(Refusal::NotAllowed(format!(
                "`{own}` does not publish `{name}`, so its jobs cannot: write it under `publishes:` of the service"
            ))),
            _ => Ok(()),
        }
    }
}

fn not_allowed(detail: String) -> Refusal {
    Refusal::Job { status: StatusCode::FORBIDDEN, title: "not allowed", detail, code: NOT_ALLOWED }
}

/// A failure in the words of the API.
pub(crate) fn refused(error: &JobError) -> Refusal {
    let (detail, code) = (error.to_string(), error.code());
    let told = |status, title| Refusal::Job { status, title, detail: detail.clone(), code };
    match error {
        JobError::Unknown(_) => told(StatusCode::NOT_FOUND, "unknown job"),
        JobError::NoJobs(_) => told(StatusCode::NOT_FOUND, "no jobs"),
        JobError::KeyReused { .. } => told(StatusCode::UNPROCESSABLE_ENTITY, "idempotency key used again"),
        JobError::TooLarge { .. } => told(StatusCode::PAYLOAD_TOO_LARGE, "too large"),
        JobError::Full { .. } => told(StatusCode::TOO_MANY_REQUESTS, "too many jobs"),
        JobError::NotNow { .. } => told(StatusCode::CONFLICT, "not now"),
        JobError::Unfit(_) => told(StatusCode::BAD_REQUEST, "unfit"),
        JobError::Commit(CommitError::Busy(_)) => Refusal::Busy { retry_after: BUSY_FOR },
        JobError::Commit(_) | JobError::Read(_) | JobError::Open(_) | JobError::Malformed { .. } => {
            Refusal::Unavailable { detail, code }
        }
    }
}

#[async_trait]
impl Jobs for JobsDoor {
    fn admit(&self, service: &str) -> Result<usize, Refusal> {
        let declared = self.declared.load();
        let jobs = declared.jobs();
        if let Who::Service(own) = &self.who
            && jobs.takes(service)
            && !jobs.may_ask(own, service)
        {
            return Err(not_allowed(format!(
                "`{own}` may not call `{service}`, so it cannot ask it for jobs: write it under `uses:` of `{own}`"
            )));
        }
        match self.jobs.spec(service).filter(|_| jobs.takes(service)) {
            Some(spec) => Ok(spec.body_max_bytes),
            None => {
                let nearest = nearest_text(service, jobs.takers().map(ServiceName::as_str));
                let nearest = nearest.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
                let name: String = service.chars().take(80).collect();
                let detail = format!(
                    "there is no service `{name}` that takes jobs{nearest}: a service takes them that has `jobs: {{}}` in the definition"
                );
                let code = JobError::NoJobs(String::new()).code();
                Err(Refusal::Job { status: StatusCode::NOT_FOUND, title: "no jobs", detail, code })
            }
        }
    }

    async fn submit(&self, request: JobRequest) -> Result<Shown, Refusal> {
        self.admit(&request.service)?;
        let callback = request.callback.as_deref().map(|text| self.callback(text)).transpose()?;
        request.event.as_deref().map_or(Ok(()), |topic| self.event(topic))?;
        let order = Order {
            caller: self.who.name().to_owned(),
            target: Target { service: request.service, path: request.path },
            headers: request.headers,
            body: request.body,
            idempotency_key: request.idempotency_key,
            key: request.key,
            not_before: request.not_before_ms,
            attempts: request.attempts,
            callback,
            event: request.event,
        };
        let submitted = Box::pin(self.jobs.submit(order)).await.map_err(|error| refused(&error))?;
        Ok(shown(&submitted.job))
    }

    async fn job(&self, id: &str, wait: Duration) -> Result<Shown, Refusal> {
        let job = self.own(id)?;
        if wait.is_zero() || job.state.is_over() {
            return Ok(shown(&job));
        }
        let job = self.jobs.wait(job.id, wait).await.map_err(|error| refused(&error))?;
        Ok(shown(&job))
    }

    async fn result(&self, id: &str) -> Result<Option<JobAnswer>, Refusal> {
        let job = self.own(id)?;
        let none = |status, why: String| {
            let detail = format!("job {} has no result: {why}", job.id);
            Err(Refusal::Job { status, title: "no result", detail, code: NO_RESULT })
        };
        match (&job.answer, job.state) {
            (_, State::Queued | State::Running | State::Retrying) => Ok(None),
            (_, State::Cancelled) => none(StatusCode::GONE, "it was cancelled".to_owned()),
            (None, _) => {
                let last = job.failure.as_ref().map(|failure| failure.detail.clone()).unwrap_or_default();
                none(StatusCode::BAD_GATEWAY, format!("its last attempt had no answer: {last}"))
            }
            (Some(answer), _) if answer.bytes.is_none() => {
                let what = format!(
                    "the answer, with status {}, was larger than is kept: see `max_payload` of the service's jobs",
                    answer.status
                );
                none(StatusCode::GONE, what)
            }
            (Some(answer), _) => {
                let body = self.jobs.result(job.id).map_err(|error| refused(&error))?.unwrap_or_default();
                Ok(Some(JobAnswer { status: answer.status, headers: answer.headers.clone(), body }))
            }
        }
    }

    async fn cancel(&self, id: &str) -> Result<Shown, Refusal> {
        let job = self.asked(id, "cancel it")?;
        let job = Box::pin(self.jobs.cancel(job.id)).await.map_err(|error| refused(&error))?;
        Ok(shown(&job))
    }

    async fn retry(&self, id: &str) -> Result<Shown, Refusal> {
        let job = self.asked(id, "begin it again")?;
        let job = Box::pin(self.jobs.retry(job.id)).await.map_err(|error| refused(&error))?;
        Ok(shown(&job))
    }

    async fn complete(&self, id: &str, answer: JobAnswer) -> Result<Shown, Refusal> {
        let job = self.done_here(id)?;
        let most = self.jobs.spec(&job.target.service).map_or(0, |spec| spec.body_max_bytes);
        if answer.body.len() > most {
            return Err(refused(&JobError::TooLarge { service: job.target.service, most }));
        }
        let answer =
            Answer { status: answer.status, headers: answer.headers, body: Some(answer.body), retry_after_ms: None };
        let job = Box::pin(self.jobs.complete(job.id, answer)).await.map_err(|error| refused(&error))?;
        Ok(shown(&job))
    }

    async fn extend(&self, id: &str, more: Duration) -> Result<Shown, Refusal> {
        let job = self.done_here(id)?;
        let job = Box::pin(self.jobs.extend(job.id, more)).await.map_err(|error| refused(&error))?;
        Ok(shown(&job))
    }

    async fn progress(&self, id: &str, progress: Value) -> Result<Shown, Refusal> {
        let job = self.done_here(id)?;
        let job = Box::pin(self.jobs.progress(job.id, progress)).await.map_err(|error| refused(&error))?;
        Ok(shown(&job))
    }
}
