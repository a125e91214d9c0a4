//! The store as its users see it: open, hand in, wait.

use crate::{
    batch::Batch,
    committer::{Committer, Op, Shared},
    error::{Busy, Closed, CommitError, Damaged, InUse, OpenError, Unusable},
    keyspace::{Keyspace, Shape},
    options::Options,
    room::{Budget, Room},
    stats::Stats,
    tail::{self, Tail},
};
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::oneshot;

/// How long [`Store::commit`] and [`Store::write`] wait for room before they say that the store is busy.
const ROOM_WAIT: Duration = Duration::from_secs(10);

/// An open store. Clones share it; it closes in good order when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    budget: Budget,
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
            .worker_threads(2)
            .max_cached_files(Some(options.open_files_max))
            .max_journaling_size(64 << 20)
            .open()
            .map_err(|error| cannot_open(path, &error))?;
        let budget = Budget::new(options.waiting_max_bytes);
        let shared = Arc::new(Shared::new(db, path.to_owned(), options));
        let committer = Committer::new(Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("motet-store".to_owned())
            .spawn(move || committer.run())
            .map_err(|error| Unusable { path: path.to_owned(), reason: error.to_string().into() })?;
        Ok(Self { inner: Arc::new(Inner { shared, budget, thread: Some(thread) }) })
    }

    /// Opens a keyspace, or makes one. Its shape is that of the first time.
    pub fn keyspace(&self, name: &str, shape: Shape) -> Result<Keyspace, OpenError> {
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
        let keyspace = Keyspace::new(name, tree);
        known.push(keyspace.clone());
        Ok(keyspace)
    }

    /// Removes a keyspace and all that is in it. Other handles of it read on from what they hold, and must not be written to.
    pub fn remove_keyspace(&self, keyspace: &Keyspace) -> Result<(), OpenError> {
        let shared = &self.inner.shared;
        shared.keyspaces.lock().retain(|known| known.name() != keyspace.name());
        shared.db.delete_keyspace(keyspace.tree.clone()).map_err(|error| cannot_open(&shared.path, &error))
    }

    /// Room for `bytes` that will wait to be written; waits for it up to `at_most`.
    pub async fn room(&self, bytes: usize, at_most: Duration) -> Result<Room, CommitError> {
        if let Some(room) = self.inner.budget.try_take(bytes) {
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
        let op = Op { entries: batch.entries, bytes, durable: true, done: Some(Box::new(done)), room };
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
        self.inner.shared.push(Op {
            bytes: batch.bytes() as u64,
            entries: batch.entries,
            durable: false,
            done: None,
            room,
        });
        Ok(())
    }

    /// Answers when everything handed in before is durable.
    pub async fn flush(&self) -> Result<(), CommitError> {
        self.commit(Batch::new()).await
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
