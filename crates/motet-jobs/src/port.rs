//! What jobs need from the world: a queue for their tickets, and a way to services and topics.

use crate::job::{Answer, Job, JobId, Target};
use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;

/// What stands in the queue for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Which job.
    pub job: JobId,
    /// Which round of it. A ticket of another round means nothing.
    pub round: u32,
    /// What keeps it in order.
    pub key: Option<String>,
    /// Not before this, in milliseconds since 1970.
    pub not_before: Option<u64>,
}

/// What is to become of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is done with.
    Done,
    /// It comes again after this.
    Again(Duration),
    /// It is leased: the service works on the job and says later.
    Leased,
}

/// The queue did not do it; it is asked again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueueError(pub String);

/// Where tickets wait: one queue for each service, with its own limits.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Puts tickets into a service's queue, in this order. Durable when it answers. The same ticket may be put again.
    async fn put(&self, service: &str, tickets: Vec<Ticket>) -> Result<(), QueueError>;

    /// What becomes of a leased ticket. It may be gone: then nothing is to be done.
    async fn settle(&self, service: &str, token: &str, verdict: Verdict);

    /// A leased ticket stays leased for so long from now.
    async fn extend(&self, service: &str, token: &str, more: Duration);
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which job.
    pub job: JobId,
    /// 1 for the first.
    pub attempt: u32,
    /// Who asked for it.
    pub caller: String,
    /// What is asked.
    pub target: Target,
    /// The header fields of the request.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// How long it may take.
    pub timeout: Duration,
    /// How large the answer's body may be to be kept.
    pub answer_max_bytes: usize,
}

/// Why the end of a job was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnnounced {
    /// It may be in a moment.
    #[error("{0}")]
    Yet(String),
    /// It never will be.
    #[error("{0}")]
    Ever(String),
}

/// The way to services and topics.
#[async_trait]
pub trait Reach: Send + Sync + 'static {
    /// Sends the request of an attempt. Dropping it takes the request back. An error is what happened instead of an answer, in words.
    async fn call(&self, call: Call) -> Result<Answer, String>;

    /// What the callback of a job that is over says: header fields and body.
    fn notice(&self, job: &Job) -> (Vec<(String, String)>, Bytes);

    /// Publishes the end of a job on a topic. Durable when it answers; may be done twice.
    async fn announce(&self, topic: &str, job: &Job) -> Result<(), NotAnnounced>;
}
