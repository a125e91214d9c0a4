//! The floor: a log with group commit and nothing else. One thread takes all that waits, writes it with one write and syncs it with one
//! `fdatasync`, while the next group gathers. No broker that promises the same can be quicker on the same disk.

use std::{
    fs::{File, OpenOptions},
    io::{Seek, Write},
    path::Path,
    sync::{
        Arc, Mutex,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// So many records may wait for the disk.
const WAITING: usize = 4096;
/// A file begins anew after so many bytes.
const FILE_BYTES: u64 = 1 << 30;

struct Record {
    body: Bytes,
    done: oneshot::Sender<()>,
}

/// Where a follower gets what is durable, group by group.
type Followers = Arc<Mutex<Option<mpsc::Sender<Vec<Bytes>>>>>;

/// The log. Clones share it.
#[derive(Clone, Debug)]
pub struct Log {
    records: SyncSender<Record>,
    followers: Followers,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

impl Log {
    /// A new log in `path`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        let (records, waiting) = sync_channel(WAITING);
        let followers = Followers::default();
        let told = Arc::clone(&followers);
        thread::Builder::new().name("floor".to_owned()).spawn(move || {
            let result = write(file, &waiting, &told);
            if let Err(error) = result {
                eprintln!("the floor's log: {error:#}");
            }
        })?;
        Ok(Self { records, followers })
    }

    /// Writes a record; returns when it is durable.
    ///
    /// # Errors
    /// When the disk failed.
    pub async fn append(&self, body: Bytes) -> Result<()> {
        let (done, durable) = oneshot::channel();
        self.records.try_send(Record { body, done }).map_err(|_| anyhow!("the log's queue is full or gone"))?;
        durable.await.context("the log is gone")
    }

    /// What is durable from now on, group by group. There is one follower: the last who asked.
    pub fn follow(&self) -> mpsc::Receiver<Vec<Bytes>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        *self.followers.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(sender);
        receiver
    }
}

fn write(mut file: File, waiting: &std::sync::mpsc::Receiver<Record>, followers: &Followers) -> Result<()> {
    let (mut group, mut bytes) = (Vec::new(), Vec::new());
    let mut written = 0;
    while let Ok(first) = waiting.recv() {
        group.push(first);
        group.extend(waiting.try_iter().take(WAITING));
        bytes.clear();
        group.iter().for_each(|record| bytes.extend_from_slice(&record.body));
        if written > FILE_BYTES {
            file.rewind()?;
            file.set_len(0)?;
            written = 0;
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        written += bytes.len() as u64;
        let follower = followers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let bodies: Vec<Bytes> = group.iter().map(|record| record.body.clone()).collect();
        for record in group.drain(..) {
            // Who published may be gone.
            let _ = record.done.send(());
        }
        if let Some(follower) = follower {
            // So may the follower.
            let _ = follower.blocking_send(bodies);
        }
    }
    Ok(())
}
