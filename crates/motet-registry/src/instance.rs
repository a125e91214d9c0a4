//! What is announced: one running copy of a service, with all that the discovery systems we speak to can say about it.
//!
//! The fields are the union that an adapter has to map; where a system has no word for one, the adapter keeps it in the metadata.
//!
//! | Field | Consul | Eureka | ZooKeeper (Curator) | Kubernetes EndpointSlice |
//! |---|---|---|---|---|
//! | id | `ID` | `instanceId` | `id` | `targetRef.uid`, else address |
//! | label | `Meta` | metadata | payload metadata | `targetRef.name` |
//! | service | `Name` | `app` | `name` | label `kubernetes.io/service-name` |
//! | address | `Address`, `Port` | `ipAddr`, `port.$` | `address`, `port` | `addresses[0]`, `ports` |
//! | tls port | `Meta` | `securePort.$` | `sslPort` | port named `https` |
//! | zone | `Meta` | metadata `zone` | payload metadata | `zone` |
//! | weight | `Weights.Passing` | metadata | payload metadata | annotation |
//! | version | `Meta` | metadata | payload metadata | pod label |
//! | health | check status, maintenance | `status` | `enabled`, presence | conditions ready, serving, terminating |

use crate::error::InvalidInstance;
use motet_kernel::{
    endpoint::{Authority, Endpoint, State},
    id::InstanceId,
    name::ServiceName,
};
use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc};

/// One running copy of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Which one; a restart makes a new id.
    pub id: InstanceId,
    /// Its name for people: `embedder-2`.
    pub label: Arc<str>,
    /// What it is a copy of.
    pub service: ServiceName,
    /// Where it answers plain HTTP.
    pub address: Authority,
    /// Where it answers over TLS, on the same host.
    pub tls_port: Option<u16>,
    /// Where it stands, for choosing near ones.
    pub zone: Option<Arc<str>>,
    /// Its share of new requests compared with its siblings; 1 unless somebody says otherwise.
    pub weight: NonZeroU16,
    /// Which release it runs.
    pub version: Option<Arc<str>>,
    /// What else its owner wants others to know.
    pub metadata: BTreeMap<String, String>,
    /// Whether it may get requests.
    pub health: Health,
}

/// Whether an instance may get requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// It is listed and gets requests.
    Ready,
    /// It is known and in nobody's set: starting, or failing its probes.
    Unready,
    /// It finishes what it has and gets nothing new.
    Draining,
}

impl Instance {
    /// A ready instance with a fresh id and nothing special about it. Refuses port 0 and an empty host.
    pub fn ready(
        service: ServiceName,
        label: impl Into<Arc<str>>,
        address: Authority,
    ) -> Result<Self, InvalidInstance> {
        let label = label.into();
        if address.port == 0 || address.host.is_empty() {
            return Err(InvalidInstance { label, address });
        }
        Ok(Self {
            id: InstanceId::new(),
            label,
            service,
            address,
            tls_port: None,
            zone: None,
            weight: NonZeroU16::MIN,
            version: None,
            metadata: BTreeMap::new(),
            health: Health::Ready,
        })
    }

    /// What watchers see of it: nothing while it is not ready.
    pub fn endpoint(&self) -> Option<Endpoint> {
        let state = match self.health {
            Health::Ready => State::Ready,
            Health::Draining => State::Draining,
            Health::Unready => return None,
        };
        Some(Endpoint { instance: self.id, label: Arc::clone(&self.label), address: self.address.clone(), state })
    }
}
