//! Doing what the machine says. What takes time becomes a piece of work whose result comes back to the loop.

use super::{Done, Runner, TRY_AGAIN, parcels};
use crate::{
    dead::retry_key,
    machine::{Action, Dispatch, Id},
    outcome::Outcome,
    port::{Delivery, Entry, TransportError},
    record::{DeadRecord, RetryRecord},
    service::Core,
    topic::Position,
};
use futures_util::FutureExt;
use motet_kernel::quantity;
use motet_store::{Batch, Limits};
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering::Relaxed},
};

impl Runner {
    /// Does all that is to be done; what that makes possible comes with later inputs.
    pub(super) async fn act(&mut self) {
        if self.actions.is_empty() {
            return;
        }
        let mut batch = Batch::new();
        let id = self.subscription.id;
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::SaveRetry(event, record) => {
                    batch.insert(&self.core.graveyard.retries, retry_key(id, event), record.write());
                }
                Action::ForgetRetry(event) => batch.remove(&self.core.graveyard.retries, retry_key(id, event)),
                _ if self.stopping => {}
                Action::Deliver(dispatch) => self.send(dispatch),
                Action::Fetch { from, items, bytes, epoch } => self.fetch(from, Limits { items, bytes }, epoch),
                Action::Refetch(id) => self.refetch(id),
                Action::Bury(id, dead) => self.bury(id, *dead),
            }
        }
        if !batch.is_empty()
            && let Err(error) = self.core.store.write(batch).await
        {
            tracing::warn!(subscription = %self.subscription.spec.read().name, %error, "retries could not be written down");
        }
    }

    fn send(&mut self, dispatch: Dispatch) {
        let (core, spec) = (Arc::clone(&self.core), self.subscription.spec.read().clone());
        let run = self.machine.run();
        self.pushing += 1;
        self.work.push(Box::pin(async move {
            let flight = dispatch.flight;
            let count = dispatch.letters.len();
            let timeout = spec.timeout;
            let delivery = Delivery { subscription: spec, run, parcels: parcels(dispatch).collect() };
            let answer = AssertUnwindSafe(core.deliver.deliver(delivery)).catch_unwind();
            let outcomes = match tokio::time::timeout(timeout, answer).await {
                Ok(Ok(outcomes)) => outcomes,
                Ok(Err(_)) => vec![Outcome::retry("the delivery failed inside of Motet; its log says where"); count],
                Err(_) => {
                    let late = format!("no answer within {}", quantity::show_duration(timeout));
                    vec![Outcome::retry(late); count]
                }
            };
            Done::Delivered { flight, outcomes }
        }));
    }

    fn fetch(&mut self, from: Position, limits: Limits, epoch: u64) {
        let (core, spec) = (Arc::clone(&self.core), self.subscription.spec.read().clone());
        self.work.push(Box::pin(async move {
            let read = async {
                let found = core.transport.read(&spec.topic, from, limits).await?;
                let begins_there = found.first().is_some_and(|stored| stored.position == from);
                let first = if begins_there { from } else { core.transport.ends(&spec.topic).await?.first };
                Ok::<_, TransportError>((found, first))
            };
            match read.await {
                Ok((found, first)) if !found.is_empty() || first > from => Done::Fetched { found, first, epoch },
                Ok(_) => {
                    // The engine says there is more and gives nothing: not at once again.
                    tokio::time::sleep(TRY_AGAIN / 20).await;
                    Done::NotFetched { epoch }
                }
                Err(error) => {
                    // That the engine is away is said once, for all subscriptions.
                    if !matches!(error, TransportError::Unavailable { .. }) {
                        tracing::error!(subscription = %spec.name, %error, "events could not be read; tried again");
                    }
                    tokio::time::sleep(TRY_AGAIN).await;
                    Done::NotFetched { epoch }
                }
            }
        }));
    }

    fn refetch(&mut self, id: Id) {
        let (core, spec) = (Arc::clone(&self.core), self.subscription.spec.read().clone());
        let own = self.subscription.id;
        self.work.push(Box::pin(async move {
            loop {
                match read_again(&core, &spec.topic, own, id).await {
                    Ok(entry) => return Done::Refetched { id, entry },
                    Err(error) => {
                        tracing::error!(subscription = %spec.name, %error, "an event could not be read; tried again");
                        tokio::time::sleep(TRY_AGAIN).await;
                    }
                }
            }
        }));
    }

    fn bury(&mut self, id: Id, dead: DeadRecord) {
        let (core, subscription) = (Arc::clone(&self.core), Arc::clone(&self.subscription));
        self.work.push(Box::pin(async move {
            let number = subscription.next_letter.fetch_add(1, Relaxed);
            let name = subscription.spec.read().name.clone();
            tracing::warn!(
                subscription = %name, number, id = dead.entry.event.id(), reason = ?dead.reason,
                attempts = dead.attempts.made, last = %dead.attempts.last.detail, "an event became a dead letter"
            );
            loop {
                let batch = core.graveyard.bury(subscription.id, number, id, &dead);
                let alone = subscription.graves.lock().await;
                match core.store.commit(batch).await {
                    Ok(()) => {
                        subscription.letters.fetch_add(1, Relaxed);
                        return Done::Buried { id };
                    }
                    Err(error) => {
                        drop(alone);
                        tracing::error!(subscription = %name, %error, "a dead letter could not be written; tried again");
                        tokio::time::sleep(TRY_AGAIN).await;
                    }
                }
            }
        }));
    }
}

async fn read_again(
    core: &Core,
    topic: &crate::name::TopicName,
    subscription: u32,
    id: Id,
) -> Result<Option<Entry>, crate::error::SubscriptionError> {
    match id.position() {
        Some(position) => {
            let found = core.transport.read(topic, position, Limits::items(1)).await?;
            Ok(found.into_iter().find(|stored| stored.position == position).map(|stored| stored.entry))
        }
        None => {
            let record = core.graveyard.retries.get(retry_key(subscription, id))?;
            Ok(record.map(RetryRecord::read).transpose()?.and_then(|record| record.entry))
        }
    }
}
