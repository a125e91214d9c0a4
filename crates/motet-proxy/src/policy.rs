//! How an edge behaves when things go wrong. Every field has a default that a careful engineer would have chosen.
//!
//! A policy is data: what it needs to remember (who is ejected, how many wait) is kept elsewhere and outlives a change of the policy.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use motet_kernel::{backoff::Backoff, name::ServiceName};
use std::time::Duration;

/// The policy of one edge or route, or of some of its paths.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgePolicy {
    /// The total deadline: queueing, waiting for an instance, all attempts, and the answer with its body. Default 30 s.
    ///
    /// Of an answer that streams (see [`streams`]) it bounds the head only, because such an answer has no natural end.
    /// A caller that sends `x-motet-deadline-ms` or `grpc-timeout` shortens it, never lengthens it.
    pub timeout: Duration,
    /// How long one try may take, the answer's body included unless it streams. A try that is over before its answer's head
    /// may be repeated. Default: as long as `timeout` leaves.
    pub try_timeout: Option<Duration>,
    /// How long one try may take up to the answer's head. Default: as long as `try_timeout`.
    pub first_byte: Option<Duration>,
    /// The longest silence within an answer that streams, or on a connection that was upgraded (WebSocket). Default 10 min: longer than
    /// the usual pings of either, so that only what is dead is cut.
    pub idle: Duration,
    /// How long one connection may take to be made. Default 1 s.
    pub connect_timeout: Duration,
    /// How long a request is held while no instance is ready or accepts connections, within the deadline. Default 5 s: longer than a restart takes,
    /// shorter than people wait.
    pub ready_wait: Duration,
    /// How many requests may be under way, and what happens to more.
    pub concurrency: Concurrency,
    /// Who goes first when requests have to wait: the urgency of RFC 9218, section 4.1, from 0 (first) to 7. Default 3. On an edge
    /// the caller's own `Priority: u=` counts instead where it is given; at the gateway it does not, because everybody would claim it.
    pub priority: u8,
    /// How many requests are let in over time. Default: no limit.
    pub rate: Option<Rate>,
    /// When to try again.
    pub retry: Retry,
    /// When an instance is left alone. `None`: never.
    pub breaker: Option<Breaker>,
    /// How long a new instance is spared: its share of requests grows to the full one over this time. Default 5 s.
    pub slow_start: Duration,
    /// When to send a second copy of a request that takes long. Default: never.
    pub hedge: Option<Hedge>,
    /// What the caller gets instead of a failure. Default: the failure.
    pub fallback: Option<Fallback>,
}

/// How many requests may be under way at once (a bulkhead), over all workers.
#[derive(Debug, Clone, PartialEq)]
pub struct Concurrency {
    /// How many.
    pub limit: Limit,
    /// How many more may wait for their turn, the most urgent first. When the queue is full, the least urgent of all is refused.
    /// Default 1,024.
    pub queue_max: u32,
    /// How long one may wait for its turn, within the deadline. Default 5 s.
    pub queue_wait: Duration,
}

/// A number of requests at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// Always this number. Default 16,384.
    Fixed(u32),
    /// As many as do not slow each other down, found by measuring (see `stage/limit.rs`), between these bounds.
    Adaptive {
        /// Never fewer.
        min: u32,
        /// Never more.
        max: u32,
    },
}

/// A rate limit: a bucket of `burst` tokens that fills by `requests` per `per`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// How many requests.
    pub requests: u32,
    /// In how much time.
    pub per: Duration,
    /// How many at once after a quiet time.
    pub burst: u32,
    /// Who shares a bucket.
    pub by: RateBy,
}

/// Who shares a bucket of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RateBy {
    /// All callers together.
    #[default]
    All,
    /// Each client for itself: who it proved to be at the gateway, or else its address.
    Client,
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
    /// The gRPC statuses that are worth another try, of calls that may be done twice. Every gRPC call is a POST, so the ones that may
    /// must be told by listing POST under `methods` for their path. Default 14 (UNAVAILABLE).
    pub grpc: Vec<u8>,
    /// The pause before the same instance is tried again; another instance is tried at once. An instance's `Retry-After` lengthens it.
    pub backoff: Backoff,
    /// How many retries there may be per request, on average: with 0.2, every fifth request may be repeated once. Default 0.2. A reserve of
    /// ten is there from the start and after quiet times, so that a lone failure can be repeated; what ten seconds did not use is kept,
    /// so that all requests of an instance that dies can be.
    pub budget: f64,
    /// How much of a request's body is kept for sending it again, in bytes. A longer body is sent once. Default 64 KiB.
    pub replay_max: usize,
}

/// When an instance that fails is left alone (ejected), and for how long. Failures are: no connection, a connection that breaks, a timeout, and
/// the statuses of [`Retry::statuses`] and [`Retry::grpc`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// So many failures in a row eject. Default 5.
    pub failures: u32,
    /// So large a share of failures within `window` ejects too. Default 0.5.
    pub rate: f64,
    /// Over how long the share is taken. Default 10 s.
    pub window: Duration,
    /// Below so many requests within the window the share says nothing. Default 20.
    pub requests_min: u32,
    /// For how long it is left alone; then one request probes it, and a failed probe begins the next, longer wait. Default 1 s, doubling, to 30 s.
    pub open: Backoff,
    /// When a larger share than this is out, but not all, nobody is left out: the rest would not bear the load. Default 0.5.
    pub panic: f64,
}

/// A second copy of a request that takes long (Dean and Barroso, "The tail at scale", 2013). Only of requests that may be
/// done twice, and within the retry budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hedge {
    /// After how long without an answer's head.
    pub after: Duration,
}

/// What the caller gets when the callee gave nothing usable: Motet would have answered with 502, 503 or 504, or the callee did.
#[derive(Debug, Clone, PartialEq)]
pub enum Fallback {
    /// What another service says to the same request. It must be among the fallbacks of the edge's or route's spec. For its sake
    /// the body is kept as for another try ([`Retry::replay_max`]), whatever the method.
    Service(ServiceName),
    /// Always the same.
    Static(StaticAnswer),
}

/// A fixed answer.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticAnswer {
    /// Its status. Default 200.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its content.
    pub body: bytes::Bytes,
}

/// A policy for the paths that begin with a prefix, in place of the edge's. Of several, the longest wins.
#[derive(Debug, Clone, PartialEq)]
pub struct PathPolicy {
    /// A path prefix of whole segments, or a gRPC method: `/embed`, `/motet.Embedder/Embed`.
    pub prefix: String,
    /// All of it. What it limits (concurrency, rate) it limits for itself, unless it is the same as the edge's: then they share it.
    pub policy: EdgePolicy,
}

impl Default for EdgePolicy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            try_timeout: None,
            first_byte: None,
            idle: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(1),
            ready_wait: Duration::from_secs(5),
            concurrency: Concurrency::default(),
            priority: 3,
            rate: None,
            retry: Retry::default(),
            breaker: Some(Breaker::default()),
            slow_start: Duration::from_secs(5),
            hedge: None,
            fallback: None,
        }
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { limit: Limit::Fixed(16_384), queue_max: 1024, queue_wait: Duration::from_secs(5) }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            methods: vec![Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE],
            statuses: vec![StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT],
            grpc: vec![14],
            // The first pause is longer than a dead instance stays in an endpoint set.
            backoff: Backoff { initial: Duration::from_millis(25), max: Duration::from_secs(1), factor: 2.0 },
            budget: 0.2,
            replay_max: 64 * 1024,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 5,
            rate: 0.5,
            window: Duration::from_secs(10),
            requests_min: 20,
            open: Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(30), factor: 2.0 },
            panic: 0.5,
        }
    }
}

impl Default for StaticAnswer {
    fn default() -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), body: bytes::Bytes::new() }
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

impl Limit {
    /// The most that it can become.
    pub fn most(self) -> u32 {
        match self {
            Self::Fixed(limit) | Self::Adaptive { max: limit, .. } => limit,
        }
    }
}
