//! `bench-proxy`: what `cargo xtask bench proxy` runs once everything is built.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use bench_proxy::{
    contender::{Contender, NAMES, Places, Upstream},
    machine, report,
    round::{self, Durations, Round},
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
    let names = chosen(&arguments.only)?;
    let scratch = std::env::temp_dir().join(format!("motet-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let result = bench(&arguments, &names, &scratch);
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

fn bench(arguments: &Arguments, names: &[&'static str], scratch: &std::path::Path) -> Result<()> {
    let begun = Instant::now();
    let programs = std::env::current_exe()?.parent().context("this program is in no folder")?.to_owned();
    let places = Places { programs, edge: arguments.edge.clone(), scratch: scratch.to_owned(), streams: 0 };
    let upstream = Upstream::start(&places)?;
    let contenders: Vec<Contender> =
        names.iter().map(|name| Contender::start(name, upstream.address, &places)).collect::<Result<_>>()?;
    let durations = if arguments.quick { Durations::QUICK } else { Durations::FULL };
    let wanted = if arguments.quick { 1 } else { arguments.rounds };
    ensure!(wanted > 0, "--rounds must be 1 at least");

    let mut rounds: Vec<Round> = Vec::new();
    let calm = |rounds: &[Round]| rounds.iter().filter(|round| !round.disturbance().is_too_much()).count();
    // Some more when the machine was disturbed, and then no more: who shares it may stay for hours.
    while rounds.len() < wanted
        || calm(&rounds) < wanted && rounds.len() < wanted + wanted.div_ceil(3) && !arguments.quick
    {
        let round = round::run(rounds.len(), &contenders, &upstream.pids(), durations)?;
        eprintln!("round {}: {}", rounds.len() + 1, round.disturbance());
        rounds.push(round);
    }
    let kept: Vec<&Round> = if calm(&rounds) >= wanted {
        rounds.iter().filter(|round| !round.disturbance().is_too_much()).collect()
    } else {
        rounds.iter().collect()
    };
    println!(
        "Proxies: {}, {} of {} rounds kept ({} undisturbed), {:.0} s.\n",
        machine::describe(),
        kept.len(),
        rounds.len(),
        calm(&rounds),
        begun.elapsed().as_secs_f64()
    );
    println!("{}", report::table(&kept, names));
    Ok(())
}
