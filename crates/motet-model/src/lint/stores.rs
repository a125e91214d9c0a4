//! A lint about data with two owners.

use super::Lint;
use crate::{
    code,
    finding::Finding,
    rules::{Subject, entries},
    source::{Span, files::clean},
    system::Service,
};
use std::{collections::BTreeMap, path::Path};

const SERVERS: &[&str] = &["postgres", "postgresql", "mysql", "mariadb", "mongodb", "mongodb+srv", "redis", "rediss"];
const FILES: &[&str] = &["db", "sqlite", "sqlite3", "duckdb"];

/// A store and where a service was told of it.
type Known<'a> = BTreeMap<String, (&'a str, Span)>;

pub(super) fn check(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let mut known = Known::new();
    for (name, service) in &subject.system.services {
        for entry in entries(subject.tree.at(&["services", name.as_str(), "env"])) {
            let Some(store) = entry.value.text().and_then(|text| identity(text, service)) else { continue };
            let span = entry.value.span;
            match known.get(&store) {
                Some((owner, first)) if *owner != name.as_str() => {
                    lints.push(shared(name.as_str(), span, owner, *first))
                }
                Some(_) => {}
                None => {
                    known.insert(store, (name.as_str(), span));
                }
            }
        }
    }
}

fn shared(name: &str, span: Span, owner: &str, first: Span) -> Lint {
    let finding = Finding::warning(code::SHARED_STORE, format!("`{owner}` and `{name}` share a store"))
        .at(span, format!("the store of `{owner}`"))
        .also(first, "told first here")
        .help(format!(
            "data with two owners cannot change its shape any more: let `{owner}` keep it and `{name}` ask for it over an edge, or give each a `store` of its own"
        ));
    Lint::of_services(finding, [name, owner])
}

/// What tells a store from others: server and database without user and options, or the file. `None` when the text names no store.
fn identity(text: &str, service: &Service) -> Option<String> {
    let bare = text.split(['?', '#']).next().unwrap_or_default();
    if let Some((scheme, rest)) = bare.split_once("://") {
        let scheme = scheme.split('+').next().unwrap_or(scheme);
        if scheme == "sqlite" || scheme == "file" {
            return file(rest.strip_prefix('/').filter(|path| path.starts_with('/')).unwrap_or(rest), service);
        }
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place).trim_end_matches('/');
        return SERVERS.contains(&scheme).then(|| format!("{}://{place}", scheme.trim_end_matches("ql")));
    }
    file(bare.strip_prefix("sqlite:").or_else(|| bare.strip_prefix("file:")).unwrap_or(bare), service)
}

fn file(path: &str, service: &Service) -> Option<String> {
    let extension = Path::new(path).extension()?.to_str()?;
    FILES.contains(&extension).then(|| clean(&service.path.join(path)).display().to_string())
}
