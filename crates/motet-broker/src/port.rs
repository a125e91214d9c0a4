//! What the broker needs from the world: an engine that keeps events in order, and a way to subscribers.

use crate::{
    name::{SubscriptionName, TopicName},
    outcome::Outcome,
    payload::Payload,
    run::Run,
    subscription::SubscriptionSpec,
    time::Time,
    topic::{Keep, Position, TopicSpec},
};
use async_trait::async_trait;
use motet_cloudevents::Event;
use motet_kernel::code::ErrorCode;
use motet_store::{Batch, BlobError, BlobRef, CommitError, Limits, Store};
use std::sync::Arc;
use tokio::sync::watch;

/// What an engine is, for people and for `motet engines`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// `embedded`, `kafka`, …
    pub name: &'static str,
    /// Which one: a directory, addresses, a version.
    pub detail: String,
}

/// An event as an engine keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What was published.
    pub event: Event,
    /// What keeps it in order, if anything does; see [`crate::key`].
    pub key: Option<u64>,
    /// When it was published.
    pub published_at: Time,
    /// Where its data is, if that is large: the event has none then. Nothing in what an engine is handed that does not say otherwise
    /// ([`Transport::keeps_payloads`]); see [`crate::payload`].
    pub payload: Option<BlobRef>,
}

impl Entry {
    /// An entry with all of its data in the event.
    pub fn new(event: Event, key: Option<u64>, published_at: Time) -> Self {
        Self { event, key, published_at, payload: None }
    }

    /// The entry with its data in the event, wherever that was. `store` is the broker's.
    pub async fn whole(mut self, store: &Store) -> Result<Self, BlobError> {
        if let Some(blob) = self.payload {
            self.event = self.event.with_data(Some(store.load_blob(blob).await?));
            self.payload = None;
        }
        Ok(self)
    }

    /// How many bytes the event has, its data included wherever that is.
    pub fn size(&self) -> usize {
        let apart = self.payload.map_or(0, |blob| usize::try_from(blob.bytes()).unwrap_or(usize::MAX));
        self.event.size().saturating_add(apart)
    }
}

/// An event and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Where.
    pub position: Position,
    /// What.
    pub entry: Entry,
}

/// Where a topic begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ends {
    /// The oldest position that is kept.
    pub first: Position,
    /// The position that the next event will have.
    pub next: Position,
}

/// Records of the broker's own that have to be written together with an append. An engine that stands on the broker's store takes the
/// batch into its own; any other calls [`Note::commit`] when its append is durable and before it answers.
pub struct Note {
    store: Store,
    batch: Batch,
}

impl Note {
    /// A note for `store`.
    pub fn new(store: Store, batch: Batch) -> Self {
        Self { store, batch }
    }

    /// For an engine on the same store.
    pub fn into_batch(self) -> Batch {
        self.batch
    }

    /// For any other engine.
    pub async fn commit(self) -> Result<(), CommitError> {
        if self.batch.is_empty() { Ok(()) } else { self.store.commit(self.batch).await }
    }
}

/// Why an engine did not do what it was asked for. After a failed append it is unknown whether the events are there.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransportError {
    /// The embedded store, or the broker's own records, could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The engine has no such topic (any more).
    #[error("the engine has no topic `{0}`")]
    NoTopic(TopicName),
    /// It does not answer, or answers nonsense; it may be better in a moment.
    #[error("events engine {engine} is unavailable: {reason}")]
    Unavailable {
        /// Which one, with its address.
        engine: String,
        /// What was seen.
        reason: Arc<str>,
    },
    /// What it keeps cannot be read.
    #[error("topic `{topic}` cannot be read at {position:?}: {reason}")]
    Unreadable {
        /// Which topic.
        topic: TopicName,
        /// Where.
        position: Position,
        /// Why.
        reason: Arc<str>,
    },
}

impl TransportError {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Commit(error) => error.code(),
            Self::NoTopic(_) => ErrorCode("MO-broker-101"),
            Self::Unavailable { .. } => ErrorCode("MO-broker-301"),
            Self::Unreadable { .. } => ErrorCode("MO-broker-302"),
        }
    }
}

/// An engine that keeps topics. It need not know delays, retries, dead letters, leases or duplicates: the broker does.
///
/// Positions are the engine's: rising, with gaps where it likes. All methods may be called at once from anywhere.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// What it is.
    fn engine(&self) -> Engine;

    /// The largest event that it takes, in bytes of attributes and data, if its server has a limit that Motet cannot raise.
    fn event_max_bytes(&self) -> Option<usize> {
        None
    }

    /// Whether it keeps an entry whose data is a blob of the broker's store, and gives it back so. Others are handed whole entries.
    fn keeps_payloads(&self) -> bool {
        false
    }

    /// Makes the topic if it is not there, and tells it what is declared. Idempotent.
    async fn ensure(&self, topic: &TopicSpec) -> Result<(), TransportError>;

    /// Appends in this order; where an engine has several partitions, entries of different keys may change places. Durable when it answers, `note`
    /// included. The positions of the entries, each in the place of its entry.
    async fn append(
        &self,
        topic: &TopicName,
        entries: Vec<Entry>,
        note: Option<Note>,
    ) -> Result<Vec<Position>, TransportError>;

    /// What stands at `from` or behind it, in order, up to the limits. Empty when nothing does: it does not wait.
    async fn read(&self, topic: &TopicName, from: Position, limits: Limits) -> Result<Vec<Stored>, TransportError>;

    /// Where the topic begins and ends now.
    async fn ends(&self, topic: &TopicName) -> Result<Ends, TransportError>;

    /// The position behind the last durable event; changes when there is more to read.
    fn head(&self, topic: &TopicName) -> Result<watch::Receiver<Position>, TransportError>;

    /// The first position that was published at `time` or later; the end if there is none.
    async fn at_time(&self, topic: &TopicName, time: Time) -> Result<Position, TransportError>;

    /// The subscription is done with everything below `below`. For engines that give space back by that; may be called late and rarely.
    async fn settled(
        &self,
        topic: &TopicName,
        subscription: &SubscriptionName,
        below: Position,
    ) -> Result<(), TransportError>;

    /// Gives back what the topic need not keep any more.
    async fn trim(&self, topic: &TopicName, keep: &Keep, now: Time) -> Result<(), TransportError>;
}

/// One event on its way to a subscriber.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The event. Its `source` and `id` are the same at each attempt: by them a subscriber knows what it has done already.
    pub event: Event,
    /// Its data, where the event has none because it is large. Only for who streams it: see [`Deliver::streams`].
    pub payload: Option<Payload>,
    /// Where it stands in its topic, or stood before it was redriven.
    pub position: Option<Position>,
    /// It was a dead letter: events behind it have been delivered before it.
    pub redriven: bool,
    /// 1 for the first.
    pub attempt: u32,
    /// By this the subscriber acknowledges later, or asks for more time.
    pub token: String,
    /// When it was published.
    pub published_at: Time,
}

/// What is sent in one go.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// For which subscription.
    pub subscription: Arc<SubscriptionSpec>,
    /// Which run through the topic the subscription is on.
    pub run: Run,
    /// One, or several where the subscription takes batches.
    pub parcels: Vec<Parcel>,
}

/// The way to subscribers. In the product: a POST through the data plane.
#[async_trait]
pub trait Deliver: Send + Sync + 'static {
    /// Whether it reads large data piece by piece ([`Parcel::payload`]) for this subscription. Else all data is in the events.
    fn streams(&self, subscription: &SubscriptionSpec) -> bool {
        let _ = subscription;
        false
    }

    /// Sends, and says what became of each parcel, in order. What is missing in the answer counts as failed. It is dropped when the
    /// subscription's timeout is over.
    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome>;
}
