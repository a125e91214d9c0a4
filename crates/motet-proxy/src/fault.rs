//! Faults that people put on an edge while it runs, to see what their system does. An injected fault takes the instance's place: the
//! policy sees it as it would see the real one, and tries again, ejects and falls back.

use http::StatusCode;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// A fault and how often it strikes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// What happens.
    pub effect: Effect,
    /// To which share of all tries, from 0 to 1.
    pub share: f64,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect {
    /// The request reaches the instance so much later.
    Latency(Duration),
    /// The instance is not asked; this is its answer.
    Abort(StatusCode),
    /// The answer's body breaks off after so many bytes.
    Cut {
        /// How many pass.
        after: u64,
    },
    /// The answer's body comes no faster than this.
    Slow {
        /// Bytes per second.
        rate: u64,
    },
    /// The instance is not asked, and there is no answer.
    Blackhole,
}

/// The faults of one door.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// There are some. Read without the lock.
    any: AtomicBool,
    list: Mutex<Arc<[Fault]>>,
}

/// What strikes one try.
#[derive(Debug, Default)]
pub(crate) struct Strike {
    pub(crate) latency: Duration,
    pub(crate) abort: Option<StatusCode>,
    pub(crate) cut_after: Option<u64>,
    pub(crate) rate: Option<u64>,
    pub(crate) blackhole: bool,
}

impl Faults {
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        self.any.store(!faults.is_empty(), Relaxed);
        *self.list.lock() = faults.into();
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.list.lock().to_vec()
    }

    /// Throws the dice for one try. `None`: nothing strikes.
    pub(crate) fn strike(&self) -> Option<Strike> {
        if !self.any.load(Relaxed) {
            return None;
        }
        let list = Arc::clone(&self.list.lock());
        let mut strike = Strike::default();
        let mut struck = false;
        for fault in list.iter().filter(|fault| fastrand::f64() < fault.share) {
            struck = true;
            match fault.effect {
                Effect::Latency(latency) => strike.latency += latency,
                Effect::Abort(status) => strike.abort = Some(status),
                Effect::Cut { after } => strike.cut_after = Some(after),
                Effect::Slow { rate } => strike.rate = Some(rate.max(1)),
                Effect::Blackhole => strike.blackhole = true,
            }
        }
        struck.then_some(strike)
    }
}
