//! The gateway and its routes.

use super::value;
use crate::{
    keys::{edge, top, value::parse_listen},
    source::{include::empty, tree::Node},
    system::{Gateway, Route},
};

pub(super) fn gateway(node: &Node) -> Option<Gateway> {
    let listen = value::word(Some(node), &top::LISTEN);
    let routes = node.get(top::ROUTES.name).and_then(Node::as_map).into_iter().flat_map(|map| map.iter());
    Some(Gateway {
        listen: parse_listen(listen).or_else(|| parse_listen(top::LISTEN.default_text()))?,
        routes: routes.filter_map(|entry| Some((entry.key.to_string(), route(&entry.value)?))).collect(),
    })
}

/// A route: the name of a service, or a map.
fn route(node: &Node) -> Option<Route> {
    let nothing = empty(node.span);
    let (to, rules) = match node.text() {
        Some(to) => (to, &nothing),
        None => (node.get(edge::TO.name)?.text()?, node),
    };
    Some(Route {
        to: to.parse().ok()?,
        strip_prefix: value::flag(rules, &edge::STRIP_PREFIX),
        timeout: value::duration(Some(rules), &edge::TIMEOUT),
        retry: value::retry(rules),
    })
}
