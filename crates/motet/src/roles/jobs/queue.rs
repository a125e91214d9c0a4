//! The broker as the queue of jobs: a ticket is an event that names a job.

use super::super::events::Push;
use async_trait::async_trait;
use motet_broker::{Deliver, Delivery, Event, Handle as Broker, Outcome, Refusal, SubscriptionName, TopicName};
use motet_jobs::{JobId, Queue, QueueError, Ticket, Verdict};
use motet_kernel::clock::Timestamp;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// What names of topics of tickets begin with.
const PREFIX: &str = "motet.jobs.";
/// What names of their subscriptions end with.
const SUFFIX: &str = ".motet.jobs";

/// The topic of a service's tickets.
pub(super) fn topic_of(service: &str) -> Option<TopicName> {
    format!("{PREFIX}{service}").parse().ok()
}

/// The subscription by which they come back.
pub(super) fn subscription_of(service: &str) -> Option<SubscriptionName> {
    format!("{service}{SUFFIX}").parse().ok()
}

/// Whether a topic is one of tickets.
fn is_ticket(topic: &str) -> bool {
    topic.starts_with(PREFIX)
}

/// The broker, as jobs see it.
pub(super) struct Tickets {
    broker: Broker,
}

impl Tickets {
    pub(super) fn new(broker: Broker) -> Self {
        Self { broker }
    }
}

fn event(ticket: &Ticket) -> Result<Event, QueueError> {
    let id = format!("{}.{}", ticket.job, ticket.round);
    let mut event = Event::builder(&id, "/motet/jobs", "motet.job.ticket");
    if let Some(key) = &ticket.key {
        event = event.extension_text("partitionkey", key.as_str());
    }
    let due = ticket.not_before.and_then(|at| Timestamp::from_millisecond(i64::try_from(at).ok()?).ok());
    let due = due.map(|due| due.to_string());
    if let Some(due) = &due {
        event = event.extension_text("deliverat", due.as_str());
    }
    event.build().map_err(|error| QueueError(error.to_string()))
}

/// The job of a ticket, and its round.
fn read(event: &Event) -> Option<(JobId, u32)> {
    let (job, round) = event.id().split_once('.')?;
    Some((job.parse().ok()?, round.parse().ok()?))
}

#[async_trait]
impl Queue for Tickets {
    async fn put(&self, service: &str, tickets: Vec<Ticket>) -> Result<(), QueueError> {
        let topic = topic_of(service).ok_or_else(|| QueueError(format!("`{service}` has no queue")))?;
        let events = tickets.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        self.broker.publish(&topic, events).await.map(drop).map_err(|error| QueueError(error.to_string()))
    }

    async fn settle(&self, service: &str, token: &str, verdict: Verdict) {
        let Some(subscription) = subscription_of(service) else { return };
        if let Err(error) = self.broker.settle(&subscription, token, outcome(verdict)).await {
            // Its lease was over: it comes again, and finds the job as it is.
            tracing::debug!(service, %error, "a ticket is not leased any more");
        }
    }

    async fn extend(&self, service: &str, token: &str, more: Duration) {
        let Some(subscription) = subscription_of(service) else { return };
        if let Err(error) = self.broker.extend(&subscription, token, more).await {
            tracing::debug!(service, %error, "a ticket is not leased any more");
        }
    }
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Done => Outcome::Ack,
        Verdict::Leased => Outcome::Accepted,
        Verdict::Again(wait) => Outcome::Retry { refusal: Refusal::of("the job is not over"), after: Some(wait) },
    }
}

/// What the broker delivers: events to paths, tickets to their jobs.
#[derive(Debug)]
pub(crate) struct Deliveries {
    push: Arc<Push>,
    jobs: OnceLock<motet_jobs::Handle>,
}

impl Deliveries {
    pub(crate) fn new(push: Arc<Push>) -> Self {
        Self { push, jobs: OnceLock::new() }
    }

    /// From now on tickets are taken.
    pub(crate) fn take_tickets(&self, jobs: &motet_jobs::Handle) {
        // Jobs are started once.
        let _ = self.jobs.set(jobs.clone());
    }

    async fn redeem(&self, event: &Event, token: String) -> Outcome {
        let Some(jobs) = self.jobs.get() else { return Outcome::retry("jobs are not started yet") };
        let Some((job, round)) = read(event) else {
            tracing::warn!(id = event.id(), "an event in a topic of jobs names none, and is passed over");
            return Outcome::Ack;
        };
        outcome(jobs.deliver(job, round, token).await)
    }
}

#[async_trait]
impl Deliver for Deliveries {
    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        if !is_ticket(delivery.subscription.topic.as_str()) {
            return self.push.deliver(delivery).await;
        }
        let mut outcomes = Vec::with_capacity(delivery.parcels.len());
        for parcel in delivery.parcels {
            outcomes.push(self.redeem(&parcel.event, parcel.token).await);
        }
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_reads_back_as_it_was_and_garbage_is_none() {
        let ticket = Ticket { job: JobId::new(), round: 3, key: Some("k".to_owned()), not_before: Some(0) };
        let event = event(&ticket).expect("an event");
        assert_eq!(read(&event), Some((ticket.job, 3)));
        assert_eq!(event.extension("partitionkey").map(|key| key.to_string()).as_deref(), Some("k"));
        assert_eq!(event.extension("deliverat").map(|at| at.to_string()).as_deref(), Some("1970-01-01T00:00:00Z"));
        for bad in ["", "job_1", "job_1.1", "x.y", "job_0199.99999999999"] {
            let event = Event::builder(if bad.is_empty() { "." } else { bad }, "/s", "t").build().expect("an event");
            assert_eq!(read(&event), None, "{bad}");
        }
    }
}
