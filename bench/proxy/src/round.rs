//! One turn of every contender: as fast as it can, at each fixed rate, streams, gRPC. Who begins changes from round to round,
//! so that nobody always follows the same neighbour.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};

use crate::{
    contender::Contender,
    generator::Generator,
    grpc::{self, Grpc},
    machine::Disturbance,
    meter::{Cell, Meter, Parties},
    pace::SECOND,
    processes::{self, Memory},
    streams::{self, Streams},
};

/// Connections of the closed loop.
const CLOSED: usize = 64;
/// Connections of the open loop.
const OPEN: usize = 32;
/// Requests a second of the open loops.
pub const RATES: [u32; 2] = [2_000, 5_000];

/// How long things are measured, in nanoseconds, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Amounts {
    /// Before anything is counted.
    pub warm: u64,
    /// As fast as it can.
    pub saturation: u64,
    /// At each fixed rate.
    pub rate: u64,
    /// Each of the two loops of gRPC.
    pub grpc: u64,
    /// Streams that end, and streams that are left.
    pub streams: usize,
}

impl Amounts {
    /// Of a run whose figures are meant to be kept.
    pub const FULL: Self =
        Self { warm: SECOND / 5, saturation: SECOND * 3 / 2, rate: 2 * SECOND, grpc: SECOND * 4 / 5, streams: 100 };
    /// Of a run that shows whether the harness works.
    pub const QUICK: Self =
        Self { warm: SECOND / 10, saturation: SECOND / 2, rate: SECOND / 2, grpc: SECOND / 4, streams: 20 };
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
    /// Answers that do not end.
    pub streams: Streams,
    /// Where it takes gRPC.
    pub grpc: Option<Grpc>,
}

impl Turn {
    /// All loads that it was under.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        let grpc = self.grpc.iter().flat_map(|grpc| [&grpc.saturation, &grpc.paced]);
        self.rates.iter().chain([&self.saturation]).chain(grpc)
    }
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
        let cells = self.turns.iter().flat_map(Turn::cells);
        cells.map(|cell| cell.cost.disturbance).fold(Disturbance::default(), Disturbance::worse)
    }
}

/// Measures every contender once, beginning with another one each round.
///
/// # Errors
/// When one does not accept connections any more.
pub fn run(number: usize, contenders: &[Contender], upstream: &[u32], amounts: Amounts) -> Result<Round> {
    let first = number % contenders.len().max(1);
    let (before, after) = contenders.split_at(first);
    let mut turns = Vec::with_capacity(contenders.len());
    for contender in after.iter().chain(before) {
        turns.push(turn(contender, upstream, amounts).with_context(|| format!("measuring {}", contender.name))?);
    }
    Ok(Round { turns })
}

fn turn(contender: &Contender, upstream: &[u32], amounts: Amounts) -> Result<Turn> {
    let beside = upstream.iter().copied().chain([std::process::id()]).collect();
    let parties = Parties { contender: contender.pids(), beside };
    let measure = |rate, connections, length| cell(contender.http, &parties, rate, connections, (amounts.warm, length));
    let saturation = measure(None, CLOSED, amounts.saturation)?;
    let memory = processes::memory(&parties.contender);
    let rates = RATES.iter().map(|&rate| measure(Some(rate), OPEN, amounts.rate)).collect::<Result<_>>()?;
    let streams = streams::measure(contender.http, amounts.streams, amounts.streams)?;
    let (warm, length) = (Duration::from_nanos(amounts.warm), Duration::from_nanos(amounts.grpc));
    let grpc = contender.grpc.map(|target| grpc::measure(target, &parties, warm, length)).transpose()?;
    Ok(Turn { name: contender.name, saturation, rates, memory, streams, grpc })
}

fn cell(
    target: SocketAddr,
    parties: &Parties,
    rate: Option<u32>,
    connections: usize,
    (warm, length): (u64, u64),
) -> Result<Cell> {
    let mut generator = Generator::connect(target, connections, rate)?;
    let warming = generator.run(warm)?;
    let meter = Meter::start(parties);
    let tally = generator.run(length)?;
    let cost = meter.stop();
    let errors_beside = warming.errors + generator.finish()?;
    Ok(Cell { tally, errors_beside, cost })
}
