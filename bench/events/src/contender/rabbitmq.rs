//! RabbitMQ: a quorum queue on one node, publisher confirms, prefetch 1,000, each message acknowledged. Quorum queues sync before they confirm.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use bench_proxy::contender::Program;
use bytes::Bytes;
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};

use super::{Places, Session, Way, bound, folder, free_address, launch, shares};
use crate::{
    publish::{Publish, closed_loop},
    tally::Tally,
};

/// So many may be with the consumer and not acknowledged.
const PREFETCH: u16 = 1_000;
/// The delivery mode of messages that outlive a restart.
const PERSISTENT: u8 = 2;

struct RabbitMq {
    url: String,
    version: String,
    node: Program,
    mapper: Program,
    /// Each cell has a queue of its own.
    queues: AtomicU64,
}

/// The newest server that Debian installed: its version and its script. The one on the `PATH` insists on a user and leaves the folder.
fn installed() -> Result<(String, PathBuf)> {
    let versions = fs::read_dir("/usr/lib/rabbitmq/lib").into_iter().flatten().flatten();
    let found = versions.map(|entry| entry.path()).filter(|path| path.join("sbin/rabbitmq-server").is_file()).max();
    let path = found.context("RabbitMQ's server is missing: apt install rabbitmq-server")?;
    let version = path.file_name().unwrap_or_default().to_string_lossy().replace("rabbitmq_server-", "RabbitMQ ");
    Ok((version, path.join("sbin/rabbitmq-server")))
}

pub(super) fn start(places: &Places) -> Result<Vec<Box<dyn Way>>> {
    let (version, script) = installed()?;
    let home = folder(places, "rabbitmq")?;
    let (address, distribution, mapped) = (free_address()?, free_address()?, free_address()?);
    fs::write(home.join("rabbitmq.conf"), "log.console = true\nlog.file = false\ndisk_free_limit.absolute = 64MB\n")?;
    fs::write(home.join("plugins"), "[].\n")?;
    // The port mapper would stay behind: it is a child like the server.
    let mut mapper = bound("epmd");
    mapper.args(["-port", &mapped.port().to_string(), "-address", "127.0.0.1"]);
    let mapper = launch(mapper, "epmd", mapped, places)?;
    let mut command = bound(script);
    command
        .env("HOME", &home)
        .env("LC_ALL", "C.UTF-8")
        .env("RABBITMQ_NODENAME", format!("bench{}@localhost", address.port()))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", address.port().to_string())
        .env("RABBITMQ_DIST_PORT", distribution.port().to_string())
        .env("RABBITMQ_MNESIA_BASE", home.join("data"))
        .env("RABBITMQ_LOG_BASE", home.join("log"))
        .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", home.join("advanced"))
        .env("RABBITMQ_CONF_ENV_FILE", home.join("no-environment"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", home.join("generated"))
        .env("RABBITMQ_SCHEMA_DIR", home.join("schema"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1} -noinput")
        .env("ERL_EPMD_PORT", mapped.port().to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        // The script becomes the server, so that ending the child ends the server.
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .current_dir(&home);
    let node = launch(command, "rabbitmq", address, places)?;
    // It listens a moment before it lets anybody in.
    thread::park_timeout(Duration::from_secs(2));
    let url = format!("amqp://guest:guest@{address}/%2f");
    Ok(vec![Box::new(RabbitMq { url, version, node, mapper, queues: AtomicU64::new(0) })])
}

impl RabbitMq {
    async fn connect(&self) -> Result<Connection> {
        Ok(Connection::connect(&self.url, ConnectionProperties::default()).await?)
    }
}

#[async_trait]
impl Way for RabbitMq {
    fn name(&self) -> &'static str {
        "RabbitMQ quorum queue"
    }

    fn server(&self) -> &'static str {
        "rabbitmq"
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn pids(&self) -> Vec<u32> {
        [self.node.pids(), self.mapper.pids()].concat()
    }

    async fn session(&self, in_flight: usize, tally: Arc<Tally>) -> Result<Session> {
        let queue = ShortString::from(format!("bench{}", self.queues.fetch_add(1, Relaxed)));
        let receiver = self.connect().await?;
        let channel = receiver.create_channel().await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        channel.queue_declare(queue.clone(), QueueDeclareOptions::durable(), arguments).await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let mut consumer = channel.basic_consume(queue.clone(), "bench".into(), options, FieldTable::default()).await?;
        let mut slots = Vec::with_capacity(in_flight);
        let mut connections = Vec::new();
        for share in shares(in_flight) {
            let connection = self.connect().await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            connections.push(connection);
            slots.extend((0..share).map(|_| Slot { channel: channel.clone(), queue: queue.clone() }));
        }
        let consumed = Arc::clone(&tally);
        let consuming = Box::pin(async move {
            while let Some(delivery) = consumer.next().await {
                let delivery = delivery?;
                consumed.delivered(&delivery.data);
                delivery.ack(BasicAckOptions::default()).await?;
            }
            Ok(())
        });
        let publishing = closed_loop(tally, slots);
        let cleaning = Box::pin(async move {
            // The consumer goes first, and with it what it still has to say: a server of version 3.10 breaks when a consumer of a quorum
            // queue leaves one that is gone.
            drop(channel);
            receiver.close(200, "done".into()).await?;
            let last = connections.first().context("nobody publishes")?.create_channel().await?;
            last.queue_delete(queue, QueueDeleteOptions::default()).await?;
            for connection in &connections {
                connection.close(200, "done".into()).await?;
            }
            Ok(())
        });
        Ok(Session { publishing, consuming: Some(consuming), cleaning })
    }
}

struct Slot {
    channel: Channel,
    queue: ShortString,
}

impl Publish for Slot {
    async fn publish(&mut self, body: Bytes) -> Result<()> {
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let options = BasicPublishOptions::default();
        let sent = self.channel.basic_publish(ShortString::default(), self.queue.clone(), options, &body, properties);
        let confirmed = sent.await?.await?;
        ensure!(matches!(confirmed, Confirmation::Ack(_)), "RabbitMQ did not take a message");
        Ok(())
    }
}
