//! Third-party crates stay in their rooms.
//!
//! A vendor's types that are used everywhere cannot be replaced, and a heavy dependency in a low crate makes every
//! build pay for it. So each crate that could spread has a list of rooms, with the reason. Dev-dependencies are free:
//! a test may look at a thing with whatever shows it best.

use crate::finding::Finding;
use crate::repo::{DependencyKind, Repo};
use crate::tidy::layers::line_of;

/// Third-party crates, the crates of ours that may import them, and why only those.
pub const TABLE: &[(&[&str], &[&str], &str)] = &[
    (
        &["hyper", "hyper-util", "axum", "tower", "tower-http"],
        &["motet-proxy", "motet-api"],
        "HTTP is served in the data plane and in the control API; everybody else sees ports and values",
    ),
    (
        &["rustls", "tokio-rustls", "rustls-native-certs", "ring"],
        &["motet-proxy"],
        "TLS and signatures are the gateway's; one room for cryptography is one place to look at",
    ),
    (
        &["reqwest"],
        &["motet-api", "motet-adapters", "motet"],
        "calls go out from the typed client, the adapters and the binary",
    ),
    (&["utoipa"], &["motet-api"], "documents are generated from wire types, and wire types live in the API"),
    (
        &["granit-parser", "serde-saphyr"],
        &["motet-model", "motet"],
        "YAML is read in one place, behind motet_model::source",
    ),
    (
        &["jsonschema"],
        &["motet-contract", "motet-model"],
        "a schema is compiled where payloads are held against it, and checked where the definition names it",
    ),
    (&["schemars"], &["motet-model"], "the schema of the definition is made where the definition is read"),
    (&["miette", "ariadne"], &["motet-model", "motet"], "diagnostics are made by the model and shown by the binary"),
    (&["clap", "clap_complete"], &["motet", "xtask"], "only a binary has a command line"),
    (&["indicatif", "console", "ratatui"], &["motet"], "only the binary has a terminal"),
    (&["tracing-subscriber"], &["motet"], "a library emits, the binary decides where it goes"),
    (&["anyhow"], &["motet", "xtask"], "a library has one error type per failure; only a binary may say `some error`"),
    (
        &["rusqlite"],
        &["motet-datastore", "motet-relay"],
        "SQLite belongs to the stores of services, and to what reads them",
    ),
    (
        &["tokio-postgres", "mysql_async", "sqlx"],
        &["motet-adapters"],
        "servers are reached through ports; adapters implement them",
    ),
    (&["fjall", "redb"], &["motet-store"], "the embedded store hides the engine that it stands on"),
    (&["nix", "libc"], &["motet-supervisor", "motet"], "processes and signals belong to who owns the children"),
    (
        &["bollard", "kube", "k8s-openapi", "rdkafka", "lapin", "async-nats", "zookeeper-client"],
        &["motet-adapters"],
        "a vendor's client implements a port, in its adapter, behind its feature",
    ),
];

/// Crates that hold fixtures for all of the above.
const FREE: &[&str] = &["motet-testkit"];

/// Checks every shipped dependency of every crate.
pub fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in repo.crates.iter().filter(|member| !FREE.contains(&member.name.as_str())) {
        for dependency in member.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Dev) {
            let fence = TABLE.iter().find(|(names, ..)| names.contains(&dependency.name.as_str()));
            let Some((_, rooms, reason)) = fence else { continue };
            if rooms.contains(&member.name.as_str()) {
                continue;
            }
            findings.push(Finding::error(
                &member.manifest,
                line_of(repo, &member.manifest, &dependency.name),
                format!("{} imports {}: {reason}.", member.name, dependency.name),
                format!(
                    "use it in {} behind a type or a port of ours, or change the table in xtask/src/tidy/fences.rs with a reason.",
                    rooms.join(", ")
                ),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::{Crate, Dependency};

    fn findings(name: &str, import: &str, kind: DependencyKind) -> usize {
        let dependencies = vec![Dependency { name: import.to_owned(), kind }];
        let member = Crate { name: name.to_owned(), manifest: format!("crates/{name}/Cargo.toml"), dependencies };
        check(&Repo { crates: vec![member], ..Repo::default() }).len()
    }

    #[test]
    fn a_fenced_crate_is_refused_outside_its_rooms() {
        assert_eq!(findings("motet-registry", "hyper", DependencyKind::Normal), 1);
        assert_eq!(findings("motet-model", "anyhow", DependencyKind::Build), 1);
    }

    #[test]
    fn a_fenced_crate_is_welcome_in_its_rooms_and_in_tests() {
        assert_eq!(findings("motet-proxy", "hyper", DependencyKind::Normal), 0);
        assert_eq!(findings("motet-registry", "hyper", DependencyKind::Dev), 0);
        assert_eq!(findings("motet-testkit", "tokio-postgres", DependencyKind::Normal), 0);
    }

    #[test]
    fn an_unfenced_crate_is_welcome_everywhere() {
        assert_eq!(findings("motet-registry", "bytes", DependencyKind::Normal), 0);
    }
}
