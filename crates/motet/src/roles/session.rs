//! One life of a running system: everything is started in order, follows the definition, and is stopped in reverse.
//!
//! The order of starting is the order of needing: the registry knows nobody, the data plane watches the registry, the supervisor announces to
//! both, the control API shows all of them. The data plane is up before the first service, so no service ever finds its callees' addresses closed.

mod control;

use crate::{
    place::{Door, Place},
    roles::{
        doors, environment,
        events::{Declared, Events, Knows, outbox, views},
        faults::Faults,
        membership::Membership,
        status::{self, Facts},
        stores,
        traffic::{self, Looks},
        translate, watching,
    },
};
use anyhow::{Context as _, Result};
use control::Controlled;
use motet_api::{error::Refusal, port::Control, server::Tokens, wire};
use motet_datastore::Secret;
use motet_kernel::{
    clock::{self, Timestamp},
    endpoint::EdgeName,
    id::SessionId,
    name::ServiceName,
    task::{Kind, TaskGroup},
};
use motet_model::{
    LoadOptions, Loaded,
    system::{Run, System},
};
use motet_registry::{Instance, Lease, Registry, Term};
use motet_supervisor::spec::ServiceSpec;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// How long tasks may take to notice that the process ends. Connections of the control API that are still open are cut.
const LAST_MOMENTS: Duration = Duration::from_millis(500);

/// What a session is started with.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) place: Place,
    pub(crate) profiles: Vec<String>,
    pub(crate) watch: bool,
}

/// A running system.
#[derive(Debug)]
pub(crate) struct Session {
    shared: Arc<Shared>,
    group: TaskGroup,
}

/// What the control API and the tasks of a session share.
#[derive(Debug)]
struct Shared {
    id: SessionId,
    started_at: Timestamp,
    place: Place,
    group: TaskGroup,
    registry: Registry,
    traffic: motet_proxy::Handle,
    looks: Looks,
    faults: Arc<Faults>,
    events: Events,
    supervisor: motet_supervisor::service::Handle,
    shown: watch::Sender<Arc<wire::System>>,
    current: Mutex<Current>,
    /// One change of the definition at a time.
    applying: tokio::sync::Mutex<()>,
    stop: Notify,
}

/// The definition that the system follows now.
#[derive(Debug)]
struct Current {
    system: System,
    files: Vec<PathBuf>,
    profiles: Vec<String>,
    /// Where each caller reaches each callee.
    addresses: BTreeMap<EdgeName, String>,
    external: Vec<Lease>,
    stopping: bool,
    /// Present while changed files wake rebuilds.
    watching: Option<TaskGroup>,
}

impl Session {
    /// Starts everything and opens the door. When this returns, services are on their way; the door tells how far they are.
    pub(crate) async fn start(loaded: Loaded, options: Options) -> Result<Self> {
        let (id, group) = (SessionId::new(), TaskGroup::new());
        let registry = Registry::start(&group);
        let traffic =
            motet_proxy::Proxy::start(motet_proxy::Config::default(), &group).context("the data plane cannot start")?;
        let membership = Arc::new(Membership::new(registry.clone(), traffic.clone()));
        let mut config = motet_supervisor::config::Config::new(options.place.dir(), options.place.logs());
        // Installers wait for the network most of the time, and builds of one workspace wait for each other.
        config.builds_max = 4;
        let processes =
            motet_supervisor::process::Processes::open(process_options(&options.place, &loaded.system)?, id)
                .context("processes cannot be supervised")?;
        let supervisor = motet_supervisor::service::Supervisor::start(config, Arc::new(processes), membership, &group);
        let current = Current {
            files: loaded.files.clone(),
            profiles: options.profiles,
            addresses: BTreeMap::new(),
            external: Vec::new(),
            stopping: false,
            watching: None,
            system: loaded.system,
        };
        let started_at = clock::now();
        let nothing = status::empty(&current.system, id, started_at);
        let shared = Arc::new(Shared {
            id,
            started_at,
            place: options.place,
            group: group.clone(),
            registry,
            looks: Looks::default(),
            faults: Arc::new(Faults::new(traffic.clone())),
            events: Events::default(),
            traffic,
            supervisor,
            shown: watch::Sender::new(Arc::new(nothing)),
            current: Mutex::new(current),
            applying: tokio::sync::Mutex::default(),
            stop: Notify::new(),
        });
        let system = shared.current.lock().system.clone();
        shared.follow(&system).await?;
        if options.watch {
            shared.watch_files();
        }
        group.spawn(Kind::Periodic, "status", Arc::clone(&shared).show_changes());
        group.spawn_dropping(Kind::Periodic, "traffic", Arc::clone(&shared).look());
        group.spawn_dropping(Kind::Periodic, "expiry of faults", Arc::clone(&shared.faults).expire());
        let session = Self { shared, group };
        session.open_door().await?;
        Ok(session)
    }

    async fn open_door(&self) -> Result<()> {
        let secret = || Secret::generate().map(|secret| secret.expose().to_owned());
        let tokens = Tokens { control: secret()?, metrics: secret()? };
        let socket = self.shared.place.socket()?;
        let control: Arc<dyn Control> = Arc::new(Controlled(Arc::clone(&self.shared)));
        let address = motet_api::server::serve(control, &socket, tokens.clone(), &self.group).await?;
        let system = self.shared.current.lock().system.name.to_string();
        self.shared.place.open_metrics(&system, address, &tokens.metrics)?;
        let (url, token, session) = (format!("http://{address}"), tokens.control, self.shared.id.to_string());
        self.shared.place.open_door(&Door { socket, url, token, pid: std::process::id(), session })
    }

    /// Becomes ready when `motet down` was called, or when something failed that nothing can go on without.
    pub(crate) async fn asked_to_stop(&mut self) {
        tokio::select! {
            () = self.shared.stop.notified() => {}
            () = self.group.cancelled() => {}
        }
    }

    /// Stops services in reverse order, then everything else.
    pub(crate) async fn stop(self) {
        self.shared.current.lock().stopping = true;
        self.shared.unwatch_files();
        self.shared.refresh();
        if let Err(error) = self.shared.supervisor.stop_all().await {
            tracing::error!(%error, "services may not have been stopped");
        }
        self.shared.events.stop().await;
        self.shared.refresh();
        self.group.cancel();
        let _ = tokio::time::timeout(LAST_MOMENTS, self.group.wait()).await;
    }
}

fn process_options(place: &Place, system: &System) -> Result<motet_supervisor::process::Options> {
    let motet = std::env::current_exe().context("motet does not know where it is")?;
    let mut options = motet_supervisor::process::Options::new(place.run());
    options.guard = Some(vec![motet.into_os_string(), "guard".into()]);
    options.environment.retain(|_, value| !is_administrators(&value.to_string_lossy(), system));
    Ok(options)
}

/// Whether a variable of Motet's own environment opens the server of all stores or of all events. Services inherit the rest.
fn is_administrators(value: &str, system: &System) -> bool {
    let holds = |url: &str| value.contains(url);
    let is = |secret: Option<&str>| secret.is_some_and(|secret| !secret.is_empty() && value == secret);
    let of_stores = system.engines.stores.postgres.as_deref().is_some_and(|url| holds(url) || is(password(url)));
    // Without credentials the address of an engine is no secret, and where there is a user alone, that is a token.
    let of_events = system.engines.events.url().filter(|url| userinfo(url).is_some());
    of_stores || of_events.is_some_and(|url| holds(url) || is(password(url).or(userinfo(url))))
}

fn userinfo(url: &str) -> Option<&str> {
    url.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(user, _)| user)
}

fn password(url: &str) -> Option<&str> {
    userinfo(url).and_then(|user| user.split_once(':')).map(|(_, password)| password)
}

impl Shared {
    /// Makes the running system match a definition.
    async fn follow(&self, system: &System) -> Result<()> {
        let declared = Declared::of(system)?;
        self.events.agrees(&declared)?;
        let stores = stores::of(system, &self.place)?;
        let credentials = stores::provision(&stores).await?;
        let addresses = self.open_edges(system).await?;
        let outboxes = outbox::of(system, &credentials)?;
        let deliveries = doors::deliveries(&addresses);
        let views = views::of(system, &declared, &credentials);
        let for_events = self.events.follow(&self.place, declared, &deliveries, outboxes, views, &self.group).await?;
        let mut specs: Vec<ServiceSpec> = Vec::new();
        for service in system.services.values() {
            let edges = service.uses.keys().filter_map(|callee| {
                let edge = EdgeName { caller: service.name.clone(), callee: callee.clone() };
                Some((callee.clone(), addresses.get(&edge)?.clone()))
            });
            let reach = environment::Reach {
                edges: edges.collect(),
                store: credentials.get(&service.name),
                events: for_events.get(&service.name),
            };
            let env = environment::of(&system.name, service, &reach);
            specs.extend(translate::service(system, service, env)?);
        }
        self.announce_external(system);
        self.supervisor.apply(specs).await?;
        self.current.lock().addresses = addresses;
        Ok(())
    }

    /// Opens an address for each edge and the gateway; returns the addresses.
    async fn open_edges(&self, system: &System) -> Result<BTreeMap<EdgeName, String>> {
        let (specs, mut addresses) = doors::edges(system, &self.registry)?;
        let opened = self.traffic.apply(specs, doors::gateway(system, &self.registry)?).await?;
        addresses.extend(opened.edges.into_iter().map(|(name, address)| (name, format!("http://{address}"))));
        Ok(addresses)
    }

    /// What runs elsewhere is an instance of the registry like any other; nobody watches over it.
    fn announce_external(&self, system: &System) {
        let mut leases = Vec::new();
        for service in system.services.values() {
            let Run::External { url } = &service.run else { continue };
            let Some(address) = translate::external_authority(url) else { continue };
            match Instance::ready(service.name.clone(), service.name.as_str(), address) {
                Ok(instance) => leases.push(self.registry.announce(instance, Term::Owned)),
                Err(error) => tracing::error!(service = %service.name, %error, "external service cannot be announced"),
            }
        }
        let before = std::mem::replace(&mut self.current.lock().external, leases);
        for lease in before {
            self.registry.withdraw(&lease);
        }
    }

    /// Publishes what is known whenever the supervisor knows something new.
    async fn show_changes(self: Arc<Self>) {
        let mut status = self.supervisor.status();
        loop {
            self.refresh();
            tokio::select! {
                changed = status.changed() => if changed.is_err() { return },
                () = self.group.cancelled() => return,
            }
        }
    }

    /// Looks at the counters now and then, so that rates can be told.
    async fn look(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(traffic::EVERY);
        loop {
            ticks.tick().await;
            self.looks.take(&self.traffic.stats());
        }
    }

    fn refresh(&self) {
        let known = self.supervisor.status().borrow().clone();
        let current = self.current.lock();
        let facts = Facts {
            system: &current.system,
            session: self.id,
            started_at: self.started_at,
            stopping: current.stopping,
            addresses: &current.addresses,
            gateway: self.traffic.addresses().gateway,
            supervised: &known,
            traffic: &self.traffic.stats(),
            looks: &self.looks,
            faults: self.faults.list(),
            in_flight: &|instance| self.traffic.in_flight(instance),
        };
        let now = Arc::new(status::show(&facts));
        drop(current);
        self.shown.send_if_modified(|shown| {
            let changed = **shown != *now;
            *shown = now;
            changed
        });
    }

    fn watch_files(self: &Arc<Self>) {
        let group = self.group.child();
        let current = &mut *self.current.lock();
        if let Some(before) = current.watching.replace(group.clone()) {
            before.cancel();
        }
        let seen = watching::start(&current.system, &current.files, &group);
        let mut changes = match seen {
            Ok(changes) => changes,
            Err(error) => {
                tracing::error!(%error, "files cannot be watched");
                return;
            }
        };
        let shared = Arc::clone(self);
        group.spawn_dropping(Kind::Periodic, "rebuild", async move {
            while let Some(changed) = changes.recv().await {
                if changed.definition {
                    shared.reload_and_tell().await;
                    // The new definition may be in other files: a new watch takes over from this one.
                    shared.watch_files();
                    return;
                }
                for service in changed.services {
                    tracing::info!(%service, "files changed");
                    if let Err(error) = shared.supervisor.rebuild(&service).await {
                        tracing::warn!(%service, %error, "cannot be rebuilt");
                    }
                }
            }
        });
    }

    fn unwatch_files(&self) {
        if let Some(group) = self.current.lock().watching.take() {
            group.cancel();
        }
    }

    async fn reload_and_tell(&self) {
        match self.reload(None).await {
            Ok(applied) => tracing::info!(?applied, "definition applied"),
            Err(error) => tracing::error!(%error, "definition not applied"),
        }
    }

    /// Reads the definition again and follows it.
    async fn reload(&self, profiles: Option<Vec<String>>) -> Result<wire::Applied, Refusal> {
        let _one_at_a_time = self.applying.lock().await;
        let (before, options) = {
            let current = self.current.lock();
            let profiles = profiles.unwrap_or_else(|| current.profiles.clone());
            let env = std::env::vars().collect();
            (current.system.clone(), LoadOptions { file: before_file(&current), profiles, env, judge: Some(&Knows) })
        };
        let loaded = motet_model::load(&options)
            .map_err(|problems| Refusal::Definition(problems.render(motet_model::Style::PLAIN)))?;
        self.follow(&loaded.system).await.map_err(|error| Refusal::NotPossible(format!("{error:#}")))?;
        self.faults.forget_closed();
        let applied = difference(&before, &loaded.system);
        let mut current = self.current.lock();
        (current.system, current.files, current.profiles) = (loaded.system, loaded.files, options.profiles);
        drop(current);
        self.refresh();
        Ok(applied)
    }

    fn service(&self, name: &str) -> Result<ServiceName, Refusal> {
        let current = self.current.lock();
        let names = &current.system.services;
        let found = name.parse().ok().filter(|name| names.contains_key::<ServiceName>(name));
        found.ok_or_else(|| Refusal::UnknownService { name: name.to_owned(), nearest: nearest(name, names.keys()) })
    }

    fn supervised(&self, name: &str) -> Result<ServiceName, Refusal> {
        let service = self.service(name)?;
        let external = matches!(self.current.lock().system.services[&service].run, Run::External { .. });
        if external { Err(Refusal::NotPossible(format!("`{service}` runs elsewhere"))) } else { Ok(service) }
    }
}

fn before_file(current: &Current) -> PathBuf {
    current.system.file.clone()
}

fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a ServiceName>) -> Option<String> {
    nearest_text(name, names.map(ServiceName::as_str))
}

pub(crate) fn nearest_text<'a>(text: &str, all: impl Iterator<Item = &'a str>) -> Option<String> {
    let near = |other| (strsim::jaro_winkler(text, other), other);
    let best = all.map(near).filter(|(score, _)| *score > 0.8).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, other)| other.to_owned())
}

fn difference(before: &System, after: &System) -> wire::Applied {
    let names = |system: &System| system.services.keys().cloned().collect::<BTreeSet<_>>();
    let (old, new) = (names(before), names(after));
    let changed = old.intersection(&new).filter(|name| before.services[*name] != after.services[*name]);
    let list = |names: Vec<&ServiceName>| names.into_iter().map(ToString::to_string).collect();
    wire::Applied {
        added: list(new.difference(&old).collect()),
        changed: list(changed.collect()),
        removed: list(old.difference(&new).collect()),
        gateway: before.gateway != after.gateway,
    }
}
