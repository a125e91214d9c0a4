//! What a relay tells about itself.

use std::time::Duration;

/// How much of an outbox waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// Rows that are not published, counted up to [`Lag::COUNTED`].
    pub rows: u64,
    /// For how long the oldest of them has waited, where the table says when it was written.
    pub oldest: Option<Duration>,
}

impl Lag {
    /// No more than this is counted: a table with millions of rows would be read in whole for a number that says `too many`.
    pub const COUNTED: u64 = 100_000;
}

/// What a relay is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// It has not looked yet.
    #[default]
    Starting,
    /// Everything that can be published is.
    Idle,
    /// It publishes.
    Busy,
    /// The table is not there yet.
    NoTable,
    /// Something failed, and is tried again: what.
    Failing(String),
    /// More keys are held up than it keeps in mind. Some have to be repaired first.
    Stuck,
}

/// A row that holds up its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub id: String,
    /// Its key.
    pub key: Option<String>,
    /// Why it cannot be published.
    pub reason: String,
}

/// What a relay tells about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// How many rows it has published since it started.
    pub published: u64,
    /// How much waits, as of the last look.
    pub lag: Lag,
    /// How many keys are held up.
    pub held: usize,
    /// Some of them.
    pub examples: Vec<Held>,
}

impl Status {
    /// How many rows that hold up their keys are told.
    pub const EXAMPLES: usize = 20;
}
