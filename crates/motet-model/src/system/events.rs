//! The asynchronous side, resolved: topics, subscriptions, outboxes, and the engine behind them.

use motet_kernel::{backoff::Backoff, clock::Timestamp, topic::TopicName};
use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// What is told by events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// What its events say, in one line.
    pub about: Option<String>,
    /// What its events' data has to be. `None`: anything.
    pub schema: Option<Schema>,
    /// How long its events stay.
    pub keep: Keep,
    /// A JSON pointer (RFC 6901) to the key in the data. Where there is none or nothing stands there: the event's `partitionkey`.
    pub key: Option<String>,
    /// How long `source` and `id` of an event are known. `None`: not at all.
    pub dedup: Option<Duration>,
    /// The most that an event's data may have, in bytes.
    pub max_payload: u64,
}

/// A JSON Schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schema {
    /// A file, absolute. What it refers to (`$ref`) lies in the system's folder.
    File(PathBuf),
    /// Written in the definition; references to files start at the folder.
    Inline {
        /// The schema.
        schema: serde_json::Value,
        /// The folder of the file that it stands in, absolute.
        dir: PathBuf,
    },
}

/// How long the events of a topic stay; at least one of the two is set. An event leaves when it is too old or when too much
/// came after it, whichever is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How long.
    pub time: Option<Duration>,
    /// How much, in bytes.
    pub size: Option<u64>,
}

/// Whose events a service gets, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// How the events reach the service.
    pub delivery: Delivery,
    /// How long the service may take to answer a delivery.
    pub timeout: Duration,
    /// How long an event belongs to who fetched it, or answered 202.
    pub lease: Duration,
    /// How many deliveries may be under way at once, over all instances.
    pub in_flight: u32,
    /// When an event that was not taken is delivered again.
    pub retry: Redelivery,
    /// The statuses of an answer that make an event a dead letter at once.
    pub permanent: Vec<u16>,
    /// How old an event may become until it is a dead letter. `None`: as old as the topic keeps it.
    pub max_age: Option<Duration>,
    /// Where it begins when it is new.
    pub from: From,
    /// Which events are delivered. `None`: all.
    pub filter: Option<Filter>,
    /// Several events in one request. `None`: one in each.
    pub batch: Option<Batch>,
    /// How an event lies in the request that brings it.
    pub mode: ContentMode,
    /// Whether events with the same key wait for each other.
    pub ordered: bool,
}

/// How an event lies in a request (CloudEvents, HTTP protocol binding 1.0, section 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentMode {
    /// The data is the body, the attributes are headers.
    Binary,
    /// All of it is one JSON document.
    Structured,
}

impl ContentMode {
    /// As a definition says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Structured => "structured",
        }
    }
}

/// How events reach a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// As a POST.
    Push {
        /// The path of the service.
        path: String,
    },
    /// The service fetches them.
    Pull,
    /// The latest of each key is kept in a table of the service's store.
    View {
        /// The table, possibly with its schema.
        table: String,
        /// The types of events that delete a row.
        delete: Vec<String>,
    },
}

/// When an event that was not taken is delivered again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Redelivery {
    /// Deliveries in all; 1 means never again.
    pub attempts: u32,
    /// The pause before the next one.
    pub backoff: Backoff,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With all that is kept.
    Earliest,
    /// With what comes.
    Latest,
    /// With what was published at that time or later.
    Time(Timestamp),
    /// With this position of the topic.
    Position(u64),
}

/// Which events are delivered: the filter dialects of the CloudEvents Subscriptions API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Each of these attributes has this value.
    Exact(BTreeMap<String, String>),
    /// Each of these attributes begins with this text.
    Prefix(BTreeMap<String, String>),
    /// Each of these attributes ends with this text.
    Suffix(BTreeMap<String, String>),
    /// All of them match.
    All(Vec<Filter>),
    /// One of them matches.
    Any(Vec<Filter>),
    /// It does not match.
    Not(Box<Filter>),
    /// An expression of the CloudEvents SQL language, version 1.0. It is not looked at here.
    Sql(String),
}

/// Several events in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// How many at most.
    pub items: u32,
    /// How long one that is not full waits for more.
    pub wait: Duration,
    /// How large it may be, in bytes.
    pub bytes: u64,
}

/// A table in a service's store whose rows become events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    /// The table, possibly with its schema.
    pub table: String,
    /// What its columns are called.
    pub columns: Columns,
    /// The topic of all its rows. `None`: what the row says.
    pub topic: Option<TopicName>,
    /// How long a row stays after it was published, where there is a column for that.
    pub keep: Duration,
}

/// The columns of an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Grows with each row. `None`: what the store has for that (SQLite's `rowid`).
    pub order: Option<String>,
    /// The event's id.
    pub id: String,
    /// The topic.
    pub topic: Option<String>,
    /// The event's type.
    pub kind: String,
    /// The event's key.
    pub key: Option<String>,
    /// The event's data.
    pub data: String,
    /// The media type of the data. `None`: `application/json`.
    pub content_type: Option<String>,
    /// When it happened. `None`: the time of its publishing.
    pub time: Option<String>,
    /// A JSON object with more attributes.
    pub extensions: Option<String>,
    /// The time of publishing. `None`: rows are deleted once they are published.
    pub published: Option<String>,
}

/// What keeps events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EventsEngine {
    /// A durable log in Motet itself.
    #[default]
    Embedded,
    /// Apache Kafka.
    Kafka {
        /// Host and port of brokers to begin with.
        brokers: Vec<String>,
        /// How many partitions a topic gets that Motet creates.
        partitions: u32,
        /// How many brokers keep a copy. `None`: what the cluster has as its default.
        replicas: Option<u32>,
    },
    /// RabbitMQ.
    RabbitMq {
        /// `amqp://user:password@host:port/vhost`.
        url: Secret,
        /// How many servers keep a copy of a queue. `None`: what the server has as its default.
        replicas: Option<u32>,
    },
    /// NATS JetStream.
    Nats {
        /// `nats://user:password@host:port`.
        url: Secret,
        /// How many servers keep a copy of a stream that Motet creates.
        replicas: u32,
    },
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl EventsEngine {
    /// The URL that it is reached at, with what opens it; nothing where there is none.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Embedded | Self::Kafka { .. } => None,
            Self::RabbitMq { url, .. } | Self::Nats { url, .. } => Some(&url.0),
        }
    }

    /// Its name, as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Kafka { .. } => "kafka",
            Self::RabbitMq { .. } => "rabbitmq",
            Self::Nats { .. } => "nats",
        }
    }
}

impl Subscription {
    /// The path that gets the events, where they are pushed.
    pub fn path(&self) -> Option<&str> {
        match &self.delivery {
            Delivery::Push { path } => Some(path),
            Delivery::Pull | Delivery::View { .. } => None,
        }
    }

    /// The longest time from the first delivery of an event to its last, without the time that handlers take.
    pub fn longest(&self) -> Duration {
        let pauses = (1..self.retry.attempts).map(|failures| self.retry.backoff.wait(failures, 1.0));
        let longest = pauses.fold(Duration::ZERO, Duration::saturating_add);
        self.max_age.map_or(longest, |age| age.min(longest))
    }
}
