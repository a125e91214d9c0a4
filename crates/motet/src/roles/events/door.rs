//! What one service may do with events: the port behind its own address.

use super::{Declared, declared::Topic};
use crate::roles::session::nearest_text;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use motet_api::services::{
    Refusal,
    port::{Admitted, Events, From, Leased, Receipt, Seen, Settle},
};
use motet_broker::{
    Event, Handle, Limits, Outcome, Position, PublishError, SubscriptionError, SubscriptionName, TopicName,
    port::TransportError,
};
use motet_kernel::{code::ErrorCode, name::ServiceName};
use motet_store::CommitError;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// How much of a topic is read at once for somebody who watches it.
const WATCHED: Limits = Limits { items: 256, bytes: 1 << 20 };

/// When a publisher whose events did not fit should come again.
const BUSY_FOR: Duration = Duration::from_secs(1);

/// The door of one service.
pub(super) struct ServicesDoor {
    service: ServiceName,
    /// The `source` of its events that name none.
    source: Arc<str>,
    broker: Handle,
    declared: Arc<ArcSwap<Declared>>,
}

impl ServicesDoor {
    pub(super) fn new(service: ServiceName, broker: Handle, declared: Arc<ArcSwap<Declared>>) -> Self {
        Self { source: format!("/{service}").into(), service, broker, declared }
    }

    fn subscription(&self, name: &str) -> Result<(SubscriptionName, Duration), Refusal> {
        let declared = self.declared.load();
        let own = declared.subscriptions().values().filter(|subscription| subscription.service == self.service);
        match declared.subscription_of(&self.service, name) {
            Some(subscription) => Ok((subscription.spec.name.clone(), subscription.spec.lease)),
            None => Err(Refusal::UnknownSubscription {
                name: name.to_owned(),
                nearest: nearest_text(name, own.map(|subscription| subscription.spec.topic.as_str())),
            }),
        }
    }

    async fn extend(&self, name: &SubscriptionName, tokens: Vec<String>, by: Duration) -> Result<Vec<String>, Refusal> {
        let mut over = Vec::new();
        for token in tokens {
            match self.broker.extend(name, &token, by).await {
                Ok(()) => {}
                Err(SubscriptionError::LeaseGone) => over.push(token),
                Err(error) => return Err(not_possible(&error)),
            }
        }
        Ok(over)
    }
}

fn topic_of<'a>(declared: &'a Declared, name: &str) -> Result<(&'a TopicName, &'a Topic), Refusal> {
    declared.topics().get_key_value(name).ok_or_else(|| Refusal::UnknownTopic {
        name: name.to_owned(),
        nearest: nearest_text(name, declared.topics().keys().map(TopicName::as_str)),
    })
}

/// Holds events against their topic's contract, and publishes them.
pub(crate) async fn publish(
    broker: &Handle,
    declared: &ArcSwap<Declared>,
    topic: &TopicName,
    events: Vec<Event>,
) -> Result<Vec<motet_broker::Receipt>, Refusal> {
    adhere(&declared.load(), topic, &events)?;
    broker.publish(topic, events).await.map_err(refused)
}

/// Whether events adhere to their topic's contract.
pub(crate) fn adhere(declared: &Declared, topic: &TopicName, events: &[Event]) -> Result<(), Refusal> {
    if let Some(contract) = declared.topics().get(topic).and_then(|topic| topic.contract.as_ref()) {
        for (index, event) in events.iter().enumerate() {
            let data = event.data().map_or(&b"null"[..], |data| data);
            contract.validate(data).map_err(|refused| Refusal::NotTaken {
                detail: format!("event {index} of the request, `{}`: {refused}", event.id()),
                code: refused.code(),
            })?;
        }
    }
    Ok(())
}

fn refused(error: PublishError) -> Refusal {
    let (detail, code) = (error.to_string(), error.code());
    match error {
        PublishError::UnknownTopic(unknown) => Refusal::UnknownTopic { name: unknown.topic, nearest: None },
        PublishError::TooLarge(_) | PublishError::InvalidDelay(_) => Refusal::NotTaken { detail, code },
        PublishError::Transport(TransportError::Commit(CommitError::Busy(_))) => {
            Refusal::Busy { retry_after: BUSY_FOR }
        }
        PublishError::Transport(_) | PublishError::Stopping => Refusal::Unavailable { detail, code },
    }
}

pub(crate) fn not_possible(error: &SubscriptionError) -> Refusal {
    let (detail, code): (String, ErrorCode) = (error.to_string(), error.code());
    match error {
        SubscriptionError::Unknown(unknown) => {
            Refusal::UnknownSubscription { name: unknown.subscription.clone(), nearest: None }
        }
        SubscriptionError::NotPull(_) => Refusal::NotAllowed(detail),
        SubscriptionError::LeaseGone => Refusal::LeaseOver,
        _ => Refusal::Unavailable { detail, code },
    }
}

#[async_trait]
impl Events for ServicesDoor {
    fn admit(&self, topic: &str) -> Result<Admitted, Refusal> {
        let declared = self.declared.load();
        let (name, topic) = topic_of(&declared, topic)?;
        if !declared.publishes(&self.service, name) {
            let service = &self.service;
            return Err(Refusal::NotAllowed(format!(
                "`{service}` does not publish `{name}`: write it under `publishes:` of the service"
            )));
        }
        Ok(Admitted { event_bytes: topic.spec.event_max_bytes, source: Arc::clone(&self.source) })
    }

    async fn publish(&self, topic: &str, events: Vec<Event>) -> Result<Vec<Receipt>, Refusal> {
        let name = {
            let declared = self.declared.load();
            let (name, _) = topic_of(&declared, topic)?;
            adhere(&declared, name, &events)?;
            name.clone()
        };
        let receipts = self.broker.publish(&name, events).await.map_err(refused)?;
        Ok(receipts.into_iter().map(receipt).collect())
    }

    async fn next(&self, subscription: &str, max: usize, wait: Duration) -> Result<Vec<Leased>, Refusal> {
        let (name, lease) = self.subscription(subscription)?;
        let parcels = self.broker.next(&name, max, wait).await.map_err(|error| not_possible(&error))?;
        let leased = parcels.into_iter().map(|parcel| Leased {
            event: parcel.event,
            token: parcel.token,
            attempt: parcel.attempt,
            position: parcel.position.map(|position| position.0),
            lease,
        });
        Ok(leased.collect())
    }

    async fn settle(&self, subscription: &str, tokens: Vec<String>, settle: Settle) -> Result<Vec<String>, Refusal> {
        let (name, _) = self.subscription(subscription)?;
        let outcome = match settle {
            Settle::Ack => Outcome::Ack,
            Settle::Extend(more) => return self.extend(&name, tokens, more).await,
            Settle::Nack { reason, permanent: true, .. } => Outcome::Permanent(motet_broker::Refusal::of(reason)),
            Settle::Nack { reason, after, permanent: false } => {
                Outcome::Retry { refusal: motet_broker::Refusal::of(reason), after }
            }
        };
        self.broker.settle_all(&name, tokens, outcome).await.map_err(|error| not_possible(&error))
    }

    async fn watch(&self, topic: &str, from: From) -> Result<BoxStream<'static, Result<Seen, Refusal>>, Refusal> {
        let (name, may) = {
            let declared = self.declared.load();
            let (name, _) = topic_of(&declared, topic)?;
            let subscribes = || declared.subscription_of(&self.service, name.as_str()).is_some();
            (name.clone(), declared.publishes(&self.service, name) || subscribes())
        };
        if !may {
            let service = &self.service;
            return Err(Refusal::NotAllowed(format!(
                "`{service}` neither publishes nor subscribes to `{name}`: write it under one of the two"
            )));
        }
        watch(&self.broker, name, from)
    }
}

fn receipt(receipt: motet_broker::Receipt) -> Receipt {
    Receipt {
        position: receipt.position.map(|position| position.0),
        duplicate: receipt.duplicate,
        deliver_at_ms: receipt.deliver_at.map(|time| time.0),
    }
}

/// A topic as a stream, from a position on.
pub(crate) fn watch(
    broker: &Handle,
    topic: TopicName,
    from: From,
) -> Result<BoxStream<'static, Result<Seen, Refusal>>, Refusal> {
    let head = broker.head(&topic).map_err(refused)?;
    let next = match from {
        From::Earliest => Position(0),
        From::Latest => *head.borrow(),
        From::Position(position) => Position(position),
    };
    let state = (broker.clone(), topic, head, next, VecDeque::new());
    let seen = stream::unfold(state, |(broker, topic, mut head, mut next, mut held)| async move {
        loop {
            if let Some(seen) = held.pop_front() {
                return Some((Ok(seen), (broker, topic, head, next, held)));
            }
            // Marked before the read, so that what comes during it is not missed.
            head.mark_unchanged();
            match broker.read(&topic, next, WATCHED).await {
                Ok(stored) if !stored.is_empty() => {
                    next = stored.last().map_or(next, |last| last.position.next());
                    held.extend(
                        stored
                            .into_iter()
                            .map(|stored| Seen { position: stored.position.0, event: stored.entry.event }),
                    );
                }
                Ok(_) => head.changed().await.ok()?,
                Err(error) => return Some((Err(refused(error)), (broker, topic, head, next, held))),
            }
        }
    });
    Ok(seen.boxed())
}
