//! The order of starting has to exist: services that wait for each other in a circle would wait for ever.

use super::Subject;
use crate::{
    code,
    finding::Finding,
    graph::{self, Graph},
    source::Span,
    system::Wait,
};

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let mut waits = Graph::new();
    for (name, service) in &subject.system.services {
        let edges = service.uses.iter().filter(|(_, edge)| edge.wait == Wait::Ready).map(|(callee, _)| callee);
        let others = edges.chain(&service.after).filter(|other| *other != name);
        waits.insert(name.as_str(), others.map(|other| other.as_str()).collect());
    }
    for cycle in graph::cycles(&waits) {
        findings.push(finding(subject, &cycle));
    }
}

fn finding(subject: &Subject<'_>, cycle: &[&str]) -> Finding {
    let mut finding = Finding::error(
        code::START_CYCLE,
        format!("these services wait for each other to start: {}", graph::show(cycle)),
    );
    let mut callers = Vec::new();
    for (at, name) in cycle.iter().enumerate().take(graph::SHOWN_MAX) {
        let next = cycle[(at + 1) % cycle.len()];
        let (span, is_edge) = place(subject, name, next);
        if is_edge {
            callers.push((*name, next));
        }
        finding = finding.at(span, format!("`{name}` waits for `{next}`"));
    }
    finding.help(match callers.last() {
        Some((caller, callee)) => format!(
            "let one of them start without waiting: `wait: none` on the edge whose caller can do without for a moment, as in `uses: {{ {callee}: {{ wait: none }} }}` on `{caller}`"
        ),
        None => "remove one of them from `after`".to_owned(),
    })
}

/// Where it is said that a service waits for another, and whether by an edge.
fn place(subject: &Subject<'_>, name: &str, other: &str) -> (Span, bool) {
    if subject.tree.at(&["services", name, "uses", other]).is_some() {
        return (subject.place(&["services", name, "uses", other]), true);
    }
    let after = super::items(subject.tree.at(&["services", name, "after"])).find(|(item, _)| *item == other);
    (after.map_or_else(|| subject.place(&["services", name]), |(_, span)| span), false)
}
