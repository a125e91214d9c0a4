//! What holds for all jobs of a service.

use motet_kernel::backoff::Backoff;
use std::time::Duration;

/// How often and with which pauses a job is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// How often in all. Default 20.
    pub attempts: u32,
    /// The pause before the next attempt. Default 1 s, doubling, to 5 min.
    pub backoff: Backoff,
}

impl Default for Retry {
    fn default() -> Self {
        let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(300), factor: 2.0 };
        Self { attempts: 20, backoff }
    }
}

/// How long jobs that are over are kept, with their results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Not longer than this. Default 1 d.
    pub time: Option<Duration>,
    /// Not more bytes than this; the oldest go first. Default 1 GiB.
    pub bytes: Option<u64>,
}

impl Default for Keep {
    fn default() -> Self {
        Self { time: Some(Duration::from_secs(24 * 3600)), bytes: Some(1 << 30) }
    }
}

/// The jobs of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// How long an attempt may take until it is answered. Default 5 min.
    pub timeout: Duration,
    /// How long a job belongs to a handler that answered 202. Default 1 min.
    pub lease: Duration,
    /// How often it is tried.
    pub retry: Retry,
    /// The statuses after which it is not tried again. Default 400, 410, 413, 415, 422.
    pub permanent: Vec<u16>,
    /// How old a job may become until it is given up. Default 7 d.
    pub max_age: Duration,
    /// How long what is over is kept.
    pub keep: Keep,
    /// How large a body and a result may be. Default 1 MiB.
    pub body_max_bytes: usize,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(300),
            lease: Duration::from_secs(60),
            retry: Retry::default(),
            permanent: vec![400, 410, 413, 415, 422],
            max_age: Duration::from_secs(7 * 24 * 3600),
            keep: Keep::default(),
            body_max_bytes: 1 << 20,
        }
    }
}
