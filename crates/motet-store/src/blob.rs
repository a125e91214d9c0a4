//! Large values: each in a file of its own, written once, and referred to by as many records as like.
//!
//! A value that goes the way of all records is written to the journal, held in memory until it is flushed, written again into a table, and
//! once more for each copy of it. With tens of megabytes that is what memory and disk are spent on. So what is large is put into a file
//! first ([`crate::Store::put_blob`]); records hold a [`BlobRef`] of 32 bytes, and say under a name of their own that they do
//! ([`crate::Store::refer`], [`crate::Store::release`]), in the batch that writes or removes them.
//!
//! Who refers is on disk in two directions: by name, so that a record which goes can let go, and by blob, so that one look tells whether
//! anybody is left. A file is removed by [`crate::Store::sweep_blobs`] when nobody refers to it and nobody is about to ([`Pin`]), after a
//! sync: that the last record is gone has to be on disk before the file goes. A crash at any point leaves too many files and never
//! too few; the first sweep after a start finds them.

mod read;

use crate::{
    Batch, Limits, disk,
    error::{NoSpace, NotKept, ReadError},
    keyspace::Keyspace,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{self, Write},
    ops::Bound,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};
use xxhash_rust::xxh3::xxh3_64;

pub use read::{BlobError, BlobReader};

/// Where the files are, beside the engine's own.
const FOLDER: &str = "blobs";
/// What the keys of the two directions begin with.
const BY_OWNER: u8 = 0;
const BY_BLOB: u8 = 1;

/// What a record says about a blob: which one, how long, and a sum of its bytes. Valid as long as something refers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobRef {
    id: u128,
    bytes: u64,
    sum: u64,
}

impl BlobRef {
    /// How many bytes [`BlobRef::write`] writes.
    pub const LEN: usize = 32;

    /// How long the value is, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// For a record.
    pub fn write(&self, out: &mut impl BufMut) {
        out.put_u128_le(self.id);
        out.put_u64_le(self.bytes);
        out.put_u64_le(self.sum);
    }

    /// What [`BlobRef::write`] wrote. Nothing if there are too few bytes.
    pub fn read(from: &mut impl Buf) -> Option<Self> {
        let id = from.try_get_u128_le().ok()?;
        Some(Self { id, bytes: from.try_get_u64_le().ok()?, sum: from.try_get_u64_le().ok()? })
    }

    fn file(&self, folder: &Path) -> PathBuf {
        folder.join(name(self.id))
    }
}

fn name(id: u128) -> String {
    format!("{id:032x}")
}

/// Keeps a blob's file for as long as it is held: between writing the file and the record that refers to it.
pub struct Pin {
    blob: BlobRef,
    held: Arc<Held>,
}

impl Pin {
    fn new(held: &Arc<Held>, blob: BlobRef) -> Self {
        *held.state.lock().pins.entry(blob.id).or_default() += 1;
        Self { blob, held: Arc::clone(held) }
    }

    /// What to write into the record.
    pub fn blob(&self) -> BlobRef {
        self.blob
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.held.state.lock();
        if let Some(count) = state.pins.get_mut(&self.blob.id) {
            *count -= 1;
            if *count == 0 {
                state.pins.remove(&self.blob.id);
                state.loose.insert(self.blob.id);
            }
        }
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pin").field(&self.blob).finish()
    }
}

/// What is in memory about blobs: nothing about those that nobody is busy with.
#[derive(Debug, Default)]
struct Held {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pins: HashMap<u128, u32>,
    /// Those that may have nobody any more who refers to them: to be looked at.
    loose: HashSet<u128>,
}

/// The blobs of a store.
#[derive(Debug)]
pub(crate) struct Blobs {
    store: PathBuf,
    folder: PathBuf,
    refs: Keyspace,
    reserve_bytes: u64,
    /// The upper half of the ids of this run, the time of its beginning; the lower half counts.
    run: u64,
    next: AtomicU64,
    held: Arc<Held>,
    /// Files of earlier runs were looked at.
    looked: AtomicBool,
}

impl Blobs {
    /// Makes the folder if it is not there.
    pub(crate) fn open(store: &Path, refs: Keyspace, reserve_bytes: u64) -> io::Result<Self> {
        let folder = store.join(FOLDER);
        std::fs::create_dir_all(&folder)?;
        let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            store: store.to_owned(),
            folder,
            refs,
            reserve_bytes,
            run: u64::try_from(run.as_micros()).unwrap_or(u64::MAX),
            next: AtomicU64::new(0),
            held: Arc::default(),
            looked: AtomicBool::new(false),
        })
    }

    /// Writes a file and syncs it and its name. Blocks.
    pub(crate) fn put(&self, value: &[u8]) -> Result<Pin, PutError> {
        self.refuse_if_full(value.len() as u64)?;
        let id = u128::from(self.run) << 64 | u128::from(self.next.fetch_add(1, Relaxed));
        let pin = Pin::new(&self.held, BlobRef { id, bytes: value.len() as u64, sum: xxh3_64(value) });
        let path = pin.blob.file(&self.folder);
        let written = OpenOptions::new().write(true).create_new(true).open(&path).and_then(|mut file| {
            file.write_all(value)?;
            file.sync_all()?;
            File::open(&self.folder)?.sync_all()
        });
        match written {
            Ok(()) => Ok(pin),
            Err(error) => {
                // What is there of it is found by the sweep, because nobody refers to it.
                if error.kind() == io::ErrorKind::StorageFull {
                    self.refuse_if_full(u64::MAX)?;
                }
                Err(PutError::NotKept(NotKept { path, reason: error.to_string().into() }))
            }
        }
    }

    fn refuse_if_full(&self, bytes: u64) -> Result<(), PutError> {
        match disk::free_bytes(&self.store) {
            Some(free_bytes) if free_bytes.saturating_sub(bytes) < self.reserve_bytes || free_bytes == 0 => {
                let reserve_bytes = self.reserve_bytes;
                Err(PutError::NoSpace(NoSpace { path: self.store.clone(), free_bytes, reserve_bytes }))
            }
            _ => Ok(()),
        }
    }

    /// Keeps a blob that is there already, or says that it is not.
    pub(crate) fn pin(&self, blob: BlobRef) -> Option<Pin> {
        let pin = Pin::new(&self.held, blob);
        // Not before it is pinned: from now on it stays.
        blob.file(&self.folder).exists().then_some(pin)
    }

    pub(crate) fn refer(&self, batch: &mut Batch, owner: &[u8], pin: Pin) {
        let id = pin.blob.id;
        batch.insert(&self.refs, by_owner(owner), Bytes::copy_from_slice(&id.to_be_bytes()));
        batch.insert(&self.refs, by_blob(id, owner), Bytes::new());
        batch.pins.push(pin);
    }

    pub(crate) fn release(&self, batch: &mut Batch, owner: &[u8]) -> Result<(), ReadError> {
        let key = by_owner(owner);
        if let Some(id) = self.refs.get(&key)? {
            self.let_go(batch, key, &id);
        }
        Ok(())
    }

    /// Lets go of what the owners from `from` on and below `to` refer to, up to `most`. The name of the first that is left.
    pub(crate) fn release_range(
        &self,
        batch: &mut Batch,
        from: &[u8],
        to: &[u8],
        most: usize,
    ) -> Result<Option<Bytes>, ReadError> {
        let (from, to) = (by_owner(from), by_owner(to));
        let limits = Limits::items(most.saturating_add(1));
        let mut found = self.refs.range(&from, Bound::Excluded(&to), limits)?;
        let left = (found.len() > most).then(|| found.pop()).flatten();
        for (key, id) in found {
            self.let_go(batch, key, &id);
        }
        Ok(left.map(|(owner, _)| owner.slice(1..)))
    }

    fn let_go(&self, batch: &mut Batch, key: Bytes, id: &[u8]) {
        let Ok(id) = id.try_into().map(u128::from_be_bytes) else { return };
        batch.remove(&self.refs, by_blob(id, &key[1..]));
        batch.remove(&self.refs, key);
        batch.loose.push(id);
    }

    /// These may have nobody any more.
    pub(crate) fn loosen(&self, ids: Vec<u128>) {
        if !ids.is_empty() {
            self.held.state.lock().loose.extend(ids);
        }
    }

    /// What there is to look at; empty most of the time.
    pub(crate) fn take_loose(&self) -> io::Result<Vec<u128>> {
        if !self.looked.load(Relaxed) {
            let mut earlier = HashSet::new();
            for entry in std::fs::read_dir(&self.folder)? {
                let id = entry?.file_name().to_str().and_then(|name| u128::from_str_radix(name, 16).ok());
                earlier.extend(id.filter(|id| (id >> 64) as u64 != self.run));
            }
            self.held.state.lock().loose.extend(earlier);
            self.looked.store(true, Relaxed);
        }
        Ok(std::mem::take(&mut self.held.state.lock().loose).into_iter().collect())
    }

    /// Removes the files of those that nobody refers to. To be called after a sync. How many bytes that gave back.
    pub(crate) fn sweep(&self, loose: Vec<u128>) -> Result<u64, ReadError> {
        let mut freed = 0;
        for id in loose {
            // Under the lock: nobody can begin to refer to it between the look and the removal.
            let state = self.held.state.lock();
            if state.pins.contains_key(&id) || !self.refs.prefix(&by_blob(id, &[]), Limits::items(1))?.is_empty() {
                continue;
            }
            let path = self.folder.join(name(id));
            let bytes = std::fs::metadata(&path).map_or(0, |found| found.len());
            match std::fs::remove_file(&path) {
                Ok(()) => freed += bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a file that nothing needs could not be removed; tried again after the next start");
                }
            }
        }
        Ok(freed)
    }

    pub(crate) fn open_file(&self, blob: BlobRef) -> Result<BlobReader, BlobError> {
        BlobReader::open(blob.file(&self.folder), blob.bytes, blob.sum)
    }
}

/// Why a file was not written.
pub(crate) enum PutError {
    NoSpace(NoSpace),
    NotKept(NotKept),
}

fn by_owner(owner: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(1 + owner.len());
    key.put_u8(BY_OWNER);
    key.put_slice(owner);
    key.freeze()
}

fn by_blob(id: u128, owner: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(17 + owner.len());
    key.put_u8(BY_BLOB);
    key.put_u128(id);
    key.put_slice(owner);
    key.freeze()
}
