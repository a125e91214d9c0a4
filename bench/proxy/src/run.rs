//! A whole run: starts everything, goes round and round, and prints what came out.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    contender::{Contender, Places, Upstream},
    machine, report,
    round::{self, Amounts, Round},
    streams::{self, Held},
};

/// What is wanted of a run.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The contenders.
    pub names: &'a [&'static str],
    /// How many undisturbed rounds.
    pub rounds: usize,
    /// Short and once.
    pub quick: bool,
    /// Where all figures go besides.
    pub json: Option<&'a Path>,
}

/// Streams that are held where the limit of file descriptors allows it.
const STREAMS: usize = 10_000;

/// Runs everything and prints the tables.
///
/// # Errors
/// When a contender cannot be started or stops answering.
pub fn run(wanted: &Wanted<'_>, programs: &Path, edge: &Path, scratch: &Path) -> Result<()> {
    let begun = Instant::now();
    let streams = if wanted.quick { 200 } else { streams_possible() };
    let mut places =
        Places { programs: programs.to_owned(), edge: edge.to_owned(), scratch: scratch.to_owned(), streams: 0 };
    let rounds = rounds(wanted, &places)?;
    places.streams = streams;
    let held = held(wanted, &places)?;
    print(wanted, &rounds, &held, begun);
    if let Some(path) = wanted.json {
        let text = serde_json::to_string_pretty(&report::json(&rounds, &held, &machine::describe()))?;
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn calm(rounds: &[Round]) -> usize {
    rounds.iter().filter(|round| !round.disturbance().is_too_much()).count()
}

fn rounds(wanted: &Wanted<'_>, places: &Places) -> Result<Vec<Round>> {
    let upstream = Upstream::start(places)?;
    let start = |name: &&'static str| Contender::start(name, upstream.address, places);
    let contenders: Vec<Contender> = wanted.names.iter().map(start).collect::<Result<_>>()?;
    let amounts = if wanted.quick { Amounts::QUICK } else { Amounts::FULL };
    // Some more when the machine was disturbed, and then no more: who shares it may stay for hours.
    let most = if wanted.quick { wanted.rounds } else { wanted.rounds + wanted.rounds.div_ceil(3) };
    let mut rounds = Vec::new();
    while rounds.len() < most && calm(&rounds) < wanted.rounds {
        let round = round::run(rounds.len(), &contenders, &upstream.pids(), amounts)?;
        eprintln!("round {}: {}", rounds.len() + 1, round.disturbance());
        rounds.push(round);
    }
    Ok(rounds)
}

/// Each contender by itself and anew, so that its memory is that of the streams.
fn held(wanted: &Wanted<'_>, places: &Places) -> Result<Vec<Held>> {
    let upstream = Upstream::start(places)?;
    let proxies = wanted.names.iter().filter(|name| **name != "direct");
    let held = proxies.map(|name| {
        let contender = Contender::start(name, upstream.address, places)?;
        let held = streams::hold(&contender, places.streams)?;
        eprintln!("{name} holds {} streams", held.streams);
        Ok(held)
    });
    held.collect()
}

fn print(wanted: &Wanted<'_>, rounds: &[Round], held: &[Held], begun: Instant) {
    let enough = calm(rounds) >= wanted.rounds;
    let kept: Vec<&Round> = rounds.iter().filter(|round| !enough || !round.disturbance().is_too_much()).collect();
    let most = kept.iter().map(|round| round.disturbance()).fold(machine::Disturbance::default(), |a, b| a.worse(b));
    println!(
        "{}; {} of {} rounds kept, median (least–most); in those at most: {most}; {:.0} s in all.",
        machine::describe(),
        kept.len(),
        rounds.len(),
        begun.elapsed().as_secs_f64()
    );
    if !enough {
        println!(
            "**Disturbed**: only {} rounds were calm, so all were kept. Do not compare these figures with others.",
            calm(rounds)
        );
    }
    if wanted.quick {
        println!("**Quick**: this shows that the harness works, and nothing else.");
    }
    for (title, columns) in
        [("Calls", report::calls()), ("Streams", report::streams()), ("gRPC, unary", report::grpc())]
    {
        println!("\n### {title}\n\n{}", report::table(&columns, &kept, wanted.names));
    }
    println!("\n### Streams held while nothing happens\n\n{}", report::held(held));
}

/// Raises the limit of file descriptors, for the children too, and says how many streams it allows: each takes two in a proxy.
fn streams_possible() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it cannot be raised, fewer streams are held.
    let _ = setrlimit(Resource::Nofile, raised);
    let descriptors = getrlimit(Resource::Nofile).current.and_then(|most| usize::try_from(most).ok());
    descriptors.map_or(STREAMS, |most| STREAMS.min(most.saturating_sub(500) / 2))
}
