//! Lints about edges: circles, contracts, repetitions, timeouts, contexts.

use super::Lint;
use crate::{
    code,
    finding::Finding,
    graph::{self, Graph},
    rules::{Subject, items},
    source::Span,
    spelling,
    system::{Edge, Service, policy::Retry},
};
use motet_kernel::{name::ServiceName, quantity::show_duration};
use std::{collections::BTreeMap, time::Duration};

/// How many calls at the end of a chain one request may become: three hops with the default of three attempts make 27.
const STORM: u64 = 100;

pub(super) fn check(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    cycles(subject, lints);
    contracts(subject, lints);
    contexts(subject, lints);
    let callers = longest_callers(subject);
    for (caller, callee, edge) in edges(subject) {
        let path = ["services", caller.as_str(), "uses", callee.as_str()];
        if let Some(finding) = unsafe_retry(subject, &path, &edge.policy.retry, &format!("`{caller}` → `{callee}`")) {
            lints.push(Lint::of_services(finding, [caller.as_str(), callee.as_str()]));
        }
        if let Some(longest) = callers.get(caller)
            && edge.policy.timeout > longest.timeout
        {
            lints.push(timeout(subject, caller, callee, edge, longest));
        }
    }
    for (prefix, route) in subject.system.gateway.iter().flat_map(|gateway| &gateway.routes) {
        let path = ["gateway", "routes", prefix.as_str()];
        if let Some(finding) = unsafe_retry(subject, &path, &route.policy.retry, &format!("the route `{prefix}`")) {
            lints.push(Lint::of_gateway(finding));
        }
    }
    storms(subject, lints);
}

fn edges<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = (&'a ServiceName, &'a ServiceName, &'a Edge)> {
    let services = subject.system.services.iter();
    services.flat_map(|(caller, service)| service.uses.iter().map(move |(callee, edge)| (caller, callee, edge)))
}

fn place(subject: &Subject<'_>, caller: &ServiceName, callee: &ServiceName) -> Span {
    subject.place(&["services", caller.as_str(), "uses", callee.as_str()])
}

fn cycles(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let mut calls = Graph::new();
    for (caller, callee, _) in edges(subject) {
        calls.entry(caller.as_str()).or_default().insert(callee.as_str());
    }
    for cycle in graph::cycles(&calls) {
        let mut finding = Finding::warning(
            code::CALL_CYCLE,
            format!("these services call each other in a circle: {}", graph::show(&cycle)),
        );
        for (at, name) in cycle.iter().enumerate().take(graph::SHOWN_MAX) {
            let next = cycle[(at + 1) % cycle.len()];
            finding = finding.at(subject.place(&["services", name, "uses", next]), format!("`{name}` calls `{next}`"));
        }
        let finding = finding.help(
            "when one of them is slow, all wait for each other: move what both need into a third service, or hand the data over with the first call instead of asking back",
        );
        lints.push(Lint::of_services(finding, cycle));
    }
}

fn contracts(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let mut callers: BTreeMap<&ServiceName, Vec<&ServiceName>> = BTreeMap::new();
    for (caller, callee, _) in edges(subject) {
        callers.entry(callee).or_default().push(caller);
    }
    for (callee, callers) in callers {
        if subject.system.services.get(callee).is_none_or(|service| service.contract.is_some()) {
            continue;
        }
        let names = spelling::all_of(callers.iter().map(|name| name.to_string()));
        let finding = Finding::warning(code::NO_CONTRACT, format!("`{callee}` is called by {names} and has no contract"))
            .at(subject.place(&["services", callee.as_str()]), "no `contract`")
            .help("describe its interface in an OpenAPI document and name it: `contract: openapi.yaml`; then a change that breaks a caller is found before it runs");
        lints.push(Lint::of_services(finding, [callee.as_str()]));
    }
}

fn contexts(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    for (caller, callee, _) in edges(subject) {
        let Some((from, to)) = subject.system.services.get(caller).zip(subject.system.services.get(callee)) else {
            continue;
        };
        let Some(context) = to.context.as_ref().filter(|context| from.context.as_ref() != Some(*context)) else {
            continue;
        };
        if to.published {
            continue;
        }
        let home = match &from.context {
            Some(home) => format!("the context `{home}`"),
            None => "no context".to_owned(),
        };
        let finding = Finding::warning(
            code::UNPUBLISHED,
            format!("`{caller}`, of {home}, calls `{callee}`, which the context `{context}` keeps for itself"),
        )
        .at(place(subject, caller, callee), "reaches into another context")
        .also(subject.place(&["services", callee.as_str()]), "not `published`")
        .help(format!(
            "call a service that `{context}` publishes, or decide that others may depend on this one: `published: true` on `{callee}`"
        ));
        lints.push(Lint::of_services(finding, [caller.as_str(), callee.as_str()]));
    }
}

fn unsafe_retry(subject: &Subject<'_>, path: &[&str], retry: &Retry, what: &str) -> Option<Finding> {
    if retry.attempts <= 1 {
        return None;
    }
    let node = subject.tree.at(path)?.get("retry")?.get("methods");
    let (method, span) = items(node).find(|(method, _)| matches!(*method, "POST" | "PATCH"))?;
    Some(
        Finding::warning(code::UNSAFE_RETRY, format!("{what} repeats {method}, which may do something twice"))
            .at(span, "not idempotent")
            .help(format!(
                "remove {method}: a call of which nothing was sent is repeated anyway. If the callee knows a request again (by an idempotency key), say so: `allow: [{{ lint: {}, because: … }}]`",
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

fn longest_callers<'a>(subject: &'a Subject<'_>) -> BTreeMap<&'a ServiceName, Caller> {
    let mut longest: BTreeMap<&ServiceName, Caller> = BTreeMap::new();
    let mut add = |callee: &'a ServiceName, caller: Caller| match longest.get(callee) {
        Some(known) if known.timeout >= caller.timeout => {}
        _ => {
            longest.insert(callee, caller);
        }
    };
    for (caller, callee, edge) in edges(subject) {
        let what = format!("`{caller}`");
        add(callee, Caller { timeout: edge.policy.timeout, what, place: timeout_place(subject, caller, callee) });
    }
    for (prefix, route) in subject.system.gateway.iter().flat_map(|gateway| &gateway.routes) {
        let place = subject.place(&["gateway", "routes", prefix, "timeout"]);
        add(&route.to, Caller { timeout: route.policy.timeout, what: format!("the route `{prefix}`"), place });
    }
    longest
}

fn timeout_place(subject: &Subject<'_>, caller: &ServiceName, callee: &ServiceName) -> Span {
    subject.place(&["services", caller.as_str(), "uses", callee.as_str(), "timeout"])
}

fn timeout(subject: &Subject<'_>, caller: &ServiceName, callee: &ServiceName, edge: &Edge, longest: &Caller) -> Lint {
    let (own, theirs) = (show_duration(edge.policy.timeout), show_duration(longest.timeout));
    let finding = Finding::warning(
        code::TIMEOUT_INVERSION,
        format!("`{caller}` waits {own} for `{callee}`, and {} waits only {theirs} for `{caller}`", longest.what),
    )
    .at(timeout_place(subject, caller, callee), format!("up to {own}"))
    .also(longest.place, format!("gives up after {theirs}"))
    .help(format!(
        "nobody is there any more to hear the answer: give `{callee}` less than {theirs}, or the caller more than {own}"
    ));
    Lint::of_services(finding, [caller.as_str(), callee.as_str()])
}

/// Repetitions multiply along a chain of calls.
fn storms(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let mut known = BTreeMap::new();
    for (prefix, route) in subject.system.gateway.iter().flat_map(|gateway| &gateway.routes) {
        let mut path = vec![&route.to];
        let below = attempts_below(subject, &route.to, &mut known, &mut path);
        let all = below.saturating_mul(u64::from(route.policy.retry.attempts));
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
            most = most.max(below.saturating_mul(u64::from(edge.policy.retry.attempts)));
        }
    }
    known.insert(service, most);
    most
}
