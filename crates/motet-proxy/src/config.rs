//! Options of the data plane as a whole. What belongs to one edge is in [`crate::policy`].

use std::{num::NonZeroUsize, time::Duration};

/// Options with their defaults.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many event loops, each on a thread of its own. Default: one per core, four at most.
    pub workers: NonZeroUsize,
    /// How many connections one edge holds (a gateway has limits of its own); more wait in the kernel's queue. Default 16,384, shared evenly by the workers.
    pub connections_max: usize,
    /// The longest request head at an edge, in bytes. A longer one is refused with 431, and so is one with more than 100
    /// fields. Default 64 KiB.
    pub head_size_max: usize,
    /// How long a caller's connection at an edge may be idle, and how long a request's head may take. Default 2 min: longer than
    /// the idle limits of the usual client libraries, so that they close first and never write into a closing connection.
    pub edge_idle: Duration,
    /// How long an unused connection to an instance is kept. Default 4 s: common servers close theirs after 5 s, and a request
    /// written into a closing connection may fail.
    pub upstream_idle: Duration,
    /// How many unused connections one worker keeps per instance. Default 128.
    pub upstream_idle_max: usize,
    /// How long requests under way may take to end when the data plane stops. Default 10 s.
    pub stop_grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            workers: cores.min(const { NonZeroUsize::new(4).expect("four is not zero") }),
            connections_max: 16_384,
            head_size_max: 64 * 1024,
            edge_idle: Duration::from_secs(120),
            upstream_idle: Duration::from_secs(4),
            upstream_idle_max: 128,
            stop_grace: Duration::from_secs(10),
        }
    }
}
