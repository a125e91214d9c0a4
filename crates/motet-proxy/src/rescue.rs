//! Motet's own answers: from the cause of a failure to a problem document (RFC 9457). The one place where a status is chosen.
//!
//! 502 means that the outcome is unknown, 503 that nothing was done and it may be tried again, 504 that time ran out.

use crate::{body::Reply, journey::Journey, spec::Door};
use http::{HeaderValue, Response, StatusCode, header};
use motet_kernel::quantity::show_duration;
use serde_json::{Map, Value};
use std::time::Duration;

/// Why a request got no answer from an instance.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The gateway has no route for the path.
    NoRoute,
    /// The request breaks a rule of HTTP that proxies must hold.
    Malformed(&'static str),
    /// What is asked for is no proxy's business here.
    Unsupported(&'static str),
    /// The caller's request body broke off.
    CallerBroke,
    /// No instance was ready, for as long as the policy lets wait.
    NoInstance { waited: Duration },
    /// As many requests as the policy allows are under way.
    Full { limit: u32 },
    /// The deadline passed.
    Deadline { limit: Duration },
    /// No connection could be made, so nothing was sent.
    Unreachable { reason: String },
    /// The connection broke after the request, or part of it, had been sent.
    Broken { reason: String },
}

/// A cause without its details, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    NoRoute,
    Malformed,
    Unsupported,
    CallerBroke,
    NoInstance,
    Full,
    Deadline,
    Unreachable,
    Broken,
}

impl Kind {
    pub(crate) const COUNT: usize = 9;
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::NoRoute,
        Self::Malformed,
        Self::Unsupported,
        Self::CallerBroke,
        Self::NoInstance,
        Self::Full,
        Self::Deadline,
        Self::Unreachable,
        Self::Broken,
    ];

    /// The code whose page explains it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::NoRoute => "MO-proxy-101",
            Self::Malformed => "MO-proxy-102",
            Self::Unsupported => "MO-proxy-103",
            Self::CallerBroke => "MO-proxy-104",
            Self::NoInstance => "MO-proxy-201",
            Self::Full => "MO-proxy-202",
            Self::Deadline => "MO-proxy-203",
            Self::Unreachable => "MO-proxy-204",
            Self::Broken => "MO-proxy-205",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Malformed | Self::CallerBroke => StatusCode::BAD_REQUEST,
            Self::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Self::NoInstance | Self::Full | Self::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Deadline => StatusCode::GATEWAY_TIMEOUT,
            Self::Broken => StatusCode::BAD_GATEWAY,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::NoRoute => "No route",
            Self::Malformed => "Malformed request",
            Self::Unsupported => "Unsupported request",
            Self::CallerBroke => "Request broke off",
            Self::NoInstance => "No instance is ready",
            Self::Full => "Too many requests under way",
            Self::Deadline => "Deadline passed",
            Self::Unreachable => "No instance could be reached",
            Self::Broken => "The instance broke off",
        }
    }

    /// After how many seconds it is worth trying again.
    fn retry_after(self) -> Option<HeaderValue> {
        matches!(self, Self::NoInstance | Self::Full | Self::Unreachable).then(|| HeaderValue::from_static("1"))
    }
}

impl Cause {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::NoRoute => Kind::NoRoute,
            Self::Malformed(_) => Kind::Malformed,
            Self::Unsupported(_) => Kind::Unsupported,
            Self::CallerBroke => Kind::CallerBroke,
            Self::NoInstance { .. } => Kind::NoInstance,
            Self::Full { .. } => Kind::Full,
            Self::Deadline { .. } => Kind::Deadline,
            Self::Unreachable { .. } => Kind::Unreachable,
            Self::Broken { .. } => Kind::Broken,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::NoRoute => "no route of the gateway takes this path".to_owned(),
            Self::Malformed(rule) | Self::Unsupported(rule) => (*rule).to_owned(),
            Self::CallerBroke => "the request body ended before it was complete".to_owned(),
            Self::NoInstance { waited } => format!("no instance became ready within {}", show_duration(*waited)),
            Self::Full { limit } => format!("the limit of {limit} requests under way is reached"),
            Self::Deadline { limit } => format!("no complete answer within {}", show_duration(*limit)),
            Self::Unreachable { reason } => format!("nothing was sent: {reason}"),
            Self::Broken { reason } => {
                format!("the connection broke after the request was sent, its outcome is unknown: {reason}")
            }
        }
    }

    /// The part of the policy that decided, as it is written in the definition.
    fn policy(&self) -> Option<String> {
        match self {
            Self::NoInstance { waited } => Some(format!("ready_wait: {}", show_duration(*waited))),
            Self::Full { limit } => Some(format!("concurrency: {limit}")),
            Self::Deadline { limit } => Some(format!("timeout: {}", show_duration(*limit))),
            _ => None,
        }
    }
}

/// The answer for a cause. `door` is missing where none was found.
pub(crate) fn respond(cause: &Cause, door: Option<&Door>, journey: &Journey) -> Response<Reply> {
    let kind = cause.kind();
    let mut document = Map::new();
    let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
    put("type", format!("urn:motet:error:{}", kind.code()).into());
    put("title", kind.title().into());
    put("status", kind.status().as_u16().into());
    put("detail", cause.detail().into());
    put("code", kind.code().into());
    if let Some(door) = door {
        put("edge", door.to_string().into());
    }
    if let Some(instance) = journey.last_instance() {
        put("instance_label", instance.as_ref().into());
    }
    put("attempts", journey.attempts().into());
    put("elapsed_ms", u64::try_from(journey.elapsed().as_millis()).unwrap_or(u64::MAX).into());
    if let Some(policy) = cause.policy() {
        put("policy", policy.into());
    }
    let text = Value::Object(document).to_string();
    let mut response = Response::new(Reply::made(text));
    *response.status_mut() = kind.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = kind.retry_after() {
        headers.insert(header::RETRY_AFTER, seconds);
    }
    journey.stamp(headers);
    response
}
