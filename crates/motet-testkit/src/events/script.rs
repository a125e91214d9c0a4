//! A subscriber that does what a case says, and remembers what it saw.

use super::LIMIT;
use async_trait::async_trait;
use motet_broker::{Deliver, Delivery, Event, Outcome, Parcel, SubscriptionName};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

type Answer = Arc<dyn Fn(&Parcel) -> Outcome + Send + Sync>;

/// What a subscriber saw of one event.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) attempt: u32,
    pub(super) token: String,
    pub(super) at: Instant,
    pub(super) event: Event,
}

/// Answers by a function, else acknowledges.
#[derive(Default)]
pub(super) struct Script {
    answers: Mutex<HashMap<SubscriptionName, Answer>>,
    seen: Mutex<HashMap<SubscriptionName, Vec<Seen>>>,
    batches: Mutex<Vec<usize>>,
    takes: Mutex<Duration>,
    forgotten: Mutex<Option<String>>,
    /// How many deliveries are under way, and the most that were.
    at_once: Mutex<(usize, usize)>,
    /// How much was seen in all.
    news: watch::Sender<usize>,
}

/// A case that failed while it held a lock has said so.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Script {
    /// From now on this subscription answers so.
    pub(super) fn answers(
        &self,
        subscription: &SubscriptionName,
        answer: impl Fn(&Parcel) -> Outcome + Send + Sync + 'static,
    ) {
        lock(&self.answers).insert(subscription.clone(), Arc::new(answer));
    }

    /// From now on each delivery takes so long.
    pub(super) fn takes(&self, duration: Duration) {
        *lock(&self.takes) = duration;
    }

    /// The first answer to a delivery that ends with this event leaves it out.
    pub(super) fn forgets(&self, id: &str) {
        *lock(&self.forgotten) = Some(id.to_owned());
    }

    pub(super) fn seen(&self, subscription: &SubscriptionName) -> Vec<Seen> {
        lock(&self.seen).get(subscription).cloned().unwrap_or_default()
    }

    /// Waits until the subscription has seen so many deliveries of events.
    pub(super) async fn saw(&self, subscription: &SubscriptionName, count: usize) -> Vec<Seen> {
        let mut news = self.news.subscribe();
        let until = tokio::time::Instant::now() + LIMIT;
        loop {
            let seen = self.seen(subscription);
            if seen.len() >= count {
                return seen;
            }
            let more = tokio::time::timeout_at(until, news.changed()).await;
            let ids: Vec<_> = seen.iter().map(|seen| &seen.id).collect();
            assert!(more.is_ok(), "{subscription} saw {} deliveries and not {count}: {ids:?}", ids.len());
        }
    }

    /// How many events each delivery had.
    pub(super) fn batches(&self) -> Vec<usize> {
        lock(&self.batches).clone()
    }

    /// The most deliveries that were under way at once.
    pub(super) fn most_at_once(&self) -> usize {
        lock(&self.at_once).1
    }
}

#[async_trait]
impl Deliver for Script {
    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        let name = &delivery.subscription.name;
        {
            let mut at_once = lock(&self.at_once);
            at_once.0 += 1;
            at_once.1 = at_once.1.max(at_once.0);
        }
        lock(&self.batches).push(delivery.parcels.len());
        let seen = delivery.parcels.iter().map(|parcel| Seen {
            id: parcel.event.id().to_owned(),
            attempt: parcel.attempt,
            token: parcel.token.clone(),
            at: Instant::now(),
            event: parcel.event.clone(),
        });
        lock(&self.seen).entry(name.clone()).or_default().extend(seen);
        self.news.send_modify(|news| *news += delivery.parcels.len());
        let takes = *lock(&self.takes);
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        lock(&self.at_once).0 -= 1;
        let answer = lock(&self.answers).get(name).cloned();
        let last = delivery.parcels.last().map(|parcel| parcel.event.id().to_owned());
        let forgotten = lock(&self.forgotten).take_if(|id| last.as_ref() == Some(id));
        let answered = &delivery.parcels[..delivery.parcels.len() - usize::from(forgotten.is_some())];
        answered.iter().map(|parcel| answer.as_ref().map_or(Outcome::Ack, |answer| answer(parcel))).collect()
    }
}
