//! One way at one concurrency for a stretch of time: warm up, measure, stop, wait until everything has come.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use bench_proxy::{
    machine::Disturbance,
    meter::{Meter, Parties},
    processes,
};
use hdrhistogram::Histogram;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{contender::Way, tally::Tally};

/// How long connecting, stopping and removing may take each.
const STEP_WITHIN: Duration = Duration::from_secs(60);
/// How long what was acknowledged may take to be delivered, after publishing has ended.
const DELIVERED_WITHIN: Duration = Duration::from_secs(20);
/// Acknowledgements of the last messages are still on their way when these are counted.
const LAST_WORDS: Duration = Duration::from_millis(30);

/// How long things are measured.
#[derive(Debug, Clone, Copy)]
pub struct Amounts {
    /// Before anything is counted.
    pub warm: Duration,
    /// What is counted.
    pub length: Duration,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The way.
    pub name: &'static str,
    /// How many publishes were under way at any time.
    pub in_flight: usize,
    /// Messages a second: those that were delivered, or acknowledged where nobody consumes.
    pub rate: f64,
    /// From the begin of a publish to its acknowledgement, in nanoseconds.
    pub publish: Histogram<u64>,
    /// From the begin of a publish to the consumer.
    pub end_to_end: Histogram<u64>,
    /// Processor seconds of the server for 100,000 messages; nothing where it is in this process.
    pub server_cpu: Option<f64>,
    /// Of this process.
    pub client_cpu: f64,
    /// Memory of the server afterwards.
    pub rss_mib: Option<f64>,
    /// Acknowledged and not delivered.
    pub lost: u64,
    /// Delivered more than once.
    pub duplicates: u64,
    /// What else the machine did.
    pub disturbance: Disturbance,
}

/// Measures one cell. `number` is no other cell's.
///
/// # Errors
/// When the server does not do what it is asked for.
pub async fn measure(way: &dyn Way, in_flight: usize, amounts: Amounts, number: u64) -> Result<Cell> {
    let tally = Arc::new(Tally::new(number));
    let session = timeout(STEP_WITHIN, way.session(in_flight, Arc::clone(&tally))).await.context("connecting")??;
    let is_consumed = session.consuming.is_some();
    let mut tasks = JoinSet::new();
    if let Some(consuming) = session.consuming {
        tasks.spawn(consuming);
    }
    let mut publishing = JoinSet::new();
    publishing.spawn(session.publishing);
    wait(amounts.warm, &mut publishing, &mut tasks).await?;

    let server = way.pids();
    let parties = Parties { contender: server.clone(), beside: vec![std::process::id()] };
    let meter = Meter::start(&parties);
    let from = tally.begin();
    wait(amounts.length, &mut publishing, &mut tasks).await?;
    let to = tally.end();
    let cost = meter.stop();

    let ended = timeout(STEP_WITHIN, publishing.join_next()).await.context("publishers did not stop")?;
    ended.unwrap_or(Ok(Ok(())))??;
    if is_consumed {
        drain(&tally, &mut tasks).await?;
        sleep(LAST_WORDS).await;
    }
    let rss_mib = (!server.is_empty()).then(|| processes::memory(&server).rss_mib);
    tasks.shutdown().await;
    timeout(STEP_WITHIN, session.cleaning).await.context("removing")??;

    let counts = tally.counts();
    let done = if is_consumed { to.delivered - from.delivered } else { to.acknowledged - from.acknowledged };
    let per_100k = |seconds: f64| seconds * 100_000.0 / done.max(1) as f64;
    let (publish, end_to_end) = tally.latencies();
    Ok(Cell {
        name: way.name(),
        in_flight,
        rate: done as f64 / (to.at - from.at).as_secs_f64(),
        publish,
        end_to_end,
        server_cpu: (!server.is_empty()).then(|| per_100k(cost.cpu)),
        client_cpu: per_100k(cost.cpu_beside),
        rss_mib,
        lost: if is_consumed { counts.acknowledged.saturating_sub(counts.delivered) } else { 0 },
        duplicates: tally.duplicates(),
        disturbance: cost.disturbance,
    })
}

/// Lets time pass; what ends before it has passed has failed.
async fn wait(length: Duration, publishing: &mut JoinSet<Result<()>>, tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    tokio::select! {
        () = sleep(length) => Ok(()),
        Some(ended) = publishing.join_next() => Err(ended?.err().unwrap_or_else(|| anyhow!("publishers stopped"))),
        Some(ended) = tasks.join_next() => Err(ended?.err().unwrap_or_else(|| anyhow!("the consumer stopped"))),
    }
}

/// Waits until everything that was acknowledged has come, or for as long as it may take.
async fn drain(tally: &Tally, tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    let until = Instant::now() + DELIVERED_WITHIN;
    loop {
        let counts = tally.counts();
        if counts.delivered >= counts.acknowledged || Instant::now() > until {
            return Ok(());
        }
        tokio::select! {
            () = sleep(Duration::from_millis(5)) => {}
            Some(ended) = tasks.join_next() => return ended?,
        }
    }
}
