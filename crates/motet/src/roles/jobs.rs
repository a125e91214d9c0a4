//! Jobs in a running system: the broker is their queue, the data plane their way to services, and each service's own address their door.
//!
//! A service that takes jobs has a topic of its own, `motet.jobs.<service>`, and a subscription with the limits of its jobs. An event in it is
//! a ticket: it names a job and carries nothing else. Names that begin with `motet` are reserved, so no definition has such a topic. Callers of
//! these services have one too, for callbacks.

mod declared;
mod door;
mod queue;
mod reach;
mod shown;

pub(crate) use declared::Declared;
pub(crate) use door::{Who, job_id, refused};
pub(crate) use queue::Deliveries;
pub(crate) use shown::shown;

use crate::roles::events;
use anyhow::Result;
use arc_swap::ArcSwap;
use motet_api::services::port::jobs::Jobs as Port;
use motet_broker::Handle as Broker;
use motet_jobs::{Config, Handle, Jobs};
use motet_kernel::{name::ServiceName, task::TaskGroup};
use motet_store::Store;
use std::{collections::BTreeMap, sync::Arc};

/// Jobs, and the way to those who do them.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) handle: Handle,
    reach: Arc<reach::Way>,
    declared: Arc<ArcSwap<events::Declared>>,
}

impl Running {
    /// Goes on with what is on disk. No service takes jobs until [`Running::follow`].
    pub(crate) fn start(
        store: &Store,
        broker: &Broker,
        declared: &Arc<ArcSwap<events::Declared>>,
        group: &TaskGroup,
    ) -> Result<Self> {
        let reach = Arc::new(reach::Way::new(broker.clone(), Arc::clone(declared))?);
        let queue = Arc::new(queue::Tickets::new(broker.clone()));
        let way = Arc::clone(&reach) as Arc<dyn motet_jobs::Reach>;
        let handle = Jobs::start(Config::default(), store, queue, way, group);
        let handle = handle.map_err(|error| events::told(&error, error.code().0))?;
        Ok(Self { handle, reach, declared: Arc::clone(declared) })
    }

    /// Says who takes jobs from now on, and where the data plane takes them.
    pub(crate) fn follow(&self, declared: &Declared, edges: &BTreeMap<ServiceName, String>) {
        self.reach.lead(edges);
        self.handle.follow(declared.specs());
    }

    /// What somebody may do with jobs.
    pub(crate) fn door(&self, who: Who) -> Arc<dyn Port> {
        Arc::new(door::JobsDoor::new(who, self.handle.clone(), Arc::clone(&self.declared)))
    }
}
