//! Reading a topic's queue: out of RabbitMQ, into the log, and only then acknowledged.
//!
//! An event is always in the queue or in the log, for a moment in both. What comes twice because of that is recognised (`recent`). While the store
//! has no room, nothing is acknowledged, the server hands out no more than [`PREFETCH`] messages, and the rest waits in RabbitMQ.

use super::{
    error::Trouble,
    link::Link,
    message::{self, Arrival, Message},
    recent::Recent,
    topic::Topic,
    topology,
};
use futures_util::{FutureExt, StreamExt};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions},
    types::{FieldTable, ShortString},
};
use motet_broker::{
    Embedded, Transport,
    port::{Note, TransportError},
    time::Clock,
};
use motet_kernel::backoff::Backoff;
use motet_store::{Batch, Store};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How many messages the server hands out before the first is acknowledged.
pub(super) const PREFETCH: u16 = 256;
/// A batch of messages for the log is closed when it has so many bytes.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// The largest message that becomes an event whatever the topic's own limit: what RabbitMQ 4 takes by default. Larger ones are refused.
pub(super) const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// How long the server may take for one step.
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// The step that the queue itself answers, and not only its server.
const CONSUME_LIMIT: Duration = Duration::from_secs(7);
const BACKOFF: Backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(5), factor: 2.0 };
/// One that read for longer than this begins with short pauses again.
const LONG_LIFE: Duration = Duration::from_secs(10);

/// What moves one topic's messages.
pub(super) struct Reader {
    pub(super) topic: Arc<Topic>,
    pub(super) link: Arc<Link>,
    pub(super) log: Arc<Embedded>,
    pub(super) store: Store,
    pub(super) recent: Recent,
    pub(super) clock: Clock,
}

impl Reader {
    /// Reads for ever.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let connection = self.link.connection().await;
            let began = Instant::now();
            let trouble = match connection.create_channel().await {
                Ok(channel) => self.session(&channel).await,
                Err(error) => error.into(),
            };
            if began.elapsed() > LONG_LIFE {
                failures = 0;
            }
            failures += 1;
            if self.topic.note_reader(Some(trouble.clone())) {
                tracing::warn!(topic = %self.topic.name, %trouble, "the topic's queue is not read now; beginning again");
            }
            drop(connection);
            tokio::time::sleep(BACKOFF.wait_jittered(failures)).await;
        }
    }

    /// Reads until something breaks.
    async fn session(&mut self, channel: &Channel) -> Trouble {
        let consumer = tokio::time::timeout(STEP_LIMIT, self.begin(channel)).await;
        let mut consumer = match consumer {
            Ok(Ok(consumer)) => consumer,
            Ok(Err(trouble)) => return trouble,
            Err(_) => return Trouble::Silent(STEP_LIMIT),
        };
        self.topic.note_reader(None);
        loop {
            let deliveries = match batch(&mut consumer).await {
                Ok(deliveries) => deliveries,
                Err(trouble) => return trouble,
            };
            if let Err(trouble) = self.take(channel, deliveries).await {
                return trouble;
            }
        }
    }

    async fn begin(&self, channel: &Channel) -> Result<Consumer, Trouble> {
        let others = topology::declare(channel, &self.topic.names).await?;
        if others > 0 {
            tracing::warn!(
                topic = %self.topic.name, others,
                "somebody reads the topic's queue already: another process with this system's name, or a connection that the server has not given up yet; this one waits for its turn"
            );
        }
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (queue, tag) = (self.topic.names.topic.clone(), ShortString::default());
        let consuming =
            channel.basic_consume(queue.clone(), tag, BasicConsumeOptions::default(), FieldTable::default());
        match tokio::time::timeout(CONSUME_LIMIT, consuming).await {
            Ok(consumer) => Ok(consumer?),
            Err(_) => Err(Trouble::Stuck(queue.to_string())),
        }
    }

    /// Into the log, then acknowledged.
    async fn take(&mut self, channel: &Channel, deliveries: Vec<Delivery>) -> Result<(), Trouble> {
        let spec = self.topic.spec();
        let limit = MESSAGE_BYTES_MAX.max(spec.event_max_bytes.saturating_add(1 << 20));
        let mut refused = Vec::new();
        let mut last = None;
        let mut arrivals = Vec::with_capacity(deliveries.len());
        let mut marks = HashSet::with_capacity(deliveries.len());
        let mut next = self.log.ends(&self.topic.name).await.map_err(|error| Trouble::Lost(error.to_string()))?.next.0;
        for delivery in deliveries {
            if delivery.data.len() > limit {
                refused.push((delivery.delivery_tag, delivery.data.len()));
                continue;
            }
            last = Some(delivery.delivery_tag);
            let message = Message {
                redelivered: delivery.redelivered,
                routing_key: delivery.routing_key.to_string(),
                properties: delivery.properties,
                body: delivery.data.into(),
            };
            let arrival = message::read(&message, &spec, self.topic.names.topic.as_str(), next, self.clock.now());
            // A foreign publisher may repeat an id on purpose; at a second delivery it is the same message.
            let counts = arrival.own.is_some() || message.redelivered;
            if let Some(mark) = arrival.mark
                && (self.recent.knows(mark) || !marks.insert(mark))
                && counts
            {
                continue;
            }
            next += 1;
            arrivals.push(arrival);
        }
        self.keep(arrivals).await;
        self.answer(channel, last, &refused).await
    }

    /// Writes, for as long as that takes: what is not in the log is not acknowledged.
    async fn keep(&mut self, arrivals: Vec<Arrival>) {
        if arrivals.is_empty() {
            return;
        }
        let mut failures = 0;
        loop {
            let entries = arrivals.iter().map(|arrival| arrival.entry.clone()).collect();
            let mut extra = Batch::new();
            let page = self.recent.write(arrivals.iter().filter_map(|arrival| arrival.mark).collect(), &mut extra);
            let note = Note::new(self.store.clone(), extra);
            let error = match self.log.append(&self.topic.name, entries, Some(note)).await {
                Ok(positions) => {
                    self.recent.written(page);
                    for (arrival, position) in arrivals.iter().zip(positions) {
                        if let Some(id) = arrival.own {
                            self.topic.waiting.arrived(id, position);
                        }
                    }
                    self.topic.note_reader(None);
                    return;
                }
                Err(error) => error,
            };
            self.pause(&error, failures).await;
            failures += 1;
        }
    }

    /// The store is full, busy or broken: RabbitMQ keeps the rest meanwhile.
    async fn pause(&self, error: &TransportError, failures: u32) {
        let trouble = Trouble::Lost(format!("Motet's store does not take events: {error}"));
        if self.topic.note_reader(Some(trouble)) {
            tracing::error!(topic = %self.topic.name, %error, "events wait in RabbitMQ because Motet's store does not take them");
        }
        tokio::time::sleep(BACKOFF.wait_jittered(failures + 1)).await;
    }

    async fn answer(&self, channel: &Channel, last: Option<u64>, refused: &[(u64, usize)]) -> Result<(), Trouble> {
        let answering = async {
            for (tag, bytes) in refused {
                tracing::error!(
                    topic = %self.topic.name, bytes,
                    "a message is too large to be an event: it was handed to the queue of rejected messages"
                );
                channel.basic_reject(*tag, BasicRejectOptions { requeue: false }).await?;
            }
            match last {
                Some(tag) => channel.basic_ack(tag, BasicAckOptions { multiple: true }).await,
                None => Ok(()),
            }
        };
        tokio::time::timeout(STEP_LIMIT, answering).await.map_err(|_| Trouble::Silent(STEP_LIMIT))?.map_err(Into::into)
    }
}

/// What is there, as soon as something is.
async fn batch(consumer: &mut Consumer) -> Result<Vec<Delivery>, Trouble> {
    let gone = || Trouble::Lost("RabbitMQ ended the reading of the queue: was it deleted?".to_owned());
    let first = consumer.next().await.ok_or_else(gone)??;
    let mut bytes = first.data.len();
    let mut deliveries = vec![first];
    while deliveries.len() < usize::from(PREFETCH) && bytes < BATCH_BYTES_MAX {
        // The end of the stream is seen again by the next batch.
        let Some(Some(Ok(delivery))) = consumer.next().now_or_never() else { break };
        bytes += delivery.data.len();
        deliveries.push(delivery);
    }
    Ok(deliveries)
}
