//! An edge or route as one worker sees it: its policy and the instances that may get new requests.
//!
//! Whether the endpoint set has changed is asked with one atomic load per request, so a new set is in force with the next request,
//! whatever the other tasks of the worker do.

use crate::{
    policy::EdgePolicy,
    pool::Upstream,
    spec::{Door, Protocol},
    stats::{Shard, Stats},
    worker::Worker,
};
use motet_kernel::endpoint::EndpointSet;
use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    sync::Arc,
};
use tokio::{
    sync::watch,
    task::{AbortHandle, spawn_local},
};

/// An edge or route, as all workers are told of it. A change makes a new one.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) door: Door,
    pub(crate) policy: EdgePolicy,
    pub(crate) protocol: Protocol,
    /// What the service does not see of the path.
    pub(crate) strip: Option<Arc<str>>,
    pub(crate) endpoints: watch::Receiver<EndpointSet>,
    pub(crate) stats: Arc<Stats>,
}

/// See the module.
pub(crate) struct Lane {
    pub(crate) plan: Arc<Plan>,
    worker: Weak<Worker>,
    shard: usize,
    endpoints: RefCell<watch::Receiver<EndpointSet>>,
    ready: RefCell<Rc<[Rc<Upstream>]>>,
    follower: Cell<Option<AbortHandle>>,
}

impl Lane {
    pub(crate) fn open(plan: Arc<Plan>, worker: &Rc<Worker>) -> Rc<Self> {
        let mut endpoints = plan.endpoints.clone();
        endpoints.mark_changed();
        let lane = Rc::new(Self {
            plan,
            worker: Rc::downgrade(worker),
            shard: worker.index,
            endpoints: RefCell::new(endpoints.clone()),
            ready: RefCell::new(Rc::new([])),
            follower: Cell::new(None),
        });
        lane.refresh();
        lane.follower.set(Some(spawn_local(follow(Rc::downgrade(&lane), endpoints)).abort_handle()));
        lane
    }

    pub(crate) fn policy(&self) -> &EdgePolicy {
        &self.plan.policy
    }

    pub(crate) fn shard(&self) -> &Shard {
        self.plan.stats.shard(self.shard)
    }

    /// Whether a newer set than the one in force is there.
    pub(crate) fn is_stale(&self) -> bool {
        self.endpoints.borrow().has_changed().unwrap_or(false)
    }

    /// The instances that may get new requests, now.
    pub(crate) fn ready(&self) -> Rc<[Rc<Upstream>]> {
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
        let ready: Rc<[_]> = set.ready().map(|endpoint| worker.upstream(endpoint)).collect();
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

/// Takes over new sets while no request does, so that connections to instances that are leaving are closed and do not hold them up.
async fn follow(lane: Weak<Lane>, mut endpoints: watch::Receiver<EndpointSet>) {
    while endpoints.changed().await.is_ok() {
        let Some(lane) = lane.upgrade() else { return };
        lane.ready();
    }
}
