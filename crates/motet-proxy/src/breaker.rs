//! Who is left alone: one circuit per door and instance, shared by the workers, so that five failures are five failures however the
//! requests were spread.
//!
//! A circuit that has seen no failure costs one atomic load per request: counting begins with the first failure and ends when a
//! window passed without enough of them.

use crate::policy::Breaker;
use motet_kernel::id::InstanceId;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The circuit of one instance at one door.
#[derive(Debug)]
pub(crate) struct Circuit {
    /// No failure is remembered. Read without the lock, and only a hint: the lock decides.
    clean: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// How often in a row it was ejected: each time is longer.
    ejections: u32,
    /// When it was closed last.
    closed_at: Option<Instant>,
}

#[derive(Debug)]
enum Phase {
    Closed(Window),
    /// Left alone until then.
    Open {
        until: Instant,
    },
    /// One request finds out whether it works again.
    Probing,
}

#[derive(Debug, Default)]
struct Window {
    since: Option<Instant>,
    in_a_row: u32,
    failures: u32,
    successes: u32,
}

/// What may be sent to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Anything.
    Closed,
    /// Nothing until then; nothing at all while a probe is under way.
    Out { until: Option<Instant> },
    /// One request, as a probe: see [`Circuit::probe`].
    Due,
}

impl Default for Circuit {
    fn default() -> Self {
        let state = State { phase: Phase::Closed(Window::default()), ejections: 0, closed_at: None };
        Self { clean: AtomicBool::new(true), state: Mutex::new(state) }
    }
}

impl Circuit {
    /// No failure is remembered.
    pub(crate) fn is_clean(&self) -> bool {
        self.clean.load(Relaxed)
    }

    pub(crate) fn standing(&self) -> Standing {
        if self.is_clean() {
            return Standing::Closed;
        }
        match self.state.lock().phase {
            Phase::Closed(_) => Standing::Closed,
            Phase::Probing => Standing::Out { until: None },
            Phase::Open { until } if until <= Instant::now() => Standing::Due,
            Phase::Open { until } => Standing::Out { until: Some(until) },
        }
    }

    /// Takes the right to send the one probe; false when another request has it.
    pub(crate) fn probe(&self) -> bool {
        let mut state = self.state.lock();
        let due = matches!(state.phase, Phase::Open { until } if until <= Instant::now());
        if due {
            state.phase = Phase::Probing;
        }
        due
    }

    /// The probe ended without saying anything about the instance: the next request is the probe.
    pub(crate) fn probe_lost(&self) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Probing) {
            state.phase = Phase::Open { until: Instant::now() };
        }
    }

    pub(crate) fn success(&self, policy: &Breaker) {
        if self.is_clean() {
            return;
        }
        let mut state = self.state.lock();
        match &mut state.phase {
            Phase::Closed(window) => {
                window.in_a_row = 0;
                window.successes = window.successes.saturating_add(1);
                if window.is_over(policy) {
                    *window = Window::default();
                    self.clean.store(true, Relaxed);
                }
            }
            Phase::Probing => {
                state.phase = Phase::Closed(Window::default());
                state.closed_at = Some(Instant::now());
                self.clean.store(true, Relaxed);
            }
            // An answer to a request that was sent before the ejection proves nothing about what comes now.
            Phase::Open { .. } => {}
        }
    }

    /// True when this failure ejected the instance.
    pub(crate) fn failure(&self, policy: &Breaker) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        let trips = match &mut state.phase {
            Phase::Closed(window) => {
                if window.since.is_none() || window.is_over(policy) {
                    let in_a_row = window.in_a_row;
                    *window = Window { since: Some(now), in_a_row, ..Window::default() };
                }
                window.in_a_row += 1;
                window.failures += 1;
                window.trips(policy)
            }
            Phase::Probing => true,
            // A probe that the deadline ended has been taken off before it could say anything; and whoever else fails when the time is
            // over says the same.
            Phase::Open { until } => *until <= now,
        };
        self.clean.store(false, Relaxed);
        if trips {
            // Who worked for longer than the longest ejection is not the same patient any more.
            if state.closed_at.is_some_and(|at| now - at > policy.open.max) {
                state.ejections = 0;
            }
            state.ejections = state.ejections.saturating_add(1);
            let until = now + policy.open.wait_jittered(state.ejections).max(policy.open.initial / 2);
            state.phase = Phase::Open { until };
        }
        trips
    }
}

impl Window {
    fn is_over(&self, policy: &Breaker) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= policy.window)
    }

    fn trips(&self, policy: &Breaker) -> bool {
        let requests = self.failures + self.successes;
        let share = f64::from(self.failures) / f64::from(requests.max(1));
        self.in_a_row >= policy.failures || requests >= policy.requests_min && share >= policy.rate
    }
}

/// The circuits of one door. Holds as many as there are instances.
#[derive(Debug, Default)]
pub(crate) struct Circuits(Mutex<HashMap<InstanceId, Arc<Circuit>>>);

impl Circuits {
    /// The circuit of an instance. Forgets those that nobody refers to any more.
    pub(crate) fn of(&self, instance: InstanceId) -> Arc<Circuit> {
        let mut circuits = self.0.lock();
        if let Some(circuit) = circuits.get(&instance) {
            return Arc::clone(circuit);
        }
        circuits.retain(|_, circuit| Arc::strong_count(circuit) > 1);
        Arc::clone(circuits.entry(instance).or_default())
    }

    /// The instances that get no requests now.
    pub(crate) fn out(&self) -> Vec<InstanceId> {
        let circuits = self.0.lock();
        circuits.iter().filter(|(_, circuit)| circuit.standing() != Standing::Closed).map(|(id, _)| *id).collect()
    }
}

/// The longest that an open circuit is waited for when nothing better is known.
pub(crate) const PROBE_SOON: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn ejected(policy: &Breaker) -> Circuit {
        let circuit = Circuit::default();
        for _ in 0..policy.failures {
            circuit.failure(policy);
        }
        circuit
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_eject_and_one_success_between_them_does_not() {
        let policy = Breaker::default();
        let circuit = Circuit::default();
        for _ in 0..4 {
            assert!(!circuit.failure(&policy));
        }
        circuit.success(&policy);
        for _ in 0..4 {
            assert!(!circuit.failure(&policy));
        }
        assert_eq!(circuit.standing(), Standing::Closed);
        assert!(circuit.failure(&policy));
        assert!(matches!(circuit.standing(), Standing::Out { until: Some(_) }));
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_twenty_requests_within_the_window_eject_and_spread_over_more_time_they_do_not() {
        let policy = Breaker::default();
        let (fast, slow) = (Circuit::default(), Circuit::default());
        let mut ejected = false;
        for _ in 0..10 {
            ejected |= fast.failure(&policy);
            fast.success(&policy);
        }
        ejected |= fast.failure(&policy);
        assert!(ejected);
        for _ in 0..10 {
            assert!(!slow.failure(&policy));
            slow.success(&policy);
            advance(policy.window / 4).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_decides_and_each_failed_one_makes_the_wait_longer() {
        let policy = Breaker::default();
        let circuit = ejected(&policy);
        let Standing::Out { until: Some(first) } = circuit.standing() else { panic!("it is out") };
        let first = first - Instant::now();
        advance(first).await;
        assert_eq!(circuit.standing(), Standing::Due);
        assert!(circuit.probe() && !circuit.probe());
        assert_eq!(circuit.standing(), Standing::Out { until: None });
        assert!(circuit.failure(&policy));
        let Standing::Out { until: Some(second) } = circuit.standing() else { panic!("it is out again") };
        assert!(second - Instant::now() >= policy.open.initial, "the second wait is at least half of twice the first");
        advance(second - Instant::now()).await;
        assert!(circuit.probe());
        circuit.success(&policy);
        assert!(circuit.is_clean());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_whose_caller_went_away_is_taken_over_by_the_next_request() {
        let policy = Breaker::default();
        let circuit = ejected(&policy);
        advance(policy.open.max).await;
        assert!(circuit.probe());
        circuit.probe_lost();
        assert!(circuit.probe());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_the_deadline_ends_has_failed() {
        let policy = Breaker::default();
        let circuit = ejected(&policy);
        assert!(!circuit.failure(&policy), "what was under way when it was ejected changes nothing");
        advance(policy.open.initial).await;
        assert!(circuit.probe());
        circuit.probe_lost();
        assert!(circuit.failure(&policy));
        assert!(!circuit.probe());
    }

    #[tokio::test(start_paused = true)]
    async fn late_answers_of_an_ejected_instance_do_not_bring_it_back() {
        let policy = Breaker::default();
        let circuit = ejected(&policy);
        circuit.success(&policy);
        assert!(matches!(circuit.standing(), Standing::Out { .. }));
    }
}
