//! `bench-events`: what `cargo xtask bench events` runs once everything is built.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Result, bail, ensure};
use bench_events::{
    cell::Amounts,
    contender::{self, Places, SERVERS},
    run::{self, Wanted},
};
use clap::{Args, Parser, Subcommand};

/// As in the `motet` binary; the floor's server gets it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures events beside their peers.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    bench: Option<Bench>,
}

/// What the benchmark starts of itself.
#[derive(Debug, Subcommand)]
#[command(rename_all = "lower")]
enum Part {
    /// The floor behind HTTP.
    #[command(hide = true)]
    Floor { address: SocketAddr, log: PathBuf },
    /// The service in Motet's definition.
    #[command(hide = true)]
    Service,
}

#[derive(Debug, Args)]
struct Bench {
    /// The `motet` binary.
    #[arg(long, value_name = "PROGRAM")]
    motet: PathBuf,
    /// How many undisturbed rounds are wanted.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each cell is measured.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// How many publishes are under way.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 16, 256])]
    in_flight: Vec<usize>,
    /// Short and once, to see that the harness works. The figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Only these servers.
    #[arg(long, value_name = "SERVER,...", value_delimiter = ',')]
    only: Vec<String>,
    /// Of their ways only those with one of these texts in their name.
    #[arg(long, value_name = "TEXT,...", value_delimiter = ',')]
    ways: Vec<String>,
    /// Instead: what servers take while so many events wait for a consumer.
    #[arg(long, value_name = "EVENTS")]
    waiting: Option<u64>,
    /// Where servers keep their data; the disk that is measured.
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir())]
    on: PathBuf,
    /// Writes all figures of all rounds to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let bench = match (arguments.part, arguments.bench) {
        (Some(Part::Floor { address, log }), _) => return runtime.block_on(contender::floor::serve(address, &log)),
        (Some(Part::Service), _) => return contender::motet::serve(),
        (None, Some(bench)) => bench,
        (None, None) => bail!("say with `--motet` where the `motet` binary is"),
    };
    ensure!(bench.rounds > 0 && bench.seconds > 0.0, "--rounds and --seconds must be more than 0");
    ensure!(!bench.in_flight.contains(&0), "--in-flight must be 1 at least");
    if let Some(unknown) = bench.only.iter().find(|name| !SERVERS.contains(&name.as_str())) {
        bail!("there is no server `{unknown}`; they are: {}", SERVERS.join(", "));
    }
    let scratch = bench.on.join(format!("motet-bench-events-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let scratch = scratch.canonicalize()?;
    let places = Places { own: std::env::current_exe()?, motet: bench.motet.canonicalize()?, scratch: scratch.clone() };
    let seconds = if bench.quick { 0.3 } else { bench.seconds };
    let wanted = Wanted {
        servers: SERVERS
            .iter()
            .copied()
            .filter(|name| bench.only.is_empty() || bench.only.iter().any(|only| only == name))
            .collect(),
        ways: bench.ways,
        in_flight: bench.in_flight,
        rounds: if bench.quick { 1 } else { bench.rounds },
        amounts: Amounts {
            warm: Duration::from_secs_f64((seconds / 5.0).max(0.1)),
            length: Duration::from_secs_f64(seconds),
        },
        is_quick: bench.quick,
        waiting: bench.waiting,
        json: bench.json,
    };
    let result = run::run(&wanted, &places, &runtime);
    // What the programs said is of interest only when something went wrong.
    match &result {
        Ok(()) => fs::remove_dir_all(&scratch)?,
        Err(_) => eprintln!("what the programs said is in {}", scratch.display()),
    }
    result
}
