//! What a server takes while many events wait for a consumer that does not come, and how long Motet then takes to start again.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bench_proxy::{number::number, processes};
use tokio::{runtime::Runtime, task::JoinSet, time::sleep};

use crate::{
    contender::{self, Places, Way},
    tally::Tally,
};

/// How many publishes are under way.
const IN_FLIGHT: usize = 256;
/// How long a server may settle down before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);

/// Fills each server by itself, by the quickest of its ways that is consumed, and reads its memory.
///
/// # Errors
/// When a server cannot be started or stops taking events.
pub fn run(servers: &[&'static str], events: u64, places: &Places, runtime: &Runtime) -> Result<String> {
    let mut lines = vec![
        "|  | waiting | RSS MiB before | RSS MiB | PSS MiB | seconds to fill | seconds to serve again |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
            .to_owned(),
    ];
    for server in servers.iter().filter(|server| **server != "floor") {
        let ways = contender::start(server, places).with_context(|| format!("starting {server}"))?;
        let Some(way) = ways.last() else { continue };
        let before = processes::memory(&way.pids());
        let begun = std::time::Instant::now();
        let acknowledged = runtime.block_on(fill(&**way, events)).with_context(|| format!("filling {server}"))?;
        let seconds = begun.elapsed().as_secs_f64();
        // Made within the runtime: a sleep needs its timer from the first.
        runtime.block_on(async { sleep(SETTLE).await });
        let after = processes::memory(&way.pids());
        let name = way.name();
        drop(ways);
        let again = (*server == "motet").then(|| start_again(places)).transpose()?;
        let figures = [acknowledged as f64, before.rss_mib, after.rss_mib, after.pss_mib, seconds].map(number);
        eprintln!("{name}: {}", figures.join(", "));
        let again = again.map_or("–".to_owned(), number);
        lines.push(format!("| {name} | {} | {again} |", figures.join(" | ")));
    }
    Ok(lines.join("\n"))
}

/// Starts Motet on what it left behind; the seconds until it has taken an event.
fn start_again(places: &Places) -> Result<f64> {
    let begun = std::time::Instant::now();
    let ways = contender::start("motet", places).context("starting motet again")?;
    let seconds = begun.elapsed().as_secs_f64();
    drop(ways);
    Ok(seconds)
}

async fn fill(way: &dyn Way, events: u64) -> Result<u64> {
    let tally = Arc::new(Tally::new(1));
    let session = way.session(IN_FLIGHT, Arc::clone(&tally)).await?;
    // The consumer is known and takes nothing.
    let idle = session.consuming;
    let mut publishing = JoinSet::new();
    publishing.spawn(session.publishing);
    while tally.counts().acknowledged < events {
        tokio::select! {
            () = sleep(Duration::from_millis(10)) => {}
            Some(ended) = publishing.join_next() => ended??,
        }
    }
    tally.end();
    while let Some(ended) = publishing.join_next().await {
        ended??;
    }
    drop(idle);
    Ok(tally.counts().acknowledged)
}
