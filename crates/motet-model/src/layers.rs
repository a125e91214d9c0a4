//! Which places of a definition say something about the policy of an edge or a route, and what results when they are laid over
//! each other.
//!
//! From the least to the most specific: what the callee's `policy` says, what it says for the path, what the edge or the route
//! says, what that says for the path. So a caller has the last word about its own calls, and a path about what is written at
//! the same place. Laid over each other are the written values, not the resolved ones: a value that nobody wrote never hides
//! one that somebody wrote, and each value of the result still knows its place.

use crate::{
    code,
    finding::Finding,
    keys::{Shape, amount, policy},
    rules::entries,
    source::{
        Span,
        overlay::overlay,
        tree::{Entry, Map, Node, Scalar, Value},
    },
};

/// What has a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door<'a> {
    /// What an edge without words of its own has.
    Service(&'a str),
    /// An edge.
    Edge { caller: &'a str, callee: &'a str },
    /// A route of the gateway.
    Route { prefix: &'a str, callee: &'a str },
}

/// Who wrote a part of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer<'a> {
    /// Whether it is the callee's `policy`, and not the edge or the route.
    pub(crate) of_service: bool,
    /// Of one of its paths: which.
    pub(crate) path: Option<&'a str>,
}

/// The layers of one door, or of some of its paths; the least specific first.
pub(crate) struct Layers<'a> {
    layers: Vec<(Layer<'a>, Node)>,
    /// All of them laid over each other.
    pub(crate) merged: Node,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'l, 'a> {
    /// The larger, the more specific.
    pub(crate) at: usize,
    pub(crate) layer: &'l Layer<'a>,
    pub(crate) span: Span,
}

/// Every edge and every route, and every service that has a policy itself.
pub(crate) fn doors(tree: &Node) -> impl Iterator<Item = Door<'_>> {
    let services = || entries(tree.get("services"));
    let policies = services().filter(|service| service.value.get("policy").is_some());
    let edges = services().flat_map(|caller| {
        entries(caller.value.get("uses")).map(|edge| Door::Edge { caller: &caller.key, callee: &edge.key })
    });
    let routes = entries(tree.at(&["gateway", "routes"])).filter_map(|route| {
        let callee = route.value.text().or_else(|| route.value.get("to").and_then(Node::text))?;
        Some(Door::Route { prefix: &route.key, callee })
    });
    policies.map(|service| Door::Service(&service.key)).chain(edges).chain(routes)
}

/// The most policies of paths that a definition may have, counted at each edge and route that they hold for.
const PATHS_MAX: usize = 20_000;

/// Takes the policies of paths away when there are too many: each of them becomes a whole policy at each edge.
pub(crate) fn bound_paths(tree: &mut Node, findings: &mut Vec<Finding>) {
    let of = |node: Option<&Node>| node.map_or(0, |node| written_paths(node).count());
    let count: usize = doors(tree).map(|door| of(service_policy(tree, door)) + of(door.own(tree))).sum();
    if count <= PATHS_MAX {
        return;
    }
    let first = doors(tree).flat_map(|door| [service_policy(tree, door), door.own(tree)]).flatten();
    let first = first.filter_map(|node| Some(node.as_map()?.entry(policy::PATHS.name)?.key_span)).next();
    findings.push(
        Finding::error(
            code::TOO_LARGE,
            format!("{count} policies of paths, counted at each edge, are more than {PATHS_MAX}"),
        )
        .at(first.unwrap_or(tree.span), "the first of them")
        .help("say what most paths have in common without `paths`, or with a shorter prefix"),
    );
    let without = |node: &mut Node| {
        if let Some(map) = node.as_map_mut() {
            map.retain(|entry| &*entry.key != policy::PATHS.name);
        }
    };
    for service in entries_mut(tree.as_map_mut().and_then(|map| map.get_mut("services"))) {
        let Some(map) = service.value.as_map_mut() else { continue };
        map.get_mut("policy").into_iter().for_each(without);
        entries_mut(map.get_mut("uses")).for_each(|edge| without(&mut edge.value));
    }
    let gateway = tree.as_map_mut().and_then(|map| map.get_mut("gateway")).and_then(Node::as_map_mut);
    entries_mut(gateway.and_then(|map| map.get_mut("routes"))).for_each(|route| without(&mut route.value));
}

fn entries_mut(node: Option<&mut Node>) -> impl Iterator<Item = &mut Entry> {
    node.and_then(Node::as_map_mut).into_iter().flat_map(|map| map.iter_mut())
}

impl<'a> Door<'a> {
    pub(crate) fn callee(self) -> &'a str {
        match self {
            Self::Service(callee) | Self::Edge { callee, .. } | Self::Route { callee, .. } => callee,
        }
    }

    /// Where it is written, without the callee's `policy`.
    pub(crate) fn own(self, tree: &Node) -> Option<&Node> {
        match self {
            Self::Service(_) => None,
            Self::Edge { caller, callee } => tree.at(&["services", caller, "uses", callee]),
            Self::Route { prefix, .. } => tree.at(&["gateway", "routes", prefix]),
        }
    }
}

/// The paths for which a door has a policy of its own, without slashes at their ends, in the order of the alphabet.
pub(crate) fn prefixes<'a>(tree: &'a Node, door: Door<'a>) -> Vec<&'a str> {
    let places = [service_policy(tree, door), door.own(tree)];
    let paths = places.into_iter().flatten().flat_map(written_paths).map(|entry| bare(&entry.key));
    let mut prefixes: Vec<_> = paths.filter(|prefix| !prefix.is_empty()).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

/// What is said about a door, or about one of its paths.
pub(crate) fn layers<'a>(tree: &'a Node, door: Door<'a>, path: Option<&str>) -> Layers<'a> {
    let mut layers = Vec::new();
    for (of_service, node) in [(true, service_policy(tree, door)), (false, door.own(tree))] {
        let Some(node) = node.filter(|node| node.as_map().is_some()) else { continue };
        layers.push((Layer { of_service, path: None }, policy_of(node)));
        let mut covering: Vec<_> =
            written_paths(node).filter(|entry| path.is_some_and(|path| covers(&entry.key, path))).collect();
        covering.sort_by_key(|entry| bare(&entry.key).len());
        layers.extend(
            covering
                .into_iter()
                .map(|entry| (Layer { of_service, path: Some(bare(&entry.key)) }, policy_of(&entry.value))),
        );
    }
    let nothing = Node { span: tree.span, value: Value::Map(Map::default()) };
    let merged = match layers.as_slice() {
        [] => nothing,
        [(_, only)] => only.clone(),
        many => many.iter().fold(nothing, |under, (_, over)| overlay(&under, over, Some(Shape::Fields(&policy::PATH)))),
    };
    Layers { layers, merged }
}

impl<'a> Layers<'a> {
    /// Where a key's value stands, and whose word it is. `None`: nobody wrote it.
    pub(crate) fn origin(&self, key: &[&str]) -> Option<Origin<'_, 'a>> {
        let span = self.merged.at(key)?.span;
        // An anchor may have brought the same value to several places: the most specific of them decides.
        let at = self.layers.iter().rposition(|(_, node)| node.at(key).is_some_and(|node| node.span == span))?;
        self.layers.get(at).map(|(layer, _)| Origin { at, layer, span })
    }
}

fn service_policy<'a>(tree: &'a Node, door: Door<'_>) -> Option<&'a Node> {
    tree.at(&["services", door.callee(), "policy"])
}

/// The paths that a place tells about.
pub(crate) fn written_paths(node: &Node) -> impl Iterator<Item = &Entry> {
    entries(node.get(policy::PATHS.name))
}

/// A prefix without slashes at its end.
pub(crate) fn bare(prefix: &str) -> &str {
    prefix.trim_end_matches('/')
}

/// Whether a prefix holds for all paths of another: `/v1` covers `/v1` and `/v1/embed`, not `/v10`.
pub(crate) fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(bare(prefix)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The keys of a policy out of a map that may hold others, short forms written out: laid over each other are maps, and a short form
/// would replace what the other one does not mention.
fn policy_of(node: &Node) -> Node {
    let mut own = Map::default();
    let entries = node.as_map().into_iter().flat_map(|map| map.iter());
    for entry in entries.filter(|entry| policy::PATH.key(&entry.key).is_some()) {
        let value = match &*entry.key {
            "concurrency" => written_out(&entry.value, |scalar| Some(vec![(policy::LIMIT.name, scalar.text.clone())])),
            "rate" => written_out(&entry.value, |scalar| {
                let (requests, per) = amount::parse_rate(&scalar.text)?;
                Some(vec![("requests", requests.to_string()), (policy::PER.name, format!("{}ns", per.as_nanos()))])
            }),
            _ => entry.value.clone(),
        };
        own.insert(Entry { value, ..entry.clone() });
    }
    Node { span: node.span, value: Value::Map(own) }
}

fn written_out(node: &Node, keys: impl Fn(&Scalar) -> Option<Vec<(&'static str, String)>>) -> Node {
    let Some((scalar, keys)) = node.as_scalar().and_then(|scalar| Some((scalar, keys(scalar)?))) else {
        return node.clone();
    };
    let mut map = Map::default();
    for (key, text) in keys {
        let value = Value::Scalar(Scalar { text, ..scalar.clone() });
        map.insert(Entry { key: key.into(), key_span: node.span, value: Node { span: node.span, value } });
    }
    Node { span: node.span, value: Value::Map(map) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_whole_segments() {
        assert!(covers("/v1", "/v1") && covers("/v1/", "/v1/embed") && covers("/v1/embed", "/v1/embed"));
        assert!(!covers("/v1", "/v10") && !covers("/v1/embed", "/v1"));
    }
}
