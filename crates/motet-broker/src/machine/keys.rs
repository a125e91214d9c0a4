//! Which keys are busy, and what waits behind each.

use super::item::Item;
use std::collections::{HashMap, VecDeque};

#[derive(Debug, Default)]
pub(super) struct Keys {
    busy: HashMap<u64, VecDeque<Item>>,
    parked: usize,
}

impl Keys {
    pub(super) fn is_busy(&self, key: u64) -> bool {
        self.busy.contains_key(&key)
    }

    /// Marks a key as busy. No key is always free.
    pub(super) fn occupy(&mut self, key: Option<u64>) {
        if let Some(key) = key {
            self.busy.entry(key).or_default();
        }
    }

    pub(super) fn park(&mut self, key: u64, item: Item) {
        self.busy.entry(key).or_default().push_back(item);
        self.parked += 1;
    }

    /// The event that held the key is gone: the next one holds it, or nobody.
    pub(super) fn release(&mut self, key: u64) -> Option<Item> {
        let next = self.busy.get_mut(&key)?.pop_front();
        match &next {
            Some(_) => self.parked -= 1,
            None => {
                self.busy.remove(&key);
            }
        }
        next
    }

    pub(super) fn parked(&self) -> usize {
        self.parked
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.busy.values().flatten()
    }

    /// Frees all keys and takes out all that waits.
    pub(super) fn clear(&mut self) -> Vec<Item> {
        self.parked = 0;
        self.busy.drain().flat_map(|(_, waiting)| waiting).collect()
    }
}
