//! What the broker may take.

use crate::machine::Caps;
use std::time::Duration;

/// Bounds and intervals.
#[derive(Debug, Clone)]
pub struct Config {
    /// Per subscription: what may wait and be held in memory.
    pub caps: Caps,
    /// Per topic: how many published ids are remembered; 20 to 35 bytes each. More within the window shorten it, which is shown.
    /// Default one million.
    pub dedup_ids_max: usize,
    /// Per subscription: how many dead letters are kept; the oldest go when more come, which is counted and logged. Default 100,000.
    pub letters_max: u64,
    /// Per subscription: how many bytes of dead letters are kept. Default 1 GiB.
    pub letters_max_bytes: u64,
    /// How far a subscription is, is written down this often while it moves. A crash delivers again what was acknowledged since.
    /// Default 50 ms.
    pub checkpoint_every: Duration,
    /// How often retention is looked at. Default 10 s.
    pub trim_every: Duration,
    /// How long a stop waits for deliveries that are under way. Default 10 s.
    pub grace: Duration,
    /// How many may wait for events of one subscription at once. Default 1,024.
    pub waiters_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            caps: Caps::default(),
            dedup_ids_max: 1_000_000,
            letters_max: 100_000,
            letters_max_bytes: 1 << 30,
            checkpoint_every: Duration::from_millis(50),
            trim_every: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            waiters_max: 1024,
        }
    }
}
