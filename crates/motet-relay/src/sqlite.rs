//! Outboxes in SQLite files.
//!
//! SQLite has one writer at a time, so the order of its rowids is the order of commits. Whether somebody has committed is asked with
//! `PRAGMA data_version`, which reads a few bytes of shared memory: often while something happens, seldom when nothing does.
//!
//! The relay opens the service's own file with a connection of its own. It settles without syncing to disk: a settling that is lost
//! with the power only publishes rows again that are recognized by their ids. And it waits for the service's transactions, never the other
//! way round for longer than one small update takes.

mod file;
mod statements;

use crate::{
    error::TableError,
    port::{Ask, Table},
    row::{Place, Row},
    spec::Spec,
    status::Lag,
};
use async_trait::async_trait;
use file::File;
use parking_lot::Mutex;
use statements::Statements;
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// How often the file is asked whether it changed while something happens, and when nothing does.
const QUICK: Duration = Duration::from_millis(10);
const QUIET: Duration = Duration::from_millis(100);
/// How long something is taken to happen after it did.
const LIVELY: Duration = Duration::from_secs(5);

/// The outbox in one file.
#[derive(Debug, Clone)]
pub struct SqliteTable {
    inner: Arc<Mutex<File>>,
    table: String,
    changed: Arc<Mutex<Instant>>,
}

impl SqliteTable {
    /// A table of a file. Nothing is opened yet; the file and the table may be made later.
    pub fn new(path: impl Into<PathBuf>, spec: &Spec) -> Self {
        let file = File::new(path.into(), spec.table.clone(), Statements::new(spec));
        Self {
            inner: Arc::new(Mutex::new(file)),
            table: spec.table.clone(),
            changed: Arc::new(Mutex::new(Instant::now())),
        }
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut File) -> Result<T, TableError> + Send + 'static,
    ) -> Result<T, TableError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&mut inner.lock())).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(TableError::Unavailable { table: self.table.clone(), reason: "the runtime ends".into() }),
        }
    }
}

#[async_trait]
impl Table for SqliteTable {
    async fn claim(&self, ask: &Ask) -> Result<Vec<Row>, TableError> {
        let ask = ask.clone();
        self.with(move |file| file.claim(&ask)).await
    }

    async fn settle(&self, places: &[Place]) -> Result<(), TableError> {
        let places = places.to_vec();
        self.with(move |file| file.settle(&places)).await
    }

    async fn lag(&self) -> Result<Lag, TableError> {
        self.with(File::lag).await
    }

    async fn sweep(&self, keep: Duration, most: u64) -> Result<u64, TableError> {
        self.with(move |file| file.sweep(keep, most)).await
    }

    async fn changed(&self) {
        loop {
            let lively = self.changed.lock().elapsed() < LIVELY;
            tokio::time::sleep(if lively { QUICK } else { QUIET }).await;
            // What cannot be asked is found out by the next look at the rows.
            if self.with(File::has_changed).await.unwrap_or(false) {
                *self.changed.lock() = Instant::now();
                return;
            }
        }
    }
}
