//! What searches: the store's documents in memory, by their words and by their vectors.
//!
//! It is only ever brought into step with the store, never told of a change: a projection that missed ten changes, or
//! starts from nothing, does the same as one that missed a single one. All that changed becomes visible at once.

use crate::fusion::{Fused, fuse};
use crate::store::{Store, StoreError, Version};
use crate::text::TextIndex;
use crate::vectors::{dot, nearest};
use parking_lot::{Mutex, RwLock};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering as Memory};

/// How far down each of the two rankings is read.
const CANDIDATES: usize = 50;

/// A passage: the number of its document's version and its position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The version's number in the store.
    pub document: i64,
    /// The passage's position in the document.
    pub position: u32,
}

/// A passage and how well it fits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// The passage.
    pub key: Key,
    /// Higher is better; comparable within one ranking only.
    pub score: f32,
}

impl Scored {
    /// Orders the better one first, and equal ones by their keys, so that a ranking is the same every time.
    #[must_use]
    pub fn better(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.key.cmp(&other.key))
    }
}

/// Why the projection cannot be brought into step or searched.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The word index refused.
    #[error("the word index: {0}")]
    Text(#[from] tantivy::TantivyError),
}

/// A passage that was found, with what the two halves say about it.
#[derive(Debug)]
pub struct Found<'a> {
    /// The document.
    pub version: &'a Version,
    /// The passage's position in it.
    pub position: usize,
    /// Its score and ranks.
    pub fused: Fused,
    /// The dot product with the question's vector, when there is one.
    pub similarity: Option<f32>,
}

/// The documents in memory; cheap to search from many threads at once.
pub struct Projection {
    content: RwLock<Content>,
    /// The store's change mark when it was last in step.
    mark: AtomicI64,
    catching_up: Mutex<()>,
}

struct Content {
    versions: BTreeMap<i64, Version>,
    text: TextIndex,
}

impl Projection {
    /// An empty projection: everything is still to be caught up with.
    pub fn new() -> Result<Self, ProjectionError> {
        let content = RwLock::new(Content::empty()?);
        Ok(Self { content, mark: AtomicI64::new(i64::MIN), catching_up: Mutex::new(()) })
    }

    /// Brings it into step with the store; costs next to nothing when nothing has changed.
    pub fn catch_up(&self, store: &Store) -> Result<(), ProjectionError> {
        if store.change_mark()? == self.mark.load(Memory::Acquire) {
            return Ok(());
        }
        let _one_at_a_time = self.catching_up.lock();
        // The mark is read before the numbers: a change in between is caught up with once more, not missed.
        let mark = store.change_mark()?;
        let wanted = store.numbers()?;
        let held: BTreeSet<i64> = self.content.read().versions.keys().copied().collect();
        let mut added = Vec::new();
        for &number in wanted.difference(&held) {
            added.extend(store.version(number)?.map(|version| (number, version)));
        }
        let gone: Vec<i64> = held.difference(&wanted).copied().collect();
        if !added.is_empty() || !gone.is_empty() {
            let mut content = self.content.write();
            if let Err(error) = content.change(&gone, added) {
                // Half of it may be in. Empty is a state that the next one to come by knows how to leave.
                *content = Content::empty()?;
                return Err(error);
            }
        }
        self.mark.store(mark, Memory::Release);
        Ok(())
    }

    /// Searches by words, by meaning, or by both, and hands the passages found to `take`.
    pub fn search<T>(
        &self,
        words: Option<&str>,
        vector: Option<&[f32]>,
        limit: usize,
        take: impl Fn(&Found<'_>) -> T,
    ) -> Result<Vec<T>, ProjectionError> {
        let content = self.content.read();
        let by_words = words.map_or(Ok(Vec::new()), |words| content.text.search(words, CANDIDATES))?;
        let by_meaning = vector.map_or(Vec::new(), |vector| {
            let documents = content.versions.iter().map(|(&number, version)| (number, version.vectors.as_slice()));
            nearest(vector, documents, CANDIDATES)
        });
        let found = fuse(&by_words, &by_meaning, limit).into_iter().filter_map(|fused| {
            let Key { document, position } = fused.scored.key;
            let (version, position) = (content.versions.get(&document)?, usize::try_from(position).ok()?);
            let similarity =
                vector.and_then(|vector| Some(dot(vector, version.vectors.chunks_exact(vector.len()).nth(position)?)));
            Some(take(&Found { version, position, fused, similarity }))
        });
        Ok(found.collect())
    }

    /// Documents and passages that are searched.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let versions = &self.content.read().versions;
        (versions.len(), versions.values().map(|version| version.passages.len()).sum())
    }
}

impl Content {
    fn empty() -> Result<Self, ProjectionError> {
        Ok(Self { versions: BTreeMap::new(), text: TextIndex::new()? })
    }

    fn change(&mut self, gone: &[i64], added: Vec<(i64, Version)>) -> Result<(), ProjectionError> {
        for &number in gone {
            self.text.remove(number);
        }
        for (number, version) in &added {
            self.text.add(*number, version)?;
        }
        self.text.commit()?;
        for number in gone {
            self.versions.remove(number);
        }
        self.versions.extend(added);
        Ok(())
    }
}
