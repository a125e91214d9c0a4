//! Lints about policies as they are in force: repetitions, timeouts.

use super::{Lint, calls::stand_ins};
use crate::{
    code,
    decode::policy::policy,
    finding::Finding,
    layers::{Door, Layers, doors, layers, prefixes},
    rules::{Subject, items},
    source::Span,
    system::{
        Service,
        policy::{PathPolicy, Policy},
    },
};
use motet_kernel::{name::ServiceName, quantity::show_duration};
use std::{collections::BTreeMap, time::Duration};

/// How many calls at the end of a chain one request may become: three hops with the default of three attempts make 27.
const STORM: u64 = 100;

pub(super) fn check(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    for door in doors(subject.tree) {
        if let Some(finding) = unsafe_retry(door, &layers(subject.tree, door, None)) {
            lints.push(concerning(door, finding));
        }
    }
    timeouts(subject, lints);
    storms(subject, lints);
}

fn concerning(door: Door<'_>, finding: Finding) -> Lint {
    match door {
        Door::Service(service) => Lint::of_services(finding, [service]),
        Door::Edge { caller, callee } => Lint::of_services(finding, [caller, callee]),
        Door::Route { .. } => Lint::of_gateway(finding),
    }
}

fn named(door: Door<'_>) -> String {
    match door {
        Door::Service(service) => format!("every edge to `{service}`"),
        Door::Edge { caller, callee } => format!("`{caller}` → `{callee}`"),
        Door::Route { prefix, .. } => format!("the route `{prefix}`"),
    }
}

/// What a place says itself about all its paths. A path that names a method is a decision about that path.
fn unsafe_retry(door: Door<'_>, layers: &Layers<'_>) -> Option<Finding> {
    if policy(&layers.merged).retry.attempts <= 1 {
        return None;
    }
    let of_service = matches!(door, Door::Service(_));
    let (_, own) = layers.each().find(|(layer, _)| layer.of_service == of_service && layer.path.is_none())?;
    let methods = own.at(&["retry", "methods"]);
    let (method, span) = items(methods).find(|(method, _)| matches!(*method, "POST" | "PATCH"))?;
    let what = named(door);
    Some(
        Finding::warning(code::UNSAFE_RETRY, format!("{what} repeats {method}, which may do something twice"))
            .at(span, "not idempotent")
            .help(format!(
                "remove {method}: a call of which nothing was sent is repeated anyway. If the callee may do something twice on some paths, say which: `paths: {{ /search: {{ retry: {{ methods: [{method}] }} }} }}`; if on all of them, say so: `allow: [{{ lint: {}, because: … }}]`",
                code::UNSAFE_RETRY
            )),
    )
}

/// The most patient caller of a service: how long somebody is there to hear its answer.
struct Caller {
    timeout: Duration,
    what: String,
    place: Span,
}

fn timeouts(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let callers = longest_callers(subject);
    for door in doors(subject.tree) {
        let Door::Edge { caller, callee } = door else { continue };
        let Some(longest) = callers.get(caller) else { continue };
        let (timeout, place) = timeout_of(subject, door, None);
        if timeout > longest.timeout {
            lints.push(concerning(door, inversion((caller, callee, ""), timeout, place, longest)));
            continue;
        }
        for prefix in prefixes(subject.tree, door) {
            let (timeout, place) = timeout_of(subject, door, Some(prefix));
            if timeout > longest.timeout {
                lints.push(concerning(door, inversion((caller, callee, prefix), timeout, place, longest)));
            }
        }
    }
}

/// How long a call may take, and where that is said.
fn timeout_of(subject: &Subject<'_>, door: Door<'_>, path: Option<&str>) -> (Duration, Span) {
    let layers = layers(subject.tree, door, path);
    let place = layers.origin(&["timeout"]).map_or_else(|| place(subject, door), |origin| origin.span);
    (policy(&layers.merged).timeout, place)
}

fn place(subject: &Subject<'_>, door: Door<'_>) -> Span {
    match door {
        Door::Service(service) => subject.place(&["services", service]),
        Door::Edge { caller, callee } => subject.place(&["services", caller, "uses", callee]),
        Door::Route { prefix, .. } => subject.place(&["gateway", "routes", prefix]),
    }
}

fn longest_callers<'a>(subject: &'a Subject<'_>) -> BTreeMap<&'a str, Caller> {
    let mut longest: BTreeMap<&str, Caller> = BTreeMap::new();
    for door in doors(subject.tree) {
        let (what, rules) = match door {
            Door::Service(_) => continue,
            Door::Edge { caller, callee } => {
                let edge = subject.system.services.get(caller).and_then(|service| service.uses.get(callee));
                (format!("`{caller}`"), edge.map(|edge| (&edge.policy, &edge.paths)))
            }
            Door::Route { prefix, .. } => {
                let route = subject.system.gateway.as_ref().and_then(|gateway| gateway.routes.get(prefix));
                (format!("the route `{prefix}`"), route.map(|route| (&route.policy, &route.paths)))
            }
        };
        let Some((whole, paths)) = rules else { continue };
        let patient = paths.iter().max_by_key(|path| path.policy.timeout);
        let patient = patient.filter(|path| path.policy.timeout > whole.timeout).map(|path| path.prefix.as_str());
        let callees = [door.callee()].into_iter().chain(stand_ins(whole, paths).map(ServiceName::as_str));
        for callee in callees {
            let (timeout, place) = timeout_of(subject, door, patient);
            if longest.get(callee).is_none_or(|known| known.timeout < timeout) {
                longest.insert(callee, Caller { timeout, what: what.clone(), place });
            }
        }
    }
    longest
}

fn inversion((caller, callee, path): (&str, &str, &str), timeout: Duration, place: Span, longest: &Caller) -> Finding {
    let (own, theirs) = (show_duration(timeout), show_duration(longest.timeout));
    let on = if path.is_empty() { String::new() } else { format!(" on `{path}`") };
    Finding::warning(
        code::TIMEOUT_INVERSION,
        format!("`{caller}` waits {own} for `{callee}`{on}, and {} waits only {theirs} for `{caller}`", longest.what),
    )
    .at(place, format!("up to {own}"))
    .also(longest.place, format!("gives up after {theirs}"))
    .help(format!(
        "nobody is there any more to hear the answer: give `{callee}` less than {theirs}, or the caller more than {own}"
    ))
}

/// Repetitions multiply along a chain of calls.
fn storms(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let mut known = BTreeMap::new();
    for (prefix, route) in subject.system.gateway.iter().flat_map(|gateway| &gateway.routes) {
        let mut path = vec![&route.to];
        let below = attempts_below(subject, &route.to, &mut known, &mut path);
        let all = below.saturating_mul(attempts(&route.policy, &route.paths));
        if all > STORM {
            let finding = Finding::warning(
                code::RETRY_STORM,
                format!("one request to `{prefix}` can become {all} calls when the last service of the chain fails"),
            )
            .at(subject.place(&["gateway", "routes", prefix]), "repetitions multiply from here on")
            .help("repeat close to what fails and nowhere else: `retry: never` on the edges above it, or fewer `attempts`");
            lints.push(Lint::of_gateway(finding));
        }
    }
}

/// How often a request is tried at most, on any path.
fn attempts(policy: &Policy, paths: &[PathPolicy]) -> u64 {
    let all = paths.iter().map(|path| path.policy.retry.attempts).chain([policy.retry.attempts]);
    all.max().map_or(1, u64::from)
}

/// How many calls one call of a service can become at the end of the longest chain below it.
fn attempts_below<'a>(
    subject: &'a Subject<'_>,
    service: &'a ServiceName,
    known: &mut BTreeMap<&'a ServiceName, u64>,
    path: &mut Vec<&'a ServiceName>,
) -> u64 {
    if let Some(&attempts) = known.get(service) {
        return attempts;
    }
    let uses = subject.system.services.get(service).into_iter().flat_map(|service: &Service| &service.uses);
    let mut most = 1;
    for (callee, edge) in uses {
        // A circle is a lint of its own; and a chain that is longer than this has passed the limit long ago.
        if path.len() < 64 && !path.contains(&callee) {
            path.push(callee);
            let below = attempts_below(subject, callee, known, path);
            path.pop();
            most = most.max(below.saturating_mul(attempts(&edge.policy, &edge.paths)));
        }
    }
    known.insert(service, most);
    most
}
