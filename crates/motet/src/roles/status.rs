//! What everybody knows, in one answer: the definition, the supervisor's picture, the data plane's counters.

use super::traffic::Looks;
use futures_util::{Stream, StreamExt as _, stream};
use motet_api::wire;
use motet_kernel::{
    clock::{self, Timestamp},
    endpoint::EdgeName,
    id::{InstanceId, SessionId},
    name::ServiceName,
    quantity::show_duration,
};
use motet_model::system::{Run, Service, System};
use motet_proxy::{Door, DoorStats};
use motet_supervisor::{
    logs::{LogLine, Received, Stream as Source},
    status::{BuildStatus, InstanceState, InstanceStatus, Phase, ServiceStatus, Status},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// Everything that the answer is made of.
pub(crate) struct Facts<'a> {
    pub(crate) system: &'a System,
    pub(crate) session: SessionId,
    pub(crate) started_at: Timestamp,
    pub(crate) stopping: bool,
    pub(crate) addresses: &'a BTreeMap<EdgeName, String>,
    /// Where the gateway listens, once it does: the definition may leave the port to the machine.
    pub(crate) gateway: Option<SocketAddr>,
    pub(crate) supervised: &'a Status,
    pub(crate) traffic: &'a [DoorStats],
    pub(crate) looks: &'a Looks,
    pub(crate) faults: Vec<wire::fault::Fault>,
    pub(crate) in_flight: &'a dyn Fn(InstanceId) -> u32,
}

/// A system of which nothing is known yet.
pub(crate) fn empty(system: &System, session: SessionId, started_at: Timestamp) -> wire::System {
    show(&Facts {
        system,
        session,
        started_at,
        stopping: false,
        addresses: &BTreeMap::new(),
        gateway: None,
        supervised: &Status::default(),
        traffic: &[],
        looks: &Looks::default(),
        faults: Vec::new(),
        in_flight: &|_| 0,
    })
}

/// The system as it travels over the control API.
pub(crate) fn show(facts: &Facts<'_>) -> wire::System {
    let system = facts.system;
    let mut services: Vec<wire::Service> =
        system.services.values().map(|service| show_service(facts, service)).collect();
    // A service that was taken out of the definition is shown until its last instance has ended.
    for (name, status) in facts.supervised.services.iter().filter(|(name, _)| !system.services.contains_key(*name)) {
        services.push(supervised(facts, name, None, status));
    }
    wire::System {
        system: system.name.to_string(),
        file: system.file.display().to_string(),
        profiles: system.profiles.iter().map(ToString::to_string).collect(),
        session: facts.session.to_string(),
        pid: std::process::id(),
        started_at: facts.started_at.to_string(),
        phase: phase(facts, &services),
        gateway: system.gateway.as_ref().map(|gateway| wire::Gateway {
            url: format!(
                "{}://{}",
                if gateway.tls.is_some() { "https" } else { "http" },
                facts.gateway.unwrap_or(gateway.listen)
            ),
            routes: gateway
                .routes
                .iter()
                .map(|(path, route)| wire::Route {
                    path: path.clone(),
                    to: route.to.to_string(),
                    traffic: traffic(facts, &Door::Route { prefix: path.as_str().into(), service: route.to.clone() }),
                })
                .collect(),
        }),
        services,
        edges: edges(facts),
        faults: facts.faults.clone(),
    }
}

fn phase(facts: &Facts<'_>, services: &[wire::Service]) -> wire::SystemPhase {
    use wire::{Phase, SystemPhase};
    if facts.stopping {
        return SystemPhase::Stopping;
    }
    let troubled =
        |service: &wire::Service| matches!(service.phase, Phase::Failed | Phase::CrashLoop | Phase::Degraded);
    let there = |service: &wire::Service| {
        matches!(service.phase, Phase::Ready | Phase::Completed | Phase::External | Phase::Stopped)
    };
    if services.iter().any(troubled) {
        SystemPhase::Degraded
    } else if services.iter().all(there) {
        SystemPhase::Ready
    } else {
        SystemPhase::Starting
    }
}

fn show_service(facts: &Facts<'_>, service: &Service) -> wire::Service {
    if let Run::External { url } = &service.run {
        return wire::Service {
            phase: wire::Phase::External,
            detail: format!("runs elsewhere, at {url}"),
            since: facts.started_at.to_string(),
            ..blank(facts, &service.name, Some(service))
        };
    }
    match facts.supervised.services.get(&service.name) {
        Some(status) => supervised(facts, &service.name, Some(service), status),
        None => wire::Service { wanted: service.scale.min, ..blank(facts, &service.name, Some(service)) },
    }
}

fn blank(facts: &Facts<'_>, name: &ServiceName, service: Option<&Service>) -> wire::Service {
    let door =
        facts.addresses.iter().find(|(edge, _)| edge.callee == *name && edge.caller.as_str() == super::doors::OPERATOR);
    wire::Service {
        name: name.to_string(),
        about: service.and_then(|service| service.about.clone()),
        context: service.and_then(|service| service.context.as_ref()).map(ToString::to_string),
        phase: wire::Phase::Waiting,
        detail: "not started yet".to_owned(),
        since: facts.started_at.to_string(),
        wanted: 0,
        ready: 0,
        url: door.map(|(_, url)| url.clone()),
        failure: None,
        instances: Vec::new(),
    }
}

fn supervised(
    facts: &Facts<'_>,
    name: &ServiceName,
    service: Option<&Service>,
    status: &ServiceStatus,
) -> wire::Service {
    let (phase, detail) = describe(status);
    wire::Service {
        phase,
        detail,
        since: status.since.to_string(),
        wanted: status.wanted,
        ready: status.ready,
        failure: failure(status),
        instances: status
            .instances
            .iter()
            .filter(|it| it.id.is_some() || it.last_exit.is_some())
            .map(|it| instance(facts, it))
            .collect(),
        ..blank(facts, name, service)
    }
}

/// What a service is doing, as a phase and in words.
fn describe(status: &ServiceStatus) -> (wire::Phase, String) {
    let plain = status.phase.to_string();
    let count =
        || if status.wanted == 1 { "ready".to_owned() } else { format!("{} of {} ready", status.ready, status.wanted) };
    match &status.phase {
        Phase::Waiting { .. } => (wire::Phase::Waiting, plain),
        Phase::Building => (wire::Phase::Building, plain),
        Phase::Preparing => (wire::Phase::Preparing, plain),
        Phase::Starting if status.ready > 0 => (wire::Phase::Degraded, format!("{}, {plain}", count())),
        Phase::Starting => (wire::Phase::Starting, plain),
        // A job at work.
        Phase::Running => (wire::Phase::Starting, plain),
        Phase::Ready => match &status.build {
            BuildStatus::Running => (wire::Phase::Ready, format!("{}, rebuilding", count())),
            BuildStatus::Failed { .. } => (wire::Phase::Ready, format!("{}, but the last build failed", count())),
            BuildStatus::Done if status.is_rolling => (wire::Phase::Ready, format!("{}, replacing", count())),
            BuildStatus::Done => (wire::Phase::Ready, count()),
        },
        Phase::Restarting { reason, retry_at } => {
            let (phase, so_far) = match status.ready {
                0 => (wire::Phase::Starting, String::new()),
                _ => (wire::Phase::Degraded, format!("{}, ", count())),
            };
            (phase, format!("{so_far}{reason}, {}", again(*retry_at)))
        }
        Phase::CrashLoop { reason, failures, retry_at, .. } => {
            (wire::Phase::CrashLoop, format!("crash loop: {reason}, {failures} times in a row, {}", again(*retry_at)))
        }
        Phase::PrepareFailed { reason, retry_at, .. } => {
            (wire::Phase::Failed, format!("{plain}: {reason}, {}", again(*retry_at)))
        }
        Phase::BuildFailed { reason, .. } | Phase::Failed { reason, .. } => {
            (wire::Phase::Failed, format!("{plain}: {reason}"))
        }
        Phase::Completed => (wire::Phase::Completed, plain),
        Phase::Stopping => (wire::Phase::Stopping, plain),
        Phase::Stopped => (wire::Phase::Stopped, plain),
    }
}

fn again(at: Option<Timestamp>) -> String {
    match at.map(|at| motet_supervisor::status::until(at, clock::now())).filter(|wait| !wait.is_zero()) {
        Some(wait) => format!("starting again in {}", show_duration(wait)),
        None => "starting again".to_owned(),
    }
}

/// What went wrong last: what keeps the service down now, or else the last end of an instance that nobody asked for.
fn failure(status: &ServiceStatus) -> Option<wire::Failure> {
    let now = |reason: &String, lines: &[String]| {
        Some(wire::Failure { reason: reason.clone(), at: status.since.to_string(), last_lines: lines.to_vec() })
    };
    match (&status.phase, &status.build) {
        (
            Phase::BuildFailed { reason, lines }
            | Phase::PrepareFailed { reason, lines, .. }
            | Phase::Failed { reason, lines },
            _,
        ) => now(reason, lines),
        (_, BuildStatus::Failed { reason, lines }) => now(reason, lines),
        _ => {
            let exits = status.instances.iter().filter_map(|instance| instance.last_exit.as_ref());
            let last = exits.max_by_key(|exit| exit.at)?;
            Some(wire::Failure { reason: last.reason(), at: last.at.to_string(), last_lines: last.lines.clone() })
        }
    }
}

fn instance(facts: &Facts<'_>, status: &InstanceStatus) -> wire::Instance {
    wire::Instance {
        id: status.id.map(|id| id.to_string()).unwrap_or_default(),
        label: status.label.clone(),
        pid: status.pid,
        port: status.port,
        state: match status.state {
            InstanceState::Starting => "starting",
            InstanceState::Ready => "ready",
            InstanceState::Stopping => "stopping",
            InstanceState::Waiting => "waiting",
            InstanceState::Ended => "ended",
        }
        .to_owned(),
        started_at: status.started_at.map(|at| at.to_string()),
        restarts: status.restarts,
        cpu_percent: status.usage.map(|usage| usage.cpu_percent),
        memory_bytes: status.usage.map(|usage| usage.memory_bytes),
        in_flight: status.id.map_or(0, |id| u64::from((facts.in_flight)(id))),
    }
}

fn edges(facts: &Facts<'_>) -> Vec<wire::Edge> {
    let declared = facts.addresses.iter().filter(|(edge, _)| edge.caller.as_str() != super::doors::OPERATOR);
    let show = |(edge, url): (&EdgeName, &String)| wire::Edge {
        caller: edge.caller.to_string(),
        callee: edge.callee.to_string(),
        url: url.clone(),
        traffic: traffic(facts, &Door::Edge(edge.clone())),
    };
    declared.map(show).collect()
}

/// What went over a door; nothing when the data plane does not hold it.
fn traffic(facts: &Facts<'_>, door: &Door) -> wire::Traffic {
    let Some(stats) = facts.traffic.iter().find(|stats| stats.door == *door) else { return wire::Traffic::default() };
    let label = |id: InstanceId| {
        let instances = facts.supervised.services.get(door.callee()).into_iter().flat_map(|service| &service.instances);
        let found = instances.into_iter().find(|instance| instance.id == Some(id));
        found.map_or_else(|| id.to_string(), |instance| instance.label.clone())
    };
    facts.looks.traffic(stats, label)
}

/// Lines of output: the last ones of each service in the order of time, then what comes.
pub(crate) async fn log_events(
    supervisor: &motet_supervisor::service::Handle,
    services: BTreeSet<ServiceName>,
    tail: usize,
    follow: bool,
) -> impl Stream<Item = wire::LogEvent> + use<> {
    let logs = supervisor.logs();
    let wanted = (!services.is_empty()).then(|| services.clone());
    // Subscribed before the files are read: a line may come twice in between, none can be missed.
    let live = follow.then(|| logs.subscribe(wanted));
    let services =
        if services.is_empty() { supervisor.status().borrow().services.keys().cloned().collect() } else { services };
    let mut past: Vec<LogLine> = Vec::new();
    if tail > 0 {
        for service in &services {
            match logs.last(service, tail).await {
                Ok(lines) => past.extend(lines),
                Err(error) => tracing::warn!(%service, %error, "log files cannot be read"),
            }
        }
    }
    past.sort_by_key(|line| line.at);
    let newest = past.last().map(|line| line.at);
    let past = stream::iter(past.into_iter().map(|line| line_event(&line)).collect::<Vec<_>>());
    let live = stream::unfold(live, |live| async {
        let mut live = live?;
        let received = live.next().await;
        Some((received, Some(live)))
    });
    let fresh = live.filter_map(move |received| async move {
        match received {
            Received::Line(line) if newest.is_some_and(|newest| line.at <= newest) => None,
            Received::Line(line) => Some(line_event(&line)),
            Received::Lost(count) => Some(wire::LogEvent::Lost(count)),
        }
    });
    past.chain(fresh)
}

fn line_event(line: &LogLine) -> wire::LogEvent {
    let stream = match line.stream {
        Source::Out => "out",
        Source::Err => "err",
        Source::Build => "build",
        Source::Motet => "motet",
    };
    wire::LogEvent::Line(wire::LogLine {
        at: line.at.to_string(),
        service: line.service.to_string(),
        instance: line.label.to_string(),
        stream: stream.to_owned(),
        text: line.text.clone(),
    })
}
