//! What large events cost: memory and disk while they are published, delivered, refused and redriven.
//!
//! `cargo run --release -p motet-broker --example large -- [events] [MiB each] [directory]`
//!
//! The subscriber reads piece by piece and slowly, sixteen events at once; at first it refuses all of them, so that all become dead letters,
//! and then they are redriven. Default: 20 events of 30 MiB, here.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

use async_trait::async_trait;
use motet_broker::{
    Broker, Config, Declaration, Deliver, Delivery, Embedded, Event, Outcome, Refusal, SubscriptionName,
    SubscriptionSpec, TopicSpec, Which,
};
use motet_kernel::task::TaskGroup;
use motet_store::{Options, Store};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Default)]
struct Slow {
    refuses: AtomicBool,
    bytes: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
}

#[async_trait]
impl Deliver for Slow {
    fn streams(&self, _: &SubscriptionSpec) -> bool {
        true
    }

    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        let Some(payload) = delivery.parcels.first().and_then(|parcel| parcel.payload.as_ref()) else {
            return vec![Outcome::Permanent(Refusal::of("not large"))];
        };
        let Ok(mut pieces) = payload.open().await else { return vec![Outcome::retry("not there")] };
        while let Ok(Some(piece)) = pieces.next().await {
            self.bytes.fetch_add(piece.len() as u64, Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if self.refuses.load(Relaxed) {
            self.refused.fetch_add(1, Relaxed);
            return vec![Outcome::Permanent(Refusal::of("not yet"))];
        }
        self.taken.fetch_add(1, Relaxed);
        vec![Outcome::Ack]
    }
}

fn kilobytes(line: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.split_whitespace().next()?.parse::<f64>().ok());
    value.unwrap_or(0.0)
}

fn disk(path: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { disk(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

fn say(what: &str, begun: Instant, path: &Path) -> std::io::Result<()> {
    println!(
        "{what:<28} {:>6.1} s   memory {:>5.0} MB, at most {:>5.0} MB   disk {:>6.0} MB",
        begun.elapsed().as_secs_f64(),
        kilobytes("VmRSS:") / 1000.0,
        kilobytes("VmHWM:") / 1000.0,
        disk(path)? as f64 / 1e6
    );
    Ok(())
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(20);
    let megabytes: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(30);
    let directory = tempfile::tempdir_in(arguments.next().unwrap_or_else(|| ".".to_owned()))?;
    let path = directory.path();
    let store = Store::open(path, Options::default())?;
    let transport = Arc::new(Embedded::new(store.clone(), path)?);
    let slow = Arc::new(Slow { refuses: true.into(), ..Slow::default() });
    let handle = Broker::start(Config::default(), store, transport, slow.clone(), &TaskGroup::new())?;
    let subscription: SubscriptionName = "s".parse()?;
    let topics = vec![TopicSpec { event_max_bytes: 65 << 20, ..TopicSpec::new("t".parse()?) }];
    let subscriptions = vec![SubscriptionSpec::new(subscription.clone(), "t".parse()?)];
    handle.declare(Declaration { topics, subscriptions }).await?;
    let begun = Instant::now();
    say("before", begun, path)?;
    for number in 0..count {
        let event = Event::builder(&number.to_string(), "/large", "measured")
            .content_type("application/octet-stream")
            .data(vec![u8::try_from(number % 251)?; megabytes << 20])
            .build()?;
        handle.publish(&"t".parse()?, vec![event]).await?;
    }
    say("published", begun, path)?;
    while slow.refused.load(Relaxed) < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    say("all are dead letters", begun, path)?;
    slow.refuses.store(false, Relaxed);
    handle.redrive(&subscription, Which::default(), usize::MAX).await?;
    while slow.taken.load(Relaxed) < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    say("redriven and taken", begun, path)?;
    println!("{} MB were read by the subscriber", slow.bytes.load(Relaxed) / 1_000_000);
    handle.stop().await;
    Ok(())
}
