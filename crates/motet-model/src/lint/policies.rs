//! Lints about policies as they are in force: repetitions, timeouts.

use super::{Lint, calls::stand_ins};
use crate::{
    code,
    decode::policy::policy,
    finding::Finding,
    layers::{Door, doors, layers},
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
        if let Some(finding) = unsafe_retry(subject, door) {
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
fn unsafe_retry(subject: &Subject<'_>, door: Door<'_>) -> Option<Finding> {
    let own = match door {
        Door::Service(service) => subject.tree.at(&["services", service, "policy"]),
        door => door.own(subject.tree),
    };
    let methods = own?.at(&["retry", "methods"]);
    let (method, span) = items(methods).find(|(method, _)| matches!(*method, "POST" | "PATCH"))?;
    if policy(&layers(subject.tree, door, None).merged).retry.attempts <= 1 {
        return None;
    }
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
struct Caller<'a> {
    timeout: Duration,
    door: Door<'a>,
    path: Option<&'a str>,
}

fn timeouts(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let callers = longest_callers(subject);
    for door in doors(subject.tree) {
        let Door::Edge { caller, callee: _ } = door else { continue };
        let (Some(longest), Some((whole, paths))) = (callers.get(caller), rules(subject, door)) else { continue };
        // What holds for all paths is told once.
        if whole.timeout > longest.timeout {
            lints.push(concerning(
                door,
                inversion(subject, caller, &Caller { timeout: whole.timeout, door, path: None }, longest),
            ));
            continue;
        }
        for path in paths.iter().filter(|path| path.policy.timeout > longest.timeout) {
            let own = Caller { timeout: path.policy.timeout, door, path: Some(&path.prefix) };
            lints.push(concerning(door, inversion(subject, caller, &own, longest)));
        }
    }
}

/// What is in force at an edge or a route.
fn rules<'a>(subject: &Subject<'a>, door: Door<'_>) -> Option<(&'a Policy, &'a [PathPolicy])> {
    match door {
        Door::Service(_) => None,
        Door::Edge { caller, callee } => {
            let edge = subject.system.services.get(caller)?.uses.get(callee)?;
            Some((&edge.policy, &edge.paths))
        }
        Door::Route { prefix, .. } => {
            let route = subject.system.gateway.as_ref()?.routes.get(prefix)?;
            Some((&route.policy, &route.paths))
        }
    }
}

fn longest_callers<'a>(subject: &Subject<'a>) -> BTreeMap<&'a str, Caller<'a>> {
    let mut longest: BTreeMap<&str, Caller<'a>> = BTreeMap::new();
    for door in doors(subject.tree) {
        let Some((whole, paths)) = rules(subject, door) else { continue };
        let patient = paths.iter().max_by_key(|path| path.policy.timeout);
        let patient = patient.filter(|path| path.policy.timeout > whole.timeout);
        let timeout = patient.map_or(whole.timeout, |path| path.policy.timeout);
        let path = patient.map(|path| path.prefix.as_str());
        for callee in [door.callee()].into_iter().chain(stand_ins(whole, paths).map(ServiceName::as_str)) {
            if longest.get(callee).is_none_or(|known| known.timeout < timeout) {
                longest.insert(callee, Caller { timeout, door, path });
            }
        }
    }
    longest
}

fn inversion(subject: &Subject<'_>, caller: &str, own: &Caller<'_>, longest: &Caller<'_>) -> Finding {
    let callee = own.door.callee();
    let (waits, theirs) = (show_duration(own.timeout), show_duration(longest.timeout));
    let on = own.path.map_or_else(String::new, |path| format!(" on `{path}`"));
    let whose = match longest.door {
        Door::Edge { caller, .. } => format!("`{caller}`"),
        door => named(door),
    };
    Finding::warning(
        code::TIMEOUT_INVERSION,
        format!("`{caller}` waits {waits} for `{callee}`{on}, and {whose} waits only {theirs} for `{caller}`"),
    )
    .at(place(subject, own), format!("up to {waits}"))
    .also(place(subject, longest), format!("gives up after {theirs}"))
    .help(format!(
        "nobody is there any more to hear the answer: give `{callee}` less than {theirs}, or the caller more than {waits}"
    ))
}

/// Where it is said how long somebody waits, or else where the call is declared.
fn place(subject: &Subject<'_>, caller: &Caller<'_>) -> Span {
    let layers = layers(subject.tree, caller.door, caller.path);
    layers.origin(&["timeout"]).map_or_else(
        || match caller.door {
            Door::Service(service) => subject.place(&["services", service]),
            Door::Edge { caller, callee } => subject.place(&["services", caller, "uses", callee]),
            Door::Route { prefix, .. } => subject.place(&["gateway", "routes", prefix]),
        },
        |origin| origin.span,
    )
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
