//! A policy out of the layers in which it is written.

use super::value;
use crate::{
    keys::{Key, amount, fallback, policy as keys, retry},
    layers::{Door, layers, prefixes},
    source::tree::{Node, Scalar, Value},
    system::policy::{Answer, Breaker, Concurrency, Fallback, Limit, PathPolicy, Policy, Rate, Retry},
};
use motet_kernel::{backoff::Backoff, quantity};
use std::{collections::BTreeMap, sync::LazyLock};

/// Waits double.
const BACKOFF_FACTOR: f64 = 2.0;

/// What holds at a door, and at those of its paths where something else holds.
pub(super) fn at_door(tree: &Node, door: Door<'_>) -> (Policy, Vec<PathPolicy>) {
    let whole = policy(&layers(tree, door, None).merged);
    let paths = prefixes(tree, door).into_iter().map(|prefix| PathPolicy {
        prefix: prefix.to_owned(),
        policy: policy(&layers(tree, door, Some(prefix)).merged),
    });
    (whole, paths.collect())
}

/// A policy that is written in one place.
pub(crate) fn policy(node: &Node) -> Policy {
    // A definition has a thousand edges and few words on each: the defaults are read once.
    static DEFAULT: LazyLock<Policy> = LazyLock::new(default);
    let default = &*DEFAULT;
    let time = |key: &Key, default| value::maybe_duration(node, key).unwrap_or(default);
    let written = |key: &Key| node.get(key.name);
    Policy {
        timeout: time(&keys::TIMEOUT, default.timeout),
        try_timeout: value::maybe_duration(node, &keys::TRY_TIMEOUT),
        first_byte: value::maybe_duration(node, &keys::FIRST_BYTE),
        idle: time(&keys::IDLE, default.idle),
        connect_timeout: time(&keys::CONNECT_TIMEOUT, default.connect_timeout),
        ready_wait: time(&keys::READY_WAIT, default.ready_wait),
        concurrency: written(&keys::CONCURRENCY)
            .map_or_else(|| default.concurrency.clone(), |node| concurrency(Some(node))),
        priority: value::parsed(Some(node), &keys::PRIORITY).unwrap_or(default.priority),
        rate: written(&keys::RATE).and_then(rate),
        retry: written(&retry::RETRY).map_or_else(|| default.retry.clone(), |node| retry(Some(node))),
        breaker: written(&retry::BREAKER).map_or(default.breaker, |node| breaker(Some(node))),
        slow_start: time(&keys::SLOW_START, default.slow_start),
        hedge: written(&retry::HEDGE).and_then(|hedge| value::maybe_duration(hedge, &retry::HEDGE_AFTER)),
        fallback: written(&fallback::FALLBACK).and_then(self::fallback),
    }
}

fn default() -> Policy {
    Policy {
        timeout: value::duration(None, &keys::TIMEOUT),
        try_timeout: None,
        first_byte: None,
        idle: value::duration(None, &keys::IDLE),
        connect_timeout: value::duration(None, &keys::CONNECT_TIMEOUT),
        ready_wait: value::duration(None, &keys::READY_WAIT),
        concurrency: concurrency(None),
        priority: value::parsed(None, &keys::PRIORITY).unwrap_or_default(),
        rate: None,
        retry: retry(None),
        breaker: breaker(None),
        slow_start: value::duration(None, &keys::SLOW_START),
        hedge: None,
        fallback: None,
    }
}

fn concurrency(node: Option<&Node>) -> Concurrency {
    let limit = node.and_then(|node| node.get(keys::LIMIT.name));
    let adaptive = limit.and_then(|limit| limit.get(keys::ADAPTIVE.name));
    let is_adaptive = adaptive.is_some() || limit.and_then(Node::text) == Some(keys::ADAPTIVE.name);
    Concurrency {
        limit: if is_adaptive {
            Limit::Adaptive {
                min: value::parsed(adaptive, &keys::ADAPTIVE_MIN).unwrap_or(1),
                max: value::parsed(adaptive, &keys::ADAPTIVE_MAX).unwrap_or(1),
            }
        } else {
            Limit::Fixed(value::parsed(node, &keys::LIMIT).unwrap_or(1))
        },
        queue: value::parsed(node, &keys::QUEUE).unwrap_or_default(),
        queue_wait: value::duration(node, &keys::QUEUE_WAIT),
    }
}

fn rate(node: &Node) -> Option<Rate> {
    let requests = node.get("requests")?.text()?.parse().ok()?;
    Some(Rate {
        requests,
        per: value::duration(Some(node), &keys::PER),
        burst: value::parsed(Some(node), &keys::BURST).unwrap_or(requests),
        by_client: value::word(Some(node), &keys::BY) == "client",
    })
}

/// The repetitions of an edge or a route.
fn retry(node: Option<&Node>) -> Retry {
    let attempts = match node.and_then(Node::text) {
        Some(_) => 1,
        None => value::parsed(node, &retry::ATTEMPTS).unwrap_or(1),
    };
    let grpc: Vec<String> = value::list(node, &retry::GRPC);
    let number = |name: &String| retry::GRPC_STATUSES.iter().position(|status| status == name);
    let numbers = grpc.iter().filter_map(|name| u8::try_from(number(name)? + 1).ok());
    let backoff = node.and_then(|node| node.get(retry::BACKOFF.name));
    Retry {
        attempts,
        on: value::list(node, &retry::ON),
        methods: value::list(node, &retry::METHODS),
        grpc: numbers.collect(),
        backoff: waits(backoff, &retry::BACKOFF_INITIAL, &retry::BACKOFF_MAX),
        budget: share(node, &retry::BUDGET),
        body_max: quantity::parse_size(value::word(node, &retry::BODY_MAX)).unwrap_or_default(),
    }
}

fn breaker(node: Option<&Node>) -> Option<Breaker> {
    if node.and_then(Node::text).is_some() {
        return None;
    }
    Some(Breaker {
        failures: value::parsed(node, &retry::FAILURES)?,
        rate: share(node, &retry::FAILURE_RATE),
        window: value::duration(node, &retry::WINDOW),
        requests: value::parsed(node, &retry::REQUESTS_MIN)?,
        open: waits(node, &retry::OPEN, &retry::OPEN_MAX),
        panic: share(node, &retry::PANIC),
    })
}

fn waits(node: Option<&Node>, initial: &Key, max: &Key) -> Backoff {
    Backoff { initial: value::duration(node, initial), max: value::duration(node, max), factor: BACKOFF_FACTOR }
}

fn share(node: Option<&Node>, key: &Key) -> f64 {
    let default = || amount::parse_percent(key.default_text());
    amount::parse_percent(value::word(node, key)).or_else(default).unwrap_or_default()
}

fn fallback(node: &Node) -> Option<Fallback> {
    if let Some(to) = node.get(fallback::TO.name) {
        return Some(Fallback::Service(to.text()?.parse().ok()?));
    }
    Some(Fallback::Answer(answer(node.get(fallback::ANSWER.name)?)))
}

fn answer(node: &Node) -> Answer {
    let written = node.get(fallback::HEADERS.name).and_then(Node::as_map).into_iter().flat_map(|map| map.iter());
    let mut headers: BTreeMap<String, String> =
        written.filter_map(|entry| Some((entry.key.to_ascii_lowercase(), entry.value.text()?.to_owned()))).collect();
    let (body, kind) = match (node.get(fallback::JSON.name), node.get(fallback::TEXT.name).and_then(Node::text)) {
        (Some(content), _) => (json(content).to_string(), Some("application/json")),
        (None, Some(text)) => (text.to_owned(), Some("text/plain; charset=utf-8")),
        (None, None) => (String::new(), None),
    };
    if let Some(kind) = kind {
        headers.entry("content-type".to_owned()).or_insert_with(|| kind.to_owned());
    }
    Answer { status: value::parsed(Some(node), &fallback::STATUS).unwrap_or(200), headers, body }
}

/// What is written as YAML, as JSON. What comes from a variable is a text, whatever it looks like.
pub(super) fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Scalar(scalar) => json_scalar(scalar),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(map) => map.iter().map(|entry| (entry.key.to_string(), json(&entry.value))).collect(),
    }
}

fn json_scalar(scalar: &Scalar) -> serde_json::Value {
    let text = || serde_json::Value::String(scalar.text.clone());
    if !scalar.plain || scalar.from_variable {
        return text();
    }
    match scalar.as_bool() {
        Some(truth) => truth.into(),
        None => serde_json::from_str::<serde_json::Number>(&scalar.text).map_or_else(|_| text(), Into::into),
    }
}
