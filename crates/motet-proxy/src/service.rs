//! The data plane's handle: starts the workers, tells them what to hold open, and answers for them.

use crate::{
    bind::bind,
    config::Config,
    door::DoorState,
    error::{ApplyError, GivenTwice, NotOpen, StartError, Stopping},
    fault::Fault,
    gateway::Gate,
    lane::{Held, Plan},
    load::Loads,
    net::{self, Bound},
    policy::{EdgePolicy, PathPolicy},
    spec::{Callee, Door, EdgeSpec, GatewaySpec, Protocol, RouteSpec},
    stage::fallback,
    stats::DoorStats,
    worker::{self, Behind, Command, Open},
};
use http::HeaderValue;
use motet_kernel::{
    endpoint::{EdgeName, EndpointSet},
    id::InstanceId,
    name::ServiceName,
    task::{Kind, TaskGroup},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

/// The data plane.
#[derive(Debug)]
pub struct Proxy;

/// Speaks to the data plane. Clones share it.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    workers: Vec<mpsc::Sender<Command>>,
    loads: Arc<Loads>,
    /// Of what is done beside the workers: files and keys that are read again.
    group: TaskGroup,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    open: Mutex<Opened>,
}

/// What is open now.
#[derive(Debug, Default, Clone)]
struct Opened {
    last_id: u64,
    listeners: BTreeMap<Place, (u64, SocketAddr)>,
    doors: BTreeMap<Door, Arc<DoorState>>,
    gate: Option<Arc<Gate>>,
}

/// What a listener is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Edge(EdgeName),
    Gateway,
}

/// Where everything can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// Each edge's address, for the caller's environment.
    pub edges: BTreeMap<EdgeName, SocketAddr>,
    /// The gateway's, when there is one.
    pub gateway: Option<SocketAddr>,
}

/// An instance still had requests when the time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{instance} still has {in_flight} requests")]
pub struct StillBusy {
    /// Which instance.
    pub instance: InstanceId,
    /// How many requests it had.
    pub in_flight: u32,
}

impl Proxy {
    /// Starts the workers, each on a thread of its own. They end with the group: they stop accepting, let requests end within
    /// [`Config::stop_grace`], and the group waits for them.
    pub fn start(config: Config, group: &TaskGroup) -> Result<Handle, StartError> {
        let config = Arc::new(config);
        let loads = Arc::<Loads>::default();
        let mut workers = Vec::with_capacity(config.workers.get());
        for index in 0..config.workers.get() {
            let failed = |source| StartError { worker: index, source };
            let (commands, received) = mpsc::channel(1);
            let (ending, ended) = oneshot::channel();
            let (config, loads, stop) = (Arc::clone(&config), Arc::clone(&loads), group.token());
            let work = move || worker::run(index, config, loads, received, stop);
            net::run(format!("motet-proxy-{index}"), work, ending).map_err(failed)?;
            group.spawn(Kind::ContextLoop, "proxy worker", async move {
                ended.await.expect("a worker's thread ends only when it is asked to, or by a panic of its own");
            });
            workers.push(commands);
        }
        let open = Mutex::default();
        let group = group.clone();
        Ok(Handle { shared: Arc::new(Shared { workers, loads, group, changing: tokio::sync::Mutex::new(()), open }) })
    }
}

impl Handle {
    /// Puts exactly these edges and this gateway in force, and says where they are reached.
    ///
    /// What stays keeps its address and its connections, also when its policy or its endpoints change: the next request goes by the new ones.
    /// What is gone accepts nothing more and lets requests end. Either all of it is in force afterwards or, with an error, nothing has
    /// changed.
    pub async fn apply(&self, edges: Vec<EdgeSpec>, gateway: Option<GatewaySpec>) -> Result<Addresses, ApplyError> {
        let _one_at_a_time = self.shared.changing.lock().await;
        let before = self.shared.open.lock().clone();
        let workers = self.shared.workers.len();
        let mut change = Change {
            after: Opened { last_id: before.last_id, ..Opened::default() },
            before,
            workers,
            opens: Vec::new(),
        };
        for edge in edges {
            change.edge(edge)?;
        }
        if let Some(gateway) = gateway {
            let gate = Gate::prepare(&gateway, change.before.gate.as_ref(), &self.shared.group).await?;
            change.gateway(gateway, gate)?;
        }
        let Change { after, opens, .. } = change;
        let addresses = after.addresses();
        self.tell(after, opens).await?;
        Ok(addresses)
    }

    async fn tell(&self, after: Opened, opens: Vec<(u64, Option<Vec<Bound>>, Behind)>) -> Result<(), Stopping> {
        let mut per_worker: Vec<Vec<Open>> = self.shared.workers.iter().map(|_| Vec::new()).collect();
        for (id, sockets, behind) in opens {
            let mut sockets = sockets.into_iter().flatten();
            for opens in &mut per_worker {
                opens.push(Open { id, socket: sockets.next(), behind: behind.clone() });
            }
        }
        let mut turns = Vec::with_capacity(per_worker.len());
        for worker in &self.shared.workers {
            turns.push(worker.reserve().await.map_err(|_| Stopping)?);
        }
        // From here to the next await nothing can come in between: all workers are told, or none is, also when whoever asked for the
        // change goes away.
        let mut done = Vec::with_capacity(turns.len());
        for (turn, listeners) in turns.into_iter().zip(per_worker) {
            let (told, hear) = oneshot::channel();
            turn.send(Command { listeners, done: told });
            done.push(hear);
        }
        *self.shared.open.lock() = after;
        for hear in done {
            hear.await.map_err(|_| Stopping)?;
        }
        Ok(())
    }

    /// Where everything can be reached now.
    pub fn addresses(&self) -> Addresses {
        self.shared.open.lock().addresses()
    }

    /// Where an edge's caller reaches it.
    pub fn address(&self, edge: &EdgeName) -> Option<SocketAddr> {
        self.shared.open.lock().listeners.get(&Place::Edge(edge.clone())).map(|(_, address)| *address)
    }

    /// How many requests an instance has now, over all edges and routes.
    pub fn in_flight(&self, instance: InstanceId) -> u32 {
        self.shared.loads.known(instance).map_or(0, |load| load.outstanding())
    }

    /// Waits until an instance has no requests, for so long at most.
    ///
    /// Publish it as draining first. A request that was being given to it at that moment is counted or goes elsewhere: once this
    /// returns `Ok`, no further one reaches it through the data plane.
    pub async fn drained(&self, instance: InstanceId, limit: Duration) -> Result<(), StillBusy> {
        let Some(load) = self.shared.loads.known(instance) else { return Ok(()) };
        timeout(limit, load.drained()).await.map_err(|_| StillBusy { instance, in_flight: load.outstanding() })
    }

    /// The counters of each edge and route that is open, in order.
    pub fn stats(&self) -> Vec<DoorStats> {
        let doors = self.shared.open.lock().doors.clone();
        doors.iter().map(|(door, state)| state.snapshot(door)).collect()
    }

    /// Puts exactly these faults on an edge or route, at once; none heal it. They last until they are taken off or the data plane stops.
    pub fn set_faults(&self, door: &Door, faults: Vec<Fault>) -> Result<(), NotOpen> {
        let state = self.shared.open.lock().doors.get(door).cloned();
        state.ok_or_else(|| NotOpen { door: door.clone() })?.faults.set(faults);
        Ok(())
    }

    /// All faults, by the edge or route that has some.
    pub fn faults(&self) -> Vec<(Door, Vec<Fault>)> {
        let doors = self.shared.open.lock().doors.clone();
        let faults = doors.into_iter().map(|(door, state)| (door, state.faults.list()));
        faults.filter(|(_, faults)| !faults.is_empty()).collect()
    }
}

impl Opened {
    fn addresses(&self) -> Addresses {
        let mut addresses = Addresses::default();
        for (place, (_, address)) in &self.listeners {
            match place {
                Place::Edge(name) => {
                    addresses.edges.insert(name.clone(), *address);
                }
                Place::Gateway => addresses.gateway = Some(*address),
            }
        }
        addresses
    }
}

/// What stands behind a door, whatever kind of door it is.
struct Parts {
    policy: EdgePolicy,
    paths: Vec<PathPolicy>,
    fallbacks: BTreeMap<ServiceName, Callee>,
    protocol: Protocol,
    endpoints: watch::Receiver<EndpointSet>,
    strip: Option<Arc<str>>,
}

/// A change being prepared: sockets are bound, nothing is in force yet.
struct Change {
    before: Opened,
    after: Opened,
    workers: usize,
    opens: Vec<(u64, Option<Vec<Bound>>, Behind)>,
}

impl Change {
    fn edge(&mut self, spec: EdgeSpec) -> Result<(), ApplyError> {
        let EdgeSpec { name, policy, paths, fallbacks, protocol, endpoints, listen } = spec;
        let behind = Parts { policy, paths, fallbacks, protocol, endpoints, strip: None };
        let plan = self.plan(Door::Edge(name.clone()), behind)?;
        self.open(Place::Edge(name), listen, Behind::Edge(plan))
    }

    fn gateway(&mut self, spec: GatewaySpec, gate: Arc<Gate>) -> Result<(), ApplyError> {
        let mut plans = Vec::with_capacity(spec.routes.len());
        let mut prefixes = BTreeSet::new();
        for route in spec.routes {
            let RouteSpec { prefix, service, strip_prefix, policy, paths, fallbacks, protocol, endpoints, .. } = route;
            let prefix: Arc<str> = prefix.into();
            let door = Door::Route { prefix: Arc::clone(&prefix), service };
            if !prefixes.insert(prefix.trim_end_matches('/').to_owned()) {
                return Err(GivenTwice { door }.into());
            }
            let strip = strip_prefix.then_some(prefix);
            plans.push(self.plan(door, Parts { policy, paths, fallbacks, protocol, endpoints, strip })?);
        }
        self.after.gate = Some(Arc::clone(&gate));
        self.open(Place::Gateway, Some(spec.listen), Behind::Gateway(gate, plans))
    }

    /// What the workers are told of a door. What is remembered about it outlives the change.
    fn plan(&mut self, door: Door, parts: Parts) -> Result<Arc<Plan>, GivenTwice> {
        let Parts { policy, mut paths, fallbacks, protocol, endpoints, strip } = parts;
        let state = self.before.doors.get(&door).cloned().unwrap_or_else(|| Arc::new(DoorState::new(self.workers)));
        if self.after.doors.insert(door.clone(), Arc::clone(&state)).is_some() {
            return Err(GivenTwice { door });
        }
        paths.sort_by_key(|path| std::cmp::Reverse(path.prefix.trim_end_matches('/').len()));
        state.keep_limits(|prefix| paths.iter().any(|path| path.prefix == prefix));
        let caller = HeaderValue::from_str(door.caller()).expect("names are letters, digits, hyphens");
        let stand_in = |(name, callee): (ServiceName, Callee)| {
            let policy = fallback::policy(policy.timeout);
            let state = Arc::new(DoorState::new(self.workers));
            let held = Held { prefix: String::new(), limits: state.limits("", &policy, &policy), policy };
            let Callee { protocol, endpoints } = callee;
            let (door, caller, strip) = (door.clone(), caller.clone(), strip.clone());
            let (policies, fallbacks) = (vec![held], BTreeMap::new());
            (name, Arc::new(Plan { door, caller, policies, protocol, strip, endpoints, state, fallbacks }))
        };
        let fallbacks = fallbacks.into_iter().map(stand_in).collect();
        let own = PathPolicy { prefix: String::new(), policy: policy.clone() };
        let policies = std::iter::once(own).chain(paths).map(|PathPolicy { prefix, policy: at_path }| Held {
            limits: state.limits(&prefix, &at_path, &policy),
            policy: at_path,
            prefix,
        });
        let policies = policies.collect();
        Ok(Arc::new(Plan { door, caller, policies, protocol, strip, endpoints, state, fallbacks }))
    }

    fn open(&mut self, place: Place, listen: Option<SocketAddr>, behind: Behind) -> Result<(), ApplyError> {
        let is_wanted = |address: SocketAddr| {
            listen.is_none_or(|wanted| wanted == address || wanted.port() == 0 && wanted.ip() == address.ip())
        };
        let kept = self.before.listeners.remove(&place).filter(|(_, address)| is_wanted(*address));
        let (id, address, sockets) = if let Some((id, address)) = kept {
            (id, address, None)
        } else {
            let address = listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
            let purpose = match &place {
                Place::Edge(name) => name.to_string(),
                Place::Gateway => "the gateway".to_owned(),
            };
            let (sockets, address) = bind(address, self.workers, &purpose)?;
            self.after.last_id += 1;
            (self.after.last_id, address, Some(sockets))
        };
        self.after.listeners.insert(place, (id, address));
        self.opens.push((id, sockets, behind));
        Ok(())
    }
}
