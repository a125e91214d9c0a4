//! Events that wait for their time.
//!
//! They lie in the store, by when they are due, whatever the engine: none of the engines can do this well. When one is due it is appended
//! to its topic, and the embedded engine removes it here in the same batch; with another engine a crash between the two publishes it twice,
//! which at least once allows.

use crate::{
    port::{Entry, Note},
    publish::Topic,
    record::{Key, number_at, read_entry, write_entry},
    service::Core,
    time::Time,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use motet_store::{Batch, Keyspace, Limits, ReadError};
use std::{
    collections::HashMap,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// So many are appended at once.
const ROUND: usize = 256;
/// After a failure, and at the latest in any case, it is looked again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What cannot be published now, because its topic is not declared, is looked at again after this long.
const PUT_OFF: Duration = Duration::from_secs(600);

/// What waits for its time.
pub(crate) struct Delayed {
    waiting: Keyspace,
    next: AtomicU64,
    changed: Notify,
}

impl Delayed {
    pub(crate) fn new(waiting: Keyspace) -> Self {
        // Two that are due at the same time must not have the same key, across restarts too.
        Self { waiting, next: AtomicU64::new(fastrand::u64(..) & !0xffff_ffff), changed: Notify::new() }
    }

    /// What keeps these until they are due.
    pub(crate) fn keep(&self, topic: u32, entries: Vec<(Time, Entry)>) -> Batch {
        let mut batch = Batch::with_capacity(entries.len());
        for (due, entry) in entries {
            let record = write_entry(&entry);
            let mut value = BytesMut::with_capacity(4 + record.len());
            value.put_u32_le(topic);
            value.put_slice(&record);
            let key = Key::default().u64(due.0).u64(self.next.fetch_add(1, Relaxed)).bytes();
            batch.insert(&self.waiting, key, value.freeze());
        }
        batch
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
        let topics: HashMap<u32, Arc<Topic>> = core.topics.read().values().map(|t| (t.id, Arc::clone(t))).collect();
        let mut by_topic: HashMap<u32, (Vec<Entry>, Batch)> = HashMap::new();
        let mut parted = Batch::new();
        for (key, whole) in due {
            let mut value = whole.clone();
            let topic = value.try_get_u32_le().unwrap_or_default();
            match read_entry(value) {
                Ok(entry) if topics.contains_key(&topic) => {
                    let (entries, gone) = by_topic.entry(topic).or_default();
                    entries.push(Entry { published_at: now, ..entry });
                    gone.remove(&core.delayed.waiting, key);
                }
                unfit => {
                    // Dropping it would lose what was acknowledged; leaving it would hold up the others.
                    match unfit {
                        Ok(entry) => tracing::warn!(
                            id = entry.event.id(),
                            "the topic of a delayed event is not declared; it waits"
                        ),
                        Err(error) => tracing::error!(%error, "a delayed event cannot be read; it waits"),
                    }
                    let later = Key::default().u64(now.after(PUT_OFF).0).u64(core.delayed.next.fetch_add(1, Relaxed));
                    parted.insert(&core.delayed.waiting, later.bytes(), whole);
                    parted.remove(&core.delayed.waiting, key);
                }
            }
        }
        core.store.write(parted).await?;
        for (topic, (entries, gone)) in by_topic {
            let note = Note::new(core.store.clone(), gone);
            core.transport.append(&topics[&topic].spec().name, entries, Some(note)).await?;
        }
    }
}
