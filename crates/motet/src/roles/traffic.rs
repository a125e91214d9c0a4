//! What went over each edge and route, as people look at it: totals, and the last minute.
//!
//! The data plane's counters only grow. What somebody wants to know now is the difference to a while ago, so every few seconds a look
//! at the counters is kept, and looks older than a minute are forgotten.

use motet_api::wire::{Recent, Traffic};
use motet_kernel::id::InstanceId;
use motet_proxy::{Door, DoorStats, stats::Histogram};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// How often a look is taken.
pub(crate) const EVERY: Duration = Duration::from_secs(5);
/// How many looks are kept: those of the last minute.
const KEPT: usize = 13;

/// The looks of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<VecDeque<Look>>);

#[derive(Debug)]
struct Look {
    at: Instant,
    doors: BTreeMap<Door, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: u64,
    failures: u64,
    latency: Histogram,
}

impl Looks {
    /// Takes a look. The first one should be taken before the first request.
    pub(crate) fn take(&self, stats: &[DoorStats]) {
        let seen = |stats: &DoorStats| {
            let seen = Seen { requests: stats.requests, failures: stats.responses[4], latency: stats.latency.clone() };
            (stats.door.clone(), seen)
        };
        let mut looks = self.0.lock();
        looks.push_back(Look { at: Instant::now(), doors: stats.iter().map(seen).collect() });
        if looks.len() > KEPT {
            looks.pop_front();
        }
    }

    fn recent(&self, stats: &DoorStats) -> Recent {
        let looks = self.0.lock();
        let nothing = Seen::default();
        let Some(look) = looks.front() else { return Recent::default() };
        // An edge that was closed and opened again counts from nothing.
        let before = look.doors.get(&stats.door).filter(|seen| seen.requests <= stats.requests).unwrap_or(&nothing);
        let over = look.at.elapsed();
        let latency = stats.latency.since(&before.latency);
        let (answers, failures) = (latency.count(), stats.responses[4].saturating_sub(before.failures));
        let quantile = |share: f64| latency.estimate(share).map(|time| round(time.as_secs_f64() * 1e3));
        Recent {
            over_ms: u64::try_from(over.as_millis()).unwrap_or(u64::MAX),
            requests_per_second: round((stats.requests - before.requests) as f64 / over.as_secs_f64().max(1.0)),
            failure_share: (answers > 0).then(|| round(failures as f64 / answers as f64)),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
        }
    }

    /// What is known of a door. `label` says how an instance is called.
    pub(crate) fn traffic(&self, stats: &DoorStats, label: impl Fn(InstanceId) -> String) -> Traffic {
        let errors = stats.errors.iter().filter(|(_, count)| *count > 0);
        Traffic {
            requests: stats.requests,
            failures: stats.responses[4],
            errors: errors.map(|(code, count)| ((*code).to_owned(), *count)).collect(),
            retries: stats.retries,
            hedges: stats.hedges,
            fallbacks: stats.fallbacks,
            cancelled: stats.cancelled,
            in_flight: stats.in_flight,
            queued: u64::try_from(stats.queued).unwrap_or(u64::MAX),
            ejected: stats.out.iter().map(|id| label(*id)).collect(),
            recent: self.recent(stats),
        }
    }
}

/// Three digits behind the point are more than is known.
fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn stats(requests: u64, failures: u64) -> DoorStats {
        DoorStats {
            door: Door::Edge("a->b".parse().expect("an edge")),
            requests,
            responses: [0, requests - failures, 0, 0, failures],
            errors: vec![("MO-proxy-203", failures), ("MO-proxy-204", 0)],
            retries: 0,
            cancelled: 0,
            cut: 0,
            over_budget: 0,
            hedges: 0,
            fallbacks: 0,
            ejections: 0,
            in_flight: 0,
            queued: 0,
            out: vec![],
            latency: Histogram::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rates_are_those_of_the_last_minute_however_long_the_system_runs() {
        let looks = Looks::default();
        looks.take(&[]);
        for round in 1..=100 {
            advance(EVERY).await;
            looks.take(&[stats(round * 50, 0)]);
        }
        let recent = looks.traffic(&stats(100 * 50, 0), |_| String::new()).recent;
        assert_eq!((recent.requests_per_second, recent.over_ms), (10.0, 60_000));
        advance(Duration::from_secs(60)).await;
        assert_eq!(looks.traffic(&stats(5000, 0), |_| String::new()).recent.requests_per_second, 5.0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_edge_that_was_opened_anew_counts_from_nothing() {
        let looks = Looks::default();
        looks.take(&[stats(1000, 0)]);
        advance(Duration::from_secs(10)).await;
        let traffic = looks.traffic(&stats(20, 20), |_| String::new());
        assert_eq!(traffic.recent.requests_per_second, 2.0);
        assert_eq!(traffic.errors.into_iter().collect::<Vec<_>>(), [("MO-proxy-203".to_owned(), 20)]);
    }
}
