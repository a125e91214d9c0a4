//! `cargo xtask bench`: builds what is to be measured, and starts the benchmark.
//!
//! The benchmarks live in `bench/`, a workspace of its own: they bring along other projects' proxies, which the product's
//! lock file must not know and this crate must not build. So nothing here measures; it only brings the parts together.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::gate::shell::{self, Shell};
use crate::gate::tools;

/// The most time that builds from nothing and the benchmark may take together.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Measures the data plane beside its peers. The arguments go to the benchmark as they are.
///
/// # Errors
/// When something cannot be installed or built, or the benchmark fails.
pub fn proxy(root: PathBuf, arguments: &[String]) -> Result<()> {
    let mut shell = shell(root);
    tools::provide_peers(&mut shell)?;
    // As it is shipped: the peers are built with the same settings.
    shell.run("cargo", &["build", "--locked", "--profile", "dist", "--package", "motet-proxy", "--example", "edge"])?;
    let edge = shell.target().join("dist/examples/edge");
    start(shell, &["bench-proxy", "peer-pingora"], &["--edge".to_owned(), edge.display().to_string()], arguments)
}

/// Measures events beside their peers. The arguments go to the benchmark as they are.
///
/// # Errors
/// When something cannot be installed or built, or the benchmark fails.
pub fn events(root: PathBuf, arguments: &[String]) -> Result<()> {
    let mut shell = shell(root);
    tools::provide_event_peers(&mut shell)?;
    // As it is shipped, but for the clients of other engines, which take minutes to build and are not used.
    let build = ["build", "--locked", "--profile", "dist", "--package", "motet", "--no-default-features"];
    shell.run("cargo", &build)?;
    let motet = shell.target().join("dist/motet");
    start(shell, &["bench-events"], &["--motet".to_owned(), motet.display().to_string()], arguments)
}

fn shell(root: PathBuf) -> Shell {
    let mut shell = Shell::new(root, shell::to_terminal);
    shell.begin(LIMIT);
    shell
}

/// Builds these packages of `bench/` and starts the first of them with all arguments.
fn start(mut shell: Shell, packages: &[&str], own: &[String], arguments: &[String]) -> Result<()> {
    let built = shell.target().join("bench");
    let folder = built.display().to_string();
    let mut build = vec!["build", "--locked", "--release", "--target-dir", &folder];
    build.extend(packages.iter().flat_map(|package| ["--package", package]));
    shell.enter("bench")?.run("cargo", &build)?;
    // What was built for it comes first; Debian keeps servers out of an ordinary user's PATH.
    let (tools, path) = (shell.tools(), std::env::var("PATH").unwrap_or_default());
    shell.set("PATH", format!("{}:{path}:/usr/sbin", tools.display()));
    let benchmark = built.join("release").join(packages[0]).display().to_string();
    let words: Vec<&String> = own.iter().chain(arguments).collect();
    shell.enter("")?.run(&benchmark, &words)
}
