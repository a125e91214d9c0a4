//! What is remembered about an edge or route over all workers, and over changes of its policy: counters, circuits, places, buckets, faults.

use crate::{
    breaker::Circuits,
    bulkhead::Bulkhead,
    fault::Faults,
    policy::EdgePolicy,
    rate::Limiter,
    spec::Door,
    stats::{DoorStats, Stats},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// See the module.
#[derive(Debug)]
pub(crate) struct DoorState {
    pub(crate) stats: Stats,
    pub(crate) circuits: Circuits,
    pub(crate) faults: Faults,
    /// By path prefix; the empty one is the door's own.
    limits: Mutex<BTreeMap<String, Limits>>,
}

/// What one policy limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    pub(crate) bulkhead: Arc<Bulkhead>,
    pub(crate) limiter: Arc<Limiter>,
}

impl DoorState {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            stats: Stats::new(workers),
            circuits: Circuits::default(),
            faults: Faults::default(),
            limits: Mutex::default(),
        }
    }

    /// The limits of the policy for a prefix. What is limited as at the door itself is limited together with it.
    pub(crate) fn limits(&self, prefix: &str, policy: &EdgePolicy, door: &EdgePolicy) -> Limits {
        let mut limits = self.limits.lock();
        let doors = limits.entry(String::new()).or_default().clone();
        if prefix.is_empty() {
            return doors;
        }
        let own = limits.entry(prefix.to_owned()).or_default().clone();
        Limits {
            bulkhead: if policy.concurrency == door.concurrency { doors.bulkhead } else { own.bulkhead },
            limiter: if policy.rate == door.rate { doors.limiter } else { own.limiter },
        }
    }

    /// Forgets the limits of prefixes that have no policy any more.
    pub(crate) fn keep_limits(&self, is_kept: impl Fn(&str) -> bool) {
        self.limits.lock().retain(|prefix, _| prefix.is_empty() || is_kept(prefix));
    }

    pub(crate) fn snapshot(&self, door: &Door) -> DoorStats {
        DoorStats {
            queued: self.limits.lock().values().map(|limits| limits.bulkhead.waiting()).sum(),
            out: self.circuits.out(),
            ..self.stats.snapshot(door)
        }
    }
}
