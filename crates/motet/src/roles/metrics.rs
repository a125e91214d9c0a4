//! What Motet knows in numbers, as families of metrics. Names and labels are a promise to dashboards; `docs/metrics.md` lists them.
//!
//! How many series there are depends on the definition alone: on edges, routes and instances, never on what is asked or who asks.

pub(crate) mod events;
pub(crate) mod jobs;

use motet_api::{
    exposition::{Family, Histogram, Labels},
    wire,
};
use motet_proxy::{Door, DoorStats};
use motet_supervisor::status::{InstanceState, InstanceStatus, Status};
use std::collections::BTreeMap;

/// All families.
pub(crate) fn families(
    system: &wire::System,
    stats: &[DoorStats],
    status: &Status,
    events: Option<&motet_broker::Description>,
) -> Vec<Family> {
    let mut families = vec![info(system)];
    families.extend(doors(stats));
    families.push(faults(system, stats));
    families.extend(services(status));
    families.extend(events.map(events::families).unwrap_or_default());
    families
}

fn info(system: &wire::System) -> Family {
    let mut info = Family::gauge("motet_system_info", "The running system; always 1.");
    let labels = [("system", &*system.system), ("session", &*system.session), ("version", env!("CARGO_PKG_VERSION"))];
    info.count(labels.map(|(name, value)| (name, value.to_owned())).to_vec(), 1);
    info
}

fn labels(door: &Door) -> Labels {
    let mut labels = vec![("caller", door.caller().to_owned()), ("callee", door.callee().to_string())];
    if let Door::Route { prefix, .. } = door {
        labels.push(("route", prefix.to_string()));
    }
    labels
}

fn with(door: &Door, name: &'static str, value: &str) -> Labels {
    let mut labels = labels(door);
    labels.push((name, value.to_owned()));
    labels
}

fn doors(stats: &[DoorStats]) -> Vec<Family> {
    let mut responses = Family::counter("motet_edge_responses", "Answers by class of status, Motet's own among them.");
    let mut errors = Family::counter("motet_edge_errors", "Motet's own answers, by error code.");
    let mut seconds =
        Family::histogram("motet_edge_request_duration_seconds", "From a request's head to its answer's head.");
    for door in stats {
        for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(door.responses) {
            responses.count(with(&door.door, "class", class), count);
        }
        for (code, count) in &door.errors {
            errors.count(with(&door.door, "code", code), *count);
        }
        let buckets = door.latency.buckets().map(|(bound, count)| (bound.map(|bound| bound.as_secs_f64()), count));
        let histogram = Histogram { buckets: buckets.collect(), sum: door.latency.sum.as_secs_f64() };
        seconds.spread(labels(&door.door), histogram);
    }
    let mut families =
        vec![plain(Family::counter("motet_edge_requests", "Requests that came in."), stats, |it| it.requests)];
    families.extend([responses, errors, seconds]);
    families.extend(counters(stats));
    families.extend(gauges(stats));
    families
}

fn counters(stats: &[DoorStats]) -> Vec<Family> {
    type Read = fn(&DoorStats) -> u64;
    let counters: [(&'static str, &'static str, Read); 7] = [
        ("motet_edge_retries", "Tries after the first.", |it| it.retries),
        ("motet_edge_retries_over_budget", "Retries that were not made because the budget was spent.", |it| {
            it.over_budget
        }),
        ("motet_edge_hedges", "Second copies of requests that took long.", |it| it.hedges),
        ("motet_edge_fallbacks", "Requests that were answered by a fallback.", |it| it.fallbacks),
        ("motet_edge_ejections", "How often an instance was ejected because it failed.", |it| it.ejections),
        ("motet_edge_requests_cancelled", "Requests whose caller went away before the answer had ended.", |it| {
            it.cancelled
        }),
        ("motet_edge_responses_cut", "Answers that broke off after their head.", |it| it.cut),
    ];
    counters.map(|(name, help, read)| plain(Family::counter(name, help), stats, read)).to_vec()
}

fn gauges(stats: &[DoorStats]) -> Vec<Family> {
    let gauge = Family::gauge;
    vec![
        plain(gauge("motet_edge_requests_in_flight", "Requests under way, waiting ones among them."), stats, |it| {
            it.in_flight
        }),
        plain(gauge("motet_edge_requests_queued", "Requests that wait for their turn."), stats, |it| it.queued as u64),
        plain(gauge("motet_edge_instances_ejected", "Instances that are left alone because they fail."), stats, |it| {
            it.out.len() as u64
        }),
    ]
}

fn plain(mut family: Family, stats: &[DoorStats], read: impl Fn(&DoorStats) -> u64) -> Family {
    stats.iter().for_each(|door| family.count(labels(&door.door), read(door)));
    family
}

/// A fault that was forgotten shows on a dashboard.
fn faults(system: &wire::System, stats: &[DoorStats]) -> Family {
    let on = |door: &DoorStats| {
        let door = super::faults::wire_door(&door.door);
        system.faults.iter().filter(|fault| fault.door == door).count() as u64
    };
    plain(Family::gauge("motet_edge_faults", "Faults that were put on by hand."), stats, on)
}

/// What the instances of one place use together: while one replaces another there are two.
#[derive(Default)]
struct Used {
    restarts: u64,
    cpu: Option<f64>,
    memory: Option<u64>,
}

fn services(status: &Status) -> Vec<Family> {
    let mut wanted = Family::gauge("motet_service_instances_wanted", "How many instances there should be.");
    let mut instances = Family::gauge("motet_service_instances", "Instances by state.");
    let mut restarts = Family::counter(
        "motet_instance_restarts",
        "How often an instance was started again after an end that nobody asked for.",
    );
    let mut cpu = Family::gauge("motet_instance_cpu_cores", "Processor time in use; 1 is one core.");
    let mut memory =
        Family::gauge("motet_instance_memory_bytes", "Resident memory of an instance and all that it started.");
    for (name, service) in &status.services {
        let named = |label: &'static str, value: &str| vec![("service", name.to_string()), (label, value.to_owned())];
        wanted.count(vec![("service", name.to_string())], u64::from(service.wanted));
        for (state, text) in STATES {
            let count = service.instances.iter().filter(|instance| instance.state == state).count();
            instances.count(named("state", text), count as u64);
        }
        for (label, used) in used(&service.instances) {
            let labels = || named("instance", label);
            restarts.count(labels(), used.restarts);
            used.cpu.into_iter().for_each(|cores| cpu.number(labels(), cores));
            used.memory.into_iter().for_each(|bytes| memory.count(labels(), bytes));
        }
    }
    vec![wanted, instances, restarts, cpu, memory]
}

const STATES: [(InstanceState, &str); 5] = [
    (InstanceState::Starting, "starting"),
    (InstanceState::Ready, "ready"),
    (InstanceState::Stopping, "stopping"),
    (InstanceState::Waiting, "waiting"),
    (InstanceState::Ended, "ended"),
];

fn used(instances: &[InstanceStatus]) -> BTreeMap<&str, Used> {
    let mut places: BTreeMap<&str, Used> = BTreeMap::new();
    for instance in instances {
        let place = places.entry(&instance.label).or_default();
        place.restarts = place.restarts.max(u64::from(instance.restarts));
        if let Some(usage) = instance.usage {
            place.cpu = Some(place.cpu.unwrap_or(0.0) + f64::from(usage.cpu_percent) / 100.0);
            place.memory = Some(place.memory.unwrap_or(0) + usage.memory_bytes);
        }
    }
    places
}
