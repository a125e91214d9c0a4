//! A tree that was accepted becomes a [`System`]. Defaults come from the table of keys.
//!
//! Nothing is reported here: what is wrong with single values has been said by `keys::accept`. A value that is not what it should
//! be reads as its default, so that the rules about the whole can still be looked at and all mistakes are told in one run.

mod events;
mod gateway;
pub(crate) mod policy;
mod service;
mod value;

use crate::{
    source::{Sources, tree::Node},
    system::{Context, Engines, Stores, System},
};
use motet_kernel::name::{ContextName, ProfileName, ServiceName};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    str::FromStr,
};

/// What is known besides the tree.
pub(crate) struct Frame<'a> {
    pub(crate) file: &'a Path,
    pub(crate) dir: &'a Path,
    pub(crate) profiles: Vec<ProfileName>,
    pub(crate) sources: &'a Sources,
}

/// Reads a definition. A name that is none is replaced, so that everything else can still be looked at.
pub(crate) fn system(tree: &Node, frame: &Frame<'_>) -> Option<System> {
    let contexts: BTreeMap<ContextName, Context> = named(tree.get("contexts"), |_: &ContextName, node| Context {
        about: value::text(node, "about"),
        services: value::names(node.get("services")),
    });
    let homes: BTreeMap<ServiceName, ContextName> = contexts
        .iter()
        .flat_map(|(name, context)| context.services.iter().map(|service| (service.clone(), name.clone())))
        .collect();
    let services = named(tree.get("services"), |name: &ServiceName, node| {
        service::service(tree, name, homes.get(name).cloned(), node, frame)
    });
    Some(System {
        name: tree
            .get("system")
            .and_then(Node::text)
            .and_then(|text| text.parse().ok())
            .or_else(|| "unnamed".parse().ok())?,
        file: frame.file.to_owned(),
        dir: frame.dir.to_owned(),
        profiles: frame.profiles.clone(),
        services,
        gateway: tree.get("gateway").and_then(|node| gateway::gateway(tree, node, frame)),
        topics: events::topics(tree, frame),
        engines: Engines {
            stores: Stores { postgres: store_url(tree, "postgres"), mysql: store_url(tree, "mysql") },
            events: events::engine(tree.at(&["engines", "events"])),
        },
        contexts,
    })
}

fn store_url(tree: &Node, engine: &str) -> Option<String> {
    tree.at(&["engines", "stores", engine, "url"]).and_then(Node::text).map(str::to_owned)
}

/// A duration, or the default of its key.
pub(crate) fn duration(node: &Node, key: &crate::keys::Key) -> std::time::Duration {
    value::duration(Some(node), key)
}

/// The entries of a map whose keys are valid names.
fn named<N: FromStr + Ord, T>(node: Option<&Node>, read: impl Fn(&N, &Node) -> T) -> BTreeMap<N, T> {
    let entries = node.and_then(Node::as_map).into_iter().flat_map(|map| map.iter());
    entries
        .filter_map(|entry| {
            let name = entry.key.parse().ok()?;
            let value = read(&name, &entry.value);
            Some((name, value))
        })
        .collect()
}

/// Where a service's folder is: what is written, or beside the included file, or `services/<name>`.
pub(crate) fn service_path(name: &str, node: &Node, dir: &Path, sources: &Sources) -> PathBuf {
    use crate::source::files::clean;
    if let Some((span, text)) = node.get("path").and_then(|node| Some((node.span, node.text()?))) {
        return clean(&sources.dir_of(span).join(text));
    }
    if let Some((span, text)) = node.get("include").and_then(|node| Some((node.span, node.text()?))) {
        let included = clean(&sources.dir_of(span).join(text));
        return included.parent().unwrap_or(dir).to_owned();
    }
    dir.join("services").join(name)
}
