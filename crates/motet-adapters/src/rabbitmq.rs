//! Topics on RabbitMQ: a fanout exchange and a replicated queue for each, and a log beside them.
//!
//! A queue can be emptied and not be read: no positions, no replay, no second reader. So Motet keeps what comes out of each queue in a log of its own,
//! which is the embedded engine under other names, and everything about reading is the log's. What is published goes into RabbitMQ,
//! is confirmed when a majority of its nodes have it on disk, comes back, goes to the log's disk, and only then is acknowledged to RabbitMQ and to
//! whoever published. So an event is always durable in one of the two, other programs can publish to the exchange and bind queues of
//! their own to it, and an outage of either side ends with nothing lost.
//!
//! On the server, for system `shop` and topic `orders`: the exchange `shop.orders` (fanout; the routing key is free) and the queue `shop.orders`
//! (quorum, one active consumer); for all topics together the exchange and queue `shop:rejected`, where messages go that are too large to be events
//! (above 16 MiB, or the topic's own limit if that is higher). Nothing empties that queue but its operators. A topic that is no longer declared keeps its queue: its operators
//! delete it.
//!
//! What comes twice: a message that was in the log when its acknowledgement was lost. Motet's own messages are recognised by their id, foreign ones at their
//! second delivery by the publisher's `message-id` or the event's `source` and `id`, among the last 16,384 of the topic. A foreign message with none of these
//! may be in the log twice after a crash.
//!
//! Absent: no delays, retries, leases or dead letters; the broker has those on every engine.
//!
//! Map: `address`, `probe` (who answers there), `link` (a connection that comes back), `topology` (what is declared) · `message` (events as
//! messages) · `topic`, `publish`, `waiting` (who waits for what to come back) · `read`, `recent` (what is in the log already) · `error`.

mod address;
mod error;
mod link;
mod message;
mod probe;
mod publish;
mod read;
mod recent;
mod topic;
mod topology;
mod waiting;

use address::Address;
use async_trait::async_trait;
use error::Trouble;
use link::Link;
use motet_broker::{
    Embedded, Keep, Limits, Stored, SubscriptionName, Time, TopicName, TopicSpec, Transport,
    engine::{Capability, Support},
    port::{Ends, Engine, Entry, Note, TransportError},
    time::Clock,
    topic::Position,
};
use motet_kernel::task::{Kind, TaskGroup};
use motet_store::{Keyspace, Store};
use parking_lot::RwLock;
use probe::Server;
use publish::Room;
use read::Reader;
use recent::Recent;
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};
use tokio::sync::watch;
use topic::Topic;
use topology::Names;

/// What RabbitMQ keeps, and what Motet adds.
pub const SUPPORT: &[Support] = &[
    Support::engine(Capability::Durable).noting(
        "Queues are quorum queues: a majority of the nodes that keep a copy has an event on disk, and Motet's own log has it, before a publisher hears yes. `replicas` says how many; a cluster with fewer nodes makes fewer, and tells nobody.",
    ),
    Support::motet(Capability::Order).noting(
        "Each queue has one active consumer, so that order survives lost connections; a second Motet with the same system's name waits.",
    ),
    Support::motet(Capability::Redelivery),
    Support::motet(Capability::Delay),
    Support::motet(Capability::DeadLetters),
    Support::motet(Capability::Dedup),
    Support::motet(Capability::ReplayByPosition).noting("RabbitMQ forgets what was read; Motet's log on this machine keeps it."),
    Support::motet(Capability::ReplayByTime),
    Support::motet(Capability::RetentionByTime),
    Support::motet(Capability::RetentionBySize),
    Support::not(
        Capability::Partitions,
        "A topic is one queue, and needs no more: Motet shares its events among all instances of a subscriber.",
    ),
    Support::engine(Capability::OtherPublishers).noting(
        "Other programs publish to the exchange `<system>.<topic>`; messages above 16 MiB go to the queue `<system>:rejected`.",
    ),
];

/// What the names of the log's keyspaces begin with. The embedded engine's own begin with `topic.` and `embedded.`.
const KEYSPACES: &str = "rabbitmq.";
/// How long [`Transport::ensure`] may take.
const DECLARE_LIMIT: Duration = Duration::from_secs(10);

/// Which server, and under which names.
#[derive(Clone)]
pub struct Settings {
    /// `amqp://user:password@host:5672/vhost`; `amqps://` with TLS. The virtual host is `/` where none is given. A `?heartbeat=` in seconds is
    /// honoured, default 10.
    pub url: String,
    /// The system's name: all exchanges and queues begin with it.
    pub prefix: String,
    /// How many nodes keep a copy of a queue that Motet makes; nothing for what the server has as its default. A cluster with fewer nodes makes
    /// fewer copies, and says nothing of it.
    pub replicas: Option<u16>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = Address::parse(&self.url).map_or_else(|_| "not an address".to_owned(), |it| it.to_string());
        f.debug_struct("Settings")
            .field("server", &server)
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .finish()
    }
}

/// Topics on a RabbitMQ server.
pub struct Rabbit {
    address: Address,
    server: Server,
    prefix: String,
    replicas: Option<u16>,
    store: Store,
    group: TaskGroup,
    log: Arc<Embedded>,
    recent: Keyspace,
    /// RabbitMQ stops reading from connections that publish while it has too little memory, so what is read and acknowledged has its own.
    publishing: Arc<Link>,
    reading: Arc<Link>,
    room: Room,
    clock: Clock,
    topics: RwLock<HashMap<TopicName, Arc<Topic>>>,
    /// One topic is made at a time.
    ensuring: tokio::sync::Mutex<()>,
}

impl Rabbit {
    /// Connects, and keeps connected as long as `group` lives. `store` keeps the log of what came out of the queues, and has to be the same each time.
    ///
    /// # Errors
    /// [`TransportError::Unavailable`] with server, cause and what to do: within ten seconds where the server cannot be reached or does not
    /// answer, at once where it refuses.
    pub async fn connect(settings: Settings, store: &Store, group: &TaskGroup) -> Result<Self, TransportError> {
        let unnamed = |trouble: Trouble| unavailable("rabbitmq", &trouble);
        let address = Address::parse(&settings.url).map_err(unnamed)?;
        let failed = |trouble: Trouble| unavailable(&engine_name(&address), &trouble);
        let name = |purpose| format!("motet {}: {purpose}", settings.prefix);
        let (publishing, server) = Link::open(&address, name("publishing"), group).await.map_err(failed)?;
        let (reading, _) = Link::open(&address, name("reading"), group).await.map_err(failed)?;
        let opened = |error: &dyn fmt::Display| failed(Trouble::Lost(format!("Motet's store cannot be used: {error}")));
        let log = Embedded::within(store.clone(), address.to_string(), KEYSPACES).map_err(|error| opened(&error))?;
        let recent = store.keyspace("rabbitmq.recent").map_err(|error| opened(&error))?;
        Ok(Self {
            server,
            prefix: settings.prefix,
            replicas: settings.replicas,
            store: store.clone(),
            group: group.clone(),
            log: Arc::new(log),
            recent,
            publishing,
            reading,
            room: Room::new(),
            clock: Clock::start(),
            topics: RwLock::default(),
            ensuring: tokio::sync::Mutex::new(()),
            address,
        })
    }

    fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, TransportError> {
        self.topics.read().get(name).cloned().ok_or_else(|| TransportError::NoTopic(name.clone()))
    }

    fn failed(&self, trouble: &Trouble) -> TransportError {
        unavailable(&engine_name(&self.address), trouble)
    }

    /// Makes what the topic needs on the server, or says why that cannot be.
    async fn declare(&self, names: &Names) -> Result<(), Trouble> {
        let declaring = async {
            loop {
                let channel = self.reading.connection().await.create_channel().await?;
                match topology::declare(&channel, names).await {
                    // The server closes the channel with that.
                    Err(Trouble::Copies(_)) => {}
                    declared => return declared,
                }
            }
        };
        match tokio::time::timeout(DECLARE_LIMIT, declaring).await {
            Ok(declared) => declared.map(drop),
            Err(_) => Err(self.reading.trouble().unwrap_or(Trouble::Silent(DECLARE_LIMIT))),
        }
    }

    /// Begins to move what comes out of the topic's queue into the log.
    async fn read_on(&self, topic: &Arc<Topic>) -> Result<(), TransportError> {
        let (keyspace, name) = (self.recent.clone(), topic.name.clone());
        let recent = tokio::task::spawn_blocking(move || Recent::open(keyspace, name)).await;
        let recent = match recent {
            Ok(Ok(recent)) => recent,
            Ok(Err(error)) => return Err(self.failed(&Trouble::Lost(error.to_string()))),
            Err(error) => return Err(self.failed(&Trouble::Lost(error.to_string()))),
        };
        let reader = Reader {
            topic: Arc::clone(topic),
            link: Arc::clone(&self.reading),
            log: Arc::clone(&self.log),
            store: self.store.clone(),
            recent,
            clock: self.clock,
        };
        self.group.spawn_dropping(Kind::ContextLoop, "read a queue of RabbitMQ", reader.run());
        Ok(())
    }
}

fn engine_name(address: &Address) -> String {
    format!("rabbitmq at {address}")
}

fn unavailable(engine: &str, trouble: &Trouble) -> TransportError {
    TransportError::Unavailable { engine: engine.to_owned(), reason: trouble.to_string().into() }
}

#[async_trait]
impl Transport for Rabbit {
    fn engine(&self) -> Engine {
        Engine { name: "rabbitmq", detail: format!("{} at {}", self.server, self.address) }
    }

    async fn ensure(&self, spec: &TopicSpec) -> Result<(), TransportError> {
        let _one = self.ensuring.lock().await;
        if let Ok(topic) = self.topic(&spec.name) {
            topic.change(spec);
            return Ok(());
        }
        let names = Names::new(&self.prefix, &spec.name, self.replicas).map_err(|trouble| self.failed(&trouble))?;
        self.declare(&names).await.map_err(|trouble| self.failed(&trouble))?;
        // What another instance on this store handed in last is in the log before the log is opened.
        self.store.flush().await?;
        self.log.ensure(spec).await?;
        let topic = Arc::new(Topic::new(spec, names, Arc::clone(&self.publishing)));
        self.read_on(&topic).await?;
        self.topics.write().insert(spec.name.clone(), topic);
        Ok(())
    }

    async fn append(
        &self,
        topic: &TopicName,
        entries: Vec<Entry>,
        note: Option<Note>,
    ) -> Result<Vec<Position>, TransportError> {
        let topic = self.topic(topic)?;
        let positions = publish::append(&topic, &self.room, &entries).await.map_err(|trouble| self.failed(&trouble))?;
        if let Some(note) = note {
            note.commit().await?;
        }
        Ok(positions)
    }

    async fn read(&self, topic: &TopicName, from: Position, limits: Limits) -> Result<Vec<Stored>, TransportError> {
        self.log.read(topic, from, limits).await
    }

    async fn ends(&self, topic: &TopicName) -> Result<Ends, TransportError> {
        self.log.ends(topic).await
    }

    fn head(&self, topic: &TopicName) -> Result<watch::Receiver<Position>, TransportError> {
        self.log.head(topic)
    }

    async fn at_time(&self, topic: &TopicName, time: Time) -> Result<Position, TransportError> {
        self.log.at_time(topic, time).await
    }

    async fn settled(
        &self,
        topic: &TopicName,
        subscription: &SubscriptionName,
        below: Position,
    ) -> Result<(), TransportError> {
        self.log.settled(topic, subscription, below).await
    }

    async fn trim(&self, topic: &TopicName, keep: &Keep, now: Time) -> Result<(), TransportError> {
        self.log.trim(topic, keep, now).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_what_is_kept_is_whole() {
        assert_eq!(motet_broker::engine::faults(SUPPORT), Vec::<String>::new());
    }

    #[test]
    fn settings_show_no_password() {
        let url = "amqp://ada:lovelace@rabbit/".to_owned();
        let settings = Settings { url, prefix: "shop".to_owned(), replicas: None };
        assert_eq!(
            format!("{settings:?}"),
            r#"Settings { server: "amqp://rabbit:5672", prefix: "shop", replicas: None }"#
        );
    }
}
