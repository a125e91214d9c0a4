//! The tree that a definition's text becomes: maps, lists and scalars, each with its place.
//!
//! Scalars stay text until somebody who knows what is meant reads them: `8080` may be a port, a name or a password.

use super::Span;
use std::{collections::HashMap, sync::Arc};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What stands there.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

/// A text, a number or a truth value, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// The text, with escapes and variables replaced.
    pub(crate) text: String,
    /// Whether it was written without quotes, so that it may be a number or a truth value.
    pub(crate) plain: bool,
    /// Whether a part of it came from a variable: it may be a secret and is not repeated in messages.
    pub(crate) from_variable: bool,
}

/// One `key: value` of a map.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Arc<str>,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// Keys and values in the order of writing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map {
    entries: Vec<Entry>,
    index: HashMap<Arc<str>, usize>,
}

impl Map {
    /// Adds an entry; an entry that has the key already stays and comes back.
    pub(crate) fn insert(&mut self, entry: Entry) -> Option<&Entry> {
        if let Some(&at) = self.index.get(&entry.key) {
            return self.entries.get(at);
        }
        self.index.insert(Arc::clone(&entry.key), self.entries.len());
        self.entries.push(entry);
        None
    }

    /// Adds an entry in place of the one that has the key already.
    pub(crate) fn replace(&mut self, entry: Entry) {
        if let Some(old) = self.index.get(&entry.key).and_then(|&at| self.entries.get_mut(at)) {
            *old = entry;
        } else {
            self.insert(entry);
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.index.get(key).and_then(|&at| self.entries.get(at))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.index.get(key).and_then(|&at| self.entries.get_mut(at)).map(|entry| &mut entry.value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        self.entries.retain(keep);
        self.index = self.entries.iter().enumerate().map(|(at, entry)| (Arc::clone(&entry.key), at)).collect();
    }
}

impl Node {
    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        self.as_scalar().map(|scalar| scalar.text.as_str())
    }

    /// The value under a key, when this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// Where a path of keys leads to: the place of the last key that exists on the way.
    pub(crate) fn place(&self, path: &[&str]) -> Option<Span> {
        let mut node = self;
        let mut place = None;
        for key in path {
            let Some(entry) = node.as_map().and_then(|map| map.entry(key)) else { break };
            place = Some(entry.key_span);
            node = &entry.value;
        }
        place
    }

    /// The value at the end of a path of keys.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }
}

impl Scalar {
    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }
}
