//! One turn of every contender: as fast as it can, then at each fixed rate. Who begins changes from round to round, so that
//! nobody always follows the same neighbour.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::{
    contender::Contender,
    generator::{Generator, Tally},
    machine::{Disturbance, Reading},
    pace::SECOND,
    processes::{self, Memory},
};

/// Connections of the closed loop.
const CLOSED: usize = 64;
/// Connections of the open loop.
const OPEN: usize = 32;
/// Requests a second of the open loops.
pub const RATES: [u32; 2] = [2_000, 5_000];

/// How long things are measured, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Durations {
    /// Before anything is counted.
    pub warm: u64,
    /// As fast as it can.
    pub saturation: u64,
    /// At each fixed rate.
    pub rate: u64,
}

impl Durations {
    /// Of a run whose figures are meant to be kept.
    pub const FULL: Self = Self { warm: SECOND * 3 / 10, saturation: 2 * SECOND, rate: 2 * SECOND };
    /// Of a run that shows whether the harness works.
    pub const QUICK: Self = Self { warm: SECOND / 10, saturation: SECOND / 2, rate: SECOND / 2 };
}

/// What one load on one contender gave.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What the caller saw.
    pub tally: Tally,
    /// Errors outside the measured stretch.
    pub errors_beside: u64,
    /// Processor seconds of the contender.
    pub cpu: f64,
    /// Processor seconds of the upstream and the caller.
    pub cpu_beside: f64,
    /// What else the machine did.
    pub disturbance: Disturbance,
}

impl Cell {
    /// Processor seconds of the contender for 100,000 requests.
    pub fn cpu_per_100k(&self) -> f64 {
        self.cpu * 100_000.0 / self.tally.answered.max(1) as f64
    }

    /// Processor seconds of the upstream and the caller for 100,000 requests.
    pub fn cpu_beside_per_100k(&self) -> f64 {
        self.cpu_beside * 100_000.0 / self.tally.answered.max(1) as f64
    }

    /// All that was not answered well.
    pub fn errors(&self) -> u64 {
        self.tally.errors + self.errors_beside
    }
}

/// One contender in one round.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Its name.
    pub name: &'static str,
    /// In a closed loop.
    pub saturation: Cell,
    /// At each of [`RATES`].
    pub rates: Vec<Cell>,
    /// After saturation.
    pub memory: Memory,
}

/// All contenders once.
#[derive(Debug, Clone)]
pub struct Round {
    /// In the order in which they came.
    pub turns: Vec<Turn>,
}

impl Round {
    /// The turn of a contender.
    pub fn of(&self, name: &str) -> Option<&Turn> {
        self.turns.iter().find(|turn| turn.name == name)
    }

    /// The worst that happened in it.
    pub fn disturbance(&self) -> Disturbance {
        let cells = self.turns.iter().flat_map(|turn| turn.rates.iter().chain([&turn.saturation]));
        cells.map(|cell| cell.disturbance).fold(Disturbance::default(), Disturbance::worse)
    }
}

/// Measures every contender once, beginning with another one each round.
///
/// # Errors
/// When one does not accept connections any more.
pub fn run(number: usize, contenders: &[Contender], upstream: &[u32], durations: Durations) -> Result<Round> {
    let first = number % contenders.len().max(1);
    let (after, before) = (&contenders[first..], &contenders[..first]);
    let mut turns = Vec::with_capacity(contenders.len());
    for contender in after.iter().chain(before) {
        turns.push(turn(contender, upstream, durations).with_context(|| format!("measuring {}", contender.name))?);
    }
    Ok(Round { turns })
}

fn turn(contender: &Contender, upstream: &[u32], durations: Durations) -> Result<Turn> {
    let pids = contender.pids();
    let beside: Vec<u32> = upstream.iter().copied().chain([std::process::id()]).collect();
    let measure =
        |rate, connections, length| cell(contender.http, &pids, &beside, rate, connections, durations.warm, length);
    let saturation = measure(None, CLOSED, durations.saturation)?;
    let memory = processes::memory(&pids);
    let rates = RATES.iter().map(|&rate| measure(Some(rate), OPEN, durations.rate)).collect::<Result<_>>()?;
    Ok(Turn { name: contender.name, saturation, rates, memory })
}

fn cell(
    target: SocketAddr,
    pids: &[u32],
    beside: &[u32],
    rate: Option<u32>,
    connections: usize,
    warm: u64,
    length: u64,
) -> Result<Cell> {
    let mut generator = Generator::connect(target, connections, rate)?;
    let warming = generator.run(warm)?;
    let machine = Reading::take();
    let (cpu, cpu_beside) = (processes::cpu_seconds(pids), processes::cpu_seconds(beside));
    let tally = generator.run(length)?;
    let (cpu, cpu_beside) = (processes::cpu_seconds(pids) - cpu, processes::cpu_seconds(beside) - cpu_beside);
    let disturbance = machine.until(&Reading::take(), cpu + cpu_beside);
    let errors_beside = warming.errors + generator.finish()?;
    Ok(Cell { tally, errors_beside, cpu, cpu_beside, disturbance })
}
