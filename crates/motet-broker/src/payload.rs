//! Large data: written once, and referred to by everything that carries the event.
//!
//! An event is copied on its way: it waits for its time, stands in its topic, becomes a dead letter, is redriven. With large data each
//! copy would cost its size on disk, and every event that is read, or waits behind a key, its size in memory. So the data of a large
//! event is a blob of the store, what is written and passed around says only which ([`crate::Entry::payload`]), and it is read when it is
//! sent: piece by piece where the subscriber can be sent it so ([`crate::Deliver::streams`]).
//!
//! Engines that are servers get the whole event, because other programs read it there; beside them only what Motet itself keeps is a blob.

use crate::port::Entry;
use bytes::Bytes;
use motet_store::{Batch, BlobError, BlobReader, BlobRef, CommitError, Pin, ReadError, Store};
use std::sync::{Arc, OnceLock};

/// Data that is larger is kept apart. A file costs two syncs of its own, about as much as writing this much three times: into the journal,
/// into a table, and again when tables are merged.
pub const APART_ABOVE_BYTES: usize = 64 << 10;

/// The data of an event on its way to a subscriber, where it is large. Clones are the same data.
#[derive(Debug, Clone)]
pub struct Payload {
    store: Store,
    blob: BlobRef,
    trouble: Arc<OnceLock<BlobError>>,
}

impl Payload {
    pub(crate) fn new(store: &Store, blob: BlobRef) -> Self {
        Self { store: store.clone(), blob, trouble: Arc::default() }
    }

    /// How long it is, in bytes.
    pub fn bytes(&self) -> u64 {
        self.blob.bytes()
    }

    /// Begins to read it piece by piece.
    pub async fn open(&self) -> Result<Pieces, BlobError> {
        let reader = self.note(self.store.open_blob(self.blob).await)?;
        Ok(Pieces { payload: self.clone(), reader })
    }

    /// All of it.
    pub async fn load(&self) -> Result<Bytes, BlobError> {
        self.note(self.store.load_blob(self.blob).await)
    }

    /// What was wrong when it was read, if it was. So that a delivery which broke off for that is not taken for the subscriber's fault.
    pub(crate) fn trouble(&self) -> Option<&BlobError> {
        self.trouble.get()
    }

    fn note<T>(&self, result: Result<T, BlobError>) -> Result<T, BlobError> {
        if let Err(error) = &result {
            self.trouble.get_or_init(|| error.clone());
        }
        result
    }
}

/// Large data that is being read.
#[derive(Debug)]
pub struct Pieces {
    payload: Payload,
    reader: BlobReader,
}

impl Pieces {
    /// The next piece; nothing at the end. The last one comes only if all of them are what was published.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let piece = self.reader.piece().await;
        self.payload.note(piece)
    }
}

/// Whether there is nothing to be put [`apart`].
pub(crate) fn is_small(entry: &Entry) -> bool {
    entry.payload.is_none() && entry.event.data().is_none_or(|data| data.len() <= APART_ABOVE_BYTES)
}

/// Puts the data of an entry aside, if it is large and is not there yet. The pins have to be held until what refers to the data is written.
pub(crate) async fn apart(store: &Store, mut entry: Entry) -> Result<(Entry, Option<Pin>), CommitError> {
    let data = entry.event.data().filter(|data| data.len() > APART_ABOVE_BYTES).cloned();
    let Some(data) = data else {
        // Nothing where it is gone: then there is nothing to be kept.
        let pin = entry.payload.and_then(|blob| store.pin(blob));
        return Ok((entry, pin));
    };
    let pin = store.put_blob(data).await?;
    entry.event = entry.event.with_data(None);
    entry.payload = Some(pin.blob());
    Ok((entry, Some(pin)))
}

/// Who refers to data that is kept apart: the record of an entry, by where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner<'a> {
    /// In a topic of the embedded engine, which is this keyspace of the store.
    Topic { keyspace: &'a str, position: u64 },
    /// Waiting for its time, under this key.
    Delayed(&'a [u8]),
    /// A dead letter: of this subscription, with this number.
    Letter(u32, u64),
    /// A dead letter that is tried again: of this subscription, with this id.
    Redriven(u32, u64),
}

impl Owner<'_> {
    /// Different for all; those of a topic sort by position. Names have no zero byte.
    pub(crate) fn name(self) -> Vec<u8> {
        match self {
            Self::Topic { keyspace, position } => [b"t", keyspace.as_bytes(), b"\0", &position.to_be_bytes()].concat(),
            Self::Delayed(key) => [b"w", key].concat(),
            Self::Letter(subscription, number) => {
                [b"d", &subscription.to_be_bytes()[..], &number.to_be_bytes()].concat()
            }
            Self::Redriven(subscription, id) => [b"r", &subscription.to_be_bytes()[..], &id.to_be_bytes()].concat(),
        }
    }

    /// Writes down that it refers to this, if there is something.
    pub(crate) fn refers(self, store: &Store, batch: &mut Batch, pin: Option<Pin>) {
        if let Some(pin) = pin {
            store.refer(batch, &self.name(), pin);
        }
    }

    /// Writes down that it refers to nothing any more; costs nothing where `entry` never did.
    pub(crate) fn lets_go(self, store: &Store, batch: &mut Batch, entry: &Entry) -> Result<(), ReadError> {
        if entry.payload.is_some() { store.release(batch, &self.name()) } else { Ok(()) }
    }
}
