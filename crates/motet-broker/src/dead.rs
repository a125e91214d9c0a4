//! Dead letters: what was given up, with the reason, kept until somebody redrives or drops it.

use crate::{
    machine::{Attempts, Id},
    name::SubscriptionName,
    record::{DeadRecord, Key, Malformed, RetryRecord, number_at},
    time::Time,
    topic::Position,
};
use bytes::Bytes;
use motet_cloudevents::Event;
use motet_store::{Batch, Keyspace, Limits, ReadError};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, ops::Bound};

/// Why an event was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The subscriber said that trying again cannot help.
    Permanent,
    /// It was tried as often as the subscription says.
    Attempts,
    /// It became older than the subscription says.
    Age,
}

impl Reason {
    /// In one word, as people and programs read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Attempts => "attempts",
            Self::Age => "age",
        }
    }
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Its number within the subscription: rising in the order of being given up.
    pub number: u64,
    /// Of which subscription.
    pub subscription: SubscriptionName,
    /// Why.
    pub reason: Reason,
    /// How often it was tried, when first and last, and what the last attempt met.
    pub attempts: Attempts,
    /// When it was given up.
    pub buried_at: Time,
    /// When it was published.
    pub published_at: Time,
    /// Where it stood in its topic, unless an older version of Motet had redriven it before.
    pub position: Option<Position>,
    /// The event. Without data where that cannot be read any more, which the end of [`Attempts::last`] says then.
    pub event: Event,
}

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// From this number on. Default the oldest.
    pub from: u64,
    /// Only these numbers, as many as there are. Default all.
    pub numbers: Option<BTreeSet<u64>>,
    /// Only those that this takes. It is shown the event with three attributes more: `motetreason` (see [`Reason::as_str`]), `motetattempt`
    /// (how often it was tried) and `motetstatus` (the status of the last answer, where there was one).
    pub filter: Option<crate::subscription::Filter>,
}

impl Which {
    /// One, by its number.
    pub fn one(number: u64) -> Self {
        Self::of([number])
    }

    /// These, by their numbers.
    pub fn of(numbers: impl IntoIterator<Item = u64>) -> Self {
        Self { numbers: Some(numbers.into_iter().collect()), ..Self::default() }
    }

    fn takes(&self, letter: &DeadRecord) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.takes(&with_its_end(letter)))
    }
}

/// The event of a dead letter, with what became of it as attributes.
fn with_its_end(letter: &DeadRecord) -> Event {
    let event = &letter.entry.event;
    let made = i32::try_from(letter.attempts.made).unwrap_or(i32::MAX);
    let mut told = event.edit().extension("motetreason", letter.reason.as_str()).extension("motetattempt", made);
    if let Some(status) = letter.attempts.last.status {
        told = told.extension("motetstatus", i32::from(status));
    }
    // Fails only if the event has as many attributes as one may have: then it is shown as it is.
    told.build().unwrap_or_else(|_| event.clone())
}

/// So many bytes of dead letters are read at once.
const PAGE_BYTES: usize = 4 << 20;

/// Dead letters with their numbers, and where to go on, if there may be more.
pub(crate) type Found = (Vec<(u64, DeadRecord)>, Option<u64>);

/// Where dead letters are: a keyspace, and in it a range per subscription.
#[derive(Debug, Clone)]
pub(crate) struct Graveyard {
    pub(crate) letters: Keyspace,
    /// Where what is tried again is kept; see [`crate::record::RetryRecord`].
    pub(crate) retries: Keyspace,
}

pub(crate) fn retry_key(subscription: u32, id: Id) -> Bytes {
    Key::of(subscription).u64(id.raw()).bytes()
}

/// Why dead letters could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Graveyard {
    /// What writes a dead letter, and forgets its retry.
    pub(crate) fn bury(&self, subscription: u32, number: u64, id: Id, dead: &DeadRecord) -> Batch {
        let mut batch = Batch::with_capacity(2);
        batch.insert(&self.letters, Key::of(subscription).u64(number).bytes(), dead.write());
        batch.remove(&self.retries, retry_key(subscription, id));
        batch
    }

    /// The number that the next dead letter of a subscription gets. Numbers of dropped ones are given again only if they were the last.
    pub(crate) fn next_number(&self, subscription: u32) -> Result<u64, ReadError> {
        let (first, last) = (Key::of(subscription).u64(0).bytes(), Key::of(subscription).u64(u64::MAX).bytes());
        let newest = self.letters.at_or_before(&first, &last)?;
        Ok(newest.and_then(|(key, _)| number_at(&key, 4)).map_or(1, |number| number + 1))
    }

    /// Up to `most` that `which` names, and as many as fit into a page in bytes, from a number on, in the order of being given up; and where
    /// to go on.
    pub(crate) fn find(&self, subscription: u32, which: &Which, from: u64, most: usize) -> Result<Found, Unreadable> {
        match &which.numbers {
            Some(numbers) => self.find_named(subscription, which, numbers.range(from..), most),
            None => self.find_all(subscription, which, from, most),
        }
    }

    fn find_named<'a>(
        &self,
        subscription: u32,
        which: &Which,
        mut numbers: impl Iterator<Item = &'a u64>,
        most: usize,
    ) -> Result<Found, Unreadable> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        for number in numbers.by_ref() {
            if let Some(record) = self.letters.get(Key::of(subscription).u64(*number).bytes())? {
                let record = DeadRecord::read(record)?;
                if which.takes(&record) {
                    bytes += record.entry.event.size();
                    found.push((*number, record));
                }
            }
            if found.len() >= most || bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok((found, numbers.next().copied()))
    }

    fn find_all(&self, subscription: u32, which: &Which, mut from: u64, most: usize) -> Result<Found, Unreadable> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        let end = Key::of(subscription).u64(u64::MAX).bytes();
        loop {
            let begin = Key::of(subscription).u64(from).bytes();
            let page = self.letters.range(
                &begin,
                Bound::Included(&end),
                Limits { items: most.min(256), bytes: PAGE_BYTES },
            )?;
            if page.is_empty() {
                return Ok((found, None));
            }
            for (key, record) in page {
                let number = number_at(&key, 4).unwrap_or_default();
                let record = DeadRecord::read(record)?;
                from = number + 1;
                if which.takes(&record) {
                    bytes += record.entry.event.size();
                    found.push((number, record));
                    if found.len() >= most || bytes >= PAGE_BYTES {
                        return Ok((found, Some(from)));
                    }
                }
            }
        }
    }

    pub(crate) fn drop_letter(&self, batch: &mut Batch, subscription: u32, number: u64) {
        batch.remove(&self.letters, Key::of(subscription).u64(number).bytes());
    }

    /// What a dead letter becomes when it is tried again: an event of its own, as new, with its key.
    pub(crate) fn redrive(
        &self,
        batch: &mut Batch,
        subscription: u32,
        number: u64,
        stood: Option<u64>,
        entry: crate::port::Entry,
        now: Time,
    ) -> (Id, RetryRecord) {
        let id = Id::redriven(number);
        let record = RetryRecord {
            attempts: Attempts::default(),
            due: now,
            key: entry.key,
            published_at: entry.published_at,
            stood,
            entry: Some(entry),
        };
        batch.insert(&self.retries, retry_key(subscription, id), record.write());
        self.drop_letter(batch, subscription, number);
        (id, record)
    }
}
