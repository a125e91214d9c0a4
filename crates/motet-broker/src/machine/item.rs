//! An event on its way through a subscription.

use crate::{
    outcome::Refusal,
    port::{Entry, Stored},
    record::RetryRecord,
    time::Time,
    topic::Position,
};
use std::collections::{BTreeSet, HashMap};

/// Which event: by its position in the topic, or by the number that redriving gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(u64);

const REDRIVEN: u64 = 1 << 63;

impl Id {
    /// An event of the topic.
    pub(crate) fn of(position: Position) -> Self {
        Self(position.0 & !REDRIVEN)
    }

    /// A dead letter that is tried again.
    pub(crate) fn redriven(number: u64) -> Self {
        Self(number | REDRIVEN)
    }

    /// As it was given by [`Id::raw`].
    pub(crate) fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// For the disk.
    pub(crate) fn raw(self) -> u64 {
        self.0
    }

    /// Where it stands in the topic, unless it was redriven.
    pub(crate) fn position(self) -> Option<Position> {
        (self.0 & REDRIVEN == 0).then_some(Position(self.0))
    }
}

/// What was tried with an event, and failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempts {
    /// How many.
    pub made: u32,
    /// When the first one failed.
    pub first_at: Time,
    /// When the last one failed.
    pub last_at: Time,
    /// What the last one met.
    pub last: Refusal,
}

/// An event that is not settled.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) id: Id,
    /// Where it stood before it was redriven.
    pub(crate) stood: Option<u64>,
    pub(crate) key: Option<u64>,
    pub(crate) published_at: Time,
    /// The body; what waits may lose it.
    pub(crate) entry: Option<Entry>,
    /// Of the body, in bytes.
    pub(crate) size: usize,
    pub(crate) attempts: Box<Attempts>,
    pub(crate) ready_at: Time,
}

impl Item {
    /// An event that was just read; where order does not matter it has no key to wait for.
    pub(super) fn fresh(stored: Stored, ordered: bool) -> Self {
        let Stored { position, entry } = stored;
        Self {
            id: Id::of(position),
            stood: None,
            key: entry.key.filter(|_| ordered),
            published_at: entry.published_at,
            size: entry.event.size(),
            entry: Some(entry),
            attempts: Box::default(),
            ready_at: Time(0),
        }
    }

    pub(super) fn remembered(id: Id, record: &RetryRecord) -> Self {
        Self {
            id,
            stood: record.stood,
            key: record.key,
            published_at: record.published_at,
            entry: None,
            size: 0,
            attempts: Box::new(record.attempts.clone()),
            ready_at: Time(0),
        }
    }

    /// Where it stands in the topic, or stood.
    pub(super) fn place(&self) -> Option<u64> {
        self.id.position().map_or(self.stood, |position| Some(position.0))
    }
}

/// What is tried again later, by when.
#[derive(Debug, Default)]
pub(super) struct Retrying {
    due: BTreeSet<(Time, Id)>,
    items: HashMap<Id, (Time, Item)>,
}

impl Retrying {
    pub(super) fn insert(&mut self, due: Time, item: Item) {
        self.due.insert((due, item.id));
        self.items.insert(item.id, (due, item));
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        !self.items.is_empty() && self.items.contains_key(&id)
    }

    pub(super) fn first_due(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) fn pop_due(&mut self, now: Time) -> Option<Item> {
        let (due, id) = *self.due.first()?;
        if due > now {
            return None;
        }
        self.due.pop_first();
        self.items.remove(&id).map(|(_, item)| item)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values().map(|(_, item)| item)
    }

    /// Takes out what stands in the topic; redriven ones stay.
    pub(super) fn take_of_topic(&mut self) -> Vec<Item> {
        let ids: Vec<Id> = self.items.keys().copied().filter(|id| id.position().is_some()).collect();
        let taken = ids.into_iter().filter_map(|id| self.items.remove(&id));
        taken
            .map(|(due, item)| {
                self.due.remove(&(due, item.id));
                item
            })
            .collect()
    }
}
