//! Topics, subscriptions and dead letters, as the control API sees them.

use super::{Controlled, nearest_text};
use crate::roles::{
    events::{self, Declared},
    metrics::events::waiting,
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::{StreamExt as _, stream::BoxStream};
use motet_api::{
    error::Refusal,
    port::{EventsControl, events::Letters},
    services::{self, port::From},
    wire::events::{
        DeadLetter, DeadLetters, Engine, Events, Mode, Receipt, Seen, Start, Subscription, Topic, Totals, Watched, raw,
        time,
    },
};
use motet_broker::{
    Event, Handle, Limits, Position, SubscriptionName, SubscriptionStatus, Time, TopicName, TopicStatus, Which,
};
use motet_cloudevents::Filter;
use std::sync::Arc;

/// So many dead letters are read at once. Their events may be large.
const PAGE: usize = 16;

/// So many bytes of events are in one answer, or one event more.
const ANSWER_BYTES: usize = 8 << 20;

impl Controlled {
    fn topic(&self, name: &str) -> Result<(Handle, Arc<ArcSwap<Declared>>, TopicName), Refusal> {
        let unknown = |nearest| services::Refusal::UnknownTopic { name: name.to_owned(), nearest };
        let (broker, declared) = self.0.events.running().ok_or_else(|| unknown(None))?;
        let found = {
            let declared = declared.load();
            let found = name.parse().ok().filter(|name: &TopicName| declared.topics().contains_key(name));
            found.ok_or_else(|| unknown(nearest_text(name, declared.topics().keys().map(TopicName::as_str))))?
        };
        Ok((broker, declared, found))
    }

    fn subscription(&self, name: &str) -> Result<(Handle, Arc<ArcSwap<Declared>>, SubscriptionName), Refusal> {
        let unknown = |nearest| services::Refusal::UnknownSubscription { name: name.to_owned(), nearest };
        let (broker, declared) = self.0.events.running().ok_or_else(|| unknown(None))?;
        let found = {
            let declared = declared.load();
            let all = declared.subscriptions();
            let found = name.parse().ok().filter(|name: &SubscriptionName| all.contains_key(name));
            found.ok_or_else(|| unknown(nearest_text(name, all.keys().map(SubscriptionName::as_str))))?
        };
        Ok((broker, declared, found))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn refused(error: motet_broker::SubscriptionError) -> Refusal {
    events::not_possible(&error).into()
}

#[async_trait]
impl EventsControl for Controlled {
    async fn events(&self) -> Result<Events, Refusal> {
        let Some((broker, declared)) = self.0.events.running() else { return Ok(Events::default()) };
        let Some(found) = self.0.events.description().await else {
            return Err(Refusal::Internal(
                "the broker does not say how it is; the machine may be overloaded".to_owned(),
            ));
        };
        let declared = declared.load_full();
        let mut topics = Vec::with_capacity(found.topics.len());
        for topic in found.topics.iter().filter(|topic| declared.topics().contains_key(&topic.name)) {
            let first = topic.ends.map_or(Position(0), |ends| ends.first);
            let oldest = broker.read(&topic.name, first, Limits { items: 1, bytes: 1 }).await.unwrap_or_default();
            topics.push(shown_topic(topic, &declared, oldest.first().map(|stored| stored.entry.published_at)));
        }
        let troubles = self.0.events.views_in_trouble();
        let there = |it: &&SubscriptionStatus| declared.subscriptions().contains_key(&it.name);
        Ok(Events {
            engine: Some(Engine { name: found.engine.name.to_owned(), detail: found.engine.detail.clone() }),
            disk_bytes: found.disk_bytes,
            trouble: found.trouble,
            topics,
            subscriptions: found
                .subscriptions
                .iter()
                .filter(there)
                .map(|it| shown(it, &declared, troubles.get(&it.name)))
                .collect(),
        })
    }

    async fn publish(&self, topic: &str, published: Vec<Event>) -> Result<Vec<Receipt>, Refusal> {
        let (broker, declared, topic) = self.topic(topic)?;
        let ids: Vec<String> = published.iter().map(|event| event.id().to_owned()).collect();
        let receipts = events::publish(&broker, &declared, &topic, published).await?;
        let receipts = ids.into_iter().zip(receipts).map(|(id, receipt)| Receipt {
            id,
            position: receipt.position.map(|position| position.0),
            duplicate: receipt.duplicate,
            deliver_at: receipt.deliver_at.map(|at| time(at.0)),
        });
        Ok(receipts.collect())
    }

    async fn watch_topic(&self, topic: &str, start: Start) -> Result<BoxStream<'static, Watched>, Refusal> {
        let (broker, _, topic) = self.topic(topic)?;
        let from = match start {
            Start::Earliest => From::Earliest,
            Start::Latest => From::Latest,
            Start::Position(position) => From::Position(position),
            Start::Time(_) => {
                return Err(Refusal::Unreadable("`from` can be `earliest`, `latest` or a position here".to_owned()));
            }
        };
        let seen = events::watch(&broker, topic, from)?.map(|seen| match seen {
            Ok(seen) => Watched::Event(Seen { position: seen.position, event: raw(&seen.event) }),
            Err(refusal) => Watched::Problem(refusal.problem()),
        });
        // What cannot be read now cannot be read a moment later either, and would be told without end.
        let seen = seen.scan(false, |is_over, seen| {
            let goes_on = !std::mem::replace(is_over, matches!(seen, Watched::Problem(_)));
            std::future::ready(goes_on.then_some(seen))
        });
        Ok(seen.boxed())
    }

    async fn dead_letters(
        &self,
        subscription: &str,
        filter: Option<Filter>,
        from: u64,
        most: usize,
    ) -> Result<DeadLetters, Refusal> {
        let filter = filter.map(asked);
        let (broker, _, name) = self.subscription(subscription)?;
        let (mut letters, mut next, mut bytes) = (Vec::new(), Some(from), 0);
        while let Some(from) = next.filter(|_| letters.len() < most && bytes < ANSWER_BYTES) {
            let which = Which { from, filter: filter.clone(), ..Which::default() };
            let (found, more) =
                broker.dead_letters(&name, which, PAGE.min(most - letters.len())).await.map_err(refused)?;
            bytes += found.iter().map(|letter| letter.event.size()).sum::<usize>();
            letters.extend(found.into_iter().map(shown_letter));
            next = more;
        }
        Ok(DeadLetters { letters, next })
    }

    async fn redrive(&self, subscription: &str, letters: Letters) -> Result<u64, Refusal> {
        let (broker, declared, name) = self.subscription(subscription)?;
        let count = match letters {
            Letters::Edited(number, event) => {
                let topic = declared.load().subscriptions().get(&name).map(|found| found.spec.topic.clone());
                if let Some(topic) = topic {
                    events::adhere(&declared.load(), &topic, std::slice::from_ref(&event))?;
                }
                broker.redrive_edited(&name, number, event).await.map(usize::from)
            }
            letters => broker.redrive(&name, which(letters)?, usize::MAX).await,
        };
        Ok(count.map_err(refused)? as u64)
    }

    async fn drop_dead_letters(&self, subscription: &str, letters: Letters) -> Result<u64, Refusal> {
        let (broker, _, name) = self.subscription(subscription)?;
        let dropped = broker.drop_dead_letters(&name, which(letters)?, usize::MAX).await;
        Ok(dropped.map_err(refused)? as u64)
    }

    async fn pause(&self, subscription: &str, on: bool) -> Result<(), Refusal> {
        let (broker, _, name) = self.subscription(subscription)?;
        let done = if on { broker.pause(&name).await } else { broker.resume(&name).await };
        done.map_err(refused)
    }

    async fn replay(&self, subscription: &str, start: Start) -> Result<u64, Refusal> {
        let (broker, _, name) = self.subscription(subscription)?;
        let start = match start {
            Start::Earliest => motet_broker::Start::Earliest,
            Start::Latest => motet_broker::Start::Latest,
            Start::Position(position) => motet_broker::Start::Position(Position(position)),
            Start::Time(ms) => motet_broker::Start::Time(Time(ms)),
        };
        broker.replay(&name, start).await.map(|position| position.0).map_err(refused)
    }
}

fn which(letters: Letters) -> Result<Which, Refusal> {
    match letters {
        Letters::All => Ok(Which::default()),
        Letters::Numbers(numbers) => Ok(Which::of(numbers)),
        Letters::Where(filter) => Ok(Which { filter: Some(asked(filter)), ..Which::default() }),
        Letters::Edited(..) => Err(Refusal::Unreadable("an `event` makes sense only for what is redriven".to_owned())),
    }
}

fn asked(filter: Filter) -> motet_broker::Filter {
    motet_broker::Filter::new(move |event| filter.matches(event))
}

fn shown_topic(topic: &TopicStatus, declared: &Declared, oldest: Option<Time>) -> Topic {
    Topic {
        name: topic.name.to_string(),
        about: declared.topics().get(&topic.name).and_then(|topic| topic.about.clone()),
        kept: topic.ends.map(|ends| ends.next.0.saturating_sub(ends.first.0)),
        first: topic.ends.map(|ends| ends.first.0),
        next: topic.ends.map(|ends| ends.next.0),
        oldest_at: oldest.map(|at| time(at.0)),
        published: topic.published,
        duplicates: topic.duplicates,
        dedup_shortened: topic.window_shortened,
        per_second: topic.per_second,
    }
}

fn shown(it: &SubscriptionStatus, declared: &Declared, trouble: Option<&String>) -> Subscription {
    let counts = &it.counts;
    let found = declared.subscriptions().get(&it.name);
    let service = found.map(|found| found.service.to_string());
    Subscription {
        name: it.name.to_string(),
        service: service.unwrap_or_default(),
        topic: it.topic.to_string(),
        mode: match it.mode {
            _ if found.is_some_and(|found| found.view.is_some()) => Mode::View,
            motet_broker::Mode::Push => Mode::Push,
            motet_broker::Mode::Pull => Mode::Pull,
        },
        paused: counts.paused,
        waiting: waiting(it),
        parked: counts.parked as u64,
        in_flight: counts.in_flight_events as u64,
        retrying: counts.retrying as u64,
        lag_ms: it.lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
        dead_letters: it.dead_letters,
        per_second: it.per_second,
        cursor: counts.cursor,
        trouble: trouble.cloned(),
        totals: Totals {
            delivered: counts.delivered,
            acknowledged: counts.acknowledged,
            failed: counts.failed,
            buried: counts.buried,
            filtered: counts.filtered,
            missed: counts.missed,
        },
    }
}

fn shown_letter(letter: motet_broker::DeadLetter) -> DeadLetter {
    DeadLetter {
        number: letter.number,
        reason: letter.reason.as_str().to_owned(),
        attempts: letter.attempts.made,
        status: letter.attempts.last.status,
        detail: letter.attempts.last.detail,
        published_at: time(letter.published_at.0),
        buried_at: time(letter.buried_at.0),
        position: letter.position.map(|position| position.0),
        event: raw(&letter.event),
    }
}
