//! `bench-proxy`: what `cargo xtask bench proxy` runs once everything is built.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use bench_proxy::{
    contender::NAMES,
    run::{self, Wanted},
};
use clap::Parser;

/// Measures the data plane beside its peers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program that holds one edge of Motet's open.
    #[arg(long, value_name = "PROGRAM")]
    edge: PathBuf,
    /// How many undisturbed rounds are wanted.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Short and once, to see that the harness works. The figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Only these contenders.
    #[arg(long, value_name = "CONTENDER,...", value_delimiter = ',')]
    only: Vec<String>,
    /// Writes all figures of all rounds to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.rounds > 0, "--rounds must be 1 at least");
    let names = chosen(&arguments.only)?;
    let scratch = std::env::temp_dir().join(format!("motet-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let program = std::env::current_exe()?;
    let programs = program.parent().context("this program is in no folder")?;
    let rounds = if arguments.quick { 1 } else { arguments.rounds };
    let wanted = Wanted { names: &names, rounds, quick: arguments.quick, json: arguments.json.as_deref() };
    let result = run::run(&wanted, programs, &arguments.edge, &scratch);
    // What the programs said is of interest only when something went wrong.
    match &result {
        Ok(()) => fs::remove_dir_all(&scratch)?,
        Err(_) => eprintln!("what the programs said is in {}", scratch.display()),
    }
    result
}

fn chosen(only: &[String]) -> Result<Vec<&'static str>> {
    if let Some(unknown) = only.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!("there is no contender `{unknown}`; they are: {}", NAMES.join(", "));
    }
    // Added latency needs `direct`.
    let wanted = |name: &&str| only.is_empty() || *name == "direct" || only.iter().any(|only| only == name);
    Ok(NAMES.iter().copied().filter(wanted).collect())
}
