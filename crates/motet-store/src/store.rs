//! The store as its users see it: open, hand in, wait.

use crate::{
    batch::Batch,
    blob::{BlobError, BlobReader, BlobRef, Blobs, Pin, PutError},
    committer::{Committer, Op, Shared},
    error::{Busy, Closed, CommitError, Damaged, InUse, NotKept, OpenError, ReadError, Unusable},
    keyspace::{Keyspace, Shape},
    log::Log,
    options::Options,
    room::{Budget, Room},
    stats::Stats,
    tail::{self, Tail},
};
use bytes::Bytes;
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::oneshot;

/// How long [`Store::commit`] and [`Store::write`] wait for room before they say that the store is busy.
const ROOM_WAIT: Duration = Duration::from_secs(10);

/// Where it is written down who refers to which blob.
const BLOBS: &str = "store.blobs";

/// A blob in memory, and the room that it takes.
struct Loaded {
    value: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Loaded {
    fn as_ref(&self) -> &[u8] {
        &self.value
    }
}

/// An open store. Clones share it; it closes in good order when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    budget: Budget,
    /// For blobs that are in memory as a whole.
    loaded: Budget,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the store in `path`, or makes one. What a crash left is recovered: everything that was acknowledged is there, and what was
    /// cut off half-written is not. Blocks while it reads.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = path.as_ref();
        mend(path)?;
        let db = fjall::Database::builder(path)
            .cache_size(options.cache_bytes)
            .manual_journal_persist(true)
            // With more of them, the first one spins while another is busy and a compaction waits: it leaves those to the others.
            .worker_threads(1)
            .max_cached_files(Some(options.open_files_max))
            .max_journaling_size(64 << 20)
            .open()
            .map_err(|error| cannot_open(path, &error))?;
        let (budget, loaded) = (Budget::new(options.waiting_max_bytes), Budget::new(options.loaded_max_bytes));
        let reserve_bytes = options.reserve_bytes;
        let shared = Arc::new(Shared::new(db, path.to_owned(), options));
        let committer = Committer::new(Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("motet-store".to_owned())
            .spawn(move || committer.run())
            .map_err(|error| Unusable { path: path.to_owned(), reason: error.to_string().into() })?;
        let store = Self { inner: Arc::new(Inner { shared, budget, loaded, thread: Some(thread) }) };
        let refs = store.keyspace(BLOBS)?;
        let blobs = Blobs::open(path, refs, reserve_bytes);
        let blobs = blobs.map_err(|error| Unusable { path: path.to_owned(), reason: error.to_string().into() })?;
        store.inner.shared.blobs.get_or_init(|| blobs);
        Ok(store)
    }

    /// Opens a keyspace, or makes one.
    pub fn keyspace(&self, name: &str) -> Result<Keyspace, OpenError> {
        self.open_keyspace(name, Shape::Index)
    }

    /// Opens a log, or makes one. Logs and keyspaces share their names.
    pub fn log(&self, name: &str) -> Result<Log, OpenError> {
        Ok(Log::new(self.open_keyspace(name, Shape::Log)?))
    }

    fn open_keyspace(&self, name: &str, shape: Shape) -> Result<Keyspace, OpenError> {
        let shared = &self.inner.shared;
        let mut known = shared.keyspaces.lock();
        if let Some(keyspace) = known.iter().find(|keyspace| keyspace.name() == name) {
            return Ok(keyspace.clone());
        }
        let memtable_bytes = (shared.options.unflushed_max_bytes / 2).max(1 << 20);
        let tree = shared
            .db
            .keyspace(name, || shape.engine_options(memtable_bytes))
            .map_err(|error| cannot_open(&shared.path, &error))?;
        let keyspace = Keyspace::new(name, known.len(), tree);
        known.push(keyspace.clone());
        Ok(keyspace)
    }

    /// Room for `bytes` that will wait to be written, if there is some now.
    pub fn try_room(&self, bytes: usize) -> Option<Room> {
        self.inner.budget.try_take(bytes)
    }

    /// Room for `bytes` that will wait to be written; waits for it up to `at_most`.
    pub async fn room(&self, bytes: usize, at_most: Duration) -> Result<Room, CommitError> {
        if let Some(room) = self.try_room(bytes) {
            return Ok(room);
        }
        self.inner.shared.counters.waits.fetch_add(1, Relaxed);
        if let Some(room) = self.inner.budget.take(bytes, at_most).await {
            return Ok(room);
        }
        self.inner.shared.counters.refusals.fetch_add(1, Relaxed);
        Err(Busy { waiting_bytes: self.inner.budget.most() as u64, waited: at_most }.into())
    }

    /// Writes durably: when it answers, an `fdatasync` has the batch, and readers see it. Waits for room up to ten seconds.
    pub async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        let room = if batch.is_empty() { Room::uncounted() } else { self.room(batch.bytes(), ROOM_WAIT).await? };
        let (answer, answered) = oneshot::channel();
        self.submit(batch, room, move |result| {
            // Whoever asked may be gone; the write stands.
            let _ = answer.send(result);
        });
        match answered.await {
            Ok(result) => result,
            Err(_) => Err(Closed { path: self.inner.shared.path.clone() }.into()),
        }
    }

    /// Hands in a durable write without waiting: `done` is called with the result on the committer's thread, and must not block.
    /// What is handed in under a lock of the caller's is written in the order of that lock.
    pub fn submit(&self, batch: Batch, room: Room, done: impl FnOnce(Result<(), CommitError>) + Send + 'static) {
        let bytes = batch.bytes() as u64;
        let Batch { entries, pins, loose, .. } = batch;
        let op = Op { entries, bytes, durable: true, done: Some(Box::new(done)), room, pins, loose };
        self.inner.shared.push(op);
    }

    /// Writes soon: in order with everything else, and durable with the next commit or after a second. A crash before that loses it, and
    /// everything handed in after it. A failure is seen by the next commit. Waits for room up to ten seconds.
    pub async fn write(&self, batch: Batch) -> Result<(), CommitError> {
        if let Some(poison) = self.inner.shared.poisoned() {
            return Err(poison.clone().into());
        }
        if batch.is_empty() {
            return Ok(());
        }
        let room = self.room(batch.bytes(), ROOM_WAIT).await?;
        let bytes = batch.bytes() as u64;
        let Batch { entries, pins, loose, .. } = batch;
        self.inner.shared.push(Op { entries, bytes, durable: false, done: None, room, pins, loose });
        Ok(())
    }

    /// Answers when everything handed in before is durable.
    pub async fn flush(&self) -> Result<(), CommitError> {
        self.commit(Batch::new()).await
    }

    fn blobs(&self) -> &Blobs {
        self.inner.shared.blobs.get().expect("a store is handed out after its blobs were opened")
    }

    /// Writes a large value into a file of its own, and answers when it is durable. It stays while the pin is held, and as long as
    /// anything refers to it ([`Store::refer`]). Waits for room up to ten seconds.
    pub async fn put_blob(&self, value: Bytes) -> Result<Pin, CommitError> {
        if let Some(poison) = self.inner.shared.poisoned() {
            return Err(poison.clone().into());
        }
        let room = self.room(value.len(), ROOM_WAIT).await?;
        let store = self.clone();
        let put = tokio::task::spawn_blocking(move || {
            let put = store.blobs().put(&value);
            drop((value, room));
            put
        });
        match put.await {
            Ok(put) => put.map_err(|error| match error {
                PutError::NoSpace(full) => full.into(),
                PutError::NotKept(not) => not.into(),
            }),
            Err(_) => Err(Closed { path: self.inner.shared.path.clone() }.into()),
        }
    }

    /// Keeps a blob for as long as the pin is held, to refer to it once more. Nothing if it is gone.
    pub fn pin(&self, blob: BlobRef) -> Option<Pin> {
        self.blobs().pin(blob)
    }

    /// Once `batch` is written, `owner` refers to the blob: a name that the caller gives, by which it lets go of it. An owner refers to one
    /// blob; to say it again changes nothing.
    pub fn refer(&self, batch: &mut Batch, owner: &[u8], pin: Pin) {
        self.blobs().refer(batch, owner, pin);
    }

    /// Once `batch` is written, `owner` refers to nothing any more.
    pub fn release(&self, batch: &mut Batch, owner: &[u8]) -> Result<(), ReadError> {
        self.blobs().release(batch, owner)
    }

    /// The same for all owners from `from` on and below `to`, for up to `most` of them. The first that is left, if any is.
    pub fn release_range(
        &self,
        batch: &mut Batch,
        from: &[u8],
        to: &[u8],
        most: usize,
    ) -> Result<Option<Bytes>, ReadError> {
        self.blobs().release_range(batch, from, to, most)
    }

    /// A blob, piece by piece.
    pub async fn open_blob(&self, blob: BlobRef) -> Result<BlobReader, BlobError> {
        let store = self.clone();
        let opened = tokio::task::spawn_blocking(move || store.blobs().open_file(blob)).await;
        opened.unwrap_or_else(|error| Err(self.unreadable(&error)))
    }

    /// A blob as a whole. All that are in memory at once share [`Options::loaded_max_bytes`]: the room of this one is given back when
    /// the last copy of the bytes is dropped. Waits for room up to ten seconds.
    pub async fn load_blob(&self, blob: BlobRef) -> Result<Bytes, BlobError> {
        let length = usize::try_from(blob.bytes()).unwrap_or(usize::MAX);
        let Some(room) = self.inner.loaded.take(length, ROOM_WAIT).await else {
            return Err(self.unreadable(&"too many large values are in memory already"));
        };
        let store = self.clone();
        let loaded = tokio::task::spawn_blocking(move || {
            let value = store.blobs().open_file(blob)?.whole()?;
            Ok(Bytes::from_owner(Loaded { value, _room: room }))
        });
        loaded.await.unwrap_or_else(|error| Err(self.unreadable(&error)))
    }

    fn unreadable(&self, reason: &dyn std::fmt::Display) -> BlobError {
        BlobError::Unreadable { path: self.inner.shared.path.clone(), reason: reason.to_string().into() }
    }

    /// Removes the files of blobs that nothing refers to any more, those that a crash left among them. Costs nothing when there are none. How
    /// many bytes were given back.
    pub async fn sweep_blobs(&self) -> Result<u64, CommitError> {
        let path = &self.inner.shared.path;
        let failed = |reason: &dyn std::fmt::Display| NotKept { path: path.clone(), reason: reason.to_string().into() };
        let store = self.clone();
        let loose = tokio::task::spawn_blocking(move || store.blobs().take_loose()).await;
        let loose = loose.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        if loose.is_empty() {
            return Ok(0);
        }
        if let Err(error) = self.flush().await {
            self.blobs().loosen(loose);
            return Err(error);
        }
        let store = self.clone();
        let swept = tokio::task::spawn_blocking(move || store.blobs().sweep(loose)).await;
        Ok(swept.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?)
    }

    /// Whether writing has ended because the disk failed, and why.
    pub fn trouble(&self) -> Option<CommitError> {
        self.inner.shared.poisoned().cloned().map(CommitError::from)
    }

    /// The counters, now.
    pub fn stats(&self) -> Stats {
        let shared = &self.inner.shared;
        shared.counters.look(self.inner.budget.taken() as u64, shared.db.write_buffer_size())
    }

    /// What the store takes on disk, in bytes, journals included.
    pub fn disk_bytes(&self) -> u64 {
        self.inner.shared.db.disk_space().unwrap_or_default()
    }

    /// What is free on the store's disk, in bytes, where the system says.
    pub fn free_bytes(&self) -> Option<u64> {
        crate::disk::free_bytes(&self.inner.shared.path)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(thread) = self.thread.take() {
            // A callback of the thread itself may hold the last handle: it cannot wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.shared.path).finish()
    }
}

/// Cuts off what a crash left half-written, and refuses what is damaged before the engine could change anything.
fn mend(path: &Path) -> Result<(), OpenError> {
    let unusable = |error: std::io::Error| Unusable { path: path.to_owned(), reason: error.to_string().into() };
    let (journal, tail) = tail::mend(path).map_err(unusable)?;
    let journal = journal.unwrap_or_default();
    match tail {
        Tail::Whole => Ok(()),
        Tail::Cut { bytes } => {
            tracing::warn!(journal = %journal.display(), bytes, "cut off a write that a crash had interrupted; nobody was told that it was done");
            Ok(())
        }
        Tail::Damaged { at } => {
            let reason = format!("the journal {} is bad at byte {at} and good behind it", journal.display());
            Err(Damaged { path: path.to_owned(), reason: reason.into() }.into())
        }
    }
}

fn cannot_open(path: &Path, error: &fjall::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        fjall::Error::Locked => InUse { path }.into(),
        fjall::Error::Io(error) => Unusable { path, reason: error.to_string().into() }.into(),
        other => Damaged { path, reason: other.to_string().into() }.into(),
    }
}
