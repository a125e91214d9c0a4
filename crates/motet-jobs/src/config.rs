//! Options of the whole context.

use std::time::Duration;

/// What jobs may take.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many jobs of a service may be open at once. Default 100,000.
    pub open_max: u64,
    /// How many bytes they may take. Default 1 GiB.
    pub open_max_bytes: u64,
    /// How many jobs of a service are kept when they are over; the oldest go first. Default 100,000.
    pub kept_max: u64,
    /// How often it is looked for what can be removed. Default 10 s.
    pub tidy_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { open_max: 100_000, open_max_bytes: 1 << 30, kept_max: 100_000, tidy_every: Duration::from_secs(10) }
    }
}
