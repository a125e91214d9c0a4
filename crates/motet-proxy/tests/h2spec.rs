//! An edge before h2spec, the conformance suite for HTTP/2 and HPACK that others hold their servers to. It is run where it is there: `cargo
//! xtask test` installs it where Go is, `H2SPEC` names another one. Where it is not, the test says so.

use crate::world::{Server, World, full};
use http::Response;
use motet_proxy::EdgePolicy;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};
use tokio::process::Command;

/// What an edge does otherwise on purpose: a caller that begins with something else than HTTP/2's preface is answered in HTTP/1.1 (with
/// 400), because both are spoken on every address.
const ON_PURPOSE: [&str; 1] = ["2: Sends invalid connection preface"];

fn suite() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("H2SPEC") {
        return Some(named.into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    Some(target.join("tools/h2spec")).filter(|installed| installed.exists())
}

#[tokio::test]
async fn an_edge_speaks_http2_as_h2spec_asks() {
    let Some(suite) = suite() else {
        eprintln!(
            "h2spec is not here, so HTTP/2 was not held to it: `cargo xtask test --only tools` installs it where Go is"
        );
        return;
    };
    let world = World::start(EdgePolicy::default()).await;
    let server = Server::start(|_| async { Response::new(full("some words")) }).await;
    world.add(server.address);
    let port = world.address.port().to_string();
    let run = Command::new(suite).args(["--host", "127.0.0.1", "--port", &port, "--timeout", "5"]).output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(300), run).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let summary = text.lines().find(|line| line.contains(" tests, ")).unwrap_or_else(|| panic!("no summary:\n{text}"));
    let count: u32 = summary.split(' ').next().unwrap().parse().unwrap();
    assert!(count >= 140, "{summary}");
    let failed: BTreeSet<_> =
        text.lines().filter_map(|line| line.split_once("× ")).map(|(_, name)| name.trim()).collect();
    assert_eq!(failed, BTreeSet::from(ON_PURPOSE), "{summary}");
}
