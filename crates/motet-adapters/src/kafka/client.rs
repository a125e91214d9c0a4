//! How librdkafka is configured, what it says about itself, and what its errors mean here.
//!
//! The library has threads of its own and reconnects by itself, for ever. What it cannot do is answer without blocking: a call that waits
//! runs on the threads that tokio keeps for such work, and each has a deadline that the library knows.

use super::Settings;
use motet_broker::port::TransportError;
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{sync::Arc, time::Duration};

/// No call to Kafka takes longer than this: then it has failed.
pub(super) const CALL: Duration = Duration::from_secs(9);

/// Kafka has one million as its largest by default and this as the largest that a request can have.
pub(super) const MESSAGE_MAX: usize = 90 << 20;

/// The cluster, as it is named in errors, and the last trouble that was seen with it.
#[derive(Debug)]
pub(super) struct Cluster {
    /// `kafka at a:9092, b:9092`.
    pub(super) name: String,
    trouble: Mutex<Option<Arc<str>>>,
}

impl Cluster {
    pub(super) fn new(brokers: &[String]) -> Arc<Self> {
        Arc::new(Self { name: format!("kafka at {}", brokers.join(", ")), trouble: Mutex::new(None) })
    }

    /// Without knowing more.
    pub(super) fn unavailable(&self, reason: impl Into<Arc<str>>) -> TransportError {
        TransportError::Unavailable { engine: self.name.clone(), reason: reason.into() }
    }

    /// What an error of the library means for whoever called, with the trouble behind it where a connection is the cause.
    pub(super) fn failed(&self, what: &str, error: &KafkaError) -> TransportError {
        let mut reason = format!("{what} failed: {}", describe(error));
        if is_about_connections(error)
            && let Some(trouble) = self.trouble.lock().as_deref()
        {
            reason.push_str("; last seen: ");
            reason.push_str(trouble);
        }
        self.unavailable(reason)
    }

    pub(super) fn last_trouble(&self) -> Option<Arc<str>> {
        self.trouble.lock().clone()
    }
}

/// The code of an error, whatever it happened at.
pub(super) fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// The code of an error in words, without the library's own type names.
pub(super) fn describe(error: &KafkaError) -> String {
    match code(error) {
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            "the cluster does not allow it to this client (topic authorization failed)".to_owned()
        }
        Some(code) => code.to_string(),
        None => error.to_string(),
    }
}

fn is_about_connections(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let codes = [
        Code::AllBrokersDown,
        Code::BrokerTransportFailure,
        Code::MessageTimedOut,
        Code::OperationTimedOut,
        Code::RequestTimedOut,
        Code::Resolve,
        Code::WaitingForCoordinator,
        Code::LeaderNotAvailable,
    ];
    code(error).is_some_and(|code| codes.contains(&code))
}

/// Hears what librdkafka says; it is asked by all clients of one cluster.
#[derive(Clone)]
pub(super) struct Ear(pub(super) Arc<Cluster>);

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // The library repeats itself at each try; what matters comes as an error too.
        tracing::debug!(?level, facility, message, "librdkafka");
        if facility == "FAIL" {
            self.hear(message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
        let is_trouble =
            !matches!(code(&error), Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::PartitionEOF));
        if is_trouble {
            self.hear(reason);
        }
    }
}

impl ConsumerContext for Ear {}

impl Ear {
    fn hear(&self, reason: &str) {
        // `[thrd:…]: ` says which thread of the library it was, which helps nobody.
        let reason = reason.rsplit_once("]: ").map_or(reason, |(_, reason)| reason);
        let reason = reason.split(" (after ").next().unwrap_or(reason);
        *self.0.trouble.lock() = Some(reason.into());
    }
}

/// What all clients have in common.
fn base(settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", settings.brokers.join(","))
        .set("client.id", format!("motet-{}", settings.prefix))
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.timeout.ms", "8000")
        .set("socket.connection.setup.timeout.ms", "5000")
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        .set("topic.metadata.refresh.fast.interval.ms", "50")
        .set("allow.auto.create.topics", "false")
        .set("receive.message.max.bytes", "200000000")
        .set("log.connection.close", "false")
        .set_log_level(RDKafkaLogLevel::Info);
    config
}

/// Appends in order, each record once however often the connection breaks, acknowledged by all replicas that are in sync.
pub(super) fn producer(settings: &Settings) -> ClientConfig {
    let mut config = base(settings);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("message.timeout.ms", "8000")
        .set("request.timeout.ms", "5000")
        .set("message.max.bytes", MESSAGE_MAX.to_string())
        // What waits is bounded in bytes before it comes here.
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", "1000000")
        .remove("allow.auto.create.topics");
    config
}

/// Sees what is committed, at positions that it is told: it is in no group, although the library wants a name of one.
fn consumer(settings: &Settings) -> ClientConfig {
    let mut config = base(settings);
    config
        .set("group.id", format!("motet-{}-unused", settings.prefix))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("fetch.error.backoff.ms", "50")
        .set("fetch.min.bytes", "1");
    config
}

/// Follows the ends of all topics: one request waits at the broker until something comes.
pub(super) fn follower(settings: &Settings) -> ClientConfig {
    let mut config = consumer(settings);
    config.set("fetch.wait.max.ms", "500").set("queued.max.messages.kbytes", "16384");
    config
}

/// Reads what is old: many bytes at once and never waiting for more.
pub(super) fn reader(settings: &Settings) -> ClientConfig {
    let mut config = consumer(settings);
    config
        .set("fetch.wait.max.ms", "5")
        .set("fetch.message.max.bytes", "2097152")
        .set("queued.max.messages.kbytes", "8192");
    config
}

/// For topics and their settings.
pub(super) fn admin(settings: &Settings) -> ClientConfig {
    let mut config = base(settings);
    config.remove("allow.auto.create.topics");
    config
}
