//! The one thread that writes.
//!
//! It takes everything that waits, writes it as one atomic batch, syncs once if anybody waits for durability, and answers everybody. While
//! it syncs, the next group gathers: the slower the disk, the larger the groups. It is a thread and not a task because a sync blocks.
//! It ends when the store is closed, after what waited is written; should it panic, whoever waits hears that the store is closed.

use crate::{
    batch::{Change, Entry},
    blob::{Blobs, Pin},
    disk,
    error::{Closed, CommitError, NoSpace, Poisoned},
    keyspace::Keyspace,
    log::Drafts,
    options::Options,
    room::Room,
    stats::Counters,
};
use parking_lot::{Condvar, Mutex};
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Free space is looked at this often, or after so many bytes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_AFTER_BYTES: u64 = 32 << 20;
/// After so many bytes the unflushed ones are added up.
const FLUSH_CHECK_BYTES: u64 = 1 << 20;

/// More parts of memory than this that are full and not in tables yet are waited for: whoever flushes is slower than those who write.
const BEHIND: usize = 4;
const BEHIND_LOOK: Duration = Duration::from_millis(1);
/// And no longer than this: then the disk stands still, and that is seen elsewhere.
const BEHIND_WAIT: Duration = Duration::from_secs(5);

/// What is called with the result, on the committer's thread: it must not block.
pub(crate) type Done = Box<dyn FnOnce(Result<(), CommitError>) + Send>;

pub(crate) struct Op {
    pub(crate) entries: Vec<Entry>,
    pub(crate) bytes: u64,
    pub(crate) durable: bool,
    pub(crate) done: Option<Done>,
    pub(crate) room: Room,
    pub(crate) pins: Vec<Pin>,
    pub(crate) loose: Vec<u128>,
}

#[derive(Default)]
struct Queue {
    ops: Vec<Op>,
    closing: bool,
    gone: bool,
}

/// What the thread shares with those who write.
pub(crate) struct Shared {
    pub(crate) db: fjall::Database,
    pub(crate) path: PathBuf,
    pub(crate) options: Options,
    pub(crate) counters: Counters,
    pub(crate) keyspaces: Mutex<Vec<Keyspace>>,
    pub(crate) blobs: OnceLock<Blobs>,
    poison: OnceLock<Poisoned>,
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl Shared {
    pub(crate) fn new(db: fjall::Database, path: PathBuf, options: Options) -> Self {
        Self {
            db,
            path,
            options,
            counters: Counters::default(),
            keyspaces: Mutex::default(),
            blobs: OnceLock::new(),
            poison: OnceLock::new(),
            queue: Mutex::default(),
            wake: Condvar::new(),
        }
    }

    /// Hands in a write. What is handed in first is written first.
    pub(crate) fn push(&self, op: Op) {
        let mut queue = self.queue.lock();
        if queue.closing || queue.gone {
            drop(queue);
            self.answer(op, Err(self.closed()));
            return;
        }
        let first = queue.ops.is_empty();
        queue.ops.push(op);
        drop(queue);
        if first {
            self.wake.notify_one();
        }
    }

    /// Asks the thread to write what waits and end.
    pub(crate) fn close(&self) {
        self.queue.lock().closing = true;
        self.wake.notify_one();
    }

    pub(crate) fn poisoned(&self) -> Option<&Poisoned> {
        self.poison.get()
    }

    fn closed(&self) -> CommitError {
        Closed { path: self.path.clone() }.into()
    }

    fn answer(&self, op: Op, result: Result<(), CommitError>) {
        match (&result, self.blobs.get()) {
            (Ok(()), Some(blobs)) => blobs.loosen(op.loose),
            (Ok(()), None) => {}
            (Err(_), _) => {
                self.counters.refusals.fetch_add(1, Relaxed);
            }
        }
        drop((op.room, op.pins));
        if let Some(done) = op.done {
            done(result);
        }
    }
}

/// Marks the thread as gone however it ends, so that nobody waits for it.
struct Gone(Arc<Shared>);

impl Drop for Gone {
    fn drop(&mut self) {
        let left = {
            let mut queue = self.0.queue.lock();
            queue.gone = true;
            std::mem::take(&mut queue.ops)
        };
        for op in left {
            self.0.answer(op, Err(self.0.closed()));
        }
    }
}

/// The thread's own state.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    /// All that were opened, as of the last time that one was missing.
    keyspaces: Vec<Keyspace>,
    unsynced_since: Option<Instant>,
    looked_at: Option<Instant>,
    bytes_since_look: u64,
    bytes_since_flush_check: u64,
    free_bytes: Option<u64>,
    was_full: bool,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            keyspaces: Vec::new(),
            unsynced_since: None,
            looked_at: None,
            bytes_since_look: 0,
            bytes_since_flush_check: 0,
            free_bytes: None,
            was_full: false,
        }
    }

    pub(crate) fn run(mut self) {
        let _gone = Gone(Arc::clone(&self.shared));
        let mut ops = Vec::new();
        while self.gather(&mut ops) {
            self.write_group(&mut ops);
            self.bound_unflushed();
        }
    }

    /// Waits for work and takes all of it. False when there is none and none will come.
    fn gather(&mut self, ops: &mut Vec<Op>) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.queue.lock();
        loop {
            if !queue.ops.is_empty() {
                std::mem::swap(&mut queue.ops, ops);
                return true;
            }
            if queue.closing {
                drop(queue);
                self.sync_lazy();
                return false;
            }
            match self.unsynced_since {
                None => shared.wake.wait(&mut queue),
                Some(since) => {
                    let due = since + shared.options.lazy_sync_after;
                    if shared.wake.wait_until(&mut queue, due).timed_out() && queue.ops.is_empty() {
                        drop(queue);
                        self.sync_lazy();
                        queue = shared.queue.lock();
                    }
                }
            }
        }
    }

    fn write_group(&mut self, ops: &mut Vec<Op>) {
        let waiting: u64 = ops.iter().map(|op| op.bytes).sum();
        if let Some(poison) = self.shared.poison.get().cloned() {
            for op in ops.drain(..) {
                self.shared.answer(op, Err(poison.clone().into()));
            }
            return;
        }
        if let Some(full) = self.full(waiting) {
            self.refuse(ops, &full);
        }
        let durable = ops.iter().any(|op| op.durable);
        let records = ops.iter().map(|op| op.entries.len()).sum();
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.shared.db.clone(), records);
        let mut pages = Drafts::default();
        for entry in ops.iter_mut().flat_map(|op| op.entries.drain(..)) {
            if entry.keyspace >= self.keyspaces.len() {
                self.keyspaces.clone_from(&self.shared.keyspaces.lock());
            }
            let keyspace = &self.keyspaces[entry.keyspace];
            match entry.change {
                Change::Insert(key, value) => batch.insert(&keyspace.tree, key, value),
                Change::Remove(key) => batch.remove(&keyspace.tree, key),
                Change::Append(number, record) => pages.add(keyspace, number, record, &mut batch),
            }
        }
        pages.finish(&mut batch);
        let written = self.persist(batch, durable);
        self.count(ops, records, waiting, durable);
        for op in ops.drain(..) {
            self.shared.answer(op, written.clone().map_err(CommitError::from));
        }
    }

    fn persist(&mut self, batch: fjall::OwnedWriteBatch, durable: bool) -> Result<(), Poisoned> {
        let begun = Instant::now();
        let mode = if durable { fjall::PersistMode::SyncData } else { fjall::PersistMode::Buffer };
        let written =
            if batch.is_empty() { self.shared.db.persist(mode) } else { batch.durability(Some(mode)).commit() };
        if durable {
            let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.shared.counters.syncs.fetch_add(1, Relaxed);
            self.shared.counters.sync_micros.fetch_add(micros, Relaxed);
            self.shared.counters.sync_longest_micros.fetch_max(micros, Relaxed);
            self.unsynced_since = None;
        } else {
            self.unsynced_since.get_or_insert(begun);
        }
        written.map_err(|error| self.poison(&error))
    }

    fn poison(&mut self, error: &fjall::Error) -> Poisoned {
        self.unsynced_since = None;
        let path = self.shared.path.clone();
        let poison = self.shared.poison.get_or_init(|| Poisoned { path, reason: error.to_string().into() });
        tracing::error!(%error, path = %self.shared.path.display(), "the store cannot be written any more");
        poison.clone()
    }

    fn sync_lazy(&mut self) {
        if self.unsynced_since.is_some() && self.shared.poison.get().is_none() {
            let nothing = fjall::OwnedWriteBatch::with_capacity(self.shared.db.clone(), 0);
            // A failure is remembered as poison and answered to the next writer.
            let _ = self.persist(nothing, true);
        }
    }

    fn count(&mut self, ops: &[Op], records: usize, bytes: u64, durable: bool) {
        let counters = &self.shared.counters;
        let commits = if durable { ops.iter().filter(|op| op.durable).count() } else { 0 };
        counters.commits.fetch_add(commits as u64, Relaxed);
        counters.lazy_writes.fetch_add((ops.len() - commits) as u64, Relaxed);
        counters.records.fetch_add(records as u64, Relaxed);
        counters.bytes.fetch_add(bytes, Relaxed);
        self.bytes_since_flush_check += bytes;
    }

    /// Whether free space is below the reserve, looked at now and then.
    fn full(&mut self, bytes: u64) -> Option<NoSpace> {
        self.bytes_since_look += bytes;
        let due = self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if due || self.bytes_since_look >= LOOK_AFTER_BYTES {
            self.free_bytes = disk::free_bytes(&self.shared.path);
            self.looked_at = Some(Instant::now());
            self.bytes_since_look = 0;
        }
        let reserve_bytes = self.shared.options.reserve_bytes;
        let free_bytes = self.free_bytes?;
        let full = free_bytes < reserve_bytes;
        if full != self.was_full {
            self.was_full = full;
            let path = self.shared.path.display();
            if full {
                tracing::error!(%path, free_bytes, reserve_bytes, "too little free space: durable writes are refused");
            } else {
                tracing::info!(%path, free_bytes, "there is free space again: durable writes go on");
            }
        }
        full.then(|| NoSpace { path: self.shared.path.clone(), free_bytes, reserve_bytes })
    }

    /// Refuses what would make it worse. Lazy writes (acknowledgements, which let space be freed) go on down to a quarter of the reserve,
    /// and so do empty barriers.
    fn refuse(&mut self, ops: &mut Vec<Op>, full: &NoSpace) {
        let very = full.free_bytes < full.reserve_bytes / 4;
        let (kept, refused) =
            std::mem::take(ops).into_iter().partition::<Vec<_>, _>(|op| op.entries.is_empty() || !(op.durable || very));
        *ops = kept;
        for op in refused {
            self.shared.answer(op, Err(full.clone().into()));
        }
    }

    /// Flushes the largest keyspace when too much is in memory only. The engine looks at each keyspace alone, and many small ones add up.
    /// Waits where flushing does not keep up: then writers wait, and memory does not grow.
    fn bound_unflushed(&mut self) {
        if self.bytes_since_flush_check < FLUSH_CHECK_BYTES {
            return;
        }
        self.bytes_since_flush_check = 0;
        let keyspaces = self.shared.keyspaces.lock().clone();
        let total: u64 = keyspaces.iter().map(Keyspace::unflushed_bytes).sum();
        if total > self.shared.options.unflushed_max_bytes
            && let Some(largest) = keyspaces.iter().max_by_key(|keyspace| keyspace.unflushed_bytes())
            && let Err(error) = largest.tree.rotate_memtable()
        {
            self.poison(&error);
        }
        let begun = Instant::now();
        let full = || keyspaces.iter().map(Keyspace::full_parts).sum::<usize>();
        while full() > BEHIND && begun.elapsed() < BEHIND_WAIT {
            std::thread::park_timeout(BEHIND_LOOK);
        }
    }
}
