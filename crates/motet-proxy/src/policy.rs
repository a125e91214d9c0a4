//! How an edge behaves when things go wrong. Every field has a default that a careful engineer would have chosen.

use http::{HeaderMap, Method, StatusCode};
use motet_kernel::backoff::Backoff;
use std::time::Duration;

/// The policy of one edge or route.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgePolicy {
    /// The total deadline: waiting for an instance, all attempts, and the answer with its body. Default 30 s.
    ///
    /// Of an answer that streams (see [`streams`]) it bounds the head only, because such an answer has no natural end.
    /// A caller that sends `x-motet-deadline-ms` shortens it, never lengthens it.
    pub timeout: Duration,
    /// How long one connection may take to be made. Default 1 s.
    pub connect_timeout: Duration,
    /// How long a request is held while no instance is ready or accepts connections, within the deadline. Default 5 s: longer than a restart takes,
    /// shorter than people wait.
    pub ready_wait: Duration,
    /// How many requests may be under way, held ones included. One more is refused at once. Default 16,384.
    pub in_flight_max: u32,
    /// When to try again.
    pub retry: Retry,
}

/// When a request is tried again. A failure to connect is always worth another try, because nothing was sent; anything later
/// only if doing it twice is the same as doing it once (see [`Retry::repeats`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// How often a request is sent in total; 1 means once. A try that finds no connection sends nothing and does not count: see
    /// [`EdgePolicy::ready_wait`]. Default 3.
    pub attempts: u32,
    /// The methods that may be done twice. Default: the idempotent ones (RFC 9110, section 9.2.2).
    pub methods: Vec<Method>,
    /// The statuses of the upstream that are worth another try. Default 502, 503 and 504.
    pub statuses: Vec<StatusCode>,
    /// The pause before the same instance is tried again; another instance is tried at once.
    pub backoff: Backoff,
    /// How much of a request's body is kept for sending it again, in bytes. A longer body is sent once. Default 64 KiB.
    pub replay_max: usize,
}

impl Default for EdgePolicy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(1),
            ready_wait: Duration::from_secs(5),
            in_flight_max: 16_384,
            retry: Retry::default(),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            methods: vec![Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE],
            statuses: vec![StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT],
            // The first pause is longer than a dead instance stays in an endpoint set.
            backoff: Backoff { initial: Duration::from_millis(25), max: Duration::from_secs(1), factor: 2.0 },
            replay_max: 64 * 1024,
        }
    }
}

impl Retry {
    /// Whether doing the request twice is the same as doing it once: by its method, or because the caller promises it with an
    /// `Idempotency-Key` header.
    pub fn repeats(&self, method: &Method, headers: &HeaderMap) -> bool {
        self.methods.contains(method) || headers.contains_key("idempotency-key")
    }
}

/// Whether an answer has no natural end: server-sent events, gRPC, JSON lines and multipart replacement.
pub fn streams(headers: &HeaderMap) -> bool {
    const STREAMING: [&str; 6] = [
        "text/event-stream",
        "application/grpc",
        "application/x-ndjson",
        "application/jsonl",
        "application/stream+json",
        "multipart/x-mixed-replace",
    ];
    let Some(kind) = headers.get(http::header::CONTENT_TYPE) else { return false };
    STREAMING.iter().any(|streaming| {
        kind.as_bytes().get(..streaming.len()).is_some_and(|start| start.eq_ignore_ascii_case(streaming.as_bytes()))
    })
}
