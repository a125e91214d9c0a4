//! A concurrency limit that is found by measuring: while answers take as long as they do without a crowd, the limit grows; when they take
//! longer, requests slow each other down, and it shrinks.
//!
//! The step is that of the gradient algorithm of Netflix's concurrency-limits. What it compares with is the shortest latency of the
//! last two epochs, as in TCP Vegas, and each epoch ends with a step back that lets the crowd go: an average would come to take
//! the crowd for usual.

use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

/// How much longer than in the best case answers may take without consequence.
const TOLERANCE: f64 = 1.2;
/// How much of each step is taken at once.
const SMOOTHING: f64 = 0.2;
/// Over how many answers the recent latency is averaged.
const RECENT: f64 = 10.0;
/// How many answers an epoch has, and what is left of the limit at its end.
const EPOCH: u32 = 500;
const STEP_BACK: f64 = 0.7;
/// Where it begins, unless the bounds say otherwise.
const INITIAL: u32 = 20;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Adaptive {
    /// The limit now; 0 before the first answer.
    limit: AtomicU32,
    measured: Mutex<Measured>,
}

#[derive(Debug, Default)]
struct Measured {
    limit: f64,
    recent: Option<f64>,
    /// The shortest latency of this epoch and of the one before.
    shortest: [Option<f64>; 2],
    answers: u32,
}

impl Adaptive {
    pub(crate) fn limit(&self, min: u32, max: u32) -> u32 {
        match self.limit.load(Relaxed) {
            0 => INITIAL.clamp(min, max),
            limit => limit.clamp(min, max),
        }
    }

    /// An answer came after so long, while so many were under way.
    pub(crate) fn observe(&self, latency: Duration, in_use: u32, min: u32, max: u32) {
        let sample = latency.as_secs_f64().max(1e-6);
        let mut measured = self.measured.lock();
        if measured.limit == 0.0 {
            measured.limit = f64::from(INITIAL.clamp(min, max));
        }
        let recent = mean(measured.recent, sample, RECENT);
        measured.recent = Some(recent);
        let shortest = measured.shortest[0].map_or(sample, |shortest| shortest.min(sample));
        measured.shortest[0] = Some(shortest);
        let best = measured.shortest[1].map_or(shortest, |before| before.min(shortest));
        // A limit that is not used says nothing about what would happen at it.
        if f64::from(in_use) < measured.limit / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * best / recent).clamp(0.5, 1.0);
        let wanted = measured.limit * gradient + measured.limit.sqrt();
        let mut next = measured.limit * (1.0 - SMOOTHING) + wanted * SMOOTHING;
        measured.answers += 1;
        if measured.answers == EPOCH {
            measured.answers = 0;
            measured.shortest = [None, measured.shortest[0]];
            next *= STEP_BACK;
        }
        measured.limit = next.clamp(f64::from(min), f64::from(max));
        self.limit.store(measured.limit as u32, Relaxed);
    }
}

fn mean(before: Option<f64>, sample: f64, over: f64) -> f64 {
    before.map_or(sample, |before| before + (sample - before) * 2.0 / (over + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A callee that serves eight at once in 10 ms each, and makes more wait.
    fn latency(at_once: u32) -> Duration {
        Duration::from_millis(10).mul_f64(f64::from(at_once.max(8)) / 8.0)
    }

    #[test]
    fn it_settles_near_what_the_callee_can_serve_at_once_and_recovers_when_that_grows() {
        let adaptive = Adaptive::default();
        for _ in 0..5_000 {
            let at_once = adaptive.limit(1, 1_000);
            adaptive.observe(latency(at_once), at_once, 1, 1_000);
        }
        let settled = adaptive.limit(1, 1_000);
        assert!((4..=80).contains(&settled), "{settled}");
        for _ in 0..5_000 {
            let at_once = adaptive.limit(1, 1_000);
            adaptive.observe(Duration::from_millis(1), at_once, 1, 1_000);
        }
        assert!(adaptive.limit(1, 1_000) > 10 * settled);
    }

    #[test]
    fn an_unused_limit_stays_and_the_bounds_hold() {
        let adaptive = Adaptive::default();
        for _ in 0..1_000 {
            adaptive.observe(Duration::from_millis(1), 1, 1, 1_000);
        }
        assert_eq!(adaptive.limit(1, 1_000), INITIAL);
        assert_eq!((adaptive.limit(50, 100), adaptive.limit(1, 5)), (50, 5));
    }
}
