//! Burying, and how many dead letters there may be.
//!
//! Whoever gives up a million events would fill the disk with them, and then nothing is published any more. So a subscription keeps its last
//! ones, up to a number and a size; the oldest goes when another one comes, which is counted, logged and seen by `motet topics`. How many
//! there are is written beside them, in the same batch: counting them at a start would mean to read them all.

use super::{Core, Subscription};
use crate::{
    error::{BrokerError, SubscriptionError},
    machine::Id,
    payload::{self, Owner},
    record::{DeadRecord, Key},
};
use bytes::Bytes;
use motet_kernel::quantity;
use motet_store::Batch;
use std::sync::atomic::Ordering::Relaxed;

/// With one burial at most so many go; the next one goes on.
const GO_AT_ONCE: usize = 64;
/// What a dead letter takes beside its event, roughly, in bytes.
const STORY_BYTES: u64 = 256;

/// How many dead letters a subscription has, and how many bytes they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) count: u64,
    bytes: u64,
}

impl Tally {
    pub(super) fn put(&mut self, dead: &DeadRecord) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(size(dead));
    }

    pub(super) fn take(&mut self, dead: &DeadRecord) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size(dead));
    }
}

fn size(dead: &DeadRecord) -> u64 {
    dead.entry.size() as u64 + STORY_BYTES
}

/// Where a subscription's tally is, beside how far it is.
fn key(subscription: u32) -> Bytes {
    Key::of(subscription).u32(1).bytes()
}

impl Core {
    /// How many there are. Where that was never written down they are counted.
    pub(super) async fn tally(&self, subscription: u32) -> Result<Tally, BrokerError> {
        if let Some(record) = self.state.get(key(subscription))? {
            let number = |at| crate::record::number_at(&record, at).unwrap_or_default();
            return Ok(Tally { count: number(0), bytes: number(8) });
        }
        let graveyard = self.graveyard.clone();
        let counted = tokio::task::spawn_blocking(move || {
            let (mut tally, mut from) = (Tally::default(), 0);
            loop {
                let (found, next) = graveyard.find(subscription, &crate::dead::Which::default(), from, 1024)?;
                found.iter().for_each(|(_, dead)| tally.put(dead));
                match next {
                    Some(next) => from = next,
                    None => return Ok::<_, SubscriptionError>(tally),
                }
            }
        });
        match counted.await {
            Ok(Ok(tally)) => Ok(tally),
            Ok(Err(SubscriptionError::Malformed(error))) => Err(error.into()),
            Ok(Err(SubscriptionError::Read(error))) => Err(error.into()),
            Ok(Err(_)) | Err(_) => Ok(Tally::default()),
        }
    }

    /// Writes into `batch` how many there are then.
    pub(super) fn note(&self, batch: &mut Batch, subscription: u32, tally: Tally) {
        batch.insert(&self.state, key(subscription), Key::default().u64(tally.count).u64(tally.bytes).bytes());
    }

    /// Writes a dead letter durably. On an error nothing is written, and it can be asked for again.
    pub(super) async fn bury(
        &self,
        served: &Subscription,
        number: u64,
        id: Id,
        dead: &DeadRecord,
    ) -> Result<(), SubscriptionError> {
        let (entry, pin) = payload::apart(&self.store, dead.entry.clone()).await?;
        let record = DeadRecord { entry, ..dead.clone() };
        let mut batch = self.graveyard.bury(served.id, number, id, &record);
        Owner::Letter(served.id, number).refers(&self.store, &mut batch, pin);
        if id.position().is_none() {
            self.store.release(&mut batch, &Owner::Redriven(served.id, id.raw()).name())?;
        }
        let mut graves = served.graves.lock().await;
        let mut tally = *graves;
        tally.put(&record);
        let gone = self.make_room(&mut batch, served.id, &mut tally)?;
        self.note(&mut batch, served.id, tally);
        self.store.commit(batch).await?;
        *graves = tally;
        served.letters.store(tally.count, Relaxed);
        if !gone.is_empty() {
            served.letters_gone.fetch_add(gone.len() as u64, Relaxed);
            tracing::warn!(
                subscription = %served.spec.read().name, numbers = ?gone, letters_max = self.config.letters_max,
                letters_max_bytes = %quantity::show_size(self.config.letters_max_bytes),
                "the oldest dead letters were dropped, because there are as many as may be: redrive or drop some"
            );
        }
        Ok(())
    }

    /// Drops the oldest, as many as are too many; their numbers.
    fn make_room(
        &self,
        batch: &mut Batch,
        subscription: u32,
        tally: &mut Tally,
    ) -> Result<Vec<u64>, SubscriptionError> {
        let (mut gone, mut from) = (Vec::new(), 0);
        let too_many =
            |tally: &Tally| tally.count > self.config.letters_max || tally.bytes > self.config.letters_max_bytes;
        while too_many(tally) && gone.len() < GO_AT_ONCE {
            let (oldest, _) = self.graveyard.find(subscription, &crate::dead::Which::default(), from, 1)?;
            // The one that is being buried is not among them yet, and stays.
            let Some((number, dead)) = oldest.into_iter().next() else { break };
            self.graveyard.drop_letter(batch, subscription, number);
            Owner::Letter(subscription, number).lets_go(&self.store, batch, &dead.entry)?;
            tally.take(&dead);
            gone.push(number);
            from = number + 1;
        }
        Ok(gone)
    }
}
