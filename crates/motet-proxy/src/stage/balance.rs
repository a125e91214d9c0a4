//! Chooses an instance: the better of two chosen at random (Mitzenmacher, "The power of two choices in randomized load balancing",
//! 2001), better being fewer outstanding requests times a latency that follows peaks at once and forgets them slowly (peak-EWMA,
//! as Finagle has it).
//!
//! Two, because the best of all would send every worker's next request to the same instance.

use super::connect::Context;
use crate::{load::Ticket, pool::Upstream, rescue::Cause};
use motet_kernel::id::InstanceId;
use std::{cell::Cell, rc::Rc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// After so long, two thirds of a peak are forgotten.
const MEMORY: Duration = Duration::from_secs(10);

/// What a failure counts as: an instance that fails fast must not look fast.
const FAILURE: Duration = Duration::from_secs(1);

/// How fast an instance answers this worker.
#[derive(Debug, Default)]
pub(crate) struct Latency(Cell<Option<(f64, Instant)>>);

impl Latency {
    pub(crate) fn observe(&self, sample: Duration) {
        let (now, sample) = (Instant::now(), sample.as_secs_f64());
        let average = match self.0.get() {
            Some((average, at)) if sample < average => {
                let kept = (-(now - at).as_secs_f64() / MEMORY.as_secs_f64()).exp();
                average * kept + sample * (1.0 - kept)
            }
            _ => sample,
        };
        self.0.set(Some((average, now)));
    }

    pub(crate) fn observe_failure(&self) {
        self.observe(FAILURE);
    }

    fn seconds(&self) -> Option<f64> {
        self.0.get().map(|(average, _)| average)
    }
}

/// An instance that has been told of one more request.
pub(crate) struct Chosen {
    pub(crate) upstream: Rc<Upstream>,
    pub(crate) ticket: Ticket,
}

/// Chooses a ready instance, one that was not tried before if there is one. While none is ready it waits, as long as the policy says.
pub(crate) async fn choose(cx: &Context<'_>, tried: &[InstanceId]) -> Result<Chosen, Cause> {
    let mut give_up = None;
    loop {
        if let Some(chosen) = choose_now(cx, tried) {
            return Ok(chosen);
        }
        let waited = cx.lane.policy().ready_wait;
        let until = *give_up.get_or_insert(cx.journey.started() + waited);
        let mut endpoints = cx.lane.endpoints();
        let somebody = timeout_at(until, endpoints.wait_for(|set| set.ready().next().is_some())).await;
        if !matches!(somebody, Ok(Ok(_))) {
            return Err(Cause::NoInstance { waited });
        }
    }
}

fn choose_now(cx: &Context<'_>, tried: &[InstanceId]) -> Option<Chosen> {
    loop {
        let ready = cx.lane.ready();
        let upstream = Rc::clone(better_of_two(&ready, tried)?);
        let ticket = upstream.load.enter();
        // It may have begun to drain between the choice and the count; whoever drains it has then not seen the count.
        if !cx.lane.is_stale() {
            return Some(Chosen { upstream, ticket });
        }
    }
}

/// Whether there is a ready instance that was not tried yet.
pub(crate) fn untried(cx: &Context<'_>, tried: &[InstanceId]) -> bool {
    cx.lane.ready().iter().any(|upstream| !tried.contains(&upstream.instance))
}

fn better_of_two<'a>(ready: &'a [Rc<Upstream>], tried: &[InstanceId]) -> Option<&'a Rc<Upstream>> {
    if tried.is_empty() {
        return match ready.len() {
            0 => None,
            1 => ready.first(),
            n => {
                let first = fastrand::usize(..n);
                let second = (first + fastrand::usize(1..n)) % n;
                Some(better(&ready[first], &ready[second]))
            }
        };
    }
    let untried = || ready.iter().filter(|upstream| !tried.contains(&upstream.instance));
    match untried().count() {
        0 => better_of_two(ready, &[]),
        n => {
            let (first, second) = (untried().nth(fastrand::usize(..n))?, untried().nth(fastrand::usize(..n))?);
            Some(better(first, second))
        }
    }
}

/// An instance that has not answered yet is compared by its requests alone: one that just came is not flooded for looking fast.
fn better<'a>(a: &'a Rc<Upstream>, b: &'a Rc<Upstream>) -> &'a Rc<Upstream> {
    let requests = |upstream: &Upstream| f64::from(upstream.load.outstanding()) + 1.0;
    let (a_cost, b_cost) = match (a.latency.seconds(), b.latency.seconds()) {
        (Some(a_latency), Some(b_latency)) => (requests(a) * a_latency, requests(b) * b_latency),
        _ => (requests(a), requests(b)),
    };
    if a_cost <= b_cost { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Load;
    use motet_kernel::endpoint::{Authority, Endpoint, State};
    use std::sync::Arc;

    fn upstream() -> Rc<Upstream> {
        let address = Authority { host: "127.0.0.1".into(), port: 1 };
        let endpoint = Endpoint { instance: InstanceId::new(), label: "x-1".into(), address, state: State::Ready };
        Rc::new(Upstream::new(&endpoint, Arc::<Load>::default(), 1, Rc::default()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_peak_is_believed_at_once_and_forgotten_slowly() {
        let latency = Latency::default();
        latency.observe(Duration::from_millis(10));
        latency.observe(Duration::from_secs(1));
        assert_eq!(latency.seconds(), Some(1.0));
        tokio::time::advance(MEMORY).await;
        latency.observe(Duration::from_millis(10));
        let now = latency.seconds().unwrap();
        assert!((0.3..0.45).contains(&now), "{now}");
    }

    #[test]
    fn the_less_loaded_is_chosen_and_a_tried_one_only_when_there_is_no_other() {
        let (idle, busy) = (upstream(), upstream());
        let _tickets: Vec<_> = (0..3).map(|_| busy.load.enter()).collect();
        let ready = [Rc::clone(&idle), Rc::clone(&busy)];
        for _ in 0..50 {
            assert_eq!(better_of_two(&ready, &[]).unwrap().instance, idle.instance);
            assert_eq!(better_of_two(&ready, &[idle.instance]).unwrap().instance, busy.instance);
        }
        assert!(better_of_two(&ready, &[idle.instance, busy.instance]).is_some());
        assert!(better_of_two(&[], &[]).is_none());
    }
}
