//! Events in a running system: the broker with its store, an address for each service that publishes or fetches, and the way to the paths of
//! subscribers.
//!
//! A system without topics has none of it: no store is opened and no thread started. What was begun stays until the session ends, so that
//! a definition that loses its last topic and gets it back loses nothing.

mod declared;
mod door;
pub(crate) mod engine;
mod judge;
pub(crate) mod outbox;
mod push;
pub(crate) mod views;

pub(crate) use declared::{Declared, longest_delivery};
pub(crate) use door::{adhere, not_possible, publish, watch};
pub(crate) use judge::Knows;
pub(crate) use push::{Push, retry_after};

use crate::{
    place::Place,
    roles::jobs::{self, Deliveries},
};
use anyhow::{Context as _, Result};
use arc_swap::ArcSwap;
use door::ServicesDoor;
use engine::Chosen;
use motet_api::services;
use motet_broker::{Broker, Description, Handle, SubscriptionName};
use motet_kernel::{name::ServiceName, task::TaskGroup};
use motet_store::{OpenError, Store};
use outbox::{Outboxes, Relays};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use views::{Views, Wanted, Ways};

/// The caller that the deliveries of events are, on an edge to each service that is pushed to.
pub(crate) const CALLER: &str = "motet-events";

/// How long the broker may take to say how it is.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Events, once a definition has had topics.
#[derive(Debug, Default)]
pub(crate) struct Events {
    running: Mutex<Option<Running>>,
}

#[derive(Debug, Clone)]
struct Running {
    broker: Handle,
    engine: Chosen,
    /// What is declared now; the doors look into it at each request.
    declared: Arc<ArcSwap<Declared>>,
    push: Arc<Push>,
    views: Arc<Views>,
    store: Store,
    deliveries: Arc<Deliveries>,
    /// Once a service takes jobs.
    jobs: Option<jobs::Running>,
    relays: Relays,
    /// Where each service finds its own.
    doors: BTreeMap<ServiceName, String>,
}

impl Events {
    /// The broker and what is declared now, once a definition has had topics.
    pub(crate) fn running(&self) -> Option<(Handle, Arc<ArcSwap<Declared>>)> {
        self.running.lock().as_ref().map(|running| (running.broker.clone(), Arc::clone(&running.declared)))
    }

    /// Jobs, once a service takes them.
    pub(crate) fn jobs(&self) -> Option<jobs::Running> {
        self.running.lock().as_ref().and_then(|running| running.jobs.clone())
    }

    /// How the broker is, where there is one. Nothing too if it does not say within a few seconds.
    pub(crate) async fn description(&self) -> Option<Description> {
        let (broker, _) = self.running()?;
        tokio::time::timeout(ANSWERS_WITHIN, broker.describe()).await.ok()
    }

    /// How the outbox of each service is.
    pub(crate) fn outboxes(&self) -> BTreeMap<ServiceName, motet_relay::Status> {
        self.running.lock().as_ref().map(|running| running.relays.status()).unwrap_or_default()
    }

    /// Why views cannot be written at the moment, by their subscriptions.
    pub(crate) fn views_in_trouble(&self) -> BTreeMap<SubscriptionName, String> {
        self.running.lock().as_ref().map(|running| running.views.trouble()).unwrap_or_default()
    }

    /// Whether what runs can go on with what a definition says. Asked before anything is changed.
    ///
    /// # Errors
    /// When it would have to be another engine; the sentence says what to do.
    pub(crate) fn agrees(&self, declared: &Declared) -> Result<()> {
        match &*self.running.lock() {
            Some(running) if !declared.is_empty() => running.engine.goes_on_as(declared.engine()),
            _ => Ok(()),
        }
    }

    /// Makes it what a definition says, before its services start: the store, an address for each of them, topics and subscriptions, the
    /// relays of outboxes, the tables of views. `edges`: where the data plane takes deliveries to each service.
    ///
    /// Returns the addresses: what `MOTET_URL` is for each service.
    pub(crate) async fn follow(
        &self,
        place: &Place,
        declared: Declared,
        edges: &BTreeMap<ServiceName, String>,
        outboxes: Outboxes,
        views: Wanted,
        group: &TaskGroup,
    ) -> Result<BTreeMap<ServiceName, String>> {
        let before = self.running.lock().clone();
        let mut running = match before {
            Some(running) => running,
            None if declared.is_empty() => return Ok(BTreeMap::new()),
            None => start(place, declared.engine(), group).await?,
        };
        running.start_jobs(&declared, group)?;
        running.open_doors(&declared, group).await?;
        running.views.lead(views).await?;
        running.push.lead(&declared, edges);
        let (declaration, for_jobs) = (declared.declaration(), declared.jobs().clone());
        running.declared.store(Arc::new(declared));
        if let Some(jobs) = &running.jobs {
            jobs.follow(&for_jobs, edges);
        }
        running.broker.declare(declaration).await.map_err(|error| told(&error, error.code().0))?;
        running.relays.follow(outboxes, &running.broker, &running.declared, group).await;
        let doors = running.doors.clone();
        *self.running.lock() = Some(running);
        Ok(doors)
    }

    /// Lets deliveries that are under way end while the services that take them still run, and sends no more. Publishing goes on.
    pub(crate) async fn drain(&self) {
        let broker = self.running().map(|(broker, _)| broker);
        if let Some(broker) = broker {
            broker.drain().await;
        }
    }

    /// Stops in good order: deliveries that are under way may end, and how far everything is, is written down.
    pub(crate) async fn stop(&self) {
        let running = self.running.lock().take();
        if let Some(running) = running {
            running.broker.stop().await;
            if let Some(jobs) = running.jobs {
                jobs.handle.stop().await;
            }
        }
    }
}

impl Running {
    fn start_jobs(&mut self, declared: &Declared, group: &TaskGroup) -> Result<()> {
        if self.jobs.is_none() && !declared.jobs().is_empty() {
            let jobs = jobs::Running::start(&self.store, &self.broker, &self.declared, group)?;
            self.deliveries.take_tickets(&jobs.handle);
            self.jobs = Some(jobs);
        }
        Ok(())
    }

    async fn open_doors(&mut self, declared: &Declared, group: &TaskGroup) -> Result<()> {
        for service in declared.services() {
            if self.doors.contains_key(service) {
                continue;
            }
            let listener = TcpListener::bind("127.0.0.1:0").await.context("no port is free for events")?;
            let address = listener.local_addr().context("a socket has an address")?;
            let door = ServicesDoor::new(service.clone(), self.broker.clone(), Arc::clone(&self.declared));
            let ports = services::Ports {
                events: Arc::new(door),
                jobs: self.jobs.as_ref().map(|jobs| jobs.door(jobs::Who::Service(service.clone()))),
            };
            services::serve(listener, ports, services::Options::default(), group);
            self.doors.insert(service.clone(), format!("http://{address}"));
        }
        Ok(())
    }
}

async fn start(place: &Place, engine: &Chosen, group: &TaskGroup) -> Result<Running> {
    let dir = place.events();
    let open = {
        let dir = dir.clone();
        move || Store::open(&dir, motet_store::Options::default())
    };
    let opened: Result<Store, OpenError> =
        tokio::task::spawn_blocking(open).await.context("the store was not opened")?;
    let store = opened.map_err(|error| told(&error, error.code().0))?;
    let transport = engine.open(&store, &dir, group).await?;
    let push = Arc::new(Push::new()?);
    let views = Arc::new(Views::default());
    let ways = Ways { push: Arc::clone(&push), views: Arc::clone(&views) };
    let deliveries = Arc::new(Deliveries::new(Arc::new(ways)));
    let broker = Broker::start(
        motet_broker::Config::default(),
        store.clone(),
        transport,
        Arc::clone(&deliveries) as Arc<dyn motet_broker::Deliver>,
        group,
    );
    let broker = broker.map_err(|error| told(&error, error.code().0))?;
    views.meet(&broker);
    Ok(Running {
        broker,
        engine: engine.clone(),
        declared: Arc::default(),
        push,
        views,
        store,
        deliveries,
        jobs: None,
        relays: Relays::default(),
        doors: BTreeMap::new(),
    })
}

/// A failure as a person reads it.
pub(crate) fn told(error: &dyn std::error::Error, code: &str) -> anyhow::Error {
    anyhow::anyhow!("{error} ({code})")
}
