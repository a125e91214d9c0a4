//! An engine as it behaves: whether it answers, so that people hear of an outage and not only of its consequences.
//!
//! An engine that is away is seen in a hundred places at once: each publisher, each subscription. What is wanted is one sentence with the
//! time since when, that goes away by itself. So every call to the engine passes here, and its outcome is noted; nothing is asked for that.

use crate::{
    name::{SubscriptionName, TopicName},
    port::{Ends, Engine, Entry, Note, Stored, Transport, TransportError},
    time::Time,
    topic::{Keep, Position, TopicSpec},
};
use async_trait::async_trait;
use motet_store::Limits;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// A failure that was not seen again for so long counts as over when anything else succeeds.
const STALE: Duration = Duration::from_secs(15);

/// What kind of thing failed: an engine may hand out events and take none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

#[derive(Debug, Clone)]
struct Outage {
    way: Way,
    reason: String,
    seen: Instant,
}

/// An engine, observed.
pub(crate) struct Observed {
    engine: Arc<dyn Transport>,
    /// So that success costs nothing.
    away: AtomicBool,
    outage: Mutex<Option<Outage>>,
}

impl Observed {
    pub(crate) fn new(engine: Arc<dyn Transport>) -> Self {
        Self { engine, away: AtomicBool::new(false), outage: Mutex::default() }
    }

    /// Why the engine does not do what it is asked for, if so: a sentence's worth, with its name and address.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.outage.lock().as_ref().map(|outage| outage.reason.clone())
    }

    fn seen<T>(&self, way: Way, result: Result<T, TransportError>) -> Result<T, TransportError> {
        match &result {
            Err(error @ TransportError::Unavailable { .. }) => {
                let outage = Outage { way, reason: error.to_string(), seen: Instant::now() };
                if self.outage.lock().replace(outage).is_none() {
                    tracing::warn!(%error, "the engine of events is away; tried again until it is back");
                }
                self.away.store(true, Relaxed);
            }
            Ok(_) if self.away.load(Relaxed) => {
                let mut outage = self.outage.lock();
                if outage.as_ref().is_some_and(|outage| outage.way == way || outage.seen.elapsed() >= STALE) {
                    *outage = None;
                    self.away.store(false, Relaxed);
                    tracing::info!("the engine of events is back");
                }
            }
            _ => {}
        }
        result
    }
}

#[async_trait]
impl Transport for Observed {
    fn engine(&self) -> Engine {
        self.engine.engine()
    }

    fn event_max_bytes(&self) -> Option<usize> {
        self.engine.event_max_bytes()
    }

    fn keeps_payloads(&self) -> bool {
        self.engine.keeps_payloads()
    }

    async fn ensure(&self, topic: &TopicSpec) -> Result<(), TransportError> {
        self.seen(Way::In, self.engine.ensure(topic).await)
    }

    async fn append(
        &self,
        topic: &TopicName,
        entries: Vec<Entry>,
        note: Option<Note>,
    ) -> Result<Vec<Position>, TransportError> {
        self.seen(Way::In, self.engine.append(topic, entries, note).await)
    }

    async fn read(&self, topic: &TopicName, from: Position, limits: Limits) -> Result<Vec<Stored>, TransportError> {
        self.seen(Way::Out, self.engine.read(topic, from, limits).await)
    }

    async fn ends(&self, topic: &TopicName) -> Result<Ends, TransportError> {
        self.seen(Way::Out, self.engine.ends(topic).await)
    }

    fn head(&self, topic: &TopicName) -> Result<watch::Receiver<Position>, TransportError> {
        self.engine.head(topic)
    }

    async fn at_time(&self, topic: &TopicName, time: Time) -> Result<Position, TransportError> {
        self.seen(Way::Out, self.engine.at_time(topic, time).await)
    }

    async fn settled(
        &self,
        topic: &TopicName,
        subscription: &SubscriptionName,
        below: Position,
    ) -> Result<(), TransportError> {
        self.engine.settled(topic, subscription, below).await
    }

    async fn trim(&self, topic: &TopicName, keep: &Keep, now: Time) -> Result<(), TransportError> {
        self.engine.trim(topic, keep, now).await
    }
}
