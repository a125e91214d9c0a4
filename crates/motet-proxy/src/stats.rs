//! Counters per edge and route. Each worker counts in a shard of its own, so that counting never moves a cache line between cores;
//! reading adds the shards up. Nothing here grows with requests.

use crate::{rescue::Kind, spec::Door};
use http::StatusCode;
use motet_kernel::id::InstanceId;
use std::{
    array,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    time::Duration,
};

/// The latency histogram's buckets: up to 125 µs, 250 µs, … 65.5 s, and beyond.
const BUCKETS: usize = 21;
const SMALLEST_US: u64 = 125;

/// The counters of one door.
#[derive(Debug)]
pub(crate) struct Stats {
    shards: Box<[Shard]>,
}

/// Padded to two cache lines, because processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Shard {
    requests: AtomicU64,
    ended: AtomicU64,
    responses: [AtomicU64; 5],
    errors: [AtomicU64; Kind::COUNT],
    retries: AtomicU64,
    over_budget: AtomicU64,
    hedges: AtomicU64,
    fallbacks: AtomicU64,
    ejections: AtomicU64,
    cancelled: AtomicU64,
    cut: AtomicU64,
    latency: [AtomicU64; BUCKETS],
    latency_sum_us: AtomicU64,
}

impl Stats {
    pub(crate) fn new(workers: usize) -> Self {
        Self { shards: (0..workers).map(|_| Shard::default()).collect() }
    }

    pub(crate) fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker]
    }

    /// Requests under way, over all workers.
    pub(crate) fn in_flight(&self) -> u64 {
        let ended: u64 = self.shards.iter().map(|shard| shard.ended.load(Acquire)).sum();
        let begun: u64 = self.shards.iter().map(|shard| shard.requests.load(Acquire)).sum();
        begun.saturating_sub(ended)
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
            over_budget: sum(&|shard| &shard.over_budget),
            hedges: sum(&|shard| &shard.hedges),
            fallbacks: sum(&|shard| &shard.fallbacks),
            ejections: sum(&|shard| &shard.ejections),
            // Ends are read before beginnings, or a request between the two readings would count as minus one.
            in_flight: self.in_flight(),
            queued: 0,
            out: Vec::new(),
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

    pub(crate) fn ended(&self) {
        self.ended.fetch_add(1, Release);
    }

    pub(crate) fn over_budget(&self) {
        self.over_budget.fetch_add(1, Relaxed);
    }

    pub(crate) fn hedge(&self) {
        self.hedges.fetch_add(1, Relaxed);
    }

    pub(crate) fn fallback(&self) {
        self.fallbacks.fetch_add(1, Relaxed);
    }

    pub(crate) fn ejection(&self) {
        self.ejections.fetch_add(1, Relaxed);
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
    /// Retries that were not made because the budget was spent.
    pub over_budget: u64,
    /// Second copies of requests that took long.
    pub hedges: u64,
    /// Requests that were answered by somebody else than the callee.
    pub fallbacks: u64,
    /// How often an instance was ejected.
    pub ejections: u64,
    /// Requests under way now, those that wait for their turn among them.
    pub in_flight: u64,
    /// Requests that wait for their turn now.
    pub queued: usize,
    /// The instances that are ejected now.
    pub out: Vec<InstanceId>,
    /// From a request's head to its answer's head.
    pub latency: Histogram,
}

/// Coarse: each bucket is twice as wide as the one before.
#[derive(Debug, Clone, Default)]
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

    /// How many answers there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What has come since an earlier look at the same counters.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            counts: array::from_fn(|n| self.counts[n].saturating_sub(earlier.counts[n])),
            sum: self.sum.saturating_sub(earlier.sum),
        }
    }

    /// The latency that the share `quantile` of all answers kept, if latencies are spread evenly within their bucket: wrong by a factor of
    /// two at most. Beyond the last bound it is that bound. `None` when there were no answers.
    pub fn estimate(&self, quantile: f64) -> Option<Duration> {
        let wanted = self.count() as f64 * quantile.clamp(0.0, 1.0);
        let (mut seen, mut low) = (0.0, Duration::ZERO);
        for (high, count) in self.buckets() {
            let count = count as f64;
            if count > 0.0 && seen + count >= wanted {
                let width = high.map_or(Duration::ZERO, |high| high - low);
                return Some(low + width.mul_f64(((wanted - seen) / count).clamp(0.0, 1.0)));
            }
            seen += count;
            low = high.unwrap_or(low);
        }
        None
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

    #[test]
    fn a_quantile_is_estimated_within_its_bucket_and_an_earlier_look_is_taken_off() {
        let mut before = Histogram::default();
        assert_eq!(before.estimate(0.5), None);
        before.counts[0] = 1000;
        let mut now = before.clone();
        // Ten answers between 2 and 4 ms, and one beyond the last bound.
        (now.counts[5], now.counts[BUCKETS - 1]) = (10, 1);
        let recent = now.since(&before);
        assert_eq!(recent.count(), 11);
        assert_eq!(recent.estimate(5.0 / 11.0), Some(Duration::from_millis(3)));
        assert_eq!(recent.estimate(1.0), Some(Duration::from_micros(SMALLEST_US << (BUCKETS - 2))));
    }
}
