//! What the supervisor knows: wanted and actual side by side, and how each thing that happens changes it.
//!
//! Every method here is a fact that came in (a spec, an exit, the end of a build). None decides what to do about it; that is
//! [`crate::machine::decide`], which looks at the whole state each time and so repairs whatever was missed.

use crate::{
    port::Exit,
    spec::{Kind, Restart, ServiceSpec},
};
use motet_kernel::{clock::Timestamp, id::InstanceId, name::ServiceName};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// All services, wanted or still to be cleared away.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// By name.
    pub(crate) services: BTreeMap<ServiceName, Service>,
    /// Everything is to be stopped.
    pub(crate) stopping: bool,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Service {
    /// What is wanted.
    pub(crate) spec: Arc<ServiceSpec>,
    /// How many instances are wanted.
    pub(crate) wanted: u32,
    /// It is not in the wanted set any more and goes when its instances are gone.
    pub(crate) removed: bool,
    /// Instances of lower generations are outdated.
    pub(crate) generation: u64,
    /// Where its build is.
    pub(crate) build: Stage,
    /// A build of this spec has succeeded, so that instances may start whatever a later build does.
    pub(crate) built: bool,
    /// Where its preparation is.
    pub(crate) prepare: Stage,
    /// Failures of the preparation in a row.
    pub(crate) prepare_failures: u32,
    /// Its dependencies have been there once: it does not wait for them again.
    pub(crate) released: bool,
    /// From 1 to the number of instances; more while scaling down.
    pub(crate) slots: BTreeMap<u32, Slot>,
}

/// Where something is that has to be done once before instances start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    /// To be done.
    Due,
    /// Being done; the flag says that it was told to break off.
    Running {
        /// It was told to break off.
        aborted: bool,
    },
    /// Done, or nothing to do.
    Done,
    /// It failed.
    Failed(StageFailure),
}

/// Why a stage failed and what follows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StageFailure {
    /// How it ended.
    pub(crate) reason: String,
    /// Its last output.
    pub(crate) lines: Vec<String>,
    /// When it is tried again; never by itself when `None`.
    pub(crate) retry_at: Option<Instant>,
}

impl Stage {
    /// Whether it is being done now.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// A place for one instance, which keeps its history over restarts.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// Usually one; two while one replaces the other, more while old ones are being stopped.
    pub(crate) instances: Vec<Instance>,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// No start before this.
    pub(crate) retry_at: Option<Instant>,
    /// Starts after an end that nobody asked for.
    pub(crate) restarts: u32,
    /// The last end that nobody asked for.
    pub(crate) last_exit: Option<LastExit>,
    /// It ended and is not to be started again in this generation.
    pub(crate) settled: Option<Settled>,
}

/// An end after which nothing more is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    /// The generation that ended.
    pub(crate) generation: u64,
    /// Whether it did what it should.
    pub(crate) success: bool,
}

/// An end that nobody asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct LastExit {
    /// How.
    pub exit: Exit,
    /// Why the supervisor ended it, when it was the supervisor.
    pub why: Option<String>,
    /// Its last output.
    pub lines: Vec<String>,
    /// When.
    pub at: Timestamp,
}

impl LastExit {
    /// In words: `killed by SIGKILL`, `not ready within 30s: connection refused`.
    pub fn reason(&self) -> String {
        self.why.clone().unwrap_or_else(|| self.exit.to_string())
    }
}

/// One instance.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Its id.
    pub(crate) id: InstanceId,
    /// The generation of its service that it belongs to.
    pub(crate) generation: u64,
    /// How far it is.
    pub(crate) phase: Phase,
    /// Its port.
    pub(crate) port: Option<u16>,
    /// Its process.
    pub(crate) pid: Option<u32>,
    /// When it was ordered.
    pub(crate) started_at: Timestamp,
    /// When it became ready.
    pub(crate) ready_at: Option<Instant>,
}

/// How far an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Ordered, not running yet.
    Ordered,
    /// Runs, not ready yet.
    Starting,
    /// Ready.
    Ready,
    /// Being stopped; the flag says that its failure is already counted.
    Stopping {
        /// Its failure is already counted.
        failed: bool,
    },
}

impl Instance {
    /// Not being stopped.
    pub(crate) fn is_live(&self) -> bool {
        !matches!(self.phase, Phase::Stopping { .. })
    }
}

impl Slot {
    /// Whether nothing more is to be done for this generation.
    pub(crate) fn is_settled(&self, generation: u64) -> bool {
        self.settled.is_some_and(|settled| settled.generation == generation)
    }

    fn count_failure(&mut self, spec: &ServiceSpec, ready_at: Option<Instant>, now: Instant, random: f64) {
        if ready_at.is_some_and(|at| now.duration_since(at) >= spec.restart.reset_after) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(now + wait(spec, self.failures, random));
    }
}

/// The wait before the next try; in a crash loop it is the longest one.
fn wait(spec: &ServiceSpec, failures: u32, random: f64) -> Duration {
    let policy = &spec.restart;
    let counted = if failures >= policy.crash_loop_after { u32::MAX } else { failures };
    policy.backoff.wait(counted, random)
}

impl Service {
    fn new(spec: ServiceSpec) -> Self {
        Self {
            wanted: spec.instances,
            removed: false,
            generation: 1,
            build: if spec.build.is_some() { Stage::Due } else { Stage::Done },
            built: spec.build.is_none(),
            prepare: if spec.prepare.is_some() { Stage::Due } else { Stage::Done },
            prepare_failures: 0,
            released: false,
            slots: BTreeMap::new(),
            spec: Arc::new(spec),
        }
    }

    /// All its instances.
    pub(crate) fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.slots.values().flat_map(|slot| &slot.instances)
    }

    /// Whether anything of it runs: an instance, a build, a preparation.
    pub(crate) fn is_active(&self) -> bool {
        self.instances().next().is_some() || self.build.is_running() || self.prepare.is_running()
    }

    /// How many instances are ready.
    pub(crate) fn ready(&self) -> usize {
        self.instances().filter(|instance| instance.phase == Phase::Ready).count()
    }

    /// Whether every wanted slot is done for good, and done well.
    pub(crate) fn is_completed(&self) -> bool {
        let done = |slot: &Slot| slot.settled == Some(Settled { generation: self.generation, success: true });
        self.wanted > 0 && (1..=self.wanted).all(|number| self.slots.get(&number).is_some_and(done))
    }

    fn renew(&mut self, spec: ServiceSpec) {
        let outdated = self.removed || self.spec.is_outdated_by(&spec);
        if self.removed || self.spec.instances != spec.instances {
            self.wanted = spec.instances;
        }
        self.removed = false;
        if outdated {
            let fresh = Self::new(spec.clone());
            if self.spec.build != spec.build || self.spec.dir != spec.dir {
                self.built = fresh.built;
                self.build = restarted(&self.build, fresh.build);
            }
            self.prepare = restarted(&self.prepare, fresh.prepare);
            self.generation += 1;
            self.forgive();
        }
        self.spec = Arc::new(spec);
    }

    /// Forgets failures, because something changed that may have been their cause.
    fn forgive(&mut self) {
        for slot in self.slots.values_mut() {
            slot.failures = 0;
            slot.retry_at = None;
        }
        self.prepare_failures = 0;
        if matches!(self.prepare, Stage::Failed(_)) {
            self.prepare = Stage::Due;
        }
    }

    fn instance_mut(&mut self, id: InstanceId) -> Option<(&mut Slot, usize)> {
        self.slots.values_mut().find_map(|slot| {
            let place = slot.instances.iter().position(|instance| instance.id == id)?;
            Some((slot, place))
        })
    }
}

/// A stage that runs for an older wish ends first; its end makes it due again.
fn restarted(current: &Stage, fresh: Stage) -> Stage {
    if current.is_running() { Stage::Running { aborted: true } } else { fresh }
}

impl State {
    /// A new wanted set. It has been checked.
    pub(crate) fn apply(&mut self, specs: Vec<ServiceSpec>) {
        let was_stopping = std::mem::take(&mut self.stopping);
        for service in self.services.values_mut() {
            service.released &= !was_stopping;
            if !specs.iter().any(|spec| spec.name == service.spec.name) {
                service.removed = true;
            }
        }
        for spec in specs {
            match self.services.get_mut(&spec.name) {
                Some(service) => service.renew(spec),
                None => {
                    self.services.insert(spec.name.clone(), Service::new(spec));
                }
            }
        }
    }

    /// Another number of instances.
    pub(crate) fn scale(&mut self, name: &ServiceName, wanted: u32) {
        if let Some(service) = self.services.get_mut(name) {
            service.wanted = wanted;
        }
    }

    /// All instances are to be replaced.
    pub(crate) fn restart(&mut self, name: &ServiceName) {
        if let Some(service) = self.services.get_mut(name) {
            service.generation += 1;
            service.forgive();
        }
    }

    /// The service is to be built again; when that succeeds, its instances are replaced.
    pub(crate) fn rebuild(&mut self, name: &ServiceName) {
        let Some(service) = self.services.get_mut(name) else { return };
        if service.spec.build.is_none() {
            self.built(name, Ok(()));
        } else if !service.build.is_running() {
            service.build = Stage::Due;
        } else {
            service.build = Stage::Running { aborted: true };
        }
    }

    /// A build ended. Success makes what runs outdated.
    pub(crate) fn built(&mut self, name: &ServiceName, result: Result<(), StageFailure>) {
        let Some(service) = self.services.get_mut(name) else { return };
        if service.build == (Stage::Running { aborted: true }) {
            service.build = if service.spec.build.is_some() { Stage::Due } else { Stage::Done };
            return;
        }
        match result {
            Ok(()) => {
                service.build = Stage::Done;
                service.built = true;
                let has_run = service.slots.values().any(|slot| !slot.instances.is_empty() || slot.settled.is_some());
                if has_run {
                    service.generation += 1;
                    if service.spec.prepare.is_some() && !service.prepare.is_running() {
                        service.prepare = Stage::Due;
                    }
                }
                service.forgive();
            }
            Err(failure) => service.build = Stage::Failed(failure),
        }
    }

    /// A preparation ended. A failed one is repeated like a failed start.
    pub(crate) fn prepared(&mut self, name: &ServiceName, result: Result<(), StageFailure>, now: Instant, random: f64) {
        let Some(service) = self.services.get_mut(name) else { return };
        if service.prepare == (Stage::Running { aborted: true }) {
            service.prepare = if service.spec.prepare.is_some() { Stage::Due } else { Stage::Done };
            return;
        }
        service.prepare = match result {
            Ok(()) => {
                service.prepare_failures = 0;
                Stage::Done
            }
            Err(mut failure) => {
                service.prepare_failures = service.prepare_failures.saturating_add(1);
                failure.retry_at = Some(now + wait(&service.spec, service.prepare_failures, random));
                Stage::Failed(failure)
            }
        };
    }

    /// An instance was ordered.
    pub(crate) fn ordered(&mut self, name: &ServiceName, slot: u32, id: InstanceId, port: Option<u16>, at: Timestamp) {
        let Some(service) = self.services.get_mut(name) else { return };
        let generation = service.generation;
        service.released = true;
        let slot = service.slots.entry(slot).or_default();
        if slot.retry_at.take().is_some() {
            slot.restarts = slot.restarts.saturating_add(1);
        }
        let phase = Phase::Ordered;
        slot.instances.push(Instance { id, generation, phase, port, pid: None, started_at: at, ready_at: None });
    }

    /// An instance runs.
    pub(crate) fn started(&mut self, name: &ServiceName, id: InstanceId, pid: Option<u32>) {
        self.with_instance(name, id, |instance| {
            instance.pid = pid;
            if instance.phase == Phase::Ordered {
                instance.phase = Phase::Starting;
            }
        });
    }

    /// An instance is ready.
    pub(crate) fn ready(&mut self, name: &ServiceName, id: InstanceId, now: Instant) {
        self.with_instance(name, id, |instance| {
            if instance.is_live() {
                instance.phase = Phase::Ready;
                instance.ready_at = Some(now);
            }
        });
    }

    /// An instance was told to stop.
    pub(crate) fn stopping(&mut self, name: &ServiceName, id: InstanceId) {
        self.with_instance(name, id, |instance| {
            if instance.is_live() {
                instance.phase = Phase::Stopping { failed: false };
            }
        });
    }

    /// An instance is being ended because it failed its probes.
    pub(crate) fn failing(&mut self, name: &ServiceName, id: InstanceId, now: Instant, random: f64) {
        let Some(service) = self.services.get_mut(name) else { return };
        let spec = Arc::clone(&service.spec);
        let Some((slot, place)) = service.instance_mut(id) else { return };
        let instance = &mut slot.instances[place];
        if instance.is_live() {
            instance.phase = Phase::Stopping { failed: true };
            let ready_at = instance.ready_at;
            slot.count_failure(&spec, ready_at, now, random);
        }
    }

    /// An instance is no more.
    pub(crate) fn exited(&mut self, name: &ServiceName, id: InstanceId, last: LastExit, now: Instant, random: f64) {
        let Some(service) = self.services.get_mut(name) else { return };
        let spec = Arc::clone(&service.spec);
        let Some((slot, place)) = service.instance_mut(id) else { return };
        let instance = slot.instances.remove(place);
        let again = match spec.restart.policy {
            _ if spec.kind == Kind::RunToCompletion && last.exit.is_success() => false,
            Restart::Always => true,
            Restart::OnFailure => !last.exit.is_success(),
            Restart::Never => false,
        };
        match instance.phase {
            Phase::Stopping { failed: false } => {}
            Phase::Stopping { failed: true } => slot.last_exit = Some(last),
            _ if !again => {
                let success = last.exit.is_success();
                slot.settled = Some(Settled { generation: instance.generation, success });
                slot.last_exit = Some(last);
            }
            _ => {
                slot.last_exit = Some(last);
                slot.count_failure(&spec, instance.ready_at, now, random);
            }
        }
        self.tidy();
    }

    /// Forgets a removed service of which nothing is left.
    pub(crate) fn forget(&mut self, name: &ServiceName) {
        self.services.remove(name);
    }

    /// Drops slots that are not wanted and empty.
    pub(crate) fn tidy(&mut self) {
        for service in self.services.values_mut() {
            let wanted = service.wanted;
            service.slots.retain(|number, slot| *number <= wanted || !slot.instances.is_empty());
        }
    }

    fn with_instance(&mut self, name: &ServiceName, id: InstanceId, change: impl FnOnce(&mut Instance)) {
        let found = self.services.get_mut(name).and_then(|service| service.instance_mut(id));
        if let Some((slot, place)) = found {
            change(&mut slot.instances[place]);
        }
    }
}
