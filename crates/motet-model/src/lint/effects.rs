//! Lints about keys that do nothing, or that undo what Motet does.

use super::Lint;
use crate::{
    code,
    finding::Finding,
    keys::policy,
    layers::{Door, doors, written_paths},
    rules::{Subject, entries},
    system::{Run, Service},
};
use std::collections::BTreeMap;

/// What means nothing for something that Motet does not start.
const NOT_FOR_EXTERNAL: &[&str] =
    &["build", "once", "env", "port", "ready", "alive", "scale", "after", "uses", "store", "stop", "restart", "watch"];
/// What means nothing for something that ends by itself.
const NOT_FOR_ONCE: &[&str] = &["port", "ready", "alive", "scale", "published", "contract", "protocol", "policy"];
/// What means nothing for something that callers reach by its URL.
const NOT_WITH_TLS: &[&str] = &["protocol", "policy"];

pub(super) fn check(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let ports: BTreeMap<u16, &str> =
        subject.system.services.iter().filter_map(|(name, service)| Some((service.port?, name.as_str()))).collect();
    for door in doors(subject.tree) {
        around_the_data_plane(subject, door, lints);
        one_client(door, subject, lints);
    }
    for service in subject.system.services.values() {
        no_effect(subject, service, lints);
        overridden(subject, service, lints);
        around_edges(subject, service, &ports, lints);
    }
}

/// An external service with TLS is called by its URL: nothing stands between.
fn speaks_tls(subject: &Subject<'_>, service: &str) -> bool {
    let run = subject.system.services.get(service).map(|service| &service.run);
    matches!(run, Some(Run::External { url }) if url.starts_with("https://"))
}

fn around_the_data_plane(subject: &Subject<'_>, door: Door<'_>, lints: &mut Vec<Lint>) {
    let callee = door.callee();
    if !speaks_tls(subject, callee) {
        return;
    }
    let (written, concerns) = match door {
        Door::Service(service) => {
            let keys = entries(subject.tree.at(&["services", service]));
            (keys.filter(|entry| NOT_WITH_TLS.contains(&&*entry.key)).collect::<Vec<_>>(), vec![service])
        }
        Door::Edge { caller, .. } => {
            let keys = entries(door.own(subject.tree));
            (keys.filter(|entry| policy::SERVICE_POLICY.key(&entry.key).is_some()).collect(), vec![caller, callee])
        }
        Door::Route { .. } => return,
    };
    for entry in written {
        let finding = Finding::warning(
            code::NO_EFFECT,
            format!("`{}` has no effect: `{callee}` speaks TLS, and its callers call its URL themselves", entry.key),
        )
        .at(entry.key_span, "no effect")
        .help("remove it, or put a proxy that speaks plain HTTP in front of it and name that as `external`");
        lints.push(Lint::of_services(finding, concerns.iter().copied()));
    }
}

/// The only client of an edge is its caller.
fn one_client(door: Door<'_>, subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let (Door::Edge { caller, callee }, Some(own)) = (door, door.own(subject.tree)) else { return };
    let all = [own].into_iter().chain(written_paths(own).map(|path| &path.value));
    for by in all.filter_map(|place| place.at(&["rate", "by"])).filter(|by| by.text() == Some("client")) {
        let finding =
            Finding::warning(code::NO_EFFECT, "`by: client` has no effect on an edge: its only client is the caller")
                .at(by.span, "no effect")
                .help("remove it, or write the limit at a route of the gateway");
        lints.push(Lint::of_services(finding, [caller, callee]));
    }
}

fn no_effect(subject: &Subject<'_>, service: &Service, lints: &mut Vec<Lint>) {
    let name = service.name.as_str();
    let (keys, why) = match (&service.run, service.once) {
        (Run::External { .. }, _) => (NOT_FOR_EXTERNAL, "runs elsewhere: Motet does not start it"),
        (_, true) => (NOT_FOR_ONCE, "runs to completion: nobody calls it"),
        _ => return,
    };
    for entry in entries(subject.tree.at(&["services", name])).filter(|entry| keys.contains(&&*entry.key)) {
        let finding = Finding::warning(code::NO_EFFECT, format!("`{}` has no effect: `{name}` {why}", entry.key))
            .at(entry.key_span, "no effect")
            .help("remove it");
        lints.push(Lint::of_services(finding, [name]));
    }
}

fn overridden(subject: &Subject<'_>, service: &Service, lints: &mut Vec<Lint>) {
    let name = service.name.as_str();
    for entry in entries(subject.tree.at(&["services", name, "env"])) {
        let variable = &*entry.key;
        let edge = service.uses.keys().find(|callee| variable == format!("{}_URL", callee.env_prefix()));
        let (what, help) = match (variable, edge) {
            ("PORT", _) => ("the port to listen on", "use `port` for a fixed one".to_owned()),
            ("MOTET_URL", _) if !service.publishes.is_empty() || !service.subscribes.is_empty() => {
                ("the address of events", "remove it: the address says whose events they are".to_owned())
            }
            ("DATABASE_URL", _) if service.store.is_some() => {
                ("the address of its store", "remove it, or remove `store` if the data is elsewhere".to_owned())
            }
            (_, Some(callee)) => (
                "the address of an edge",
                format!(
                    "remove it: calls to another address miss the timeout, retries and statistics of the edge to `{callee}`"
                ),
            ),
            _ => continue,
        };
        let finding = Finding::warning(code::OVERRIDDEN, format!("`{variable}` is set by Motet: {what}"))
            .at(entry.key_span, "replaces it")
            .help(help);
        lints.push(Lint::of_services(finding, [name]));
    }
}

fn around_edges(subject: &Subject<'_>, service: &Service, ports: &BTreeMap<u16, &str>, lints: &mut Vec<Lint>) {
    let name = service.name.as_str();
    for entry in entries(subject.tree.at(&["services", name, "env"])) {
        let Some(callee) = entry.value.text().and_then(local_port).and_then(|port| ports.get(&port)) else { continue };
        if *callee == name {
            continue;
        }
        let finding =
            Finding::warning(code::UNDECLARED, format!("`{name}` calls `{callee}` around the edges, through its port"))
                .at(entry.value.span, format!("the address of `{callee}`"))
                .help(format!(
                    "declare it: `uses: {{ {callee}: {{}} }}`, and take the address from `{}_URL`",
                    callee.to_ascii_uppercase().replace('-', "_")
                ));
        lints.push(Lint::of_services(finding, [name]));
    }
}

/// The port of an address on this machine.
fn local_port(text: &str) -> Option<u16> {
    let rest = ["localhost:", "127.0.0.1:", "0.0.0.0:", "[::1]:"].iter().find_map(|host| text.split_once(host))?.1;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}
