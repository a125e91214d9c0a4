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
    let mut shell = Shell::new(root, shell::to_terminal);
    shell.begin(LIMIT);
    let target = shell.target();
    let built = target.join("bench");
    tools::provide_peers(&mut shell)?;
    // As it is shipped: the peers are built with the same settings.
    shell.run("cargo", &["build", "--locked", "--profile", "dist", "--package", "motet-proxy", "--example", "edge"])?;
    let folder = built.display().to_string();
    shell.enter("bench")?.run("cargo", &["build", "--locked", "--release", "--target-dir", &folder])?;
    // Debian keeps servers out of an ordinary user's PATH.
    let path = std::env::var("PATH").unwrap_or_default();
    shell.set("PATH", format!("{path}:/usr/sbin"));
    let edge = target.join("dist/examples/edge").display().to_string();
    let mut words = vec!["--edge", &edge];
    words.extend(arguments.iter().map(String::as_str));
    let benchmark = built.join("release/bench-proxy").display().to_string();
    shell.enter("")?.run(&benchmark, &words)
}
