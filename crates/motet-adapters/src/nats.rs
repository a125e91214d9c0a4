//! Topics on a NATS server with JetStream: a stream for each, its events as CloudEvents that other programs read and write too.
//!
//! Two connections, because what is read may be large or broken, and neither may hold up what is published. Appends go through one [`writer`]
//! for each topic, reads through [`cursor`]s, and a [`watcher`] for each topic notices what others publish. JetStream's own deliveries,
//! acknowledgements and limits of attempts are not used: the broker does that, the same on every engine.
//!
//! What has to be known: JetStream acknowledges what its operating system has taken, and syncs to disk every two minutes. So what is
//! acknowledged survives the death of the server's process and not that of its machine, unless the server is told otherwise
//! (`sync_interval: always`, from 2.10 on) or each event is kept by several servers ([`Settings::replicas`]). A client cannot see that
//! setting. It is said once when the engine is connected, and in [`SUPPORT`].

mod api;
mod cursor;
mod link;
mod message;
mod naming;
mod reader;
mod settings;
mod stream;
mod topic;
mod watcher;
mod writer;

pub use settings::{InvalidAddress, Settings};

use api::{Api, Begin, NO_ROOM, NO_STREAM, STREAM_EXISTS, Stream};
use async_trait::async_trait;
use link::{Link, Trouble};
use motet_broker::{
    Keep, Limits, Position, Stored, SubscriptionName, Time, TopicName, TopicSpec,
    engine::{Capability, Support},
    port::{Ends, Engine, Entry, Note, Transport, TransportError},
};
use motet_kernel::task::{Kind, TaskGroup};
use motet_store::{Batch, Keyspace, Store};
use parking_lot::RwLock;
use std::{collections::HashMap, sync::Arc, time::Duration};
use stream::Wanted;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use topic::{Epochs, Topic, unavailable};
use writer::{Job, Writer};

/// What NATS keeps itself, what Motet adds, and what nobody does.
pub const SUPPORT: &[Support] = &[
    Support::depends(
        Capability::Durable,
        "JetStream acknowledges before the disk has the event and syncs every two minutes: it survives the death of the server's process, and that of its machine only with `sync_interval: always` (server 2.10 or newer) or several replicas.",
    ),
    Support::motet(Capability::Order),
    Support::motet(Capability::Redelivery),
    Support::motet(Capability::Delay),
    Support::motet(Capability::DeadLetters),
    Support::motet(Capability::Dedup),
    Support::engine(Capability::ReplayByPosition),
    Support::engine(Capability::ReplayByTime),
    Support::engine(Capability::RetentionByTime),
    Support::engine(Capability::RetentionBySize),
    Support::not(Capability::Partitions, "A topic is one stream, which one server writes at a time."),
    Support::engine(Capability::OtherPublishers)
        .noting("They publish to the subject `<system>.<topic>`, with `ce-` headers if they have them."),
];

/// Nothing that is asked of the engine takes longer, whatever the server does.
const CALL: Duration = Duration::from_secs(10);
/// So many appends wait for a topic's writer.
const JOBS: usize = 256;
/// How far topics are is written down this often.
const REMEMBER_EVERY: Duration = Duration::from_secs(1);
/// What the attributes of an event take in headers beside what they take as attributes, with Motet's own headers.
const HEADERS_BYTES: usize = 4096;
/// Publishers that work side by side are a little out of order in time, and clocks a little apart.
const TIME_MARGIN_MILLIS: u64 = 2_000;

/// The engine.
pub struct Nats {
    place: String,
    version: String,
    prefix: String,
    replicas: u8,
    writing: Api,
    reading: Api,
    store: Store,
    remembered: Keyspace,
    topics: Arc<RwLock<HashMap<TopicName, Arc<Topic>>>>,
    ensuring: tokio::sync::Mutex<()>,
    group: TaskGroup,
}

impl std::fmt::Debug for Nats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nats").field("place", &self.place).field("version", &self.version).finish_non_exhaustive()
    }
}

impl Nats {
    /// Connects and looks whether JetStream is there. `store` remembers which streams the topics have had; what runs for the engine belongs to
    /// `group`. Once connected, it comes back by itself for ever.
    ///
    /// # Errors
    /// After ten seconds, or at once where the server refuses the credentials: with the address, the cause and what to do.
    pub async fn connect(settings: Settings, store: &Store, group: &TaskGroup) -> Result<Self, TransportError> {
        let place = settings.place();
        let until = Instant::now() + CALL;
        let open = |name| Link::open(&settings, name, until);
        let (writing, reading) =
            tokio::try_join!(open("publishing"), open("reading")).map_err(|reason| unavailable(&place, reason))?;
        let (writing, reading) = (Api { link: writing }, Api { link: reading });
        writing.account(until).await.map_err(|trouble| match trouble {
            Trouble::Refused(code, said) => {
                let hint = "switch it on for this account (`jetstream: enabled` in the server's configuration, or `nats-server -js`)";
                unavailable(&place, format!("JetStream is not there: {said} ({code}); {hint}"))
            }
            other => unavailable(&place, other.to_string()),
        })?;
        let version = writing.link.client.server_info().version;
        warn_of_syncing(&place, &version, settings.replicas);
        let remembered = store.keyspace("nats.streams");
        let remembered = remembered.map_err(|error| unavailable(&place, error.to_string()))?;
        let nats = Self {
            place,
            version,
            prefix: settings.prefix,
            replicas: settings.replicas,
            writing,
            reading,
            store: store.clone(),
            remembered,
            topics: Arc::default(),
            ensuring: tokio::sync::Mutex::default(),
            group: group.child(),
        };
        let (topics, store, remembered) = (Arc::clone(&nats.topics), nats.store.clone(), nats.remembered.clone());
        nats.group.spawn_dropping(Kind::Periodic, "nats heads", remember(topics, store, remembered));
        Ok(nats)
    }

    fn fail(&self, reason: impl Into<Arc<str>>) -> TransportError {
        unavailable(&self.place, reason)
    }

    /// The topic, if nothing is wrong with its stream.
    fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, TransportError> {
        let topic = self.topics.read().get(name).cloned().ok_or_else(|| TransportError::NoTopic(name.clone()))?;
        topic.trouble().map_or(Ok(topic), |reason| Err(self.fail(reason)))
    }

    fn trouble(&self, topic: &Topic, trouble: &Trouble) -> TransportError {
        let reason = if trouble.is(NO_STREAM) { topic.lose("was deleted") } else { trouble.to_string().into() };
        self.fail(reason)
    }

    async fn look(&self, topic: &Topic) -> Result<Stream, TransportError> {
        let head = *topic.head().borrow();
        let stream = self.writing.stream(&topic.stream, Instant::now() + CALL).await;
        let stream = stream.map_err(|trouble| self.trouble(topic, &trouble))?;
        topic.see(&stream, head).map_err(|reason| self.fail(reason))?;
        Ok(stream)
    }

    /// Makes the stream or changes the one that is there.
    async fn stream(&self, wanted: &Wanted<'_>) -> Result<Stream, TransportError> {
        let until = Instant::now() + CALL;
        let fail = |trouble: Trouble| {
            let room = if trouble.is(NO_ROOM) { wanted.room() } else { String::new() };
            let about = format!("stream `{}` of topic `{}`: {trouble}{room}", wanted.name, wanted.topic);
            self.fail(about)
        };
        let mut there = self.writing.stream(wanted.name, until).await;
        if there.as_ref().is_err_and(|trouble| trouble.is(NO_STREAM)) {
            there = match self.writing.make_stream(wanted.name, wanted.fresh(), until).await {
                Err(trouble) if trouble.is(STREAM_EXISTS) => self.writing.stream(wanted.name, until).await,
                made => made,
            };
        }
        let there = there.map_err(fail)?;
        match wanted.changed(&there.config).map_err(|reason| self.fail(reason))? {
            None => Ok(there),
            Some(config) => self.writing.change_stream(wanted.name, config, until).await.map_err(fail),
        }
    }

    /// What is remembered of a topic's stream, with what is seen of it now.
    fn epochs(&self, topic: Option<&Topic>, stream: &str, now: &Stream) -> Result<Epochs, TransportError> {
        let unreadable =
            |error: &dyn std::fmt::Display| self.fail(format!("what is remembered of `{stream}`: {error}"));
        let record = self.remembered.get(stream).map_err(|error| unreadable(&error))?;
        let record = record.map(|bytes| serde_json::from_slice::<Epochs>(&bytes)).transpose();
        let record = record.map_err(|error| unreadable(&error))?;
        let known = topic.map(Topic::remembered).or(record).unwrap_or_else(|| Epochs::first(now.created.clone()));
        Ok(known.then(now))
    }

    fn begin(&self, spec: &TopicSpec, names: (String, String), epochs: Epochs, next: u64) {
        let (jobs, waiting) = mpsc::channel(JOBS);
        let topic = Arc::new(Topic::new(spec, names, epochs, next, jobs));
        let writer = Writer::new(self.writing.link.clone());
        self.group.spawn_dropping(Kind::Periodic, "nats writer", writer.run(Arc::downgrade(&topic), waiting));
        let watching = watcher::watch(self.reading.clone(), Arc::downgrade(&topic));
        self.group.spawn_dropping(Kind::Periodic, "nats watcher", watching);
        self.topics.write().insert(spec.name.clone(), topic);
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.group.cancel();
    }
}

fn warn_of_syncing(place: &str, version: &str, replicas: u8) {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let knows_setting = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (2, 10);
    if replicas > 1 {
        return;
    }
    let what_to_do = if knows_setting {
        "set `sync_interval: always` in its jetstream block, or keep events on several servers"
    } else {
        "2.10 and newer can (`sync_interval: always`); or keep events on several servers"
    };
    tracing::warn!(
        %place, %version, what_to_do,
        "NATS acknowledges events up to two minutes before they are on disk: they survive the death of its process, and not that of its machine"
    );
}

/// Writes down how far the topics are, so that a stream that has lost its end is recognised after a restart too.
async fn remember(topics: Arc<RwLock<HashMap<TopicName, Arc<Topic>>>>, store: Store, keyspace: Keyspace) {
    let mut written: HashMap<TopicName, u64> = HashMap::new();
    loop {
        tokio::time::sleep(REMEMBER_EVERY).await;
        let mut batch = Batch::new();
        for topic in topics.read().values().filter(|topic| topic.trouble().is_none()) {
            let epochs = topic.remembered();
            if written.insert(topic.name.clone(), epochs.head) != Some(epochs.head) {
                put(&mut batch, &keyspace, &topic.stream, &epochs);
            }
        }
        if !batch.is_empty()
            && let Err(error) = store.write(batch).await
        {
            tracing::warn!(%error, "how far the topics on NATS are could not be written down");
        }
    }
}

fn put(batch: &mut Batch, keyspace: &Keyspace, stream: &str, epochs: &Epochs) {
    let record = serde_json::to_vec(epochs).expect("texts and numbers are JSON");
    batch.insert(keyspace, bytes::Bytes::copy_from_slice(stream.as_bytes()), bytes::Bytes::from(record));
}

#[async_trait]
impl Transport for Nats {
    fn engine(&self) -> Engine {
        Engine { name: "nats", detail: format!("{}, server {}", self.place, self.version) }
    }

    fn event_max_bytes(&self) -> Option<usize> {
        Some(self.writing.link.client.server_info().max_payload.saturating_sub(HEADERS_BYTES))
    }

    async fn ensure(&self, spec: &TopicSpec) -> Result<(), TransportError> {
        let _one_at_a_time = self.ensuring.lock().await;
        let known = self.topics.read().get(&spec.name).cloned();
        if known.as_ref().is_some_and(|topic| topic.trouble().is_none() && *topic.spec.read() == *spec) {
            return Ok(());
        }
        let names = (naming::stream(&self.prefix, &spec.name), naming::subject(&self.prefix, &spec.name));
        let (name, subject) = (names.0.as_str(), names.1.as_str());
        let wanted = Wanted { topic: &spec.name, name, subject, replicas: self.replicas, keep: spec.keep };
        let stream = self.stream(&wanted).await?;
        let epochs = self.epochs(known.as_deref(), name, &stream)?;
        let mut batch = Batch::new();
        put(&mut batch, &self.remembered, name, &epochs);
        self.store.commit(batch).await?;
        let next = stream.state.next();
        match known {
            Some(topic) => topic.found(spec, epochs, next),
            None => self.begin(spec, names, epochs, next),
        }
        Ok(())
    }

    async fn append(
        &self,
        name: &TopicName,
        entries: Vec<Entry>,
        note: Option<Note>,
    ) -> Result<Vec<Position>, TransportError> {
        let topic = self.topic(name)?;
        let until = Instant::now() + CALL;
        let messages: Vec<_> = entries.iter().map(message::outgoing).collect();
        drop(entries);
        // The server would close the connection, and with it break what others publish. Ids and conditions come on top.
        let most = self.writing.link.client.server_info().max_payload.saturating_sub(256);
        if let Some(bytes) = messages.iter().map(message::Outgoing::bytes).find(|bytes| *bytes > most) {
            return Err(self.fail(format!(
                "an event of {bytes} bytes is larger than what the server takes ({most}): raise max_payload in its configuration, or publish smaller events"
            )));
        }
        let sequences = if messages.is_empty() {
            Vec::new()
        } else {
            let (reply, answer) = oneshot::channel();
            let least = topic.sequence(*topic.head().borrow());
            let job = Job::new(messages, least, until, reply);
            let handed = tokio::time::timeout_at(until, topic.jobs.send(job)).await;
            if !matches!(handed, Ok(Ok(()))) {
                return Err(self.fail("too much waits to be published already, and the server does not take it"));
            }
            match tokio::time::timeout_at(until + Duration::from_secs(1), answer).await {
                Ok(Ok(result)) => result.map_err(|reason| self.fail(reason))?,
                Ok(Err(_)) | Err(_) => return Err(self.fail("the events could not be stored in time")),
            }
        };
        if let Some(note) = note {
            note.commit().await?;
        }
        Ok(sequences.into_iter().map(|sequence| topic.position(sequence)).collect())
    }

    async fn read(&self, name: &TopicName, from: Position, limits: Limits) -> Result<Vec<Stored>, TransportError> {
        let topic = self.topic(name)?;
        let from = topic.sequence(from);
        let read = reader::read(&self.reading, &topic, from, limits, Instant::now() + CALL).await;
        read.map_err(|reason| self.fail(reason))
    }

    async fn ends(&self, name: &TopicName) -> Result<Ends, TransportError> {
        let topic = self.topic(name)?;
        let stream = self.look(&topic).await?;
        Ok(Ends { first: topic.position(stream.state.first()), next: topic.position(stream.state.next()) })
    }

    fn head(&self, name: &TopicName) -> Result<watch::Receiver<Position>, TransportError> {
        let topic = self.topics.read().get(name).cloned();
        topic.map(|topic| topic.head()).ok_or_else(|| TransportError::NoTopic(name.clone()))
    }

    async fn at_time(&self, name: &TopicName, time: Time) -> Result<Position, TransportError> {
        let topic = self.topic(name)?;
        let stream = self.look(&topic).await?;
        let until = Instant::now() + CALL;
        let newest = Limits::items(1);
        let last = reader::read(&self.reading, &topic, stream.state.last_seq, newest, until).await;
        let last = last.map_err(|reason| self.fail(reason))?;
        let Some(last) = last.first() else { return Ok(topic.position(stream.state.next())) };
        // The server finds by its own clock; this is how far Motet's is ahead.
        let ahead = last.entry.published_at.0.saturating_sub(stream.state.last_millis());
        let begin = Begin::Time(time.0.saturating_sub(ahead + TIME_MARGIN_MILLIS).max(1));
        let idle = Duration::from_secs(1);
        let consumer = self.reading.make_consumer(&topic.stream, begin, true, idle, until).await;
        let consumer = consumer.map_err(|trouble| self.trouble(&topic, &trouble))?;
        let mut at = consumer.begins();
        self.reading.forget_consumer(&topic.stream, &consumer.name).await;
        loop {
            let limits = Limits { items: 1024, bytes: 4 << 20 };
            let found = reader::read(&self.reading, &topic, at, limits, Instant::now() + CALL).await;
            let found = found.map_err(|reason| self.fail(reason))?;
            let Some(last) = found.last() else { return Ok(topic.position(at.max(stream.state.next()))) };
            if let Some(stored) = found.iter().find(|stored| stored.entry.published_at >= time) {
                return Ok(stored.position);
            }
            at = topic.sequence(last.position) + 1;
        }
    }

    async fn settled(&self, _: &TopicName, _: &SubscriptionName, _: Position) -> Result<(), TransportError> {
        Ok(())
    }

    async fn trim(&self, name: &TopicName, keep: &Keep, now: Time) -> Result<(), TransportError> {
        let topic = self.topic(name)?;
        if *topic.kept.lock() != *keep {
            let wanted = Wanted {
                topic: name,
                name: &topic.stream,
                subject: &topic.subject,
                replicas: self.replicas,
                keep: *keep,
            };
            self.stream(&wanted).await?;
            *topic.kept.lock() = *keep;
        }
        // The server does the rest by itself, by its own clock. What it would do later than asked is done here.
        let Some(time) = keep.time else { return Ok(()) };
        let stream = self.look(&topic).await?;
        let oldest = now.before(time);
        if stream.state.messages == 0 || stream.state.first_millis() > oldest.0.saturating_add(TIME_MARGIN_MILLIS) {
            return Ok(());
        }
        let first = topic.sequence(self.at_time(name, oldest).await?);
        if first <= stream.state.first() {
            return Ok(());
        }
        let purged = self.writing.purge(&topic.stream, first, Instant::now() + CALL).await;
        purged.map_err(|trouble| self.trouble(&topic, &trouble))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_something_about_each_capability() {
        assert_eq!(motet_broker::engine::faults(SUPPORT), Vec::<String>::new());
    }
}
