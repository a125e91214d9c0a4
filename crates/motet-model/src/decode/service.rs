//! A service and what belongs to it.

use super::{Frame, events, policy, service_path, value};
use crate::{
    keys::{Key, policy as policy_keys, probe, service as keys},
    layers::Door,
    source::tree::Node,
    system::{
        Build, Check, Command, Edge, Probe, Protocol, Restart, Run, Scale, Service, Stop, Store, StoreEngine, Wait,
    },
};
use motet_kernel::name::{ContextName, ServiceName};

pub(super) fn service(
    tree: &Node,
    name: &ServiceName,
    context: Option<ContextName>,
    node: &Node,
    frame: &Frame<'_>,
) -> Service {
    let path = service_path(name.as_str(), node, frame.dir, frame.sources);
    let once = value::flag(node, &keys::ONCE);
    let (policy, paths) = policy::at_door(tree, Door::Service(name.as_str()));
    Service {
        about: value::text(node, "about"),
        run: run(node),
        published: value::flag(node, &keys::PUBLISHED),
        build: node.get("build").and_then(build),
        env: env(node),
        port: node.get("port").and_then(Node::text).and_then(|text| text.parse().ok()),
        contract: value::text(node, "contract").map(|file| crate::source::files::clean(&path.join(file))),
        ready: node.get("ready").and_then(|node| probe(node, &probe::READY_INTERVAL, &probe::READY_TIMEOUT)),
        alive: node.get("alive").and_then(|node| probe(node, &probe::ALIVE_INTERVAL, &probe::ALIVE_TIMEOUT)),
        scale: scale(node.get("scale")),
        after: value::names(node.get("after")),
        protocol: match value::word(Some(node), &keys::PROTOCOL) {
            "h2c" => Protocol::H2c,
            _ => Protocol::Http1,
        },
        policy,
        paths,
        uses: super::named(node.get("uses"), |callee: &ServiceName, node| edge(tree, name, callee, node)),
        publishes: value::topics(node.get(keys::PUBLISHES.name)),
        subscribes: events::subscriptions(node.get(keys::SUBSCRIBES.name)),
        store: node.get("store").and_then(store),
        outbox: node.get("outbox").map(events::outbox),
        jobs: node.get("jobs").map(events::jobs),
        stop: stop(node.get("stop")),
        restart: restart(node, once),
        watch: value::texts(node.get("watch")),
        name: name.clone(),
        context,
        path,
        once,
    }
}

fn run(node: &Node) -> Run {
    // Only looked at when nothing was wrong, and then one of the three stands there.
    let nothing = Run::Process { command: Command::Argv(Vec::new()) };
    if let Some(command) = node.at(&["process", "command"]).and_then(value::command) {
        return Run::Process { command };
    }
    if let Some(container) = node.get("container") {
        let Some(image) = value::text(container, "image") else { return nothing };
        let port = container.get("port").and_then(Node::text).and_then(|text| text.parse().ok());
        return Run::Container { image, command: container.get("command").and_then(value::command), port };
    }
    match node.at(&["external", "url"]).and_then(Node::text) {
        Some(url) => Run::External { url: url.trim_end_matches('/').to_owned() },
        None => nothing,
    }
}

fn build(node: &Node) -> Option<Build> {
    if let Some(command) = value::command(node) {
        return Some(Build { command, inputs: Vec::new() });
    }
    let command = value::command(node.get(keys::BUILD_COMMAND.name)?)?;
    Some(Build { command, inputs: value::texts(node.get(keys::INPUTS.name)) })
}

fn env(node: &Node) -> std::collections::BTreeMap<String, String> {
    let entries = node.get("env").and_then(Node::as_map).into_iter().flat_map(|map| map.iter());
    entries.filter_map(|entry| Some((entry.key.to_string(), entry.value.text()?.to_owned()))).collect()
}

fn probe(node: &Node, interval: &Key, timeout: &Key) -> Option<Probe> {
    let check = if let Some(path) = value::text(node, "http") {
        Check::Http { path }
    } else if let Some(pattern) = value::text(node, "log") {
        Check::Log { pattern }
    } else if let Some(command) = node.get("command").and_then(value::command) {
        Check::Command(command)
    } else if node.get("tcp").and_then(Node::as_scalar).and_then(crate::source::tree::Scalar::as_bool) == Some(true) {
        Check::Tcp
    } else {
        return None;
    };
    Some(Probe {
        check,
        interval: value::duration(Some(node), interval),
        timeout: value::duration(Some(node), timeout),
        grace: value::duration(Some(node), &probe::GRACE),
        failures: value::parsed(Some(node), &probe::FAILURES).unwrap_or(1),
    })
}

fn scale(node: Option<&Node>) -> Scale {
    if let Some(number) = node.and_then(Node::text).and_then(|text| text.parse().ok()) {
        return Scale { min: number, max: number.max(1) };
    }
    let min = value::parsed(node, &keys::SCALE_MIN).unwrap_or(1);
    let max = value::parsed(node, &keys::SCALE_MAX).unwrap_or(min);
    Scale { min, max: max.max(1) }
}

fn edge(tree: &Node, caller: &ServiceName, callee: &ServiceName, node: &Node) -> Edge {
    let (policy, paths) = policy::at_door(tree, Door::Edge { caller: caller.as_str(), callee: callee.as_str() });
    let wait = match value::word(Some(node), &policy_keys::WAIT) {
        "none" => Wait::None,
        _ => Wait::Ready,
    };
    Edge { policy, paths, wait }
}

fn store(node: &Node) -> Option<Store> {
    let known = [("sqlite", StoreEngine::Sqlite), ("postgres", StoreEngine::Postgres), ("mysql", StoreEngine::Mysql)];
    let (engine, rules) = known.into_iter().find_map(|(name, engine)| Some((engine, node.get(name)?)))?;
    Some(Store { engine, migrate: rules.get("migrate").and_then(value::command) })
}

fn stop(node: Option<&Node>) -> Stop {
    Stop { signal: value::word(node, &keys::SIGNAL).to_owned(), grace: value::duration(node, &keys::STOP_GRACE) }
}

fn restart(node: &Node, once: bool) -> Restart {
    match value::word(Some(node), &keys::RESTART) {
        "always" => Restart::Always,
        "on-failure" => Restart::OnFailure,
        "never" => Restart::Never,
        _ if once => Restart::OnFailure,
        _ => Restart::Always,
    }
}
