//! What a job is: a request, and what became of it so far.

use bytes::Bytes;
use motet_kernel::id::{Id, Kind};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;

/// Of [`JobId`].
#[derive(Debug)]
pub enum OfJob {}
impl Kind for OfJob {
    const PREFIX: &'static str = "job";
}

/// The id of a job: `job_0199…`. Later ones are greater.
pub type JobId = Id<OfJob>;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for its first attempt.
    Queued,
    /// It is with the service.
    Running,
    /// An attempt failed, and another one follows.
    Retrying,
    /// The service has done it.
    Succeeded,
    /// It was given up.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Retrying, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// Whether nothing follows.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A path of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Which service.
    pub service: String,
    /// The path, with its query.
    pub path: String,
}

/// A request that is to become a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Who asks: a service, or a word that is no service's name.
    pub caller: String,
    /// What is to be asked.
    pub target: Target,
    /// The header fields that go along.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The same caller with the same key means the same job.
    pub idempotency_key: Option<String>,
    /// Jobs of a service with the same key run one after the other.
    pub key: Option<String>,
    /// Not before this, in milliseconds since 1970.
    pub not_before: Option<u64>,
    /// How often it is tried at most, where it is not as often as the service's jobs are.
    pub attempts: Option<u32>,
    /// Who is told of its end, by a job of its own.
    pub callback: Option<Target>,
    /// The topic on which its end is published.
    pub event: Option<String>,
}

/// What a service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header fields that are kept.
    pub headers: Vec<(String, String)>,
    /// The body; nothing if it was larger than is kept.
    pub body: Option<Bytes>,
    /// What `Retry-After` said, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// What is kept of an answer beside its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// Its header fields.
    pub headers: Vec<(String, String)>,
    /// How large the body is; nothing if it was larger than is kept.
    pub bytes: Option<u64>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// What it said, or what happened, in words.
    pub detail: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// A job. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Which.
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub id: JobId,
    /// What is asked.
    pub target: Target,
    /// The header fields of the request.
    pub headers: Vec<(String, String)>,
    /// How large the body is.
    pub body_bytes: u64,
    /// Who asked.
    pub caller: String,
    /// Its key for being found again.
    pub idempotency_key: Option<String>,
    /// Its key of order.
    pub key: Option<String>,
    /// How often it is tried at most.
    pub attempts_max: u32,
    /// Who is told of its end.
    pub callback: Option<Target>,
    /// Where its end is published.
    pub event: Option<String>,
    /// The job of whose end this one tells.
    pub of: Option<String>,
    /// How far it is.
    pub state: State,
    /// How often it was begun anew by somebody; a ticket of an earlier round means nothing.
    pub round: u32,
    /// How many attempts were begun in this round.
    pub attempts: u32,
    /// When it was asked for.
    pub created_at: u64,
    /// From when on its age counts: when it was asked for, is due for the first time, or was begun anew.
    pub counts_from: u64,
    /// Until when it has to be over; after that it is given up by whoever looks.
    pub deadline: u64,
    /// Not before this.
    pub due_at: Option<u64>,
    /// When the last attempt was begun.
    pub begun_at: Option<u64>,
    /// Until when it belongs to a service that answered 202.
    pub leased_until: Option<u64>,
    /// When it was over.
    pub finished_at: Option<u64>,
    /// What the service says about how far it is.
    pub progress: Option<Value>,
    /// What the last failed attempt met.
    pub failure: Option<Failure>,
    /// The last answer, once it is over.
    pub answer: Option<Answered>,
    /// The job that tells of its end.
    pub callback_job: Option<String>,
}

fn write_id<S: Serializer>(id: &JobId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn read_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<JobId, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}
