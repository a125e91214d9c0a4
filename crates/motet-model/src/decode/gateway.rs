//! The gateway and its routes.

use super::{policy, value};
use crate::{
    keys::{edge, top, value::parse_listen},
    layers::Door,
    source::{include::empty, tree::Node},
    system::{Gateway, Route},
};

pub(super) fn gateway(tree: &Node, node: &Node) -> Option<Gateway> {
    let listen = value::word(Some(node), &top::LISTEN);
    let routes = node.get(top::ROUTES.name).and_then(Node::as_map).into_iter().flat_map(|map| map.iter());
    Some(Gateway {
        listen: parse_listen(listen).or_else(|| parse_listen(top::LISTEN.default_text()))?,
        routes: routes
            .filter_map(|entry| Some((entry.key.to_string(), route(tree, &entry.key, &entry.value)?)))
            .collect(),
    })
}

/// A route: the name of a service, or a map.
fn route(tree: &Node, prefix: &str, node: &Node) -> Option<Route> {
    let nothing = empty(node.span);
    let (to, rules) = match node.text() {
        Some(to) => (to, &nothing),
        None => (node.get(edge::TO.name)?.text()?, node),
    };
    let (policy, paths) = policy::at_door(tree, Door::Route { prefix, callee: to });
    Some(Route { to: to.parse().ok()?, strip_prefix: value::flag(rules, &edge::STRIP_PREFIX), policy, paths })
}
