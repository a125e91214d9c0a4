//! How fast the store is, beside the least that a durable log costs: one file, one write and one `fdatasync` per group.
//!
//! `cargo run --release -p motet-store --example group_commit -- [directory] [seconds per step]`
//!
//! Both sides have the same writers (tasks that each wait for their record of 1 KiB to be durable before they write the next) and the same
//! way of gathering a group, so the difference is what the store adds: its journal's checksums, its tables, their flushing.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

use motet_store::{Batch, Options, Store};
use std::{
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

const RECORD_BYTES: usize = 1024;
const IN_FLIGHT: [usize; 3] = [1, 16, 256];

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().unwrap_or_else(|| ".".to_owned());
    let seconds: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(4);
    let step = Duration::from_secs(seconds);
    println!("in flight        raw file           store   share    p50     p99   records/sync");
    for in_flight in IN_FLIGHT {
        let directory = tempfile::tempdir_in(&parent)?;
        let raw = raw(directory.path(), in_flight, step).await?;
        let directory = tempfile::tempdir_in(&parent)?;
        let (store, mut latencies, per_sync) = store(directory.path(), in_flight, step).await?;
        latencies.sort_unstable();
        let quantile = |share: f64| latencies.get(((latencies.len() as f64) * share) as usize).copied().unwrap_or(0);
        println!(
            "{in_flight:>9} {raw:>10.0} rec/s {store:>9.0} rec/s {:>6.0}% {:>6.1}ms {:>6.1}ms {per_sync:>10.1}",
            store / raw * 100.0,
            quantile(0.5) as f64 / 1000.0,
            quantile(0.99) as f64 / 1000.0,
        );
    }
    Ok(())
}

async fn store(directory: &Path, in_flight: usize, step: Duration) -> Result<(f64, Vec<u32>, f64), Failure> {
    let store = Store::open(directory, Options::default())?;
    let log = store.log("log")?;
    let next = Arc::new(Mutex::new(0));
    let begun = Instant::now();
    let writers = (0..in_flight).map(|_| {
        let (store, log, next) = (store.clone(), log.clone(), Arc::clone(&next));
        async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < step {
                let (answer, answered) = oneshot::channel();
                let asked = Instant::now();
                {
                    // Under the lock: the log's numbers rise in the order in which they are handed in.
                    let mut next = next.lock().map_err(|_| "a writer panicked")?;
                    let mut batch = Batch::with_capacity(1);
                    batch.append_to(&log, *next, vec![7_u8; RECORD_BYTES]);
                    let room = store.try_room(batch.bytes()).ok_or("no room")?;
                    store.submit(batch, room, |result| drop(answer.send(result)));
                    *next += 1;
                }
                answered.await??;
                latencies.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
            Ok::<_, Failure>(latencies)
        }
    });
    let mut latencies = Vec::new();
    let mut writers: JoinSet<_> = writers.collect();
    while let Some(writer) = writers.join_next().await {
        latencies.extend(writer??);
    }
    let stats = store.stats();
    Ok((latencies.len() as f64 / begun.elapsed().as_secs_f64(), latencies, stats.commits as f64 / stats.syncs as f64))
}

async fn raw(directory: &Path, in_flight: usize, step: Duration) -> Result<f64, Failure> {
    let mut file = std::fs::File::create_new(directory.join("raw"))?;
    let (sender, mut receiver) = mpsc::channel::<(Vec<u8>, oneshot::Sender<()>)>(1024);
    let thread = std::thread::spawn(move || -> Result<(), Failure> {
        let mut group = Vec::new();
        while receiver.blocking_recv_many(&mut group, 4096) > 0 {
            let bytes: Vec<u8> = group.iter().flat_map(|(record, _)| record).copied().collect();
            file.write_all(&bytes)?;
            file.sync_data()?;
            for (_, answer) in group.drain(..) {
                let _ = answer.send(());
            }
        }
        Ok(())
    });
    let begun = Instant::now();
    let writers = (0..in_flight).map(|_| {
        let sender = sender.clone();
        async move {
            let mut written = 0_u64;
            while begun.elapsed() < step {
                let (answer, answered) = oneshot::channel();
                sender.send((vec![7_u8; RECORD_BYTES], answer)).await?;
                answered.await?;
                written += 1;
            }
            Ok::<_, Failure>(written)
        }
    });
    let mut written = 0;
    let mut writers: JoinSet<_> = writers.collect();
    while let Some(writer) = writers.join_next().await {
        written += writer??;
    }
    drop(sender);
    let elapsed = begun.elapsed();
    thread.join().map_err(|_| "the writer panicked")??;
    Ok(written as f64 / elapsed.as_secs_f64())
}
