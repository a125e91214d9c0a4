//! Orders of people: pause, resume, replay; dead letters listed, redriven, dropped.

use super::{Command, Handle, Subscription, ask};
use crate::{
    dead::{DeadLetter, Found, Which},
    error::SubscriptionError,
    key,
    name::SubscriptionName,
    payload::{self, Owner},
    port::Entry,
    record::DeadRecord,
    topic::{Position, Start},
};
use motet_cloudevents::Event;
use motet_store::Batch;
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// So many dead letters are redriven or dropped in one write.
const ROUND: usize = 256;
/// So many bytes of events are in one page of dead letters; one that is larger is there alone.
const LETTERS_BYTES: usize = 8 << 20;

impl Handle {
    /// Stops sending; what is in flight goes on. It holds across restarts.
    pub async fn pause(&self, subscription: &SubscriptionName) -> Result<(), SubscriptionError> {
        let served = self.core.subscription(subscription)?;
        ask(&served, |reply| Command::Pause { on: true, reply }).await
    }

    /// Goes on.
    pub async fn resume(&self, subscription: &SubscriptionName) -> Result<(), SubscriptionError> {
        let served = self.core.subscription(subscription)?;
        ask(&served, |reply| Command::Pause { on: false, reply }).await
    }

    /// Begins again at `start`, forwards or backwards: what stands before it counts as done with, what stands behind it does not. What is
    /// in flight comes again in its turn, if it stands behind it. The position where it begins; that it does is on disk.
    pub async fn replay(&self, subscription: &SubscriptionName, start: Start) -> Result<Position, SubscriptionError> {
        let served = self.core.subscription(subscription)?;
        let topic = served.spec.read().topic.clone();
        let position = self.core.position_of(&topic, start).await.map_err(|error| match error {
            crate::error::BrokerError::Transport(error) => SubscriptionError::Transport(error),
            _ => SubscriptionError::Stopping,
        })?;
        ask(&served, |reply| Command::Seek { position, reply }).await?;
        Ok(position)
    }

    /// Dead letters, the oldest first, up to `most`; and where the next page begins, if there may be more.
    pub async fn dead_letters(
        &self,
        subscription: &SubscriptionName,
        which: Which,
        most: usize,
    ) -> Result<(Vec<DeadLetter>, Option<u64>), SubscriptionError> {
        let served = self.core.subscription(subscription)?;
        let from = which.from;
        let (found, mut next) = self.find(&served, &Arc::new(which), from, most.clamp(1, 10_000)).await?;
        let (mut letters, mut bytes) = (Vec::with_capacity(found.len()), 0_usize);
        for (number, mut record) in found {
            bytes = bytes.saturating_add(record.entry.size());
            if bytes > LETTERS_BYTES && !letters.is_empty() {
                next = Some(number);
                break;
            }
            match record.entry.clone().whole(&self.core.store).await {
                Ok(entry) => record.entry = entry,
                // It may be why the event was given up: then it was said already.
                Err(error) if record.attempts.last.detail.contains(error.code().0) => {}
                Err(error) => record.attempts.last.detail.push_str(&format!(" (its data cannot be read: {error})")),
            }
            letters.push(letter(subscription, number, record));
        }
        Ok((letters, next))
    }

    /// Tries dead letters again, as new, with their keys; up to `most`. How many.
    pub async fn redrive(
        &self,
        subscription: &SubscriptionName,
        which: Which,
        most: usize,
    ) -> Result<usize, SubscriptionError> {
        self.redrive_as(subscription, which, most, None).await
    }

    /// Tries one dead letter again, with another event in its place. False if there is none of this number.
    pub async fn redrive_edited(
        &self,
        subscription: &SubscriptionName,
        number: u64,
        event: Event,
    ) -> Result<bool, SubscriptionError> {
        Ok(self.redrive_as(subscription, Which::one(number), 1, Some(event)).await? == 1)
    }

    async fn redrive_as(
        &self,
        subscription: &SubscriptionName,
        which: Which,
        most: usize,
        edited: Option<Event>,
    ) -> Result<usize, SubscriptionError> {
        let served = self.core.subscription(subscription)?;
        let pointer = {
            let topics = self.core.topics.load();
            topics.get(&served.spec.read().topic).and_then(|topic| topic.spec().key.clone())
        };
        // What dies again meanwhile gets a higher number, and is not redriven by the same order.
        let end = served.next_letter.load(Relaxed);
        let (mut done, mut from, which) = (0, which.from, Arc::new(which));
        while done < most {
            let mut graves = served.graves.lock().await;
            let mut tally = *graves;
            let (mut found, next) = self.find(&served, &which, from, ROUND.min(most - done)).await?;
            found.retain(|(number, _)| *number < end);
            if found.is_empty() {
                break;
            }
            let now = self.core.clock.now();
            let mut batch = Batch::new();
            let mut items = Vec::with_capacity(found.len());
            for (number, record) in found {
                tally.take(&record);
                Owner::Letter(served.id, number).lets_go(&self.core.store, &mut batch, &record.entry)?;
                let stood = record.position;
                // Its age begins anew: else one that became too old could never be redriven.
                let entry = match &edited {
                    None => Entry { published_at: now, ..record.entry },
                    Some(event) => Entry::new(event.clone(), key::of(event, pointer.as_ref()), now),
                };
                let (entry, pin) = payload::apart(&self.core.store, entry).await?;
                let item = self.core.graveyard.redrive(&mut batch, served.id, number, stood, entry, now);
                Owner::Redriven(served.id, item.0.raw()).refers(&self.core.store, &mut batch, pin);
                items.push(item);
            }
            self.core.note(&mut batch, served.id, tally);
            self.core.store.commit(batch).await?;
            *graves = tally;
            served.letters.store(tally.count, Relaxed);
            done += items.len();
            served.commands.send(Command::Redriven(items)).await.map_err(|_| SubscriptionError::Stopping)?;
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(done)
    }

    /// Drops dead letters for good; up to `most`. How many.
    pub async fn drop_dead_letters(
        &self,
        subscription: &SubscriptionName,
        which: Which,
        most: usize,
    ) -> Result<usize, SubscriptionError> {
        let served = self.core.subscription(subscription)?;
        let (mut done, mut from, which) = (0, which.from, Arc::new(which));
        while done < most {
            let mut graves = served.graves.lock().await;
            let mut tally = *graves;
            let (found, next) = self.find(&served, &which, from, ROUND.min(most - done)).await?;
            let mut batch = Batch::new();
            for (number, record) in &found {
                tally.take(record);
                self.core.graveyard.drop_letter(&mut batch, served.id, *number);
                Owner::Letter(served.id, *number).lets_go(&self.core.store, &mut batch, &record.entry)?;
            }
            self.core.note(&mut batch, served.id, tally);
            self.core.store.commit(batch).await?;
            *graves = tally;
            served.letters.store(tally.count, Relaxed);
            done += found.len();
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(done)
    }

    async fn find(
        &self,
        served: &Subscription,
        which: &Arc<Which>,
        from: u64,
        most: usize,
    ) -> Result<Found, SubscriptionError> {
        let (graveyard, id, which) = (self.core.graveyard.clone(), served.id, Arc::clone(which));
        let found = tokio::task::spawn_blocking(move || graveyard.find(id, &which, from, most)).await;
        Ok(found.map_err(|_| SubscriptionError::Stopping)??)
    }
}

fn letter(subscription: &SubscriptionName, number: u64, record: DeadRecord) -> DeadLetter {
    DeadLetter {
        number,
        subscription: subscription.clone(),
        reason: record.reason,
        attempts: record.attempts,
        buried_at: record.buried_at,
        published_at: record.entry.published_at,
        position: record.position.map(Position),
        event: record.entry.event,
    }
}
