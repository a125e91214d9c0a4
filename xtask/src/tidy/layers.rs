//! Who may import whom.
//!
//! What makes a workspace hard to hold in the head is not the number of crates but the depth of their graph. So there
//! are five layers, a crate imports only from layers below its own, and crates of one layer never see each other:
//! contexts meet in the binary and nowhere else. The table below is the whole rule; `ARCHITECTURE.md` explains it.

use std::collections::BTreeMap;

use crate::finding::Finding;
use crate::repo::{Crate, DependencyKind, Repo};

/// Where a crate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In what is shipped, at this height.
    Layer(u8),
    /// In tests only: may import everything below the binary, and others may have it as a dev-dependency.
    Test,
    /// Beside the product: imports no crate of the workspace, and none imports it.
    Tool,
}

/// Every crate of the workspace and its place. A crate that is not here is an error: placing it is the decision.
pub const TABLE: &[(&str, Place)] = &[
    // Words that every crate shares.
    ("motet-kernel", Place::Layer(0)),
    // Base: pure knowledge, no network.
    ("motet-model", Place::Layer(1)),
    ("motet-contract", Place::Layer(1)),
    ("motet-cloudevents", Place::Layer(1)),
    ("motet-store", Place::Layer(1)),
    // Contexts: each with its own words, ports and specs.
    ("motet-registry", Place::Layer(2)),
    ("motet-supervisor", Place::Layer(2)),
    ("motet-proxy", Place::Layer(2)),
    ("motet-datastore", Place::Layer(2)),
    ("motet-broker", Place::Layer(2)),
    ("motet-relay", Place::Layer(2)),
    ("motet-jobs", Place::Layer(2)),
    ("motet-workflow", Place::Layer(2)),
    ("motet-telemetry", Place::Layer(2)),
    ("motet-inference", Place::Layer(2)),
    // Edge: the world's engines and the way in for people.
    ("motet-adapters", Place::Layer(3)),
    ("motet-api", Place::Layer(3)),
    // The whole.
    ("motet", Place::Layer(4)),
    ("motet-testkit", Place::Test),
    ("xtask", Place::Tool),
];

/// The contexts' layer. They do not know the definition either: the binary maps it onto their specs.
const CONTEXTS: u8 = 2;

/// Checks every dependency between crates of the workspace.
pub fn check(repo: &Repo) -> Vec<Finding> {
    let places: BTreeMap<&str, Place> = TABLE.iter().copied().collect();
    let mut findings = Vec::new();
    for member in &repo.crates {
        let Some(&place) = places.get(member.name.as_str()) else {
            findings.push(Finding::error(
                &member.manifest,
                1,
                format!("{} has no layer.", member.name),
                "place it in the table of xtask/src/tidy/layers.rs and in ARCHITECTURE.md, with a line on why it is a crate.",
            ));
            continue;
        };
        for dependency in &member.dependencies {
            let Some(&below) = places.get(dependency.name.as_str()) else { continue };
            if let Some((what, way_out)) = verdict(member, place, &dependency.name, below, dependency.kind) {
                let line = line_of(repo, &member.manifest, &dependency.name);
                findings.push(Finding::error(&member.manifest, line, what, way_out));
            }
        }
    }
    findings
}

fn verdict(
    member: &Crate,
    place: Place,
    import: &str,
    below: Place,
    kind: DependencyKind,
) -> Option<(String, &'static str)> {
    let name = &member.name;
    let dev = kind == DependencyKind::Dev;
    match (place, below) {
        (Place::Tool, _) => Some((
            format!("{name} imports {import}."),
            "keep the tool free of the workspace, so that it builds while the rest does not; read files instead.",
        )),
        (_, Place::Tool) => {
            Some((format!("{name} imports the tool {import}."), "move what is shared into the crate whose word it is."))
        }
        (Place::Layer(_), Place::Test) if dev => None,
        (_, Place::Test) => Some((
            format!("{name} ships the test crate {import}."),
            "move the line to [dev-dependencies], or the code out of the test crate.",
        )),
        (Place::Test, Place::Layer(height)) if height < 4 => None,
        (Place::Test, Place::Layer(_)) => {
            Some((format!("{name} imports the binary {import}."), "test the binary from its own tests folder."))
        }
        (Place::Layer(own), Place::Layer(other)) if own == other && name != import => Some((
            format!("{name} imports {import} of its own layer {own}."),
            "let the crate declare a port for what it needs and connect the two in crates/motet/src/roles.",
        )),
        (Place::Layer(own), Place::Layer(other)) if own < other => Some((
            format!("{name} (layer {own}) imports {import} (layer {other}), which stands above it."),
            "turn the arrow round: declare a port here and implement it there.",
        )),
        (Place::Layer(CONTEXTS), Place::Layer(1)) if import == "motet-model" => Some((
            format!("the context {name} imports the definition ({import})."),
            "give the context a spec type of its own; the binary maps motet-model's System onto it.",
        )),
        _ => None,
    }
}

/// The line of a manifest that names a dependency, or 1.
pub(super) fn line_of(repo: &Repo, manifest: &str, dependency: &str) -> usize {
    let names = |line: &str| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    repo.file(manifest).and_then(|file| file.lines().find(|(_, line)| names(line))).map_or(1, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Dependency;

    fn workspace(name: &str, import: &str, kind: DependencyKind) -> Repo {
        let manifest = format!("crates/{name}/Cargo.toml");
        let text = format!("[dependencies]\n{import}.workspace = true\n");
        let mut repo = Repo::of(&[(&manifest, &text)]);
        let dependencies = vec![Dependency { name: import.to_owned(), kind }];
        repo.crates.push(Crate { name: name.to_owned(), manifest, dependencies });
        repo
    }

    fn errors(name: &str, import: &str, kind: DependencyKind) -> Vec<String> {
        check(&workspace(name, import, kind)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_crate_may_import_from_below() {
        assert!(errors("motet-proxy", "motet-kernel", DependencyKind::Normal).is_empty());
        assert!(errors("motet-adapters", "motet-datastore", DependencyKind::Normal).is_empty());
        assert!(errors("motet", "motet-model", DependencyKind::Normal).is_empty());
    }

    #[test]
    fn a_crate_never_imports_its_own_layer_or_one_above() {
        assert_eq!(errors("motet-proxy", "motet-registry", DependencyKind::Normal).len(), 1);
        assert_eq!(errors("motet-proxy", "motet-registry", DependencyKind::Dev).len(), 1);
        assert_eq!(errors("motet-kernel", "motet-proxy", DependencyKind::Normal).len(), 1);
        assert_eq!(errors("motet-registry", "motet-api", DependencyKind::Build).len(), 1);
    }

    #[test]
    fn a_context_does_not_know_the_definition() {
        assert_eq!(errors("motet-supervisor", "motet-model", DependencyKind::Normal).len(), 1);
        assert!(errors("motet-api", "motet-model", DependencyKind::Normal).is_empty());
    }

    #[test]
    fn the_test_crate_is_a_dev_dependency_only() {
        assert!(errors("motet-registry", "motet-testkit", DependencyKind::Dev).is_empty());
        assert_eq!(errors("motet-registry", "motet-testkit", DependencyKind::Normal).len(), 1);
        assert!(errors("motet-testkit", "motet-adapters", DependencyKind::Normal).is_empty());
        assert_eq!(errors("motet-testkit", "motet", DependencyKind::Normal).len(), 1);
    }

    #[test]
    fn a_crate_without_a_place_is_named_at_its_manifest() {
        let mut repo = workspace("motet-new", "anyhow", DependencyKind::Normal);
        let found = check(&repo);
        assert_eq!((found[0].path.as_str(), found[0].line), ("crates/motet-new/Cargo.toml", 1));
        repo.crates.clear();
        assert!(check(&repo).is_empty());
    }

    #[test]
    fn a_finding_points_at_the_line_of_the_dependency() {
        let found = check(&workspace("motet-proxy", "motet-supervisor", DependencyKind::Normal));
        assert_eq!(found[0].line, 2);
    }
}
