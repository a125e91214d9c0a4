//! Jobs, as whoever stands at a door may deal with them.

use crate::{services::Refusal, wire::jobs::Job};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;

/// A request that is to become a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobRequest {
    /// Which service is asked.
    pub service: String,
    /// The path, with its query.
    pub path: String,
    /// The header fields that go along.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The same key from the same caller means the same job.
    pub idempotency_key: Option<String>,
    /// Jobs with the same key run one after the other.
    pub key: Option<String>,
    /// Not before this, in milliseconds since 1970.
    pub not_before_ms: Option<u64>,
    /// How often it is tried at most.
    pub attempts: Option<u32>,
    /// Who is told of its end: `/path` of the caller, or `service/path`.
    pub callback: Option<String>,
    /// The topic on which its end is published.
    pub event: Option<String>,
}

/// What a service answered to a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The header fields that are kept.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// Jobs, for whoever stands at the door: it knows what is his, and what he may.
#[async_trait]
pub trait Jobs: Send + Sync + 'static {
    /// How large a body may be in a job for this service: asked before anything is read. Quick, and without waiting.
    fn admit(&self, service: &str) -> Result<usize, Refusal>;

    /// Makes a request a job; durable when it answers.
    async fn submit(&self, request: JobRequest) -> Result<Job, Refusal>;

    /// A job as it is; after it is over, or after `wait`, whatever is first.
    async fn job(&self, id: &str, wait: Duration) -> Result<Job, Refusal>;

    /// What the service answered at last; nothing while the job is not over.
    async fn result(&self, id: &str) -> Result<Option<JobAnswer>, Refusal>;

    /// Ends a job.
    async fn cancel(&self, id: &str) -> Result<Job, Refusal>;

    /// Begins a job that failed or was cancelled anew.
    async fn retry(&self, id: &str) -> Result<Job, Refusal>;

    /// The handler that answered 202 says what came of it.
    async fn complete(&self, id: &str, answer: JobAnswer) -> Result<Job, Refusal>;

    /// That handler needs so long from now on.
    async fn extend(&self, id: &str, more: Duration) -> Result<Job, Refusal>;

    /// The handler says how far it is.
    async fn progress(&self, id: &str, progress: Value) -> Result<Job, Refusal>;
}
