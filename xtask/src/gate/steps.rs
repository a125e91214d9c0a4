//! The steps of `cargo xtask test`, in order: cheap ones first, then what others build on.
//!
//! Nothing is built twice that need not be: the end-to-end tests run the `motet` that the workspace's tests have built
//! (the development profile), and the services that `motet up` would build (the release profile, in the example's own
//! workspace), so a first `cargo xtask test` leaves a system that starts at once.

use std::time::Duration;

use anyhow::Result;

use super::shell::Shell;
use super::tools;

/// A step: a name, a line about it, the most time it may take, and what it does.
#[derive(Debug)]
pub struct Step {
    /// What `--only` takes.
    pub name: &'static str,
    /// A line for people.
    pub about: &'static str,
    /// The most time it may take, builds from nothing included.
    pub limit: Duration,
    /// True when a run without a single test is a failure.
    pub has_tests: bool,
    /// What it does.
    pub run: fn(&mut Shell) -> Result<()>,
}

/// All steps, in order.
pub const STEPS: &[Step] = &[
    Step {
        name: "tools",
        about: "Python, Node, a C compiler, PostgreSQL, MariaDB and Chromium are there, or are installed",
        limit: minutes(15),
        has_tests: false,
        run: tools::provide,
    },
    Step { name: "format", about: "cargo fmt, in all workspaces", limit: minutes(2), has_tests: false, run: format },
    Step {
        name: "lint",
        about: "clippy over the workspace, warnings are errors",
        limit: minutes(15),
        has_tests: false,
        run: lint,
    },
    Step {
        name: "workspace",
        about: "the tests of all crates, on real PostgreSQL and MariaDB too, and of the repository's own rules",
        limit: minutes(40),
        has_tests: true,
        run: workspace,
    },
    Step {
        name: "sdks",
        about: "CloudEvents SDKs of three languages, and inboxes of four, in services run by motet",
        limit: minutes(10),
        has_tests: true,
        run: sdks,
    },
    Step {
        name: "rust",
        about: "askdocs: the services in Rust",
        limit: minutes(20),
        has_tests: true,
        run: rust_services,
    },
    Step {
        name: "python",
        about: "askdocs: the services in Python, each in its own environment",
        limit: minutes(10),
        has_tests: true,
        run: python_services,
    },
    Step {
        name: "web",
        about: "askdocs: the page and its back end, in Chromium too",
        limit: minutes(10),
        has_tests: true,
        run: web,
    },
    Step {
        name: "retrieval",
        about: "askdocs: does it still find the right passages?",
        limit: minutes(10),
        has_tests: false,
        run: retrieval,
    },
    Step {
        name: "end-to-end",
        about: "askdocs, run by motet: questions, faults, kills, rolling restarts",
        limit: minutes(15),
        has_tests: true,
        run: end_to_end,
    },
];

/// The services of askdocs that are written in Python.
const PYTHON_SERVICES: &[&str] = &["parser", "library", "answerer"];

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn format(shell: &mut Shell) -> Result<()> {
    shell.run("cargo", &["fmt", "--all", "--check"])?;
    for workspace in ["examples/askdocs", "bench"] {
        shell.enter(workspace)?.run("cargo", &["fmt", "--all", "--check"])?;
    }
    Ok(())
}

fn lint(shell: &mut Shell) -> Result<()> {
    shell.run("cargo", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    let simulation =
        ["clippy", "--locked", "-p", "motet-proxy", "--features", "simulation", "--lib", "--test", "simulation"];
    shell.run("cargo", &[&simulation[..], &["--", "-D", "warnings"]].concat())
}

fn workspace(shell: &mut Shell) -> Result<()> {
    shell.run("cargo", &["test", "--locked", "--workspace", "--no-fail-fast"])?;
    // Apart, because it puts a simulated network in the place of the real one.
    let simulation = ["test", "--locked", "-p", "motet-proxy", "--features", "simulation", "--test", "simulation"];
    shell.run("cargo", &simulation)
}

fn sdks(shell: &mut Shell) -> Result<()> {
    let motet = shell.target().join("debug").join("motet");
    // A no-op after the workspace's tests; here so that `--only sdks` runs what is there now.
    shell.run("cargo", &["test", "--locked", "--workspace", "--no-run"])?;
    shell.set("MOTET_BIN", motet.display().to_string()).enter("examples/cloudevents/tests")?;
    python_tests(shell, "-q")
}

fn rust_services(shell: &mut Shell) -> Result<()> {
    shell.enter("examples/askdocs/services/embedder")?.run("sh", &["fetch-model.sh"])?;
    // Release: a model in a development build answers in minutes.
    shell.enter("examples/askdocs")?.run("cargo", &["test", "--locked", "--workspace", "--release", "--no-fail-fast"])
}

fn python_services(shell: &mut Shell) -> Result<()> {
    PYTHON_SERVICES.iter().try_for_each(|service| {
        shell.enter(&format!("examples/askdocs/services/{service}"))?;
        python_tests(shell, "-q")
    })
}

fn python_tests(shell: &mut Shell, detail: &str) -> Result<()> {
    shell.run("sh", &["build.sh", "test"])?;
    shell.run(".venv/bin/python", &["-m", "pytest", detail, "-p", "no:cacheprovider", "--color=no"])
}

fn web(shell: &mut Shell) -> Result<()> {
    shell.enter("examples/askdocs/services/web")?;
    shell.run("npm", &["ci", "--no-audit", "--no-fund"])?;
    shell.run("npm", &["test"])
}

fn retrieval(shell: &mut Shell) -> Result<()> {
    shell.enter("examples/askdocs")?.run("cargo", &["build", "--locked", "--workspace", "--release"])?;
    shell.run("services/parser/.venv/bin/python", &["evaluation/evaluate.py", "--details"])
}

fn end_to_end(shell: &mut Shell) -> Result<()> {
    let motet = shell.target().join("debug").join("motet");
    // A no-op after the workspace's tests (a build of the one package would unify other features and build anew); here
    // so that `--only end-to-end` runs what is there now.
    shell.run("cargo", &["test", "--locked", "--workspace", "--no-run"])?;
    shell.set("MOTET_BIN", motet.display().to_string()).enter("examples/askdocs/tests")?;
    // A line for each: they take minutes together, and their names say what is being shown.
    python_tests(shell, "-v")
}
