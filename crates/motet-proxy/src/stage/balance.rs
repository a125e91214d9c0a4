//! Chooses an instance: the better of two chosen at random (Mitzenmacher, "The power of two choices in randomized load balancing",
//! 2001), better being fewer outstanding requests times a latency that follows peaks at once and forgets them slowly (peak-EWMA,
//! as Finagle has it).
//!
//! Two, because the best of all would send every worker's next request to the same instance.
//!
//! Ejected instances (see `breaker.rs`) are left out, except for the request that probes one. When more than half are out, nobody is: the
//! rest would not bear the load, and their latency keeps those that fail the last choice anyway. When all are out, nothing is sent.

use super::connect::Context;
use crate::{
    breaker::{PROBE_SOON, Standing},
    lane::Member,
    load::Ticket,
    rescue::Cause,
};
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
    /// An answer has come to what was sent then.
    pub(crate) fn observe(&self, sent: Instant) {
        let now = Instant::now();
        self.take_in(now, now - sent);
    }

    pub(crate) fn observe_failure(&self) {
        self.take_in(Instant::now(), FAILURE);
    }

    /// It works again: what was seen while it did not says nothing any more.
    pub(crate) fn forget(&self) {
        self.0.set(None);
    }

    fn take_in(&self, now: Instant, sample: Duration) {
        let sample = sample.as_secs_f64();
        let average = match self.0.get() {
            Some((average, at)) if sample < average => {
                let kept = (-(now - at).as_secs_f64() / MEMORY.as_secs_f64()).exp();
                average * kept + sample * (1.0 - kept)
            }
            _ => sample,
        };
        self.0.set(Some((average, now)));
    }

    /// What to expect now. A peak is forgotten with time even if nobody asks again, or an instance that was slow once would never be
    /// asked again.
    pub(crate) fn seconds(&self, now: Instant) -> Option<f64> {
        const FRESH: Duration = Duration::from_secs(1);
        let (average, at) = self.0.get()?;
        let age = now.saturating_duration_since(at);
        Some(if age < FRESH { average } else { average * (-age.as_secs_f64() / MEMORY.as_secs_f64()).exp() })
    }
}

/// An instance that has been told of one more request.
pub(crate) struct Chosen {
    pub(crate) member: Rc<Member>,
    pub(crate) ticket: Ticket,
    pub(crate) probe: Option<Probe>,
}

/// The request finds out whether an ejected instance works again. Dropped without a verdict, it leaves that to the next one.
pub(crate) struct Probe {
    member: Rc<Member>,
    decided: bool,
}

impl Probe {
    /// The circuit has been told how it went.
    pub(crate) fn decided(mut self) {
        self.decided = true;
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if !self.decided {
            self.member.circuit.probe_lost();
        }
    }
}

/// What stands in the way of a choice.
enum NoChoice {
    /// Nobody is ready.
    Nobody,
    /// Everybody is left alone until then.
    AllOut { until: Instant },
}

/// Chooses a ready instance, one that was not tried before if there is one. While none is ready it waits, as long as the policy says;
/// when all that are ready are ejected, it refuses at once.
pub(crate) async fn choose(cx: &Context<'_>, tried: &[InstanceId]) -> Result<Chosen, Cause> {
    match choose_now(cx, tried) {
        Ok(chosen) => Ok(chosen),
        Err(_) => Box::pin(choose_later(cx, tried)).await,
    }
}

async fn choose_later(cx: &Context<'_>, tried: &[InstanceId]) -> Result<Chosen, Cause> {
    let mut give_up = None;
    loop {
        match choose_now(cx, tried) {
            Ok(chosen) => return Ok(chosen),
            Err(NoChoice::AllOut { until }) => {
                return Err(Cause::Open { again: until.saturating_duration_since(Instant::now()) });
            }
            Err(NoChoice::Nobody) => {}
        }
        let waited = cx.rules.policy.ready_wait;
        let until = *give_up.get_or_insert(cx.journey.started() + waited);
        let mut endpoints = cx.lane.endpoints();
        let somebody = timeout_at(until, endpoints.wait_for(|set| set.ready().next().is_some())).await;
        if !matches!(somebody, Ok(Ok(_))) {
            return Err(Cause::NoInstance { waited });
        }
    }
}

fn choose_now(cx: &Context<'_>, tried: &[InstanceId]) -> Result<Chosen, NoChoice> {
    loop {
        let ready = cx.lane.ready();
        let view = View { now: cx.journey.started(), slow_start: cx.rules.policy.slow_start };
        let (member, probe) = match &cx.rules.policy.breaker {
            Some(breaker) if ready.iter().any(|member| !member.circuit.is_clean()) => {
                among_standing(&view, &ready, tried, breaker.panic)?
            }
            _ => (view.among(ready.iter(), tried).ok_or(NoChoice::Nobody)?, false),
        };
        let member = Rc::clone(member);
        let probe = probe.then(|| Probe { member: Rc::clone(&member), decided: false });
        let ticket = member.upstream.load.enter();
        // It may have begun to drain between the choice and the count; whoever drains it has then not seen the count.
        if !cx.lane.is_stale() {
            return Ok(Chosen { member, ticket, probe });
        }
    }
}

/// The choice when some may be ejected. An instance whose time is over gets the request as a probe.
fn among_standing<'a>(
    view: &View,
    ready: &'a [Rc<Member>],
    tried: &[InstanceId],
    panic: f64,
) -> Result<(&'a Rc<Member>, bool), NoChoice> {
    let mut standing = Vec::with_capacity(ready.len());
    let mut until = None::<Instant>;
    for member in ready {
        match member.circuit.standing() {
            Standing::Closed => standing.push(member),
            Standing::Due if !tried.contains(&member.upstream.instance) && member.circuit.probe() => {
                return Ok((member, true));
            }
            Standing::Due => until = Some(view.now),
            Standing::Out { until: known } => {
                let at = known.unwrap_or(view.now + PROBE_SOON);
                until = Some(until.map_or(at, |until| until.min(at)));
            }
        }
    }
    let out = ready.len() - standing.len();
    let panics = out as f64 > panic * ready.len() as f64;
    match (standing.is_empty(), until) {
        (true, Some(until)) => Err(NoChoice::AllOut { until }),
        (false, _) if panics => view.among(ready.iter(), tried).map(|member| (member, false)).ok_or(NoChoice::Nobody),
        _ => view.among(standing.into_iter(), tried).map(|member| (member, false)).ok_or(NoChoice::Nobody),
    }
}

/// Whether there is a ready instance that was not tried yet.
pub(crate) fn untried(cx: &Context<'_>, tried: &[InstanceId]) -> bool {
    cx.lane.ready().iter().any(|member| !tried.contains(&member.upstream.instance))
}

/// How instances are compared at one moment.
struct View {
    now: Instant,
    slow_start: Duration,
}

impl View {
    /// The better of two random ones, of those that were not tried if there are any.
    fn among<'a>(
        &self,
        members: impl ExactSizeIterator<Item = &'a Rc<Member>> + Clone,
        tried: &[InstanceId],
    ) -> Option<&'a Rc<Member>> {
        if tried.is_empty() {
            return self.better_of_two(members.len(), members);
        }
        let untried = members.clone().filter(|member| !tried.contains(&member.upstream.instance));
        match untried.clone().count() {
            0 => self.better_of_two(members.len(), members),
            n => self.better_of_two(n, untried),
        }
    }

    fn better_of_two<'a>(
        &self,
        n: usize,
        mut members: impl Iterator<Item = &'a Rc<Member>> + Clone,
    ) -> Option<&'a Rc<Member>> {
        if n < 2 {
            return members.next();
        }
        let first = fastrand::usize(..n);
        let second = (first + fastrand::usize(1..n)) % n;
        Some(self.better(members.clone().nth(first)?, members.nth(second)?))
    }

    /// An instance that has not answered yet is compared by its requests alone: one that just came is not flooded for looking fast.
    fn better<'a>(&self, a: &'a Rc<Member>, b: &'a Rc<Member>) -> &'a Rc<Member> {
        let (a_latency, b_latency) = match (a.upstream.latency.seconds(self.now), b.upstream.latency.seconds(self.now))
        {
            (Some(a_latency), Some(b_latency)) => (a_latency, b_latency),
            _ => (1.0, 1.0),
        };
        if self.requests(a) * a_latency <= self.requests(b) * b_latency { a } else { b }
    }

    /// How busy an instance is. One that has just come counts as busier, less so as time goes on (slow start): its caches are cold.
    fn requests(&self, member: &Member) -> f64 {
        const LEAST: f64 = 0.1;
        let requests = f64::from(member.upstream.load.outstanding()) + 1.0;
        let Some(joined) = member.joined else { return requests };
        let age = self.now.saturating_duration_since(joined).as_secs_f64();
        let share = (age / self.slow_start.as_secs_f64().max(1e-9)).clamp(LEAST, 1.0);
        requests / share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{load::Load, policy::Breaker, pool::Upstream};
    use motet_kernel::endpoint::{Authority, Endpoint, State};
    use std::sync::Arc;

    fn member(joined: Option<Instant>) -> Rc<Member> {
        let address = Authority { host: "127.0.0.1".into(), port: 1 };
        let endpoint = Endpoint { instance: InstanceId::new(), label: "x-1".into(), address, state: State::Ready };
        let upstream = Rc::new(Upstream::new(&endpoint, Arc::<Load>::default(), 1, Rc::default()));
        Rc::new(Member { upstream, circuit: Arc::default(), joined })
    }

    fn view() -> View {
        View { now: Instant::now(), slow_start: Duration::from_secs(5) }
    }

    fn id(member: &Rc<Member>) -> InstanceId {
        member.upstream.instance
    }

    fn eject(member: &Member) {
        let policy = Breaker::default();
        for _ in 0..policy.failures {
            member.circuit.failure(&policy);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peak_is_believed_at_once_and_forgotten_slowly() {
        let latency = Latency::default();
        latency.take_in(Instant::now(), Duration::from_millis(10));
        latency.take_in(Instant::now(), Duration::from_secs(1));
        assert_eq!(latency.seconds(Instant::now()), Some(1.0));
        tokio::time::advance(MEMORY).await;
        let unasked = latency.seconds(Instant::now()).unwrap();
        latency.take_in(Instant::now(), Duration::from_millis(10));
        let asked = latency.seconds(Instant::now()).unwrap();
        assert!((0.3..0.45).contains(&asked) && (0.3..0.45).contains(&unasked), "{asked} {unasked}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_less_loaded_is_chosen_and_a_tried_one_only_when_there_is_no_other() {
        let (idle, busy) = (member(None), member(None));
        let _tickets: Vec<_> = (0..3).map(|_| busy.upstream.load.enter()).collect();
        let ready = [Rc::clone(&idle), Rc::clone(&busy)];
        for _ in 0..50 {
            assert_eq!(id(view().among(ready.iter(), &[]).unwrap()), id(&idle));
            assert_eq!(id(view().among(ready.iter(), &[id(&idle)]).unwrap()), id(&busy));
        }
        assert!(view().among(ready.iter(), &[id(&idle), id(&busy)]).is_some());
        assert!(view().among([].iter(), &[]).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_just_joined_gets_its_full_share_only_after_the_slow_start() {
        let (old, new) = (member(None), member(Some(Instant::now())));
        let _tickets: Vec<_> = (0..3).map(|_| old.upstream.load.enter()).collect();
        let ready = [Rc::clone(&old), Rc::clone(&new)];
        assert_eq!(id(view().among(ready.iter(), &[]).unwrap()), id(&old), "a tenth of the capacity at first");
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(id(view().among(ready.iter(), &[]).unwrap()), id(&new));
    }

    #[tokio::test(start_paused = true)]
    async fn an_ejected_instance_gets_one_probe_when_its_time_is_over() {
        let ready = [member(None), member(None)];
        eject(&ready[0]);
        for _ in 0..50 {
            assert_eq!(
                among_standing(&view(), &ready, &[], 0.5).map(|(chosen, _)| id(chosen)).ok(),
                Some(id(&ready[1]))
            );
        }
        tokio::time::advance(Duration::from_secs(30)).await;
        let chosen =
            |view: View| among_standing(&view, &ready, &[], 0.5).map(|(chosen, probe)| (id(chosen), probe)).ok();
        assert_eq!(chosen(view()), Some((id(&ready[0]), true)));
        assert_eq!(chosen(view()), Some((id(&ready[1]), false)));
    }

    #[tokio::test(start_paused = true)]
    async fn when_most_are_out_nobody_is_and_when_all_are_out_nothing_is_sent() {
        let ready = [member(None), member(None), member(None)];
        eject(&ready[0]);
        eject(&ready[1]);
        let chosen: std::collections::HashSet<_> = (0..200)
            .filter_map(|_| among_standing(&view(), &ready, &[], 0.5).ok().map(|(chosen, _)| id(chosen)))
            .collect();
        assert_eq!(chosen.len(), 3);
        eject(&ready[2]);
        let Err(NoChoice::AllOut { until }) = among_standing(&view(), &ready, &[], 0.5) else { panic!("all are out") };
        assert!(until > Instant::now());
    }
}
