//! Events that wait for their time.
//!
//! They lie in the store, by when they are due, whatever the engine: none of the engines can do this well. When one is due it is appended
//! to its topic, and the embedded engine removes it here in the same batch; with another engine a crash between the two publishes it twice,
//! which at least once allows.

use crate::{
    payload::{self, Owner},
    port::{Entry, Note},
    publish::Topic,
    record::{Key, number_at, read_entry, write_entry},
    service::Core,
    time::Time,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use motet_store::{Batch, CommitError, Keyspace, Limits, ReadError, Store};
use std::{
    collections::HashMap,
    ops::{Bound, ControlFlow},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// So many are appended at once.
const ROUND: usize = 256;
/// Or so many bytes, where the data of large ones has to be read for that.
const ROUND_BYTES: usize = 8 << 20;
/// After a failure, and at the latest in any case, it is looked again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What cannot be published now, because its topic is not declared, is looked at again after this long.
const PUT_OFF: Duration = Duration::from_secs(600);

/// What waits for its time.
pub(crate) struct Delayed {
    store: Store,
    waiting: Keyspace,
    next: AtomicU64,
    changed: Notify,
}

impl Delayed {
    pub(crate) fn new(store: Store, waiting: Keyspace) -> Self {
        // Two that are due at the same time must not have the same key, across restarts too.
        Self { store, waiting, next: AtomicU64::new(fastrand::u64(..) & !0xffff_ffff), changed: Notify::new() }
    }

    /// What keeps these until they are due.
    pub(crate) async fn keep(&self, topic: u32, entries: Vec<(Time, Entry)>) -> Result<Batch, CommitError> {
        let mut batch = Batch::with_capacity(entries.len());
        for (due, entry) in entries {
            let (entry, pin) = payload::apart(&self.store, entry).await?;
            let record = write_entry(&entry);
            let mut value = BytesMut::with_capacity(4 + record.len());
            value.put_u32_le(topic);
            value.put_slice(&record);
            let key = Key::default().u64(due.0).u64(self.next.fetch_add(1, Relaxed)).bytes();
            Owner::Delayed(&key).refers(&self.store, &mut batch, pin);
            batch.insert(&self.waiting, key, value.freeze());
        }
        Ok(batch)
    }

    /// Something new waits.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    fn due(&self, now: Time) -> Result<Vec<(Bytes, Bytes)>, ReadError> {
        let end = Key::default().u64(now.0.saturating_add(1)).bytes();
        self.waiting.range(&[0], Bound::Excluded(&end), Limits { items: ROUND, bytes: 4 << 20 })
    }

    fn next_due(&self) -> Result<Option<Time>, ReadError> {
        let first = self.waiting.range(&[0], Bound::Unbounded, Limits::items(1))?;
        Ok(first.first().and_then(|(key, _)| number_at(key, 0)).map(Time))
    }
}

/// Appends what is due, until the group is cancelled.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        let wait = match round(&core).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(%error, "delayed events could not be published; they wait");
                LOOK_AGAIN
            }
        };
        tokio::select! {
            () = core.group.cancelled() => return,
            () = core.delayed.changed.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Appends what is due now; how long until there is more to do.
async fn round(core: &Arc<Core>) -> Result<Duration, crate::error::BrokerError> {
    loop {
        let now = core.clock.now();
        let due = core.delayed.due(now)?;
        if due.is_empty() {
            let next = core.delayed.next_due()?;
            return Ok(next.map_or(LOOK_AGAIN * 12, |next| next.since(now).max(Duration::from_millis(1))));
        }
        let mut round = Round::new(core, now);
        for (key, record) in due {
            if round.take(key, record).await?.is_break() {
                break;
            }
        }
        round.finish().await?;
    }
}

/// What is appended in one go.
struct Round<'a> {
    core: &'a Arc<Core>,
    now: Time,
    topics: HashMap<u32, Arc<Topic>>,
    by_topic: HashMap<u32, (Vec<Entry>, Batch)>,
    /// What moves to a later time.
    parted: Batch,
    bytes: usize,
}

impl<'a> Round<'a> {
    fn new(core: &'a Arc<Core>, now: Time) -> Self {
        let topics = core.topics.load().values().map(|topic| (topic.id, Arc::clone(topic))).collect();
        Self { core, now, topics, by_topic: HashMap::new(), parted: Batch::new(), bytes: 0 }
    }

    /// One that is due; a break when that is enough for one round.
    async fn take(&mut self, key: Bytes, record: Bytes) -> Result<ControlFlow<()>, crate::error::BrokerError> {
        let mut value = record.clone();
        let topic = value.try_get_u32_le().unwrap_or_default();
        let entry = match read_entry(value) {
            Ok(entry) if self.topics.contains_key(&topic) => entry,
            Ok(entry) => {
                tracing::warn!(id = entry.event.id(), "the topic of a delayed event is not declared; it waits");
                self.put_off(&key, record, Some(&entry))?;
                return Ok(ControlFlow::Continue(()));
            }
            Err(error) => {
                tracing::error!(%error, "a delayed event cannot be read; it waits");
                self.put_off(&key, record, None)?;
                return Ok(ControlFlow::Continue(()));
            }
        };
        let store = &self.core.store;
        let ready = match self.core.transport.keeps_payloads() {
            true => Ok(entry.clone()),
            false => entry.clone().whole(store).await,
        };
        match ready {
            Ok(ready) => {
                let (entries, gone) = self.by_topic.entry(topic).or_default();
                self.bytes = self.bytes.saturating_add(ready.event.size());
                entries.push(Entry { published_at: self.now, ..ready });
                Owner::Delayed(&key).lets_go(store, gone, &entry)?;
                gone.remove(&self.core.delayed.waiting, key);
            }
            Err(error) => {
                tracing::error!(id = entry.event.id(), %error, "the data of a delayed event cannot be read; it waits");
                self.put_off(&key, record, Some(&entry))?;
            }
        }
        Ok(if self.bytes >= ROUND_BYTES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Dropping it would lose what was acknowledged; leaving it where it is would hold up the others.
    fn put_off(&mut self, key: &[u8], record: Bytes, entry: Option<&Entry>) -> Result<(), ReadError> {
        let Delayed { store, waiting, next, .. } = &self.core.delayed;
        let later = Key::default().u64(self.now.after(PUT_OFF).0).u64(next.fetch_add(1, Relaxed)).bytes();
        if let Some(blob) = entry.and_then(|entry| entry.payload) {
            store.release(&mut self.parted, &Owner::Delayed(key).name())?;
            Owner::Delayed(&later).refers(store, &mut self.parted, store.pin(blob));
        }
        self.parted.insert(waiting, later, record);
        self.parted.remove(waiting, Bytes::copy_from_slice(key));
        Ok(())
    }

    async fn finish(self) -> Result<(), crate::error::BrokerError> {
        let core = self.core;
        core.store.write(self.parted).await?;
        for (topic, (entries, gone)) in self.by_topic {
            let (topic, count) = (&self.topics[&topic], entries.len() as u64);
            let note = Note::new(core.store.clone(), gone);
            core.transport.append(&topic.name, entries, Some(note)).await?;
            topic.published.fetch_add(count, Relaxed);
        }
        Ok(())
    }
}
