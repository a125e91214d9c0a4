//! How many events a second go through the broker in this process: published durably, delivered, acknowledged.
//!
//! `cargo run --release -p motet-broker --example throughput -- [directory] [seconds per step]`
//!
//! Publishers each wait for their event of 1 KiB to be durable before they publish the next; the subscriber acknowledges at once. Latencies
//! are until durable, and until delivered.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

use async_trait::async_trait;
use motet_broker::{
    Broker, Config, Declaration, Deliver, Delivery, Embedded, Event, Handle, Outcome, SubscriptionSpec, TopicName,
    TopicSpec,
};
use motet_kernel::task::TaskGroup;
use motet_store::{Options, Store};
use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Counts, and notes how long the event took to come here.
struct Counting {
    begun: Instant,
    count: AtomicU64,
    took: Mutex<Vec<u32>>,
}

#[async_trait]
impl Deliver for Counting {
    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        let now = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.count.fetch_add(delivery.parcels.len() as u64, Relaxed);
        if let Ok(mut took) = self.took.lock() {
            let sent = delivery.parcels.iter().filter_map(|parcel| parcel.event.id().split('-').nth(1)?.parse().ok());
            took.extend(sent.map(|sent: u64| u32::try_from(now.saturating_sub(sent)).unwrap_or(u32::MAX)));
        }
        vec![Outcome::Ack; delivery.parcels.len()]
    }
}

async fn open(path: &Path) -> Result<(Handle, Arc<Counting>), Failure> {
    let store = Store::open(path, Options::default())?;
    let transport = Arc::new(Embedded::new(store.clone(), path)?);
    let counting = Arc::new(Counting { begun: Instant::now(), count: AtomicU64::new(0), took: Mutex::default() });
    let handle = Broker::start(Config::default(), store, transport, counting.clone(), &TaskGroup::new())?;
    let mut subscription = SubscriptionSpec::new("s".parse()?, "t".parse()?);
    subscription.in_flight = 256;
    let (topics, subscriptions) = (vec![TopicSpec::new("t".parse()?)], vec![subscription]);
    handle.declare(Declaration { topics, subscriptions }).await?;
    Ok((handle, counting))
}

fn event(publisher: usize, micros: u64, number: u64, keyed: bool) -> Result<Event, Failure> {
    let id = format!("{publisher}-{micros}-{number}");
    let event = Event::builder(&id, "/throughput", "measured").content_type("application/octet-stream");
    let key = (number % 1000).to_string();
    let event = if keyed { event.extension("partitionkey", key.as_str()) } else { event };
    Ok(event.data(vec![7_u8; 1000]).build()?)
}

async fn step(path: &Path, in_flight: usize, keyed: bool, lasts: Duration) -> Result<String, Failure> {
    let (handle, counting) = open(path).await?;
    let topic: TopicName = "t".parse()?;
    let begun = Instant::now();
    let cpu = cpu();
    let mut publishers = JoinSet::new();
    for publisher in 0..in_flight {
        let (handle, topic, counting) = (handle.clone(), topic.clone(), Arc::clone(&counting));
        publishers.spawn(async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < lasts {
                let micros = u64::try_from(counting.begun.elapsed().as_micros())?;
                let event = event(publisher, micros, latencies.len() as u64, keyed)?;
                let asked = Instant::now();
                handle.publish(&topic, vec![event]).await?;
                latencies.push(u32::try_from(asked.elapsed().as_micros())?);
            }
            Ok::<_, Failure>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(publisher) = publishers.join_next().await {
        latencies.extend(publisher??);
    }
    let published = latencies.len() as f64 / begun.elapsed().as_secs_f64();
    while counting.count.load(Relaxed) < latencies.len() as u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let through = latencies.len() as f64 / begun.elapsed().as_secs_f64();
    let cpu = cpu_since(cpu) / latencies.len() as f64 * 1e5;
    let mut took = counting.took.lock().map_err(|_| "poisoned")?.clone();
    let stats = handle.describe().await.store;
    handle.stop().await;
    Ok(format!(
        "{in_flight:>9} {:>6} {published:>10.0}/s {through:>10.0}/s   durable p50 {:>5.1} p99 {:>5.1} ms   delivered p50 {:>5.1} p99 {:>6.1} ms   {cpu:>4.1} s cpu/100k   {:>5.1}/sync",
        if keyed { "1000" } else { "none" },
        quantile(&mut latencies, 0.5),
        quantile(&mut latencies, 0.99),
        quantile(&mut took, 0.5),
        quantile(&mut took, 0.99),
        stats.commits as f64 / stats.syncs as f64,
    ))
}

fn quantile(values: &mut [u32], share: f64) -> f64 {
    values.sort_unstable();
    f64::from(values.get((values.len() as f64 * share) as usize).copied().unwrap_or(0)) / 1000.0
}

/// Processor time of this process, in clock ticks.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    text.split_whitespace().skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum()
}

fn cpu_since(before: f64) -> f64 {
    (cpu() - before) / 100.0
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().unwrap_or_else(|| ".".to_owned());
    let seconds: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(4);
    println!("in flight   keys    published       through");
    for (in_flight, keyed) in [(1, false), (16, false), (256, false), (256, true)] {
        let directory = tempfile::tempdir_in(&parent)?;
        println!("{}", step(directory.path(), in_flight, keyed, Duration::from_secs(seconds)).await?);
    }
    Ok(())
}
