//! Redis: a stream and a consumer group. `appendfsync always` syncs before what was written is acknowledged; the file is never rewritten during a
//! run, which would cost Redis more than the others pay.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::Result;
use async_trait::async_trait;
use bench_proxy::contender::Program;
use bytes::Bytes;
use redis::{AsyncConnectionConfig, Client, Value, aio::MultiplexedConnection};

use super::{Places, SHARED_BY, Session, Way, bound, folder, free_address, launch, shares, version_of};
use crate::{
    publish::{Publish, closed_loop},
    tally::Tally,
};

/// So many are read at once, and then acknowledged with one command.
const BATCH: usize = 256;
/// How long a read waits, in milliseconds.
const WAIT: usize = 1_000;

struct Redis {
    address: SocketAddr,
    version: String,
    program: Program,
    /// Each cell has a stream of its own.
    streams: AtomicU64,
}

pub(super) fn start(places: &Places) -> Result<Vec<Box<dyn Way>>> {
    let folder = folder(places, "redis")?;
    let address = free_address()?;
    let mut command = bound("redis-server");
    let port = address.port().to_string();
    command.args(["--bind", "127.0.0.1", "--port", &port, "--daemonize", "no", "--save", ""]);
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]);
    command.arg("--dir").arg(folder);
    let program = launch(command, "redis", address, places)?;
    let version = format!("Redis {}", version_of("redis-server", "--version"));
    Ok(vec![Box::new(Redis { address, version, program, streams: AtomicU64::new(0) })])
}

impl Redis {
    async fn connect(&self) -> Result<MultiplexedConnection> {
        let client = Client::open(format!("redis://{}/", self.address))?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(4 * SHARED_BY);
        Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
    }
}

#[async_trait]
impl Way for Redis {
    fn name(&self) -> &'static str {
        "Redis stream, appendfsync always"
    }

    fn server(&self) -> &'static str {
        "redis"
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn pids(&self) -> Vec<u32> {
        self.program.pids()
    }

    async fn session(&self, in_flight: usize, tally: Arc<Tally>) -> Result<Session> {
        let stream = format!("bench{}", self.streams.fetch_add(1, Relaxed));
        let (mut reader, mut acker) = (self.connect().await?, self.connect().await?);
        let mut group = redis::cmd("XGROUP");
        group.arg("CREATE").arg(&stream).arg("bench").arg("$").arg("MKSTREAM");
        group.query_async::<()>(&mut acker).await?;
        let mut slots = Vec::with_capacity(in_flight);
        for share in shares(in_flight) {
            let connection = self.connect().await?;
            slots.extend((0..share).map(|_| Slot { connection: connection.clone(), stream: stream.clone() }));
        }
        let (consumed, of, mut cleaner) = (Arc::clone(&tally), stream.clone(), acker.clone());
        let consuming = Box::pin(async move {
            // The acknowledgement of what was read goes out while the next is read.
            let mut acknowledging = None;
            loop {
                let mut read = redis::cmd("XREADGROUP");
                read.arg("GROUP").arg("bench").arg("bench").arg("COUNT").arg(BATCH).arg("BLOCK").arg(WAIT);
                read.arg("STREAMS").arg(&of).arg(">");
                let read = read.query_async::<Value>(&mut reader);
                let answer = match acknowledging.take() {
                    None => read.await?,
                    Some(ack) => {
                        let ack: redis::Cmd = ack;
                        let (answer, done) = tokio::join!(read, ack.query_async::<i64>(&mut acker));
                        done?;
                        answer?
                    }
                };
                let mut ids = Vec::new();
                take(&answer, &consumed, &mut ids);
                if !ids.is_empty() {
                    let mut ack = redis::cmd("XACK");
                    ack.arg(&of).arg("bench");
                    ids.iter().for_each(|id| {
                        ack.arg(id.as_slice());
                    });
                    acknowledging = Some(ack);
                }
            }
        });
        let cleaning = Box::pin(async move {
            redis::cmd("UNLINK").arg(stream).query_async::<()>(&mut cleaner).await?;
            Ok(())
        });
        Ok(Session { publishing: closed_loop(tally, slots), consuming: Some(consuming), cleaning })
    }
}

/// Counts the messages in an answer to `XREADGROUP` and collects their ids: `[[stream, [[id, [field, value]], …]]]`.
fn take(answer: &Value, tally: &Tally, ids: &mut Vec<Vec<u8>>) {
    let Value::Array(streams) = answer else { return };
    for stream in streams {
        let Value::Array(pair) = stream else { continue };
        let Some(Value::Array(entries)) = pair.get(1) else { continue };
        for entry in entries {
            let Value::Array(entry) = entry else { continue };
            let (Some(Value::BulkString(id)), Some(Value::Array(fields))) = (entry.first(), entry.get(1)) else {
                continue;
            };
            if let Some(Value::BulkString(body)) = fields.get(1) {
                tally.delivered(body);
            }
            ids.push(id.clone());
        }
    }
}

struct Slot {
    connection: MultiplexedConnection,
    stream: String,
}

impl Publish for Slot {
    async fn publish(&mut self, body: Bytes) -> Result<()> {
        let mut add = redis::cmd("XADD");
        add.arg(&self.stream).arg("*").arg("m").arg(&body[..]);
        add.query_async::<()>(&mut self.connection).await?;
        Ok(())
    }
}
