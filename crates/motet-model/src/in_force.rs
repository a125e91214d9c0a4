//! Which policy is in force, and where each of its values comes from: what `motet explain edge a→b` shows.
//!
//! Read from the definition alone, so it can be asked before anything runs. The running system follows the same values, because
//! both are read from the same layers.

mod topic;

pub use topic::TopicInForce;

use crate::{
    decode,
    keys::{fallback, policy as keys, retry, service},
    layers::{self, Door, Layers},
    load::Loaded,
    source::{Span, tree::Node},
    system::policy::{Answer, Breaker, Fallback, Limit, Policy, Rate, Retry, grpc_status},
};
use motet_kernel::{
    name::{ProfileName, ServiceName},
    quantity::{show_duration, show_size},
};
use std::fmt;

/// What a policy is asked of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An edge.
    Edge {
        /// Who calls.
        caller: ServiceName,
        /// Who is called.
        callee: ServiceName,
    },
    /// A route of the gateway, by its path.
    Route(String),
    /// What an edge to this service has that says nothing itself.
    Service(ServiceName),
}

/// A policy with the origin of each of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Who is called.
    pub callee: ServiceName,
    /// Every value.
    pub rows: Vec<Row>,
    /// For each path with words of its own: the values that differ.
    pub paths: Vec<(String, Vec<Row>)>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its key within the policy: `retry.attempts`.
    pub key: &'static str,
    /// As it would be written, or in words where nothing is.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody wrote it.
    Default,
    /// It stands in a file.
    Written {
        /// Whose word it is: ``service `embedder` ``, `edge`, ``path `/embed` ``.
        by: String,
        /// The file, relative to the definition's folder where it is inside.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The profile that brought it.
        profile: Option<ProfileName>,
    },
}

/// The tree that a system was read from, for questions about its places.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) tree: Node,
    /// The chosen profiles and where they stand.
    pub(crate) profiles: Vec<(ProfileName, Span)>,
}

impl Loaded {
    /// The policy that is in force somewhere; `None` when the definition has no such edge or route.
    pub fn in_force(&self, subject: &Subject) -> Option<InForce> {
        let callee = match subject {
            Subject::Edge { callee, .. } | Subject::Service(callee) => callee,
            Subject::Route(prefix) => &self.system.gateway.as_ref()?.routes.get(prefix)?.to,
        };
        let door = match subject {
            Subject::Edge { caller, callee } => Door::Edge { caller: caller.as_str(), callee: callee.as_str() },
            Subject::Route(prefix) => Door::Route { prefix, callee: callee.as_str() },
            Subject::Service(callee) => Door::Service(callee.as_str()),
        };
        let tree = &self.written.tree;
        let exists = match door {
            Door::Service(service) => tree.at(&["services", service]),
            door => door.own(tree),
        };
        exists?;
        let mut rows = self.policy_rows(door, &layers::layers(tree, door, None));
        let paths = layers::prefixes(tree, door).into_iter().map(|prefix| {
            let of_path = self.policy_rows(door, &layers::layers(tree, door, Some(prefix)));
            let differs = |row: &Row| !rows.iter().any(|other| (other.key, &other.value) == (row.key, &row.value));
            (prefix.to_owned(), of_path.into_iter().filter(differs).collect())
        });
        let paths = paths.collect();
        rows.extend(self.rows_beside(door));
        Some(InForce { callee: callee.clone(), rows, paths })
    }

    fn policy_rows(&self, door: Door<'_>, layers: &Layers<'_>) -> Vec<Row> {
        let policy = decode::policy::policy(&layers.merged);
        let mut rows = Vec::new();
        each_value(&policy, &mut |key, written, value| {
            let origin = layers.origin(written).map_or(Origin::Default, |origin| {
                let of = match door {
                    _ if origin.layer.of_service => format!("service `{}`", door.callee()),
                    Door::Route { .. } => "route".to_owned(),
                    Door::Edge { .. } | Door::Service(_) => "edge".to_owned(),
                };
                let by = match origin.layer.path {
                    Some(path) if origin.layer.of_service => format!("{of}, path `{path}`"),
                    Some(path) => format!("path `{path}`"),
                    None => of,
                };
                self.at(by, origin.span)
            });
            rows.push(Row { key, value, origin });
        });
        rows
    }

    /// What is not a policy and belongs to the picture.
    fn rows_beside(&self, door: Door<'_>) -> Vec<Row> {
        let tree = &self.written.tree;
        let mut rows = Vec::new();
        let protocol = tree.at(&["services", door.callee(), service::PROTOCOL.name]);
        let by = format!("service `{}`", door.callee());
        rows.push(self.row(&service::PROTOCOL, protocol, by));
        if let Door::Edge { caller, callee } = door {
            let wait = tree.at(&["services", caller, "uses", callee, keys::WAIT.name]);
            rows.push(self.row(&keys::WAIT, wait, "edge".to_owned()));
        }
        rows
    }

    fn row(&self, key: &crate::keys::Key, node: Option<&Node>, by: String) -> Row {
        let value = node.and_then(Node::text).unwrap_or(key.default_text()).to_owned();
        let origin = node.map_or(Origin::Default, |node| self.at(by, node.span));
        Row { key: key.name, value, origin }
    }

    fn at(&self, by: String, span: Span) -> Origin {
        let sources = self.warnings.sources();
        let (line, column) = sources.line_column(span);
        let within =
            |profile: &Span| profile.file == span.file && profile.start <= span.start && span.end <= profile.end;
        let profile = self.written.profiles.iter().rfind(|(_, profile)| within(profile)).map(|(name, _)| name.clone());
        let file = sources.get(span.file).map_or_else(String::new, |file| file.name.clone());
        Origin::Written { by, file, line, column, profile }
    }
}

/// Calls back with each value of a policy: its name, the key that says it, and how it is shown.
fn each_value(policy: &Policy, row: &mut dyn FnMut(&'static str, &[&str], String)) {
    let or = |time: Option<std::time::Duration>, words: &str| time.map_or_else(|| words.to_owned(), show_duration);
    row("timeout", &["timeout"], show_duration(policy.timeout));
    row("try_timeout", &["try_timeout"], or(policy.try_timeout, keys::TRY_TIMEOUT.default_words()));
    row("first_byte", &["first_byte"], or(policy.first_byte, keys::FIRST_BYTE.default_words()));
    row("idle", &["idle"], show_duration(policy.idle));
    row("connect_timeout", &["connect_timeout"], show_duration(policy.connect_timeout));
    row("ready_wait", &["ready_wait"], show_duration(policy.ready_wait));
    let limit = match policy.concurrency.limit {
        Limit::Fixed(limit) => limit.to_string(),
        Limit::Adaptive { min, max } => format!("adaptive, {min} to {max}"),
    };
    row("concurrency.limit", &["concurrency", "limit"], limit);
    row("concurrency.queue", &["concurrency", "queue"], policy.concurrency.queue.to_string());
    row("concurrency.queue_wait", &["concurrency", "queue_wait"], show_duration(policy.concurrency.queue_wait));
    row("priority", &["priority"], policy.priority.to_string());
    match &policy.rate {
        None => row(keys::RATE.name, &[keys::RATE.name], "none".to_owned()),
        Some(rate) => rate_values(rate, row),
    }
    retry_values(&policy.retry, row);
    match &policy.breaker {
        None => row(retry::BREAKER.name, &[retry::BREAKER.name], "never".to_owned()),
        Some(breaker) => breaker_values(breaker, row),
    }
    row("slow_start", &["slow_start"], show_duration(policy.slow_start));
    match policy.hedge {
        None => row(retry::HEDGE.name, &[retry::HEDGE.name], "never".to_owned()),
        Some(after) => row("hedge.after", &["hedge", "after"], show_duration(after)),
    }
    match &policy.fallback {
        None => row(fallback::FALLBACK.name, &[fallback::FALLBACK.name], "none".to_owned()),
        Some(Fallback::Service(service)) => row("fallback.to", &["fallback", "to"], service.to_string()),
        Some(Fallback::Answer(answer)) => row("fallback.answer", &["fallback", "answer"], show_answer(answer)),
    }
}

fn rate_values(rate: &Rate, row: &mut dyn FnMut(&'static str, &[&str], String)) {
    let by = if rate.by_client { "client" } else { "all" };
    row("rate.requests", &["rate", "requests"], rate.requests.to_string());
    row("rate.per", &["rate", "per"], show_duration(rate.per));
    row("rate.burst", &["rate", "burst"], rate.burst.to_string());
    row("rate.by", &["rate", "by"], by.to_owned());
}

fn retry_values(retry: &Retry, row: &mut dyn FnMut(&'static str, &[&str], String)) {
    if retry.attempts <= 1 {
        row("retry", &["retry"], "never".to_owned());
        return;
    }
    let statuses: Vec<_> = retry.on.iter().map(ToString::to_string).collect();
    let grpc: Vec<_> = retry.grpc.iter().filter_map(|status| grpc_status(*status)).collect();
    row("retry.attempts", &["retry", "attempts"], retry.attempts.to_string());
    row("retry.on", &["retry", "on"], list(&statuses));
    row("retry.methods", &["retry", "methods"], list(&retry.methods));
    row("retry.grpc", &["retry", "grpc"], list(&grpc));
    row("retry.backoff.initial", &["retry", "backoff", "initial"], show_duration(retry.backoff.initial));
    row("retry.backoff.max", &["retry", "backoff", "max"], show_duration(retry.backoff.max));
    row("retry.budget", &["retry", "budget"], crate::keys::amount::show_percent(retry.budget));
    row("retry.body_max", &["retry", "body_max"], written_size(retry.body_max));
}

/// A size as it would be written: `64KiB`.
fn written_size(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        bytes if bytes % (1 << 20) == 0 => format!("{}MiB", bytes >> 20),
        bytes if bytes % (1 << 10) == 0 => format!("{}KiB", bytes >> 10),
        bytes => bytes.to_string(),
    }
}

fn breaker_values(breaker: &Breaker, row: &mut dyn FnMut(&'static str, &[&str], String)) {
    use crate::keys::amount::show_percent;
    row("breaker.failures", &["breaker", "failures"], breaker.failures.to_string());
    row("breaker.rate", &["breaker", "rate"], show_percent(breaker.rate));
    row("breaker.window", &["breaker", "window"], show_duration(breaker.window));
    row("breaker.requests", &["breaker", "requests"], breaker.requests.to_string());
    row("breaker.open", &["breaker", "open"], show_duration(breaker.open.initial));
    row("breaker.open_max", &["breaker", "open_max"], show_duration(breaker.open.max));
    row("breaker.panic", &["breaker", "panic"], show_percent(breaker.panic));
}

fn list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

/// What the answer is like; its content may be long, or hold what was put into a variable.
fn show_answer(answer: &Answer) -> String {
    match answer.headers.get("content-type").filter(|_| !answer.body.is_empty()) {
        Some(kind) => format!("{}, {} of {kind}", answer.status, show_size(answer.body.len() as u64)),
        None => answer.status.to_string(),
    }
}

impl fmt::Display for Origin {
    /// ``service `embedder`, motet.yaml:12``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Written { by, file, line, profile, .. } => {
                write!(f, "{by}, {file}:{line}")?;
                profile.as_ref().map_or(Ok(()), |profile| write!(f, " (profile {profile})"))
            }
        }
    }
}
