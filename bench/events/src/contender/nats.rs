//! NATS JetStream: a stream in files, one node. `sync_interval: always` syncs before a publish is acknowledged; the default syncs every two
//! minutes, and an acknowledgement says nothing about the disk.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::Result;
use async_nats::jetstream::{self, Context, consumer, stream};
use async_trait::async_trait;
use bench_proxy::contender::Program;
use bytes::Bytes;
use futures_util::StreamExt;

use super::{Places, Session, Way, bound, folder, free_address, launch, shares, version_of};
use crate::{
    publish::{Publish, closed_loop},
    tally::Tally,
};

/// So many may be with the consumer and not acknowledged.
const UNACKNOWLEDGED: i64 = 10_000;
/// So many are asked for at once.
const BATCH: usize = 1_000;

struct Nats {
    is_always: bool,
    address: SocketAddr,
    version: String,
    program: Program,
    /// Each cell has a stream of its own.
    streams: AtomicU64,
}

pub(super) fn start(places: &Places, is_always: bool) -> Result<Vec<Box<dyn Way>>> {
    let version = version_of("nats-server", "-v");
    if is_always && is_before(&version, (2, 10)) {
        eprintln!("NATS {version} cannot sync before it acknowledges (2.10 can): no durable NATS in this run");
        return Ok(Vec::new());
    }
    let name = if is_always { "nats-always" } else { "nats-default" };
    let folder = folder(places, name)?;
    let address = free_address()?;
    let sync = if is_always { ", sync_interval: always" } else { "" };
    let path = folder.join("nats.conf");
    let data = folder.join("data");
    fs::write(&path, format!("listen: \"{address}\"\njetstream {{ store_dir: \"{}\"{sync} }}\n", data.display()))?;
    let mut command = bound("nats-server");
    command.arg("-c").arg(path);
    let program = launch(command, name, address, places)?;
    let version = format!("NATS {version}");
    Ok(vec![Box::new(Nats { is_always, address, version, program, streams: AtomicU64::new(0) })])
}

fn is_before(version: &str, least: (u32, u32)) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < least
}

impl Nats {
    async fn connect(&self) -> Result<Context> {
        Ok(jetstream::new(async_nats::connect(self.address.to_string()).await?))
    }
}

#[async_trait]
impl Way for Nats {
    fn name(&self) -> &'static str {
        if self.is_always { "NATS JetStream, sync always" } else { "NATS JetStream, default sync (**not durable**)" }
    }

    fn server(&self) -> &'static str {
        if self.is_always { "nats" } else { "nats-default" }
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn pids(&self) -> Vec<u32> {
        self.program.pids()
    }

    async fn session(&self, in_flight: usize, tally: Arc<Tally>) -> Result<Session> {
        let name = format!("bench{}", self.streams.fetch_add(1, Relaxed));
        let receiver = self.connect().await?;
        let config = stream::Config { name: name.clone(), subjects: vec![name.clone()], ..stream::Config::default() };
        let stream = receiver.create_stream(config).await?;
        let config = consumer::pull::Config {
            durable_name: Some("bench".to_owned()),
            max_ack_pending: UNACKNOWLEDGED,
            ..consumer::pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await?;
        let mut messages = consumer.stream().max_messages_per_batch(BATCH).messages().await?;
        let mut slots = Vec::with_capacity(in_flight);
        for share in shares(in_flight) {
            let context = self.connect().await?;
            slots.extend((0..share).map(|_| Slot { context: context.clone(), subject: name.clone() }));
        }
        let consumed = Arc::clone(&tally);
        let consuming = Box::pin(async move {
            while let Some(message) = messages.next().await {
                let message = message?;
                consumed.delivered(&message.payload);
                message.ack().await.map_err(|error| anyhow::anyhow!(error))?;
            }
            Ok(())
        });
        let cleaning = Box::pin(async move {
            receiver.delete_stream(name).await?;
            Ok(())
        });
        Ok(Session { publishing: closed_loop(tally, slots), consuming: Some(consuming), cleaning })
    }
}

struct Slot {
    context: Context,
    subject: String,
}

impl Publish for Slot {
    async fn publish(&mut self, body: Bytes) -> Result<()> {
        // The first awaits the socket, the second the acknowledgement.
        self.context.publish(self.subject.clone(), body).await?.await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::is_before;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_before("2.9.10", (2, 10)) && is_before("", (2, 10)));
        assert!(!is_before("2.10.0", (2, 10)) && !is_before("3.0", (2, 10)));
    }
}
