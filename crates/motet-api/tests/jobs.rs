//! Jobs through the control API, with a double behind it: what a request says arrives as it was said, and an answer of the service is told apart
//! from a refusal.

use super::{Double, served};
use async_trait::async_trait;
use bytes::Bytes;
use motet_api::{
    error::{CallError, Refusal as Refused},
    port::{JobsControl, jobs::JobQuery},
    services::{
        Refusal,
        port::jobs::{JobAnswer, JobRequest, Jobs},
    },
    wire::jobs::{self as wire, Job, State},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

const ID: &str = "job_01890000000070008000000000000000";

/// A service that has done everything that it was asked for.
struct Parser;

fn a_job(request: &JobRequest, state: State) -> Job {
    let headers = request.headers.iter().map(|(name, value)| format!("{name}={value}"));
    Job {
        id: ID.to_owned(),
        service: request.service.clone(),
        path: request.path.clone(),
        caller: headers.collect::<Vec<_>>().join(" "),
        state,
        attempts: 1,
        attempts_max: request.attempts.unwrap_or(20),
        created_at: String::from_utf8_lossy(&request.body).into_owned(),
        due_at: None,
        begun_at: None,
        leased_until: None,
        finished_at: None,
        progress: None,
        last_error: None,
        result: None,
        key: request.key.clone(),
        idempotency_key: request.idempotency_key.clone(),
        callback: None,
        event: request.event.clone(),
        callback_of: None,
    }
}

fn unknown() -> Refusal {
    let code = motet_kernel::code::ErrorCode("MO-jobs-101");
    Refusal::Job { status: http::StatusCode::NOT_FOUND, title: "unknown job", detail: "there is no job".into(), code }
}

#[async_trait]
impl Jobs for Parser {
    fn admit(&self, service: &str) -> Result<usize, Refusal> {
        if service == "parser" { Ok(1024) } else { Err(unknown()) }
    }
    async fn submit(&self, request: JobRequest) -> Result<Job, Refusal> {
        Ok(a_job(&request, State::Queued))
    }
    async fn job(&self, id: &str, wait: Duration) -> Result<Job, Refusal> {
        let state = if wait.is_zero() { State::Running } else { State::Failed };
        if id == ID { Ok(a_job(&JobRequest::default(), state)) } else { Err(unknown()) }
    }
    async fn result(&self, _: &str) -> Result<Option<JobAnswer>, Refusal> {
        let headers = vec![("content-type".to_owned(), "application/problem+json".to_owned())];
        Ok(Some(JobAnswer { status: 404, headers, body: Bytes::from_static(b"{}") }))
    }
    async fn cancel(&self, id: &str) -> Result<Job, Refusal> {
        self.job(id, Duration::ZERO).await
    }
    async fn retry(&self, id: &str) -> Result<Job, Refusal> {
        self.job(id, Duration::ZERO).await
    }
    async fn complete(&self, _: &str, _: JobAnswer) -> Result<Job, Refusal> {
        Err(unknown())
    }
    async fn extend(&self, _: &str, _: Duration) -> Result<Job, Refusal> {
        Err(unknown())
    }
    async fn progress(&self, _: &str, _: Value) -> Result<Job, Refusal> {
        Err(unknown())
    }
}

#[async_trait]
impl JobsControl for Double {
    fn jobs(&self) -> Result<Arc<dyn Jobs>, Refused> {
        Ok(Arc::new(Parser))
    }
    async fn list_jobs(&self, query: JobQuery) -> Result<wire::Jobs, Refused> {
        Ok(wire::Jobs { jobs: Vec::new(), next: Some(format!("{query:?}")) })
    }
}

#[tokio::test]
async fn a_request_becomes_a_job_with_its_path_its_headers_and_what_they_say() {
    let served = served().await;
    let client = &served.client;
    let headers = [("x-own", "kept"), ("x-motet-attempts", "3"), ("x-motet-key", "k"), ("authorization", "s")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let job = client.run_job("parser", "/a%20b/c?lang=de&x=%2F", &headers, b"body".to_vec()).await.expect("taken");
    assert_eq!((job.path.as_str(), job.created_at.as_str()), ("/a%20b/c?lang=de&x=%2F", "body"));
    assert_eq!((job.attempts_max, job.key.as_deref()), (3, Some("k")));
    assert!(job.caller.contains("x-own=kept") && !job.caller.contains("authorization"), "{}", job.caller);
    let refused = client.run_job("parsr", "/", &[], Vec::new()).await;
    assert!(matches!(refused, Err(CallError::Refused(problem)) if problem.status == 404));
    let bad = [("x-motet-delay".to_owned(), "soon".to_owned())];
    let refused = client.run_job("parser", "/", &bad, Vec::new()).await;
    assert!(matches!(refused, Err(CallError::Refused(problem)) if problem.detail.contains("x-motet-delay")));
}

#[tokio::test]
async fn an_answer_of_the_service_is_no_refusal() {
    let served = served().await;
    let client = &served.client;
    let result = client.job_result(ID, Duration::from_secs(1)).await.expect("an answer, though it is a 404");
    assert_eq!((result.status, result.state.as_str(), &result.body[..]), (404, "failed", &b"{}"[..]));
    assert_eq!(result.content_type, "application/problem+json");
    let refused = client.job_result("job_1", Duration::ZERO).await;
    assert!(matches!(refused, Err(CallError::Refused(problem)) if problem.status == 404));
    let query = JobQuery { service: Some("a b".into()), state: Some(State::Failed), before: None, most: 7 };
    assert_eq!(client.jobs(&query).await.expect("a list").next, Some(format!("{query:?}")));
    assert_eq!(client.cancel_job(ID).await.expect("cancelled").state, State::Running);
}
