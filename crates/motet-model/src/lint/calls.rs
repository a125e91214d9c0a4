//! Lints about who calls whom: circles, contracts, contexts. A fallback is a call too: it is made when things are at their worst.

use super::Lint;
use crate::{
    code,
    finding::Finding,
    graph::{self, Graph},
    layers::{Door, doors, layers, prefixes},
    rules::Subject,
    source::Span,
    spelling,
    system::policy::{PathPolicy, Policy},
};
use motet_kernel::name::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    cycles(subject, lints);
    contracts(subject, lints);
    contexts(subject, lints);
}

/// Who may call whom, each pair once: callees, and those that stand in for them.
fn calls<'a>(subject: &'a Subject<'_>) -> BTreeSet<(&'a ServiceName, &'a ServiceName)> {
    let services = subject.system.services.iter();
    let edges =
        services.flat_map(|(caller, service)| service.uses.iter().map(move |(callee, edge)| (caller, callee, edge)));
    edges
        .flat_map(|(caller, callee, edge)| {
            let others = stand_ins(&edge.policy, &edge.paths).map(move |other| (caller, other));
            [(caller, callee)].into_iter().chain(others)
        })
        .collect()
}

/// The services that stand in for a callee, over all its paths.
pub(super) fn stand_ins<'a>(policy: &'a Policy, paths: &'a [PathPolicy]) -> impl Iterator<Item = &'a ServiceName> {
    [policy].into_iter().chain(paths.iter().map(|path| &path.policy)).filter_map(Policy::stands_in)
}

/// Where a call is declared; for one that stands in, where it is named.
fn place(subject: &Subject<'_>, caller: &ServiceName, callee: &ServiceName) -> Span {
    let (caller, callee) = (caller.as_str(), callee.as_str());
    let written = subject.tree.at(&["services", caller, "uses", callee]).is_some();
    let named = || {
        let edges =
            doors(subject.tree).filter(|door| matches!(door, Door::Edge { caller: from, .. } if *from == caller));
        edges.into_iter().find_map(|door| {
            let paths = [None].into_iter().chain(prefixes(subject.tree, door).into_iter().map(Some));
            paths.into_iter().find_map(|path| {
                let layers = layers(subject.tree, door, path);
                let to = layers.merged.at(&["fallback", "to"])?;
                (to.text() == Some(callee)).then_some(to.span)
            })
        })
    };
    let declared = subject.place(&["services", caller, "uses", callee]);
    if written { declared } else { named().unwrap_or(declared) }
}

fn cycles(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let mut graph = Graph::new();
    for (caller, callee) in calls(subject) {
        graph.entry(caller.as_str()).or_default().insert(callee.as_str());
    }
    for cycle in graph::cycles(&graph) {
        let mut finding = Finding::warning(
            code::CALL_CYCLE,
            format!("these services call each other in a circle: {}", graph::show(&cycle)),
        );
        for (at, name) in cycle.iter().enumerate().take(graph::SHOWN_MAX) {
            let next = cycle[(at + 1) % cycle.len()];
            let span = name.parse().ok().zip(next.parse().ok()).map(|(name, next)| place(subject, &name, &next));
            let span = span.unwrap_or_else(|| subject.place(&["services", name, "uses"]));
            finding = finding.at(span, format!("`{name}` calls `{next}`"));
        }
        let finding = finding.help(
            "when one of them is slow, all wait for each other: move what both need into a third service, hand the data over with the first call instead of asking back, or let one of them publish an event that the other subscribes to",
        );
        lints.push(Lint::of_services(finding, cycle));
    }
}

fn contracts(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let mut callers: BTreeMap<&ServiceName, Vec<&ServiceName>> = BTreeMap::new();
    for (caller, callee) in calls(subject) {
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
    for (caller, callee) in calls(subject) {
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
