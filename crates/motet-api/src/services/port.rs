//! What the API needs of the broker: one value per service, which knows what the service may do.

pub mod jobs;

use super::Refusal;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use motet_cloudevents::Event;
use std::{sync::Arc, time::Duration};

/// What a topic takes of this service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The largest event, in bytes of attributes and data.
    pub event_bytes: usize,
    /// The `source` of events that come without one: a URI-reference that names the service.
    pub source: Arc<str>,
}

/// What became of an event that was published, once it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Where it stands in its topic. Nothing for a duplicate, and for one that waits for its time.
    pub position: Option<u64>,
    /// An event with this source and id is there already: this one was not published again.
    pub duplicate: bool,
    /// When it will be published, where that was asked for; in milliseconds since 1970.
    pub deliver_at_ms: Option<u64>,
}

/// An event that was fetched.
#[derive(Debug, Clone)]
pub struct Leased {
    /// What it is.
    pub event: Event,
    /// By this it is settled.
    pub token: String,
    /// 1 for the first.
    pub attempt: u32,
    /// Where it stands in its topic, where it stands in one.
    pub position: Option<u64>,
    /// For how long it belongs to who fetched it.
    pub lease: Duration,
}

/// What is to become of events that were fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// They are done with.
    Ack,
    /// They could not be done.
    Nack {
        /// Why, for people who look at dead letters.
        reason: String,
        /// When they are to be tried again; the subscription's backoff if nothing is said.
        after: Option<Duration>,
        /// They never can be: dead letters at once.
        permanent: bool,
    },
    /// They take longer: the lease ends this long from now.
    Extend(Duration),
}

/// Where watching begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the oldest event that is kept.
    Earliest,
    /// With what is published from now on.
    Latest,
    /// With this position.
    Position(u64),
}

/// An event that is seen by somebody who watches.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Where it stands.
    pub position: u64,
    /// What it is.
    pub event: Event,
}

/// Events, as one service may deal with them.
#[async_trait]
pub trait Events: Send + Sync + 'static {
    /// Whether the service may publish to a topic: asked before anything is read. Quick, and without waiting.
    fn admit(&self, topic: &str) -> Result<Admitted, Refusal>;

    /// Publishes all or, if it fails, none; durable when it answers, in this order. One receipt for each. Events with the extension attribute
    /// `deliverat` (RFC 3339) or `delay` (`10m`) are published then.
    async fn publish(&self, topic: &str, events: Vec<Event>) -> Result<Vec<Receipt>, Refusal>;

    /// Fetches up to `max` events, as soon as there is one, and none when there is none within `wait`. Whoever drops the future has fetched
    /// nothing.
    async fn next(&self, subscription: &str, max: usize, wait: Duration) -> Result<Vec<Leased>, Refusal>;

    /// Settles; returns those of the tokens whose lease is over.
    async fn settle(&self, subscription: &str, tokens: Vec<String>, settle: Settle) -> Result<Vec<String>, Refusal>;

    /// Shows what is published. The stream holds a bounded number of events, and reads on as it is read.
    async fn watch(&self, topic: &str, from: From) -> Result<BoxStream<'static, Result<Seen, Refusal>>, Refusal>;
}
