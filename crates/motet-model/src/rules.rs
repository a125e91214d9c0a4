//! What has to hold for a definition as a whole: references, ports, the order of starting, files, stores,
//! policies, topics and their schemas, filters.
//!
//! One file per subject. Each looks at the resolved system for what is meant and at the tree for where it stands.

mod fallbacks;
mod filters;
mod gateway;
mod paths;
mod policies;
mod ports;
mod references;
mod schemas;
mod start;
mod stores;
mod topics;

use crate::{
    finding::Finding,
    judge::Judge,
    source::{
        Span,
        files::Files,
        tree::{Entry, Node},
    },
    system::System,
};
use std::{collections::BTreeSet, path::PathBuf};

/// What the rules look at.
pub(crate) struct Subject<'a> {
    pub(crate) system: &'a System,
    /// The definition with includes, profiles and variables worked in.
    pub(crate) tree: &'a Node,
    pub(crate) files: &'a dyn Files,
    /// Who is asked about what is not known here.
    pub(crate) judge: Option<&'static dyn Judge>,
}

impl<'a> Subject<'a> {
    /// The services as they are written, also those with names that are none.
    pub(crate) fn services(&self) -> impl Iterator<Item = &'a Entry> {
        entries(self.tree.get("services"))
    }

    /// The place of a key, or of the nearest one above it that is written.
    pub(crate) fn place(&self, path: &[&str]) -> Span {
        self.tree.place(path).unwrap_or(self.tree.span)
    }
}

/// The entries of a map; none when it is something else.
pub(crate) fn entries(node: Option<&Node>) -> impl Iterator<Item = &Entry> {
    node.and_then(Node::as_map).into_iter().flat_map(|map| map.iter())
}

/// The texts of a list with their places.
pub(crate) fn items(node: Option<&Node>) -> impl Iterator<Item = (&str, Span)> {
    let items = node.and_then(Node::as_list).into_iter().flatten();
    items.filter_map(|item| Some((item.text()?, item.span)))
}

/// Adds what is broken to `findings`. Returns the files that were read for it: what they hold belongs to the definition.
pub(crate) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) -> BTreeSet<PathBuf> {
    references::check(subject, findings);
    ports::check(subject, findings);
    start::check(subject, findings);
    paths::check(subject, findings);
    stores::check(subject, findings);
    policies::check(subject, findings);
    gateway::check(subject, findings);
    topics::check(subject, findings);
    filters::check(subject, findings);
    schemas::check(subject, findings)
}
