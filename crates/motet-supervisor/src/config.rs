//! Options of the supervisor as a whole. What differs between services is in [`crate::spec`].

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

/// Where the supervisor keeps things, and its limits.
#[derive(Debug, Clone)]
pub struct Config {
    /// Hashes of builds, and what else has to outlive a session.
    pub state_dir: PathBuf,
    /// Log files, one folder per service.
    pub logs_dir: PathBuf,
    /// So many builds run at a time.
    pub builds_max: usize,
    /// Free ports are taken from here. The default lies below the range that the kernel takes ports of outgoing connections from
    /// (`ip_local_port_range`), so that no connection can grab a port between its allotment and the service's `bind`.
    pub ports: RangeInclusive<u16>,
    /// The time between two samples of CPU and memory.
    pub sample_interval: Duration,
}

impl Config {
    /// The defaults: two builds at a time, ports from 20000 to 29999, a sample every two seconds.
    pub fn new(state_dir: impl Into<PathBuf>, logs_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            logs_dir: logs_dir.into(),
            builds_max: 2,
            ports: 20_000..=29_999,
            sample_interval: Duration::from_secs(2),
        }
    }
}
