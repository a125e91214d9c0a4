//! The embedded registry: one book behind one lock, one watch per service.
//!
//! There is no loop between an announcement and the watchers, on purpose: whoever learns that an instance died takes it out of
//! every set in the same call, in microseconds, and no queue can stand in between. The lock is held for a few map operations and
//! never across an await. One background task exists, for terms that pass.

use crate::{
    book::Book,
    error::{AnnounceError, EngineUnavailable, LeaseError, LeaseUnknown},
    instance::{Health, Instance},
    lease::{Lease, Term},
    port::Discovery,
};
use async_trait::async_trait;
use motet_kernel::{
    endpoint::EndpointSet,
    name::ServiceName,
    task::{Kind, TaskGroup},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

/// The registry inside the process. Clones share it.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when the next expiry may have come nearer.
    earlier_expiry: Notify,
}

#[derive(Debug, Default)]
struct State {
    book: Book,
    sets: BTreeMap<ServiceName, watch::Sender<EndpointSet>>,
}

impl Registry {
    /// An empty registry whose expiry runs in the group.
    pub fn start(group: &TaskGroup) -> Self {
        let shared = Arc::<Shared>::default();
        group.spawn_dropping(Kind::ContextLoop, "registry expiry", expire(Arc::clone(&shared)));
        Self { shared }
    }

    /// Lists an instance; watchers have it when this returns. Replaces what was said of the same instance before.
    pub fn announce(&self, instance: Instance, term: Term) -> Lease {
        let mut state = self.shared.state.lock();
        let lease = state.book.announce(instance, term, Instant::now());
        state.publish(&lease.service);
        drop(state);
        if term != Term::Owned {
            self.shared.earlier_expiry.notify_one();
        }
        lease
    }

    /// Starts the lease's term anew.
    pub fn renew(&self, lease: &Lease) -> Result<(), LeaseUnknown> {
        let renewed = self.shared.state.lock().book.renew(lease, Instant::now());
        renewed.map_err(|_| unknown(lease))
    }

    /// Says how the instance is; watchers have it when this returns.
    pub fn report(&self, lease: &Lease, health: Health) -> Result<(), LeaseUnknown> {
        let mut state = self.shared.state.lock();
        let changed = state.book.report(lease, health, Instant::now()).map_err(|_| unknown(lease))?;
        if changed {
            state.publish(&lease.service);
        }
        Ok(())
    }

    /// Takes the instance off the list; it is out of every set when this returns. True when it was on it.
    pub fn withdraw(&self, lease: &Lease) -> bool {
        let mut state = self.shared.state.lock();
        let was_listed = state.book.withdraw(lease);
        if was_listed {
            state.publish(&lease.service);
        }
        was_listed
    }

    /// Follows the instances of a service, also of one that nobody has announced yet.
    pub fn watch(&self, service: &ServiceName) -> watch::Receiver<EndpointSet> {
        self.shared.state.lock().set(service).subscribe()
    }

    /// All that is known of a service's instances, unready ones too, in the order of their ids.
    pub fn instances(&self, service: &ServiceName) -> Vec<Instance> {
        self.shared.state.lock().book.instances(service).cloned().collect()
    }

    /// The services that have at least one instance listed, in order.
    pub fn services(&self) -> Vec<ServiceName> {
        self.shared.state.lock().book.services().cloned().collect()
    }
}

impl State {
    fn publish(&mut self, service: &ServiceName) {
        let endpoints = self.book.endpoints(service);
        self.set(service).send_if_modified(|set| {
            let changed = *set.endpoints != *endpoints;
            if changed {
                *set = EndpointSet { version: set.version + 1, endpoints: endpoints.into() };
            }
            changed
        });
    }

    /// The watch of a service. Making a new one forgets those that have neither members nor watchers, so that the
    /// names of services that came and went do not pile up.
    fn set(&mut self, service: &ServiceName) -> &watch::Sender<EndpointSet> {
        if !self.sets.contains_key(service) {
            self.sets.retain(|_, set| set.receiver_count() > 0 || !set.borrow().endpoints.is_empty());
        }
        self.sets.entry(service.clone()).or_default()
    }
}

async fn expire(shared: Arc<Shared>) {
    loop {
        let next = {
            let mut state = shared.state.lock();
            for service in state.book.expire(Instant::now()) {
                tracing::info!(%service, "a lease was not renewed and expired");
                state.publish(&service);
            }
            state.book.next_expiry()
        };
        match next {
            None => shared.earlier_expiry.notified().await,
            Some(at) => tokio::select! {
                () = sleep_until(at) => {}
                () = shared.earlier_expiry.notified() => {}
            },
        }
    }
}

fn unknown(lease: &Lease) -> LeaseUnknown {
    LeaseUnknown { service: lease.service.clone(), instance: lease.instance }
}

#[async_trait]
impl Discovery for Registry {
    async fn announce(&self, instance: Instance, term: Term) -> Result<Lease, AnnounceError> {
        Ok(Self::announce(self, instance, term))
    }

    async fn renew(&self, lease: &Lease) -> Result<(), LeaseError> {
        Ok(Self::renew(self, lease)?)
    }

    async fn report(&self, lease: &Lease, health: Health) -> Result<(), LeaseError> {
        Ok(Self::report(self, lease, health)?)
    }

    async fn withdraw(&self, lease: &Lease) -> Result<(), EngineUnavailable> {
        Self::withdraw(self, lease);
        Ok(())
    }

    async fn watch(&self, service: &ServiceName) -> Result<watch::Receiver<EndpointSet>, EngineUnavailable> {
        Ok(Self::watch(self, service))
    }

    async fn services(&self) -> Result<Vec<ServiceName>, EngineUnavailable> {
        Ok(Self::services(self))
    }
}
