//! Single values out of the tree, with the defaults of the table.

use crate::{
    keys::Key,
    source::tree::{Node, Value},
    system::Command,
};
use motet_kernel::{name::ServiceName, quantity, topic::TopicName};
use std::{str::FromStr, time::Duration};

/// The text of a key that has no default.
pub(super) fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::text).map(str::to_owned)
}

/// A value that is read from its text, or the default of its key.
pub(super) fn parsed<T: FromStr>(node: Option<&Node>, key: &Key) -> Option<T> {
    let written = node.and_then(|node| node.get(key.name)).and_then(Node::text).and_then(|text| text.parse().ok());
    written.or_else(|| key.default_text().parse().ok())
}

/// A duration, or the default of its key.
pub(super) fn duration(node: Option<&Node>, key: &Key) -> Duration {
    let written = node.and_then(|node| node.get(key.name)).and_then(Node::text);
    written
        .and_then(|text| quantity::parse_duration(text).ok())
        .or_else(|| quantity::parse_duration(key.default_text()).ok())
        .unwrap_or_default()
}

/// A duration of a key that has no default.
pub(super) fn maybe_duration(node: &Node, key: &Key) -> Option<Duration> {
    node.get(key.name).and_then(Node::text).and_then(|text| quantity::parse_duration(text).ok())
}

/// True or false, or the default of its key.
pub(super) fn flag(node: &Node, key: &Key) -> bool {
    let written = node.get(key.name).and_then(Node::as_scalar).and_then(crate::source::tree::Scalar::as_bool);
    written.unwrap_or(key.default_text() == "true")
}

/// A word of a few, or the default of its key.
pub(super) fn word<'a>(node: Option<&'a Node>, key: &Key) -> &'a str {
    node.and_then(|node| node.get(key.name)).and_then(Node::text).unwrap_or(key.default_text())
}

/// A list of texts; empty when there is none.
pub(super) fn texts(node: Option<&Node>) -> Vec<String> {
    let items = node.and_then(Node::as_list).into_iter().flatten();
    items.filter_map(|item| item.text().map(str::to_owned)).collect()
}

/// A list of values that are read from their texts, or the default of the key, which is written `[a, b]`.
pub(super) fn list<T: FromStr>(node: Option<&Node>, key: &Key) -> Vec<T> {
    match node.and_then(|node| node.get(key.name)).and_then(Node::as_list) {
        Some(items) => items.iter().filter_map(|item| item.text()?.parse().ok()).collect(),
        None => {
            let inner = key.default_text().trim_matches(['[', ']']);
            inner.split(',').filter_map(|item| item.trim().parse().ok()).collect()
        }
    }
}

/// A list of services' names.
pub(super) fn names(node: Option<&Node>) -> Vec<ServiceName> {
    texts(node).iter().filter_map(|text| text.parse().ok()).collect()
}

/// A list of topics' names.
pub(super) fn topics(node: Option<&Node>) -> Vec<TopicName> {
    texts(node).iter().filter_map(|text| text.parse().ok()).collect()
}

/// A command line: a text for the shell, or a list without one.
pub(super) fn command(node: &Node) -> Option<Command> {
    match &node.value {
        Value::Scalar(scalar) if !scalar.text.trim().is_empty() => Some(Command::Shell(scalar.text.clone())),
        Value::List(items) if !items.is_empty() => Some(Command::Argv(texts(Some(node)))),
        _ => None,
    }
}
