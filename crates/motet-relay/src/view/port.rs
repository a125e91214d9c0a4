//! What a view needs: a table whose rows and whose place change in one transaction.

use super::{Change, Place, ViewError};
use async_trait::async_trait;

/// What is written in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Where the table has to be for this to be right.
    pub before: Option<Place>,
    /// Where it is afterwards.
    pub after: Place,
    /// The positions of the rows that are there mean nothing any more: they become -1, before anything else.
    pub forget: bool,
    /// One for each key at most. A row from a later position than the change's stays as it is; the same position is written again.
    pub changes: Vec<Change>,
    /// Rows that go, after everything else.
    pub sweep: Option<Sweep>,
}

/// Rows that were not written in a run although it has been through their positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// The run.
    pub run: u64,
    /// From this position.
    pub from: u64,
    /// Up to this one, without it.
    pub until: u64,
}

/// The table of a view. Calls come one after the other; any of them may be dropped, and what it did then is found out by the next one.
#[async_trait]
pub trait ViewTable: Send + Sync + 'static {
    /// Makes the table if it is not there, holds it against what a view has to be, and says how far it is: `None` when nothing was ever
    /// written to it. A table that was just made is nowhere, whatever was known of one before it.
    ///
    /// # Errors
    /// [`ViewError::Shape`], [`ViewError::Unavailable`].
    async fn open(&self) -> Result<Option<Place>, ViewError>;

    /// Does all of it in one transaction that is on disk when this returns, or nothing.
    ///
    /// # Errors
    /// [`ViewError::Moved`] when the table is not at `before`; [`ViewError::Refused`] when a row is refused, whichever;
    /// [`ViewError::Gone`], [`ViewError::Unavailable`].
    async fn apply(&self, batch: &Batch) -> Result<(), ViewError>;
}
