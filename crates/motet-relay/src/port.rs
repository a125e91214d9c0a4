//! What the relay needs: a table, and a way out for its rows.

use crate::{
    error::{PublishError, Refusal, TableError},
    row::{Place, Row},
    status::Lag,
};
use async_trait::async_trait;
use std::{collections::BTreeSet, time::Duration};

/// Which rows are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ask {
    /// At most so many.
    pub rows: usize,
    /// At most so many bytes, but one row at least.
    pub bytes: usize,
    /// Without those of these keys.
    pub without_keys: BTreeSet<String>,
    /// And without these (rows that have no key), by id.
    pub without_ids: BTreeSet<String>,
}

/// The table of an outbox. Calls come one after the other.
#[async_trait]
pub trait Table: Send + Sync + 'static {
    /// The first rows that are committed and not published, in the order of the table, all as of one moment.
    async fn claim(&self, ask: &Ask) -> Result<Vec<Row>, TableError>;

    /// Notes that these are published, or deletes them where there is no column for that. A row that is gone is none's trouble.
    async fn settle(&self, places: &[Place]) -> Result<(), TableError>;

    /// How much waits.
    async fn lag(&self) -> Result<Lag, TableError>;

    /// Deletes rows that were published longer ago than `keep`, at most so many; how many. Fewer: there are no more.
    async fn sweep(&self, keep: Duration, most: u64) -> Result<u64, TableError>;

    /// Returns when the table may have changed since the last [`Table::claim`] began. May be dropped at any time. One that cannot know
    /// never returns: there is a slow look anyway.
    async fn changed(&self);
}

/// The way out.
#[async_trait]
pub trait Publish: Send + Sync + 'static {
    /// Whether a row can be an event: its topic is one that the service publishes, its data fits. Quick, and without side effects.
    fn check(&self, row: &Row) -> Result<(), Refusal>;

    /// Publishes rows that were checked, in this order. When it answers yes all are durable; when not, it is unknown which are, and the
    /// same rows come again. The event's id is the row's and its source is the service, so what was published is recognized.
    async fn publish(&self, rows: &[Row]) -> Result<(), PublishError>;
}
