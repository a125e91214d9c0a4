//! Lints: what can be run and will hurt later. Looked at only when there is no error.
//!
//! Each lint concerns services, topics or the gateway, and `allow` on one of those silences it with a reason. An `allow` that silences
//! nothing is reported, so that exceptions do not outlive their cause.

mod calls;
mod doors;
mod effects;
mod engines;
mod policies;
mod stores;
mod topics;

use crate::{
    code,
    finding::Finding,
    rules::{Subject, entries},
    source::{Span, tree::Node},
};
use std::collections::BTreeMap;

/// What was found, and whose `allow` may silence it.
pub(crate) struct Lint {
    finding: Finding,
    concerns: Vec<Concern>,
}

/// Whose matter something is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Concern {
    Service(String),
    Gateway,
    Topic(String),
}

impl Lint {
    fn of_services<'a>(finding: Finding, services: impl IntoIterator<Item = &'a str>) -> Self {
        Self { finding, concerns: services.into_iter().map(|name| Concern::Service(name.to_owned())).collect() }
    }

    fn of_topics<'a>(finding: Finding, topics: impl IntoIterator<Item = &'a str>) -> Self {
        Self { finding, concerns: topics.into_iter().map(|name| Concern::Topic(name.to_owned())).collect() }
    }

    fn of_topic(finding: Finding, topic: &str) -> Self {
        Self { finding, concerns: vec![Concern::Topic(topic.to_owned())] }
    }

    fn of_gateway(finding: Finding) -> Self {
        Self { finding, concerns: vec![Concern::Gateway] }
    }
}

/// One `allow`.
struct Allow {
    concern: Concern,
    code: String,
    span: Span,
    used: bool,
}

/// Adds what was found and is not silenced to `findings`.
pub(crate) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let mut lints = Vec::new();
    calls::check(subject, &mut lints);
    doors::check(subject, &mut lints);
    effects::check(subject, &mut lints);
    engines::check(subject, &mut lints);
    policies::check(subject, &mut lints);
    stores::check(subject, &mut lints);
    topics::check(subject, &mut lints);

    let mut allows = allows(subject);
    for lint in lints {
        let mut silenced = false;
        for concern in &lint.concerns {
            let key = (concern.clone(), lint.finding.code.0.to_owned());
            if let Some(allow) = allows.get_mut(&key) {
                allow.used = true;
                silenced = true;
            }
        }
        if !silenced {
            findings.push(lint.finding);
        }
    }
    for allow in allows.values().filter(|allow| !allow.used) {
        let whom = match &allow.concern {
            Concern::Service(name) => format!("`{name}`"),
            Concern::Topic(name) => format!("the topic `{name}`"),
            Concern::Gateway => "the gateway".to_owned(),
        };
        findings.push(
            Finding::warning(code::UNUSED_ALLOW, format!("nothing at {whom} needs the exception for {}", allow.code))
                .at(allow.span, "silences nothing")
                .help("remove it: an exception that is kept would hide the next mistake"),
        );
    }
}

fn allows(subject: &Subject<'_>) -> BTreeMap<(Concern, String), Allow> {
    let gateway = subject.tree.at(&["gateway", "allow"]).map(|node| (Concern::Gateway, node));
    let services = entries(subject.tree.get("services"))
        .filter_map(|entry| Some((Concern::Service(entry.key.to_string()), entry.value.get("allow")?)));
    let mut allows = BTreeMap::new();
    let topics = entries(subject.tree.get("topics"))
        .filter_map(|entry| Some((Concern::Topic(entry.key.to_string()), entry.value.get("allow")?)));
    for (concern, node) in gateway.into_iter().chain(services).chain(topics) {
        for item in node.as_list().into_iter().flatten() {
            let Some(code) = item.get("lint").and_then(Node::text) else { continue };
            let span = item.get("lint").map_or(item.span, |node| node.span);
            let allow = Allow { concern: concern.clone(), code: code.to_owned(), span, used: false };
            allows.insert((concern.clone(), code.to_owned()), allow);
        }
    }
    allows
}
