//! Jobs, as they travel: to services and to people in one form, which callbacks and events of their ends carry too.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

    /// Whether nothing follows.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl std::str::FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no state: there are {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Which: `job_0199…`.
    pub id: String,
    /// The service that does it.
    pub service: String,
    /// The path that is asked, with its query.
    pub path: String,
    /// Who asked for it: a service, or `operator`.
    pub caller: String,
    /// How far it is.
    pub state: State,
    /// How many attempts were begun.
    pub attempts: u32,
    /// How many there are at most.
    pub attempts_max: u32,
    /// When it was asked for.
    pub created_at: String,
    /// Not before this, where it waits for its time or for the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    /// When the last attempt was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<String>,
    /// Until when it belongs to a handler that answered 202.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leased_until: Option<String>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// What the handler says about how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub progress: Option<Value>,
    /// What the last failed attempt met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// What the service answered at last, once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
    /// Its key of order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// By this the same request finds it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Who is told of its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
    /// The topic on which its end is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The job of whose end this one tells, if it is a callback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_of: Option<String>,
}

/// What a failed attempt met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastError {
    /// The status of the answer, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What it said, or what happened.
    pub detail: String,
    /// When.
    pub at: String,
}

/// What a service answered at last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// The status.
    pub status: u16,
    /// The media type of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// How large the body is. Missing if it was larger than is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// Who is told of the end of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Callback {
    /// The service.
    pub service: String,
    /// Its path.
    pub path: String,
    /// The job that tells it, once there is something to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// Jobs, those first that were asked for last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Jobs {
    /// As many as were asked for, or as there are.
    pub jobs: Vec<Job>,
    /// What `before` has to be for the next page, if there may be more.
    pub next: Option<String>,
}
