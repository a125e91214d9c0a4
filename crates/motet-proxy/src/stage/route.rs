//! Finds whom a request is for: at an edge's address there is one answer, at the gateway the longest prefix wins.

use crate::{
    gateway::Gate,
    lane::{Lane, covers},
    spec::Door,
};
use std::{rc::Rc, sync::Arc};

/// What stands behind one listener.
pub(crate) enum Target {
    /// An edge.
    Edge(Rc<Lane>),
    /// The gateway, and its routes, the longest prefix first.
    Gateway(Arc<Gate>, Vec<Rc<Lane>>),
}

impl Target {
    pub(crate) fn gateway(gate: Arc<Gate>, mut routes: Vec<Rc<Lane>>) -> Self {
        routes.sort_by_key(|lane| std::cmp::Reverse(prefix(lane).len()));
        Self::Gateway(gate, routes)
    }

    /// The gateway, where it is one.
    pub(crate) fn gate(&self) -> Option<&Arc<Gate>> {
        match self {
            Self::Edge(_) => None,
            Self::Gateway(gate, _) => Some(gate),
        }
    }

    /// The lane for a path.
    pub(crate) fn find(&self, path: &str) -> Option<Rc<Lane>> {
        match self {
            Self::Edge(lane) => Some(Rc::clone(lane)),
            Self::Gateway(_, lanes) => lanes.iter().find(|lane| covers(prefix(lane), path)).cloned(),
        }
    }
}

fn prefix(lane: &Lane) -> &str {
    match &lane.plan.door {
        Door::Edge(_) => "",
        Door::Route { prefix, .. } => prefix,
    }
}

/// The path without the prefix, beginning with a slash.
pub(crate) fn strip<'a>(prefix: &str, path: &'a str) -> &'a str {
    match path.strip_prefix(prefix.trim_end_matches('/')) {
        Some("") => "/",
        Some(rest) => rest,
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stripped_path_still_begins_with_a_slash() {
        assert_eq!(strip("/api", "/api/x"), "/x");
        assert_eq!(strip("/api/", "/api"), "/");
        assert_eq!(strip("/", "/x"), "/x");
    }
}
