//! Motet's own answers: from the cause of a failure to a problem document (RFC 9457). The one place where a status is chosen.
//!
//! 502 means that the outcome is unknown, 503 that nothing was done and it may be tried again, 504 that time ran out.

use crate::{body::Reply, grpc, journey::Journey, spec::Door};
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
    /// The request's head is longer than the gateway allows.
    HeadTooLong { limit: usize },
    /// It has more fields than the gateway allows.
    TooManyFields { limit: usize },
    /// Its path and query are longer than the gateway allows.
    UriTooLong { limit: usize },
    /// Its body is longer than the route allows.
    BodyTooLong { limit: u64 },
    /// Its body came more slowly than the route allows.
    TooSlow { rate: u32 },
    /// Its head was not complete in time.
    HeadLate { limit: Duration },
    /// The route asks who it is, and the caller showed nothing.
    NothingShown,
    /// The caller showed something that is not valid. Why is for the log.
    NotRecognized,
    /// The caller is known and may not.
    Forbidden { scopes: Option<String> },
    /// The keys that tokens are signed with could not be had yet.
    NoSigningKeys,
    /// A preflight came from an origin that is not allowed.
    OriginRefused,
    /// No instance was ready, for as long as the policy lets wait.
    NoInstance { waited: Duration },
    /// As many requests as the policy allows are under way, and as many as it allows wait.
    Full { limit: u32, queue: u32 },
    /// Its turn did not come.
    Queued { limit: u32, waited: Duration },
    /// It came sooner than the policy allows.
    TooMany { requests: u32, per: Duration, again: Duration },
    /// All instances are ejected.
    Open { again: Duration },
    /// No try gave an answer in time, and there was time for no other.
    Slow { key: &'static str, limit: Duration },
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
    HeadTooLong,
    UriTooLong,
    BodyTooLong,
    TooSlow,
    NotRecognized,
    Forbidden,
    NoSigningKeys,
    OriginRefused,
    NoInstance,
    Full,
    Deadline,
    Unreachable,
    Broken,
    TooMany,
    Open,
    Slow,
}

impl Kind {
    pub(crate) const COUNT: usize = 20;
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::NoRoute,
        Self::Malformed,
        Self::Unsupported,
        Self::CallerBroke,
        Self::HeadTooLong,
        Self::UriTooLong,
        Self::BodyTooLong,
        Self::TooSlow,
        Self::NotRecognized,
        Self::Forbidden,
        Self::NoSigningKeys,
        Self::OriginRefused,
        Self::NoInstance,
        Self::Full,
        Self::Deadline,
        Self::Unreachable,
        Self::Broken,
        Self::TooMany,
        Self::Open,
        Self::Slow,
    ];

    /// The code whose page explains it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::NoRoute => "MO-proxy-101",
            Self::Malformed => "MO-proxy-102",
            Self::Unsupported => "MO-proxy-103",
            Self::CallerBroke => "MO-proxy-104",
            Self::HeadTooLong => "MO-proxy-110",
            Self::UriTooLong => "MO-proxy-111",
            Self::BodyTooLong => "MO-proxy-112",
            Self::TooSlow => "MO-proxy-113",
            Self::NotRecognized => "MO-proxy-114",
            Self::Forbidden => "MO-proxy-115",
            Self::NoSigningKeys => "MO-proxy-116",
            Self::OriginRefused => "MO-proxy-117",
            Self::NoInstance => "MO-proxy-201",
            Self::Full => "MO-proxy-202",
            Self::Deadline => "MO-proxy-203",
            Self::Unreachable => "MO-proxy-204",
            Self::Broken => "MO-proxy-205",
            Self::TooMany => "MO-proxy-206",
            Self::Open => "MO-proxy-207",
            Self::Slow => "MO-proxy-208",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Malformed | Self::CallerBroke => StatusCode::BAD_REQUEST,
            Self::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Self::NoInstance | Self::Full | Self::Unreachable | Self::Open | Self::NoSigningKeys => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Deadline | Self::Slow => StatusCode::GATEWAY_TIMEOUT,
            Self::HeadTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::BodyTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotRecognized => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::OriginRefused => StatusCode::FORBIDDEN,
            Self::Broken => StatusCode::BAD_GATEWAY,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::NoRoute => "No route",
            Self::Malformed => "Malformed request",
            Self::Unsupported => "Unsupported request",
            Self::CallerBroke => "Request broke off",
            Self::HeadTooLong => "Request head too long",
            Self::UriTooLong => "Path too long",
            Self::BodyTooLong => "Request body too long",
            Self::TooSlow => "Request too slow",
            Self::NotRecognized => "Not recognized",
            Self::Forbidden => "Not allowed",
            Self::NoSigningKeys => "Tokens cannot be checked now",
            Self::OriginRefused => "Origin not allowed",
            Self::NoInstance => "No instance is ready",
            Self::Full => "Too many requests under way",
            Self::Deadline => "Deadline passed",
            Self::Unreachable => "No instance could be reached",
            Self::Broken => "The instance broke off",
            Self::TooMany => "Too many requests",
            Self::Open => "All instances are failing",
            Self::Slow => "No instance answered in time",
        }
    }

    /// The same in gRPC's words.
    fn grpc(self) -> u8 {
        use grpc::status;
        match self {
            Self::NoRoute | Self::Unsupported => status::UNIMPLEMENTED,
            Self::Malformed | Self::CallerBroke => status::INTERNAL,
            Self::NoInstance | Self::Full | Self::Unreachable | Self::Broken | Self::Open => status::UNAVAILABLE,
            Self::NoSigningKeys => status::UNAVAILABLE,
            Self::TooMany | Self::HeadTooLong | Self::UriTooLong | Self::BodyTooLong => status::RESOURCE_EXHAUSTED,
            Self::NotRecognized => status::UNAUTHENTICATED,
            Self::Forbidden | Self::OriginRefused => status::PERMISSION_DENIED,
            Self::Deadline | Self::Slow | Self::TooSlow => status::DEADLINE_EXCEEDED,
        }
    }
}

impl Cause {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::NoRoute => Kind::NoRoute,
            Self::Malformed(_) => Kind::Malformed,
            Self::Unsupported(_) => Kind::Unsupported,
            Self::CallerBroke => Kind::CallerBroke,
            Self::HeadTooLong { .. } | Self::TooManyFields { .. } => Kind::HeadTooLong,
            Self::UriTooLong { .. } => Kind::UriTooLong,
            Self::BodyTooLong { .. } => Kind::BodyTooLong,
            Self::TooSlow { .. } | Self::HeadLate { .. } => Kind::TooSlow,
            Self::NothingShown | Self::NotRecognized => Kind::NotRecognized,
            Self::Forbidden { .. } => Kind::Forbidden,
            Self::NoSigningKeys => Kind::NoSigningKeys,
            Self::OriginRefused => Kind::OriginRefused,
            Self::NoInstance { .. } => Kind::NoInstance,
            Self::Full { .. } | Self::Queued { .. } => Kind::Full,
            Self::TooMany { .. } => Kind::TooMany,
            Self::Open { .. } => Kind::Open,
            Self::Slow { .. } => Kind::Slow,
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
            Self::HeadTooLong { limit } => format!("the request's head is longer than {limit} bytes"),
            Self::TooManyFields { limit } => format!("the request has more than {limit} header fields"),
            Self::UriTooLong { limit } => format!("the request's path is longer than {limit} bytes"),
            Self::BodyTooLong { limit } => format!("the request's body is longer than {limit} bytes"),
            Self::TooSlow { rate } => format!("the request's body came slower than {rate} bytes per second"),
            Self::HeadLate { limit } => format!("the request's head was not complete within {}", show_duration(*limit)),
            Self::NothingShown => "the route asks for an API key or a token, and there was none".to_owned(),
            Self::NotRecognized => "the API key or token is not valid".to_owned(),
            Self::Forbidden { .. } => "the API key or token does not allow this".to_owned(),
            Self::NoSigningKeys => "the keys that tokens are signed with cannot be had".to_owned(),
            Self::OriginRefused => "pages of this origin may not call this route".to_owned(),
            Self::NoInstance { waited } => format!("no instance became ready within {}", show_duration(*waited)),
            Self::Full { limit, queue } => {
                format!(
                    "the limit of {limit} requests under way is reached, and {queue} more urgent or earlier ones wait"
                )
            }
            Self::Queued { limit, waited } => {
                let waited = show_duration(*waited);
                format!("the limit of {limit} requests under way is reached, and none of them ended within {waited}")
            }
            Self::TooMany { requests, per, .. } => {
                format!("more than {requests} requests in {}", show_duration(*per))
            }
            Self::Open { .. } => "each instance has failed often enough to be left alone for a while".to_owned(),
            Self::Slow { limit, .. } => format!("an instance gave no answer within {}", show_duration(*limit)),
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
            Self::Full { limit, .. } => Some(format!("concurrency: {limit}")),
            Self::Queued { waited, .. } => Some(format!("concurrency.queue_wait: {}", show_duration(*waited))),
            Self::TooMany { requests, per, .. } => Some(format!("rate: {requests}/{}", show_duration(*per))),
            Self::Open { .. } => Some("breaker".to_owned()),
            Self::Slow { key, limit } => Some(format!("{key}: {}", show_duration(*limit))),
            Self::Deadline { limit } => Some(format!("timeout: {}", show_duration(*limit))),
            Self::HeadTooLong { limit } => Some(format!("head: {limit}")),
            Self::TooManyFields { limit } => Some(format!("fields: {limit}")),
            Self::UriTooLong { limit } => Some(format!("uri: {limit}")),
            Self::BodyTooLong { limit } => Some(format!("body: {limit}")),
            Self::TooSlow { rate } => Some(format!("body_rate: {rate}")),
            Self::HeadLate { limit } => Some(format!("head_timeout: {}", show_duration(*limit))),
            _ => None,
        }
    }

    /// What the caller should have shown (RFC 9110, section 11.6.1; RFC 6750, section 3).
    fn challenge(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::NothingShown => "Bearer realm=\"motet\"".to_owned(),
            Self::NotRecognized => "Bearer realm=\"motet\", error=\"invalid_token\"".to_owned(),
            Self::Forbidden { scopes: Some(scopes) } => {
                format!("Bearer realm=\"motet\", error=\"insufficient_scope\", scope=\"{scopes}\"")
            }
            _ => return None,
        };
        HeaderValue::try_from(text).ok()
    }
}

/// The answer for a cause as bytes of HTTP/1.1, for a connection that hyper cannot answer on: there is no request yet. It is the last one.
pub(crate) fn whole(cause: &Cause) -> Vec<u8> {
    let response = respond(cause, None, &Journey::begin());
    let (head, Reply::Made(Some(text))) = response.into_parts() else { return Vec::new() };
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend_from_slice(format!("content-length: {}\r\nconnection: close\r\n\r\n", text.len()).as_bytes());
    bytes.extend_from_slice(&text);
    bytes
}

impl Cause {
    /// After how many seconds it is worth trying again.
    fn retry_after(&self) -> Option<u64> {
        let seconds = |again: &Duration| again.as_millis().div_ceil(1000).max(1) as u64;
        match self {
            Self::NoInstance { .. } | Self::Full { .. } | Self::Queued { .. } | Self::Unreachable { .. } => Some(1),
            Self::NoSigningKeys => Some(1),
            Self::Open { again } | Self::TooMany { again, .. } => Some(seconds(again)),
            _ => None,
        }
    }
}

/// The answer to a gRPC call: trailers only, which is an answer's head that ends the stream.
pub(crate) fn respond_grpc(cause: &Cause, journey: &Journey) -> Response<Reply> {
    let kind = cause.kind();
    let mut response = Response::new(Reply::Made(None));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(grpc::STATUS, HeaderValue::from(u16::from(kind.grpc())));
    headers.insert(grpc::MESSAGE, grpc::message(&format!("{}: {} ({})", kind.title(), cause.detail(), kind.code())));
    journey.stamp(headers);
    response
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
    if let Some(seconds) = cause.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(challenge) = cause.challenge() {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    journey.stamp(headers);
    response
}
