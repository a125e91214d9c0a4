//! One event loop on one thread: its listeners, its view of the edges, its upstream connections. Nothing here is shared with another worker
//! but counters, so that a request never waits for another core.

use crate::{
    config::Config,
    gateway::Gate,
    lane::{Lane, Plan},
    listener::Listener,
    load::Loads,
    net::Bound,
    pool::Upstream,
    stage::route::Target,
};
use motet_kernel::{endpoint::Endpoint, id::InstanceId};
use std::{
    cell::RefCell,
    collections::HashMap,
    future::Future,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::spawn_local,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// What all workers are told: everything that is to be open from now on.
pub(crate) struct Command {
    pub(crate) listeners: Vec<Open>,
    /// Told when it is in force.
    pub(crate) done: oneshot::Sender<()>,
}

/// A listener that is to be open.
pub(crate) struct Open {
    pub(crate) id: u64,
    /// This worker's socket, when the listener is new.
    pub(crate) socket: Option<Bound>,
    pub(crate) behind: Behind,
}

/// What stands behind a listener.
#[derive(Clone)]
pub(crate) enum Behind {
    Edge(Arc<Plan>),
    Gateway(Arc<Gate>, Vec<Arc<Plan>>),
}

/// One event loop's state.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) config: Arc<Config>,
    loads: Arc<Loads>,
    /// One per instance, however many edges and routes lead to it.
    upstreams: RefCell<HashMap<InstanceId, Weak<Upstream>>>,
    listeners: RefCell<HashMap<u64, Rc<Listener>>>,
    /// Told when a connection becomes unused.
    unused: Rc<Notify>,
}

/// Runs a worker in the present event loop until it is asked to stop.
pub(crate) async fn run(
    index: usize,
    config: Arc<Config>,
    loads: Arc<Loads>,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) {
    let worker = Rc::new(Worker {
        index,
        config,
        loads,
        upstreams: RefCell::default(),
        listeners: RefCell::default(),
        unused: Rc::default(),
    });
    spawn_local(sweep(Rc::clone(&worker)));
    obey(&worker, commands, stop).await;
    worker.stop().await;
}

async fn obey(worker: &Rc<Worker>, mut commands: mpsc::Receiver<Command>, stop: CancellationToken) {
    loop {
        let command = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            command = commands.recv() => command,
        };
        let Some(Command { listeners, done }) = command else {
            // Every handle is gone; what is open stays open until the group is cancelled.
            return stop.cancelled().await;
        };
        worker.apply(listeners);
        // Whoever asked may have gone meanwhile; it is in force all the same.
        let _ = done.send(());
    }
}

impl Worker {
    fn apply(self: &Rc<Self>, wanted: Vec<Open>) {
        let mut before = self.listeners.take();
        let mut after = HashMap::with_capacity(wanted.len());
        for Open { id, socket, behind } in wanted {
            let target = self.target(behind);
            let listener = match (before.remove(&id), socket) {
                (Some(listener), _) => {
                    listener.set_target(target);
                    listener
                }
                (None, Some(socket)) => match Listener::open(self, socket, target) {
                    Ok(listener) => listener,
                    Err(error) => {
                        tracing::error!(worker = self.index, %error, "a listener could not be opened");
                        continue;
                    }
                },
                (None, None) => continue,
            };
            after.insert(id, listener);
        }
        for listener in before.into_values() {
            listener.closing.cancel();
        }
        *self.listeners.borrow_mut() = after;
    }

    fn target(self: &Rc<Self>, behind: Behind) -> Target {
        match behind {
            Behind::Edge(plan) => Target::Edge(Lane::open(plan, self)),
            Behind::Gateway(gate, plans) => {
                Target::gateway(gate, plans.into_iter().map(|plan| Lane::open(plan, self)).collect())
            }
        }
    }

    /// The instance as this worker knows it, or a new acquaintance.
    pub(crate) fn upstream(&self, endpoint: &Endpoint) -> Rc<Upstream> {
        let mut upstreams = self.upstreams.borrow_mut();
        let known = upstreams.get(&endpoint.instance).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| known.address == endpoint.address) {
            return known;
        }
        upstreams.retain(|_, upstream| upstream.strong_count() > 0);
        let upstream = Rc::new(Upstream::new(
            endpoint,
            self.loads.of(endpoint.instance),
            self.config.upstream_idle_max,
            Rc::clone(&self.unused),
        ));
        upstreams.insert(endpoint.instance, Rc::downgrade(&upstream));
        upstream
    }

    /// Takes nothing new, lets what is under way end within the grace, and drops the rest.
    async fn stop(&self) {
        let listeners = self.listeners.take();
        for listener in listeners.values() {
            listener.closing.cancel();
            listener.tasks.close();
        }
        let ended = async {
            for listener in listeners.values() {
                listener.tasks.wait().await;
            }
        };
        if timeout(self.config.stop_grace, ended).await.is_err() {
            let left: usize = listeners.values().map(|listener| listener.tasks.len()).sum();
            tracing::warn!(worker = self.index, connections = left, "connections were cut at the end of the grace");
        }
    }
}

/// Closes unused connections in time. Sleeps for good while there are none, so that an idle worker costs nothing.
async fn sweep(worker: Rc<Worker>) {
    const EVERY: Duration = Duration::from_secs(1);
    loop {
        worker.unused.notified().await;
        loop {
            sleep(EVERY.min(worker.config.upstream_idle)).await;
            let known: Vec<_> = worker.upstreams.borrow().values().filter_map(Weak::upgrade).collect();
            let left = known.iter().filter(|upstream| upstream.sweep(worker.config.upstream_idle)).count();
            if left == 0 {
                break;
            }
        }
    }
}

/// Runs hyper's background work on the worker's own loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalSpawn;

impl<F> hyper::rt::Executor<F> for LocalSpawn
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}
