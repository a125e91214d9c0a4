//! Tells the registry what the supervisor knows of instances. Each call is a few memory writes: an instance that died is out of every set
//! before the supervisor does anything else about it.

use async_trait::async_trait;
use motet_kernel::id::InstanceId;
use motet_registry::{Health, Instance, Lease, Registry, Term};
use motet_supervisor::port::{Announce, Member};
use parking_lot::Mutex;
use std::{collections::HashMap, fmt};
use tokio::time::Instant;

/// The supervisor's announcements, as leases of the registry.
pub(crate) struct Membership {
    registry: Registry,
    traffic: motet_proxy::Handle,
    leases: Mutex<HashMap<InstanceId, Lease>>,
}

impl Membership {
    pub(crate) fn new(registry: Registry, traffic: motet_proxy::Handle) -> Self {
        Self { registry, traffic, leases: Mutex::default() }
    }

    fn announce(&self, member: &Member, health: Health) {
        let instance = Instance::ready(member.service.clone(), &*member.label, member.address.clone());
        match instance {
            Ok(instance) => {
                let instance = Instance { id: member.instance, health, ..instance };
                let lease = self.registry.announce(instance, Term::Owned);
                self.leases.lock().insert(member.instance, lease);
            }
            Err(error) => tracing::error!(instance = %member.label, %error, "instance cannot be announced"),
        }
    }
}

#[async_trait]
impl Announce for Membership {
    fn ready(&self, member: &Member) {
        self.announce(member, Health::Ready);
    }

    fn draining(&self, member: &Member) {
        self.announce(member, Health::Draining);
    }

    fn gone(&self, member: &Member) {
        if let Some(lease) = self.leases.lock().remove(&member.instance) {
            self.registry.withdraw(&lease);
        }
    }

    async fn drained(&self, member: &Member, deadline: Instant) {
        let limit = deadline.saturating_duration_since(Instant::now());
        if let Err(busy) = self.traffic.drained(member.instance, limit).await {
            tracing::warn!(instance = %member.label, requests = busy.in_flight, "stopped before its requests had ended");
        }
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("instances", &self.leases.lock().len()).finish()
    }
}
