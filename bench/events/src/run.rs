//! A whole run: starts every server, goes round and round, and prints what came out. Who begins changes from round to round, so that
//! nobody always follows the same neighbour.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use bench_proxy::machine::{self, Disturbance};
use tokio::runtime::Runtime;

use crate::{
    cell::{self, Amounts, Cell},
    contender::{self, Places, Way},
    report, waiting,
};

/// What is wanted of a run.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The servers.
    pub servers: Vec<&'static str>,
    /// Texts in the names of ways; all ways without any.
    pub ways: Vec<String>,
    /// How many publishes are under way.
    pub in_flight: Vec<usize>,
    /// How many undisturbed rounds.
    pub rounds: usize,
    /// How long each cell is.
    pub amounts: Amounts,
    /// Short and once.
    pub is_quick: bool,
    /// Instead of rounds: what it takes while so many wait.
    pub waiting: Option<u64>,
    /// Where all figures go besides.
    pub json: Option<PathBuf>,
}

/// Every way at every concurrency, once.
#[derive(Debug, Clone)]
pub struct Round {
    /// In the order in which they came.
    pub cells: Vec<Cell>,
}

impl Round {
    /// The worst that happened in it.
    pub fn disturbance(&self) -> Disturbance {
        self.cells.iter().map(|cell| cell.disturbance).fold(Disturbance::default(), Disturbance::worse)
    }
}

/// Runs everything and prints the tables.
///
/// # Errors
/// When a server cannot be started or stops answering.
pub fn run(wanted: &Wanted, places: &Places, runtime: &Runtime) -> Result<()> {
    let begun = Instant::now();
    if let Some(events) = wanted.waiting {
        println!("{}; {}.", machine::describe(), report::disk(&places.scratch));
        println!("\n{}", waiting::run(&wanted.servers, events, places, runtime)?);
        return Ok(());
    }
    let mut ways = Vec::new();
    for server in &wanted.servers {
        ways.extend(contender::start(server, places).with_context(|| format!("starting {server}"))?);
    }
    let is_wanted = |way: &Box<dyn Way>| {
        wanted.ways.is_empty() || wanted.ways.iter().any(|text| way.name().contains(text.as_str()))
    };
    ways.retain(is_wanted);
    // Some more when the machine was disturbed, and then no more: who shares it may stay for hours.
    let most = if wanted.is_quick { wanted.rounds } else { wanted.rounds + wanted.rounds.div_ceil(3) };
    let mut rounds: Vec<Round> = Vec::new();
    while rounds.len() < most && calm(&rounds) < wanted.rounds {
        let round = runtime.block_on(round(rounds.len(), &ways, wanted))?;
        eprintln!("round {}: {}", rounds.len() + 1, round.disturbance());
        rounds.push(round);
    }
    print(wanted, &ways, &rounds, places, begun);
    if let Some(path) = &wanted.json {
        let text = serde_json::to_string_pretty(&report::json(&rounds, &machine::describe()))?;
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn calm(rounds: &[Round]) -> usize {
    rounds.iter().filter(|round| !round.disturbance().is_too_much()).count()
}

async fn round(number: usize, ways: &[Box<dyn Way>], wanted: &Wanted) -> Result<Round> {
    let (before, after) = ways.split_at(number % ways.len().max(1));
    let mut cells = Vec::new();
    for way in after.iter().chain(before) {
        for &in_flight in &wanted.in_flight {
            // No two cells of a run have the same.
            let id = ((number * ways.len() * wanted.in_flight.len()) + cells.len() + 1) as u64;
            let cell = cell::measure(&**way, in_flight, wanted.amounts, id).await;
            cells.push(cell.with_context(|| format!("measuring {}, {in_flight} in flight", way.name()))?);
        }
    }
    Ok(Round { cells })
}

fn print(wanted: &Wanted, ways: &[Box<dyn Way>], rounds: &[Round], places: &Places, begun: Instant) {
    let enough = calm(rounds) >= wanted.rounds;
    let kept: Vec<&Round> = rounds.iter().filter(|round| !enough || !round.disturbance().is_too_much()).collect();
    let most = kept.iter().map(|round| round.disturbance()).fold(Disturbance::default(), Disturbance::worse);
    let mut versions: Vec<String> = ways.iter().map(|way| way.version()).filter(|text| text != "the floor").collect();
    versions.dedup();
    println!(
        "{}, {}; {}; cells of {} s; {} of {} rounds kept, median (least–most); in those at most: {most}; {:.0} s in all.",
        machine::describe(),
        report::disk(&places.scratch),
        versions.join(", "),
        wanted.amounts.length.as_secs_f64(),
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
    if wanted.is_quick {
        println!("**Quick**: this shows that the harness works, and nothing else.");
    }
    let names: Vec<&str> = ways.iter().map(|way| way.name()).collect();
    println!("\n{}", report::table(&kept, &names, &wanted.in_flight));
    println!("\n{}", report::standings(&kept, &wanted.in_flight));
}
