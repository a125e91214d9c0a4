//! What a million events that nobody takes cost: memory while they are published and afterwards, and the time of a restart.
//!
//! `cargo run --release -p motet-broker --example waiting -- [events] [directory]`
//!
//! Each event is 1 KiB, durable before the next one of its publisher, of 256. Then the broker is started anew on what it left, until it has
//! delivered the first one, and all. The restart is a process of its own, so that its memory is its own. Default: one million, here.

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
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PUBLISHERS: u64 = 256;

/// Says to the second process that it is one.
const RESTARTED: &str = "MOTET_EXAMPLE_RESTARTED";

/// Takes everything.
#[derive(Default)]
struct Counting(AtomicU64);

#[async_trait]
impl Deliver for Counting {
    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        self.0.fetch_add(delivery.parcels.len() as u64, Relaxed);
        vec![Outcome::Ack; delivery.parcels.len()]
    }
}

async fn open(path: &Path, is_subscribed: bool) -> Result<(Handle, Arc<Counting>), Failure> {
    let store = Store::open(path, Options::default())?;
    let transport = Arc::new(Embedded::new(store.clone(), path)?);
    let counting = Arc::new(Counting::default());
    let handle = Broker::start(Config::default(), store, transport, counting.clone(), &TaskGroup::new())?;
    let mut subscription = SubscriptionSpec::new("s".parse()?, "t".parse()?);
    subscription.in_flight = 256;
    let subscriptions = if is_subscribed { vec![subscription] } else { Vec::new() };
    handle.declare(Declaration { topics: vec![TopicSpec::new("t".parse()?)], subscriptions }).await?;
    Ok((handle, counting))
}

fn event(number: u64) -> Result<Event, Failure> {
    let (id, key) = (number.to_string(), (number % 1000).to_string());
    let event = Event::builder(&id, "/waiting", "measured").content_type("application/octet-stream");
    Ok(event.extension("partitionkey", key.as_str()).data(vec![7_u8; 1000]).build()?)
}

async fn publish(path: &Path, count: u64) -> Result<(), Failure> {
    let (handle, _) = open(path, false).await?;
    let topic: TopicName = "t".parse()?;
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut publishers = JoinSet::new();
    for _ in 0..PUBLISHERS {
        let (handle, topic, next) = (handle.clone(), topic.clone(), Arc::clone(&next));
        publishers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= count {
                    return Ok::<_, Failure>(());
                }
                handle.publish(&topic, vec![event(number)?]).await?;
            }
        });
    }
    while let Some(publisher) = publishers.join_next().await {
        publisher??;
    }
    println!("{count} events wait, published in {:.1} s", begun.elapsed().as_secs_f64());
    println!("memory: {:.0} MB, at most {:.0} MB", memory("VmRSS:"), memory("VmHWM:"));
    handle.stop().await;
    Ok(())
}

async fn restart(path: &Path, count: u64) -> Result<(), Failure> {
    let begun = Instant::now();
    let (handle, counting) = open(path, true).await?;
    let opened = begun.elapsed();
    let until = async |wanted: u64| {
        while counting.0.load(Relaxed) < wanted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        begun.elapsed().as_secs_f64()
    };
    let first = until(1).await;
    println!("restart: open after {:.2} s, first delivery after {first:.2} s", opened.as_secs_f64());
    println!("memory then: {:.0} MB", memory("VmRSS:"));
    println!("all delivered after {:.1} s, memory at most {:.0} MB", until(count).await, memory("VmHWM:"));
    handle.stop().await;
    Ok(())
}

/// Memory of this process, in MB: resident now (`VmRSS:`), or at most so far (`VmHWM:`).
fn memory(line: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.split_whitespace().next()?.parse::<f64>().ok());
    value.unwrap_or(0.0) / 1000.0
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    if let Some(path) = std::env::var_os(RESTARTED) {
        return restart(Path::new(&path), count).await;
    }
    let directory = tempfile::tempdir_in(arguments.next().unwrap_or_else(|| ".".to_owned()))?;
    publish(directory.path(), count).await?;
    let mut again = Command::new(std::env::current_exe()?);
    let status = again.arg(count.to_string()).env(RESTARTED, directory.path()).status()?;
    if status.success() { Ok(()) } else { Err("the restarted process failed".into()) }
}
