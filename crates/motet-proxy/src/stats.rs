//! Counters per edge and route. Each worker counts in a shard of its own, so that counting never moves a cache line between cores;
//! reading adds the shards up. Nothing here grows with requests.

use crate::{rescue::Kind, spec::Door};
use http::StatusCode;
use std::{
    array,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The latency histogram's buckets: up to 125 µs, 250 µs, … 65.5 s, and beyond.
const BUCKETS: usize = 21;
const SMALLEST_US: u64 = 125;

/// The counters of one door.
#[derive(Debug)]
pub(crate) struct Stats {
    shards: Box<[Shard]>,
    /// Requests under way, over all workers: a limit is held against it.
    pub(crate) in_flight: AtomicU32,
}

/// Padded to two cache lines, because processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Shard {
    requests: AtomicU64,
    responses: [AtomicU64; 5],
    errors: [AtomicU64; Kind::COUNT],
    retries: AtomicU64,
    cancelled: AtomicU64,
    cut: AtomicU64,
    latency: [AtomicU64; BUCKETS],
    latency_sum_us: AtomicU64,
}

impl Stats {
    pub(crate) fn new(workers: usize) -> Self {
        Self { shards: (0..workers).map(|_| Shard::default()).collect(), in_flight: AtomicU32::new(0) }
    }

    pub(crate) fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker]
    }

    pub(crate) fn snapshot(&self, door: &Door) -> DoorStats {
        let sum =
            |counter: &dyn Fn(&Shard) -> &AtomicU64| self.shards.iter().map(|shard| counter(shard).load(Relaxed)).sum();
        DoorStats {
            door: door.clone(),
            requests: sum(&|shard| &shard.requests),
            responses: array::from_fn(|n| sum(&|shard| &shard.responses[n])),
            errors: Kind::ALL.map(|kind| (kind.code(), sum(&|shard| &shard.errors[kind as usize]))).to_vec(),
            retries: sum(&|shard| &shard.retries),
            cancelled: sum(&|shard| &shard.cancelled),
            cut: sum(&|shard| &shard.cut),
            in_flight: self.in_flight.load(Relaxed),
            latency: Histogram {
                counts: array::from_fn(|n| sum(&|shard| &shard.latency[n])),
                sum: Duration::from_micros(sum(&|shard| &shard.latency_sum_us)),
            },
        }
    }
}

impl Shard {
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn response(&self, status: StatusCode, latency: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.responses[class].fetch_add(1, Relaxed);
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency[bucket(us)].fetch_add(1, Relaxed);
        self.latency_sum_us.fetch_add(us, Relaxed);
    }

    pub(crate) fn error(&self, kind: Kind) {
        self.errors[kind as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn cancelled(&self) {
        self.cancelled.fetch_add(1, Relaxed);
    }

    pub(crate) fn cut(&self) {
        self.cut.fetch_add(1, Relaxed);
    }
}

fn bucket(us: u64) -> usize {
    let doublings = us.div_ceil(SMALLEST_US).max(1).next_power_of_two().trailing_zeros() as usize;
    doublings.min(BUCKETS - 1)
}

/// The counters of one edge or route since it came to be.
#[derive(Debug, Clone)]
pub struct DoorStats {
    /// Which.
    pub door: Door,
    /// Requests that came in.
    pub requests: u64,
    /// Answers by status class: 1xx to 5xx, Motet's own among them.
    pub responses: [u64; 5],
    /// Motet's own answers, by error code.
    pub errors: Vec<(&'static str, u64)>,
    /// Tries after the first.
    pub retries: u64,
    /// Requests whose caller went away before the answer had ended.
    pub cancelled: u64,
    /// Answers that broke off after their head: the instance's fault, or the deadline passed.
    pub cut: u64,
    /// Requests under way now.
    pub in_flight: u32,
    /// From a request's head to its answer's head.
    pub latency: Histogram,
}

/// Coarse: each bucket is twice as wide as the one before.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    /// Of all latencies.
    pub sum: Duration,
}

impl Histogram {
    /// Upper bound (inclusive, `None` for the last) and count of each bucket.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        self.counts.iter().enumerate().map(|(n, count)| {
            let bound = (n < BUCKETS - 1).then(|| Duration::from_micros(SMALLEST_US << n));
            (bound, *count)
        })
    }

    /// An upper bound of the latency that the share `quantile` of all answers kept; `None` when there were none or it lies beyond the last bound.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let total: u64 = self.counts.iter().sum();
        let wanted = (total as f64 * quantile.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.buckets()
            .find(|(_, count)| {
                seen += count;
                seen >= wanted
            })?
            .0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_latency_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        assert_eq!([0, 1, 125, 126, 250, 251].map(bucket), [0, 0, 0, 1, 1, 2]);
        assert_eq!(bucket(u64::MAX / 2), BUCKETS - 1);
        let shard = Shard::default();
        shard.response(StatusCode::OK, Duration::from_millis(3));
        let histogram = Histogram { counts: array::from_fn(|n| shard.latency[n].load(Relaxed)), sum: Duration::ZERO };
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_millis(4)));
    }
}
