//! The resolved policy of an edge or a route, with every default filled in.
//!
//! Which policy is in force is decided before: what a service says for everybody, what an edge or a route says, and what each
//! of them says for some paths have been laid over each other (`layers`). Whoever holds a [`Policy`] need not know of that.

use motet_kernel::{backoff::Backoff, name::ServiceName};
use std::{collections::BTreeMap, time::Duration};

/// What holds on an edge or a route when things are slow, many or broken.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How long a call may take in all. Of an answer that streams it bounds the time to its head.
    pub timeout: Duration,
    /// How long one try may take. `None`: as long as `timeout` leaves.
    pub try_timeout: Option<Duration>,
    /// How long one try may take up to the head of its answer. `None`: as long as `try_timeout`.
    pub first_byte: Option<Duration>,
    /// The longest silence within an answer that streams, or on a WebSocket.
    pub idle: Duration,
    /// How long one connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a request is held while no instance is ready.
    pub ready_wait: Duration,
    /// How many requests may be under way.
    pub concurrency: Concurrency,
    /// The urgency of RFC 9218, from 0 (first) to 7.
    pub priority: u8,
    /// How many requests are let in over time. `None`: no limit.
    pub rate: Option<Rate>,
    /// When a call is tried again.
    pub retry: Retry,
    /// When an instance that fails is left alone. `None`: never.
    pub breaker: Option<Breaker>,
    /// How long a new instance is spared.
    pub slow_start: Duration,
    /// After how long without an answer's head a second copy is sent. `None`: never.
    pub hedge: Option<Duration>,
    /// What the caller gets instead of a failure. `None`: the failure.
    pub fallback: Option<Fallback>,
}

/// A policy for some paths.
#[derive(Debug, Clone, PartialEq)]
pub struct PathPolicy {
    /// A prefix of whole segments as the callee sees it, without a slash at its end: `/embed`, `/shop.Stock/Watch`.
    pub prefix: String,
    /// All of it.
    pub policy: Policy,
}

/// How many requests may be under way at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    /// How many.
    pub limit: Limit,
    /// How many more may wait for their turn.
    pub queue: u32,
    /// How long one may wait.
    pub queue_wait: Duration,
}

/// A number of requests at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Always this number.
    Fixed(u32),
    /// As many as do not slow each other down, between these bounds.
    Adaptive {
        /// Never fewer.
        min: u32,
        /// Never more.
        max: u32,
    },
}

/// How many requests are let in over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub requests: u32,
    /// In how much time.
    pub per: Duration,
    /// How many at once after a quiet time.
    pub burst: u32,
    /// Whether each client of the gateway has a limit of its own.
    pub by_client: bool,
}

/// When a call is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Tries in all; 1 means never again.
    pub attempts: u32,
    /// The statuses of an answer that are worth another try.
    pub on: Vec<u16>,
    /// The methods that may be repeated after something was sent. Anything may be repeated when nothing was sent yet.
    pub methods: Vec<String>,
    /// The gRPC statuses that are worth another try, as numbers.
    pub grpc: Vec<u8>,
    /// The pause before the same instance is tried again.
    pub backoff: Backoff,
    /// How many repetitions there may be per request on average: 0.2 is every fifth.
    pub budget: f64,
    /// How much of a request's body is kept for sending it again, in bytes.
    pub body_max: u64,
}

/// When an instance that fails is left alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// So many failures in a row.
    pub failures: u32,
    /// Or so large a share of failures within `window`.
    pub rate: f64,
    /// Over how long the share is taken.
    pub window: Duration,
    /// Below so many requests within `window` the share says nothing.
    pub requests: u32,
    /// For how long.
    pub open: Backoff,
    /// When a larger share of instances than this would be left alone, but not all, none is.
    pub panic: f64,
}

/// What the caller gets when the callee gave nothing usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    /// What another service says to the same request.
    Service(ServiceName),
    /// Always the same.
    Answer(Answer),
}

/// A fixed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its header fields, the content type among them when there is content. Names are lower-case.
    pub headers: BTreeMap<String, String>,
    /// Its content.
    pub body: String,
}

/// The names of gRPC's statuses, from 1 on (0 is OK).
pub fn grpc_status(number: u8) -> Option<&'static str> {
    crate::keys::retry::GRPC_STATUSES.get(usize::from(number).checked_sub(1)?).copied()
}

impl Policy {
    /// The services that this policy may send a request to in place of the callee.
    pub fn stands_in(&self) -> Option<&ServiceName> {
        match &self.fallback {
            Some(Fallback::Service(service)) => Some(service),
            Some(Fallback::Answer(_)) | None => None,
        }
    }
}
