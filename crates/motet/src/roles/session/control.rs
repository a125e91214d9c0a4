//! The session as the control API sees it: each operation in the words of the contexts that do it.

mod events;
mod jobs;

use super::{Shared, nearest_text};
use crate::roles::{metrics, status};
use async_trait::async_trait;
use futures_util::{StreamExt as _, stream::BoxStream};
use motet_api::{
    error::Refusal,
    exposition::Family,
    port::{Control, LogQuery},
    wire::{self, fault::AddFaults},
};
use motet_kernel::endpoint::EdgeName;
use motet_proxy::Door;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::watch;

impl Shared {
    /// The edge or route that is meant, if the data plane holds it open.
    fn door(&self, asked: &wire::fault::Door) -> Result<Door, Refusal> {
        match asked {
            wire::fault::Door::Edge(text) => self.edge_door(text),
            wire::fault::Door::Route(path) => self.route_door(path),
        }
    }

    fn edge_door(&self, text: &str) -> Result<Door, Refusal> {
        let name: EdgeName = text.parse().map_err(|error| Refusal::Unreadable(format!("{error}")))?;
        if self.traffic.address(&name).is_some() {
            return Ok(Door::Edge(name));
        }
        let current = self.current.lock();
        if current.addresses.contains_key(&name) {
            let why = "its callee speaks TLS or has a path of its own, so calls do not go through the data plane";
            return Err(Refusal::NotPossible(format!("{name} can have no faults: {why}")));
        }
        let services = current.system.services.values();
        let all: Vec<String> = services
            .flat_map(|caller| caller.uses.keys().map(move |callee| format!("{}->{callee}", caller.name)))
            .collect();
        let nearest = nearest_text(&format!("{}->{}", name.caller, name.callee), all.iter().map(String::as_str));
        Err(Refusal::UnknownDoor { name: format!("edge {name}"), nearest, all })
    }

    fn route_door(&self, path: &str) -> Result<Door, Refusal> {
        let current = self.current.lock();
        let routes = || current.system.gateway.iter().flat_map(|gateway| &gateway.routes);
        let same = |prefix: &str| prefix.trim_end_matches('/') == path.trim_end_matches('/');
        if let Some((prefix, route)) = routes().find(|(prefix, _)| same(prefix)) {
            return Ok(Door::Route { prefix: prefix.as_str().into(), service: route.to.clone() });
        }
        let all: Vec<String> = routes().map(|(prefix, _)| prefix.clone()).collect();
        let nearest = nearest_text(path, all.iter().map(String::as_str));
        Err(Refusal::UnknownDoor { name: format!("route {path}"), nearest, all })
    }
}

/// The session as the control API sees it.
pub(super) struct Controlled(pub(super) Arc<Shared>);

#[async_trait]
impl Control for Controlled {
    fn system(&self) -> watch::Receiver<Arc<wire::System>> {
        self.0.refresh();
        self.0.shown.subscribe()
    }

    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, wire::LogEvent>, Refusal> {
        let services = query.services.iter().map(|name| self.0.service(name)).collect::<Result<BTreeSet<_>, _>>()?;
        Ok(status::log_events(&self.0.supervisor, services, query.tail, query.follow).await.boxed())
    }

    async fn restart(&self, service: &str) -> Result<(), Refusal> {
        let service = self.0.supervised(service)?;
        self.0.supervisor.restart(&service).await.map(drop).map_err(|error| Refusal::NotPossible(error.to_string()))
    }

    async fn scale(&self, service: &str, instances: u32) -> Result<(), Refusal> {
        let service = self.0.supervised(service)?;
        self.0
            .supervisor
            .scale(&service, instances)
            .await
            .map(drop)
            .map_err(|error| Refusal::NotPossible(error.to_string()))
    }

    async fn apply(&self, request: wire::ApplyRequest) -> Result<wire::Applied, Refusal> {
        let applied = self.0.reload(request.profiles).await?;
        match request.watch {
            Some(true) => self.0.watch_files(),
            Some(false) => self.0.unwatch_files(),
            None => {}
        }
        Ok(applied)
    }

    fn faults(&self) -> Vec<wire::fault::Fault> {
        self.0.faults.list()
    }

    fn add_faults(&self, request: AddFaults) -> Result<Vec<wire::fault::Fault>, Refusal> {
        let door = self.0.door(&request.door)?;
        let there = self.0.faults.add(door, &request.faults, request.for_ms.map(Duration::from_millis))?;
        self.0.refresh();
        Ok(there)
    }

    fn remove_faults(&self, door: Option<wire::fault::Door>) -> Result<Vec<wire::fault::Fault>, Refusal> {
        let door = door.map(|door| self.0.door(&door)).transpose()?;
        let removed = self.0.faults.remove(door.as_ref());
        self.0.refresh();
        Ok(removed)
    }

    async fn metrics(&self) -> Vec<Family> {
        self.0.refresh();
        let events = self.0.events.description().await;
        let status = self.0.supervisor.status().borrow().clone();
        let outboxes = self.0.events.outboxes();
        let mut families = metrics::families(&self.0.shown.borrow(), &self.0.traffic.stats(), &status, events.as_ref());
        families.extend(metrics::events::outboxes(&outboxes));
        let jobs = self.0.events.jobs().map(|jobs| jobs.handle.counts()).unwrap_or_default();
        families.extend(metrics::jobs::families(&jobs));
        families
    }

    async fn down(&self) -> Result<(), Refusal> {
        self.0.current.lock().stopping = true;
        self.0.refresh();
        self.0.stop.notify_one();
        Ok(())
    }
}
