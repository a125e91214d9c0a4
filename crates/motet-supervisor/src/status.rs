//! What people and other contexts may know of the supervisor: one immutable picture of all services, published when it changes.

use crate::{
    machine,
    port::Sample,
    spec::{Kind, Until},
    state::{self, Service, Slot, Stage, State},
};
use motet_kernel::{clock::Timestamp, id::InstanceId, name::ServiceName, quantity};
use std::{
    collections::{BTreeMap, HashMap},
    fmt, mem,
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

pub use crate::state::LastExit;

/// All services.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Status {
    /// By name; a removed service is here until its last instance is gone.
    pub services: BTreeMap<ServiceName, ServiceStatus>,
    /// Everything is being stopped, or has been.
    pub stopping: bool,
}

impl Status {
    /// Whether every service is where it should be: ready with all instances of the newest version, completed, or not wanted.
    pub fn is_settled(&self) -> bool {
        self.services.values().all(ServiceStatus::is_settled)
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceStatus {
    /// Whether it runs until stopped or until done.
    pub kind: Kind,
    /// What it is doing.
    pub phase: Phase,
    /// Since when it has been doing that.
    pub since: Timestamp,
    /// How many instances are wanted.
    pub wanted: u32,
    /// How many are ready.
    pub ready: u32,
    /// Grows with each replacement of its instances: by a changed spec, a restart, a rebuild.
    pub generation: u64,
    /// Older instances are still being replaced.
    pub is_rolling: bool,
    /// What became of the build, apart from the phase: a rebuild goes on, or failed, while instances serve.
    pub build: BuildStatus,
    /// By slot, older instances first. A slot without a process is listed with what became of its last one.
    pub instances: Vec<InstanceStatus>,
}

impl ServiceStatus {
    /// What it is doing, in a few words for a table: `ready 2 of 3`, `restarting in 1.2s`, `waiting for index`.
    pub fn summary(&self, now: Timestamp) -> String {
        let again = |retry_at: &Option<Timestamp>| {
            retry_at.map(|at| format!(" in {}", quantity::show_duration(until(at, now)))).unwrap_or_default()
        };
        match &self.phase {
            Phase::Ready | Phase::Starting if self.wanted != 1 || self.ready > 1 => {
                format!("{} {} of {}", self.phase, self.ready, self.wanted)
            }
            Phase::Restarting { reason, retry_at } => format!("restarting{}: {reason}", again(retry_at)),
            Phase::CrashLoop { reason, failures, retry_at, .. } => {
                format!("crash loop, {failures} failures, next try{}: {reason}", again(retry_at))
            }
            Phase::PrepareFailed { reason, retry_at, .. } => format!("{reason}, next try{}", again(retry_at)),
            Phase::BuildFailed { reason, .. } | Phase::Failed { reason, .. } => format!("{}: {reason}", self.phase),
            phase => phase.to_string(),
        }
    }

    /// Whether it is where it should be.
    pub fn is_settled(&self) -> bool {
        let is_building = self.build == BuildStatus::Running;
        let is_at_rest = match &self.phase {
            Phase::Ready => !self.is_rolling,
            Phase::Completed => true,
            Phase::Stopped => self.wanted == 0 && self.instances.is_empty(),
            _ => false,
        };
        is_at_rest && !is_building
    }
}

/// What a service is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// It starts when these are there.
    Waiting {
        /// What is missing.
        missing: Vec<(ServiceName, Until)>,
    },
    /// The first build of this version runs or waits for its turn.
    Building,
    /// The build failed, and no instance of an earlier version runs. It is tried again when it is asked for.
    BuildFailed {
        /// How it ended.
        reason: String,
        /// Its last output.
        lines: Vec<String>,
    },
    /// Its preparation runs.
    Preparing,
    /// Its preparation failed and is tried again.
    PrepareFailed {
        /// How it ended.
        reason: String,
        /// Its last output.
        lines: Vec<String>,
        /// When it is tried again.
        retry_at: Option<Timestamp>,
    },
    /// Instances start: fewer are ready than wanted.
    Starting,
    /// All wanted instances are ready.
    Ready,
    /// A service that runs to completion is on its way.
    Running,
    /// An instance ended and is started again.
    Restarting {
        /// How it ended.
        reason: String,
        /// When the next one starts.
        retry_at: Option<Timestamp>,
    },
    /// Instances fail again and again. They are still started, at the longest wait.
    CrashLoop {
        /// How the last one ended.
        reason: String,
        /// Its last output.
        lines: Vec<String>,
        /// Failures in a row.
        failures: u32,
        /// When the next one starts.
        retry_at: Option<Timestamp>,
    },
    /// It did what it should and is done.
    Completed,
    /// It ended badly and its policy is not to start it again.
    Failed {
        /// How it ended.
        reason: String,
        /// Its last output.
        lines: Vec<String>,
    },
    /// Its instances are being stopped.
    Stopping,
    /// Nothing of it runs, and nothing should.
    Stopped,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { missing } => {
                f.write_str("waiting for ")?;
                for (place, (service, until)) in missing.iter().enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    let until = match until {
                        Until::Started => " to start",
                        Until::Ready => "",
                        Until::Completed => " to complete",
                    };
                    write!(f, "{comma}{service}{until}")?;
                }
                Ok(())
            }
            Self::Building => f.write_str("building"),
            Self::BuildFailed { .. } => f.write_str("build failed"),
            Self::Preparing => f.write_str("preparing"),
            Self::PrepareFailed { .. } => f.write_str("preparation failed"),
            Self::Starting => f.write_str("starting"),
            Self::Ready => f.write_str("ready"),
            Self::Running => f.write_str("running"),
            Self::Restarting { .. } => f.write_str("restarting"),
            Self::CrashLoop { .. } => f.write_str("crash loop"),
            Self::Completed => f.write_str("completed"),
            Self::Failed { .. } => f.write_str("failed"),
            Self::Stopping => f.write_str("stopping"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// What became of the build.
#[derive(Debug, Clone, PartialEq)]
pub enum BuildStatus {
    /// There is none, or it succeeded.
    Done,
    /// It runs, or waits for its turn.
    Running,
    /// It failed; what ran before runs on.
    Failed {
        /// How it ended.
        reason: String,
        /// Its last output.
        lines: Vec<String>,
    },
}

/// One instance, or the place of one.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceStatus {
    /// Its id, while there is one.
    pub id: Option<InstanceId>,
    /// Its name for people: `embedder-2`.
    pub label: String,
    /// Its process.
    pub pid: Option<u32>,
    /// Its port on the loopback address.
    pub port: Option<u16>,
    /// How far it is.
    pub state: InstanceState,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// How often this place was started again after an end that nobody asked for.
    pub restarts: u32,
    /// The last such end.
    pub last_exit: Option<LastExit>,
    /// What it uses, once it has been measured.
    pub usage: Option<Sample>,
}

/// How far an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Runs, or is about to, and is not ready.
    Starting,
    /// Ready.
    Ready,
    /// Drains or ends.
    Stopping,
    /// No process: waits to be started again.
    Waiting,
    /// No process: ended for good.
    Ended,
}

/// Moments of the machine's clock as times of day.
struct Clock {
    instant: Instant,
    time: Timestamp,
}

impl Clock {
    fn time_of(&self, instant: Instant) -> Timestamp {
        let ahead = instant.saturating_duration_since(self.instant);
        let behind = self.instant.saturating_duration_since(instant);
        self.time.checked_add(ahead).and_then(|time| time.checked_sub(behind)).unwrap_or(self.time)
    }
}

/// The picture of a state. What has not changed its phase keeps its `since`.
pub(crate) fn picture(
    state: &State,
    usage: &HashMap<InstanceId, Sample>,
    before: &Status,
    (instant, time): (Instant, Timestamp),
) -> Status {
    let clock = Clock { instant, time };
    let services = state.services.iter().map(|(name, service)| {
        let mut status = picture_service(state, service, usage, &clock);
        if let Some(old) = before.services.get(name)
            && mem::discriminant(&old.phase) == mem::discriminant(&status.phase)
        {
            status.since = old.since;
        }
        (name.clone(), status)
    });
    Status { services: services.collect(), stopping: state.stopping }
}

fn picture_service(
    state: &State,
    service: &Service,
    usage: &HashMap<InstanceId, Sample>,
    clock: &Clock,
) -> ServiceStatus {
    let instances = service.slots.iter().flat_map(|(number, slot)| picture_slot(service, *number, slot, usage));
    ServiceStatus {
        kind: service.spec.kind,
        phase: phase(state, service, clock),
        since: clock.time,
        wanted: service.wanted,
        ready: u32::try_from(service.ready()).unwrap_or(u32::MAX),
        generation: service.generation,
        is_rolling: service.instances().any(|instance| instance.generation < service.generation || !instance.is_live()),
        build: match &service.build {
            Stage::Due | Stage::Running { .. } => BuildStatus::Running,
            Stage::Done => BuildStatus::Done,
            Stage::Failed(failure) => {
                BuildStatus::Failed { reason: failure.reason.clone(), lines: failure.lines.clone() }
            }
        },
        instances: instances.collect(),
    }
}

fn phase(state: &State, service: &Service, clock: &Clock) -> Phase {
    if state.stopping || service.removed || service.wanted == 0 {
        return if service.is_active() { Phase::Stopping } else { Phase::Stopped };
    }
    if service.is_completed() {
        return Phase::Completed;
    }
    let ready = service.ready();
    if ready >= service.wanted as usize {
        return if service.spec.kind == Kind::RunToCompletion { Phase::Running } else { Phase::Ready };
    }
    troubled(service, clock).unwrap_or_else(|| before_start(state, service, clock).unwrap_or(Phase::Starting))
}

/// The worst that a slot can tell.
fn troubled(service: &Service, clock: &Clock) -> Option<Phase> {
    let worst = service
        .slots
        .values()
        .filter(|slot| slot.failures > 0 || slot.settled.is_some())
        .max_by_key(|slot| slot.failures)?;
    let last = worst.last_exit.as_ref()?;
    let (reason, lines) = (last.reason(), last.lines.clone());
    let retry_at = worst.retry_at.map(|at| clock.time_of(at));
    if worst.is_settled(service.generation) {
        return (!worst.settled.is_some_and(|settled| settled.success)).then_some(Phase::Failed { reason, lines });
    }
    if worst.failures >= service.spec.restart.crash_loop_after {
        return Some(Phase::CrashLoop { reason, lines, failures: worst.failures, retry_at });
    }
    (worst.failures > 0).then_some(Phase::Restarting { reason, retry_at })
}

fn before_start(state: &State, service: &Service, clock: &Clock) -> Option<Phase> {
    match &service.build {
        Stage::Due | Stage::Running { .. } if !service.built => return Some(Phase::Building),
        Stage::Failed(failure) if !service.built => {
            return Some(Phase::BuildFailed { reason: failure.reason.clone(), lines: failure.lines.clone() });
        }
        _ => {}
    }
    let missing = machine::waits_for(state, service);
    if !missing.is_empty() {
        return Some(Phase::Waiting { missing });
    }
    match &service.prepare {
        Stage::Due | Stage::Running { .. } => Some(Phase::Preparing),
        Stage::Failed(failure) => Some(Phase::PrepareFailed {
            reason: failure.reason.clone(),
            lines: failure.lines.clone(),
            retry_at: failure.retry_at.map(|at| clock.time_of(at)),
        }),
        Stage::Done => None,
    }
}

fn picture_slot(
    service: &Service,
    number: u32,
    slot: &Slot,
    usage: &HashMap<InstanceId, Sample>,
) -> Vec<InstanceStatus> {
    let empty = InstanceStatus {
        id: None,
        label: label(&service.spec.name, number),
        pid: None,
        port: None,
        state: if slot.is_settled(service.generation) { InstanceState::Ended } else { InstanceState::Waiting },
        started_at: None,
        restarts: slot.restarts,
        last_exit: slot.last_exit.clone(),
        usage: None,
    };
    if slot.instances.is_empty() {
        return vec![empty];
    }
    let with = |instance: &state::Instance| InstanceStatus {
        id: Some(instance.id),
        pid: instance.pid,
        port: instance.port,
        state: match instance.phase {
            state::Phase::Ordered | state::Phase::Starting => InstanceState::Starting,
            state::Phase::Ready => InstanceState::Ready,
            state::Phase::Stopping { .. } => InstanceState::Stopping,
        },
        started_at: Some(instance.started_at),
        usage: usage.get(&instance.id).copied(),
        ..empty.clone()
    };
    slot.instances.iter().map(with).collect()
}

/// The name of a slot's instance for people.
pub(crate) fn label(service: &ServiceName, number: u32) -> String {
    format!("{service}-{number}")
}

/// How long until a moment, for `restarting in 1.2s`.
pub fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

/// Shared pictures are cheap to hand out.
pub(crate) type Shared = Arc<Status>;
