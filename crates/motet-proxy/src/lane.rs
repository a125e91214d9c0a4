//! An edge or route as one worker sees it: its policies and the instances that may get new requests.
//!
//! Whether the endpoint set has changed is asked with one atomic load per request, so a new set is in force with the next request,
//! whatever the other tasks of the worker do.

use crate::{
    breaker::Circuit,
    budget::Budget,
    door::{DoorState, Limits},
    policy::{Breaker, EdgePolicy},
    pool::Upstream,
    spec::{Door, Protocol},
    stats::Shard,
    worker::Worker,
};
use http::HeaderValue;
use motet_kernel::{endpoint::EndpointSet, name::ServiceName};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::{Rc, Weak},
    sync::Arc,
};
use tokio::{
    sync::watch,
    task::{AbortHandle, spawn_local},
    time::Instant,
};

/// An edge or route, as all workers are told of it. A change makes a new one.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) door: Door,
    /// What the callee is told of who calls.
    pub(crate) caller: HeaderValue,
    /// The door's own policy first, then those of its paths, the longest prefix first. Never empty.
    pub(crate) policies: Vec<Held>,
    pub(crate) protocol: Protocol,
    /// What the service does not see of the path.
    pub(crate) strip: Option<Arc<str>>,
    pub(crate) endpoints: watch::Receiver<EndpointSet>,
    pub(crate) state: Arc<DoorState>,
    /// Who answers in place of the callee.
    pub(crate) fallbacks: BTreeMap<ServiceName, Arc<Plan>>,
}

/// A policy and what it limits.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) prefix: String,
    pub(crate) policy: EdgePolicy,
    pub(crate) limits: Limits,
}

/// See the module.
pub(crate) struct Lane {
    pub(crate) plan: Arc<Plan>,
    worker: Weak<Worker>,
    shard: usize,
    /// One for each policy of the plan.
    budgets: Vec<Budget>,
    pub(crate) fallbacks: BTreeMap<ServiceName, Rc<Lane>>,
    endpoints: RefCell<watch::Receiver<EndpointSet>>,
    ready: RefCell<Rc<[Rc<Member>]>>,
    follower: Cell<Option<AbortHandle>>,
}

/// An instance as this door sees it.
pub(crate) struct Member {
    pub(crate) upstream: Rc<Upstream>,
    pub(crate) circuit: Arc<Circuit>,
    /// When it joined others that were there already, and has to be spared for a while.
    pub(crate) joined: Option<Instant>,
}

/// The policy in force for a request.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) policy: &'a EdgePolicy,
    pub(crate) limits: &'a Limits,
    pub(crate) budget: &'a Budget,
}

impl Lane {
    pub(crate) fn open(plan: Arc<Plan>, worker: &Rc<Worker>) -> Rc<Self> {
        let mut endpoints = plan.endpoints.clone();
        endpoints.mark_changed();
        let workers = worker.config.workers.get();
        let budgets = plan.policies.iter().map(|held| Budget::new(held.policy.retry.budget, workers)).collect();
        let fallbacks =
            plan.fallbacks.iter().map(|(name, plan)| (name.clone(), Self::open(Arc::clone(plan), worker))).collect();
        let lane = Rc::new(Self {
            plan,
            worker: Rc::downgrade(worker),
            shard: worker.index,
            budgets,
            fallbacks,
            endpoints: RefCell::new(endpoints.clone()),
            ready: RefCell::new(Rc::new([])),
            follower: Cell::new(None),
        });
        lane.refresh();
        lane.follower.set(Some(spawn_local(follow(Rc::downgrade(&lane), endpoints)).abort_handle()));
        lane
    }

    /// Which policy is for a path: the longest prefix wins.
    pub(crate) fn rule_for(&self, path: &str) -> usize {
        let paths = self.plan.policies.iter().zip(0..).skip(1);
        paths.into_iter().find(|(held, _)| covers(&held.prefix, path)).map_or(0, |(_, n)| n)
    }

    /// One of the policies.
    pub(crate) fn rules(&self, rule: usize) -> Rules<'_> {
        let held = &self.plan.policies[rule];
        Rules { policy: &held.policy, limits: &held.limits, budget: &self.budgets[rule] }
    }

    pub(crate) fn shard(&self) -> &Shard {
        self.plan.state.stats.shard(self.shard)
    }

    /// An instance failed: tells its circuit.
    pub(crate) fn failed(&self, member: &Member, breaker: &Breaker) {
        if member.circuit.failure(breaker) {
            self.shard().ejection();
            tracing::warn!(edge = %self.plan.door, instance = %member.upstream.label, "an instance that fails is left alone");
        }
    }

    /// Whether a newer set than the one in force is there.
    pub(crate) fn is_stale(&self) -> bool {
        self.endpoints.borrow().has_changed().unwrap_or(false)
    }

    /// The instances that may get new requests, now.
    pub(crate) fn ready(&self) -> Rc<[Rc<Member>]> {
        if self.is_stale() {
            self.refresh();
        }
        Rc::clone(&self.ready.borrow())
    }

    /// A watch of its own, for waiting.
    pub(crate) fn endpoints(&self) -> watch::Receiver<EndpointSet> {
        self.endpoints.borrow().clone()
    }

    fn refresh(&self) {
        let Some(worker) = self.worker.upgrade() else { return };
        let set = self.endpoints.borrow_mut().borrow_and_update().clone();
        let before = Rc::clone(&self.ready.borrow());
        // Who comes first has nobody to spare it.
        let joined = (!before.is_empty()).then(Instant::now);
        let member = |endpoint| {
            let upstream = worker.upstream(endpoint);
            let known = before.iter().find(|member| Rc::ptr_eq(&member.upstream, &upstream));
            known.map_or_else(
                || {
                    let circuit = self.plan.state.circuits.of(upstream.instance);
                    Rc::new(Member { upstream: Rc::clone(&upstream), circuit, joined })
                },
                Rc::clone,
            )
        };
        let ready: Rc<[_]> = set.ready().map(member).collect();
        // Whoever is not in the new set is let go of, and with it its unused connections.
        self.ready.replace(ready);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.abort();
        }
    }
}

/// Whether the path is the prefix or lies below it: `/api` covers `/api`, `/api/` and `/api/x`, not `/apis`.
pub(crate) fn covers(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path == "*")
}

/// Takes over new sets while no request does, so that connections to instances that are leaving are closed and do not hold them up.
async fn follow(lane: Weak<Lane>, mut endpoints: watch::Receiver<EndpointSet>) {
    while endpoints.changed().await.is_ok() {
        let Some(lane) = lane.upgrade() else { return };
        lane.ready();
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_prefix_covers_whole_segments_only() {
        assert!(covers("/api", "/api") && covers("/api", "/api/x") && covers("/api/", "/api"));
        assert!(covers("/", "/anything") && covers("/", "/") && covers("", "/x"));
        assert!(!covers("/api", "/apis") && !covers("/api", "/"));
    }
}
