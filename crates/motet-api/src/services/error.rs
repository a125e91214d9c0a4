//! Why a service's request was refused, and how it is told: RFC 9457 throughout.

use super::body::{self, Response};
use crate::wire::Problem;
use http::{HeaderValue, StatusCode, header};
use motet_cloudevents::{DecodeError, InvalidFilter};
use motet_kernel::code::ErrorCode;
use std::time::Duration;

/// When to come again, in seconds, where nobody knows: an outage of an engine, a stop.
const AGAIN_AFTER: u64 = 5;

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such topic.
    #[error("there is no topic `{name}`{}: topics are declared under `topics:` in the definition", did_you_mean(.nearest))]
    UnknownTopic {
        /// What was asked for.
        name: String,
        /// The nearest that exists.
        nearest: Option<String>,
    },
    /// There is no such subscription.
    #[error("there is no subscription `{name}`{}: subscriptions are declared under `subscribes:` of a service", did_you_mean(.nearest))]
    UnknownSubscription {
        /// What was asked for.
        name: String,
        /// The nearest that exists.
        nearest: Option<String>,
    },
    /// The definition does not allow the service that. What it would have to say stands in the text.
    #[error("{0}")]
    NotAllowed(String),
    /// It is not an event, or not several.
    #[error(transparent)]
    Event(#[from] DecodeError),
    /// The event does not adhere to its topic's schema, or the topic cannot take it for another reason that trying again does not change.
    #[error("{detail}")]
    NotTaken {
        /// What is wrong, where in the data, and what is wanted.
        detail: String,
        /// The code under which the book explains it.
        code: ErrorCode,
    },
    /// Something else in the request cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The body is larger than is taken.
    #[error("the body has more than the {limit} bytes that are taken")]
    TooLarge {
        /// How many are.
        limit: usize,
    },
    /// The body did not come in time.
    #[error("the body did not come within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// Too much waits already.
    #[error("too much waits to be written already: try again in a moment")]
    Busy {
        /// When, at the earliest.
        retry_after: Duration,
    },
    /// All leases that were named are over: the events are somebody else's by now, or settled.
    #[error("the lease is over: the event was settled before, or is delivered again")]
    LeaseOver,
    /// What was asked of a job is refused.
    #[error("{detail}")]
    Job {
        /// The status of the answer.
        status: StatusCode,
        /// The kind, in words.
        title: &'static str,
        /// What is wrong, and what to do.
        detail: String,
        /// The code under which the book explains it.
        code: ErrorCode,
    },
    /// There is no such path, or it takes other methods.
    #[error("{detail}")]
    NoSuchPath {
        /// What there is.
        detail: String,
        /// What the path takes, if it exists.
        allow: Option<&'static str>,
    },
    /// What is behind the port cannot do it now.
    #[error("{detail}")]
    Unavailable {
        /// What is the matter, and what to do.
        detail: String,
        /// The code under which the book explains it.
        code: ErrorCode,
    },
}

impl From<InvalidFilter> for Refusal {
    fn from(invalid: InvalidFilter) -> Self {
        Self::NotTaken { detail: invalid.to_string(), code: invalid.code() }
    }
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

impl Refusal {
    /// The code under which the book explains it.
    pub fn code(&self) -> ErrorCode {
        ErrorCode(match self {
            Self::UnknownTopic { .. } => "MO-api-201",
            Self::UnknownSubscription { .. } => "MO-api-202",
            Self::NotAllowed(_) => "MO-api-203",
            Self::Event(error) => return error.code(),
            Self::NotTaken { code, .. } | Self::Unavailable { code, .. } | Self::Job { code, .. } => return *code,
            Self::Unreadable(_) => "MO-api-204",
            Self::TooLarge { .. } => "MO-api-205",
            Self::TooSlow(_) => "MO-api-206",
            Self::Busy { .. } => "MO-api-207",
            Self::LeaseOver => "MO-api-208",
            Self::NoSuchPath { .. } => "MO-api-209",
        })
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownTopic { .. } | Self::UnknownSubscription { .. } => StatusCode::NOT_FOUND,
            Self::NoSuchPath { allow: None, .. } => StatusCode::NOT_FOUND,
            Self::NoSuchPath { allow: Some(_), .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAllowed(_) => StatusCode::FORBIDDEN,
            Self::Event(error) => error.status(),
            Self::NotTaken { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::LeaseOver => StatusCode::CONFLICT,
            Self::Job { status, .. } => *status,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The problem document.
    pub fn problem(&self) -> Problem {
        let title = match self {
            Self::UnknownTopic { .. } => "unknown topic",
            Self::UnknownSubscription { .. } => "unknown subscription",
            Self::NotAllowed(_) => "not allowed",
            Self::Event(_) => "not an event",
            Self::NotTaken { .. } => "not taken",
            Self::Unreadable(_) => "unreadable request",
            Self::TooLarge { .. } => "too large",
            Self::TooSlow(_) => "too slow",
            Self::Busy { .. } => "busy",
            Self::LeaseOver => "the lease is over",
            Self::Job { title, .. } => title,
            Self::NoSuchPath { .. } => "no such path",
            Self::Unavailable { .. } => "not available",
        };
        Problem {
            kind: format!("urn:motet:error:{}", self.code()),
            title: title.to_owned(),
            status: self.status().as_u16(),
            detail: self.to_string(),
        }
    }

    pub(crate) fn into_response(self) -> Response {
        let text = serde_json::to_vec(&self.problem()).unwrap_or_default();
        let mut response = body::answer(self.status(), "application/problem+json", text);
        let headers = response.headers_mut();
        match &self {
            Self::Busy { retry_after } => {
                // Whole seconds, and never none: the header knows no smaller unit.
                headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
            }
            Self::Unavailable { .. } | Self::Job { status: StatusCode::TOO_MANY_REQUESTS, .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(AGAIN_AFTER));
            }
            Self::NoSuchPath { allow: Some(methods), .. } => {
                headers.insert(header::ALLOW, HeaderValue::from_static(methods));
            }
            // What is left of the body is not worth reading.
            Self::TooLarge { .. } | Self::TooSlow(_) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
