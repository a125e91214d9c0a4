//! How long to wait before trying again: exponential with full jitter above a floor, so that many who failed together do not return together.

use std::time::Duration;

/// A growing wait. The jitter is "equal": half of the wait is fixed and half is random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The wait before the first repetition, before jitter.
    pub initial: Duration,
    /// No wait is longer than this.
    pub max: Duration,
    /// By how much each wait is longer than the one before.
    pub factor: f64,
}

impl Backoff {
    /// The wait after `failures` failures in a row (1 is the first), spread by `random` out of `0.0..1.0`.
    pub fn wait(&self, failures: u32, random: f64) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1).min(64)).unwrap_or(64);
        let grown = self.initial.as_secs_f64() * self.factor.powi(exponent);
        let whole = grown.min(self.max.as_secs_f64());
        Duration::from_secs_f64(whole * (0.5 + 0.5 * random.clamp(0.0, 1.0)))
    }

    /// The same, with a random number from the thread's generator.
    pub fn wait_jittered(&self, failures: u32) -> Duration {
        self.wait(failures, fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_stay_within_the_jitter() {
        let backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2), factor: 2.0 };
        assert_eq!(backoff.wait(1, 1.0), Duration::from_millis(100));
        assert_eq!(backoff.wait(1, 0.0), Duration::from_millis(50));
        assert_eq!(backoff.wait(3, 1.0), Duration::from_millis(400));
        assert_eq!(backoff.wait(u32::MAX, 1.0), Duration::from_secs(2));
    }
}
