//! `cargo xtask`: the repository's chores on the command line.

#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use xtask::finding::Severity;
use xtask::gate;
use xtask::repo::{self, Repo};
use xtask::{bench, commands, tidy};

/// Repository chores of Motet.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Checks the rules that the repository keeps about itself: layers, fences, error pages, links, words.
    Tidy,
    /// Lists the commands that the documents tell people to type.
    Commands,
    /// Runs all tests, from the tools of the machine to the reference system under load.
    Test {
        /// Only this step; may be repeated.
        #[arg(long, value_name = "STEP")]
        only: Vec<String>,
        /// Lists the steps.
        #[arg(long)]
        list: bool,
    },
    /// Measures Motet beside what people use today, on this machine, in one run. See `bench/README.md`.
    Bench {
        /// What is measured.
        #[arg(value_enum, default_value_t)]
        what: Bench,
        /// For the benchmark itself: `--rounds N`, `--quick`, `--only CONTENDER,...`, `--json FILE`; `--help` says more.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Bench {
    /// The data plane beside nginx, haproxy, Pingora and a bare hyper proxy.
    #[default]
    Proxy,
    /// Durable events beside NATS, RabbitMQ, Redis and the disk itself.
    Events,
}

fn main() -> Result<ExitCode> {
    let root = repo::root()?;
    let well = match Arguments::parse().chore {
        Chore::Tidy => print_findings(&Repo::read(&root)?),
        Chore::Commands => {
            for command in commands::collect(&Repo::read(&root)?) {
                println!("{}:{}: {}", command.path, command.line, command.text);
            }
            true
        }
        Chore::Test { list: true, .. } => {
            gate::report::list();
            true
        }
        Chore::Test { only, .. } => gate::run(root, &only)?,
        Chore::Bench { what, arguments } => {
            match what {
                Bench::Proxy => bench::proxy(root, &arguments)?,
                Bench::Events => bench::events(root, &arguments)?,
            }
            true
        }
    };
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_findings(repo: &Repo) -> bool {
    let begun = Instant::now();
    let findings = tidy::check(repo);
    for finding in &findings {
        println!("{finding}\n");
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    let files = repo.files.len();
    println!("tidy: {files} files, {errors} errors, {warnings} warnings ({} ms)", begun.elapsed().as_millis());
    errors == 0
}
