//! Views: a table in a service's own store that is a copy of a topic, one row for each key.
//!
//! The problem solved here: events come at least once, and a table that is to be right has to have each of them exactly once, in order,
//! through crashes on both sides. So the rows and how far the table is ([`Place`]) are written in one transaction, and what comes again is
//! passed over by the place that is read in that same transaction. What tells a redelivery (pass over) from a replay (write again) and from
//! a store that was set back (ask for what is missing) is the [`Run`] that each delivery carries; [`plan`] decides, as a pure function.
//!
//! Invariants:
//! - Rows and place change together or not at all; two that write one table find out, and the slower one looks again.
//! - A row never goes back: an event from before the row's own changes nothing, in a replay neither.
//! - An event that the table refuses is told back with the reason and holds up nothing. A store that is away is waited for, and everything
//!   is held up, in order.
//! - A table that is not what Motet makes is not touched.
//!
//! Absent on purpose: events and their format, topics, filters, who hands events over.
//!
//! Map: [`plan`] (what is to be done), [`writer`] (does it, waits, finds what is refused), [`port`] (the table), [`shape`] (its columns),
//! [`sqlite`], [`error`].

pub mod error;
pub mod plan;
pub mod port;
pub mod shape;
pub mod sqlite;
pub mod writer;

pub use error::ViewError;
pub use plan::{Plan, Rewind};
pub use port::{Batch, Sweep, ViewTable};
pub use writer::{Verdict, Writer};

use std::borrow::Cow;

/// The longest key, in bytes: what the indexes of all engines take.
pub const KEY_MAX_BYTES: usize = 512;

/// Which table, for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSpec {
    /// The table, possibly with its schema. Letters, digits, underscores; it is put into SQL in quotes.
    pub table: String,
    /// Whose events it holds; another one's table is not taken over.
    pub subscription: String,
    /// Whether a table that was lost, or never filled, gets what was delivered before. Otherwise it has what comes from then on.
    pub refills: bool,
}

/// Which run through the topic a delivery belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Another one after each replay.
    pub id: u64,
    /// Positions of two lineages have nothing to do with each other.
    pub lineage: u64,
    /// The position where it began.
    pub begins: u64,
    /// The end of the topic when it was begun.
    pub until: u64,
    /// The highest position that was answered for in this run, as far as is known.
    pub acked: Option<u64>,
}

/// An event as a view sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Where it stands in its topic. `None`: not known; it gives way to every row.
    pub position: Option<u64>,
    /// It was tried or given up before: others that stand behind it may be written already.
    pub again: bool,
    /// What it does to the table, or why that cannot be said.
    pub change: Result<Change, Cow<'static, str>>,
}

/// What is done to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which row.
    pub key: String,
    /// Where the event stands in its topic; -1 where that is not known.
    pub position: i64,
    /// What the row becomes; `None`: it goes.
    pub row: Option<Row>,
}

/// What a row holds beside its key and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The event's data: JSON.
    pub value: String,
    /// The event's id.
    pub id: String,
    /// The event's source.
    pub source: String,
    /// The event's type.
    pub kind: String,
    /// The event's time, as it was written (RFC 3339).
    pub time: Option<String>,
}

impl Change {
    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        self.key.len() + self.row.as_ref().map_or(0, |row| row.value.len() + row.id.len() + row.source.len()) + 64
    }
}

/// How far a table is. Written in the transaction of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The run that it follows.
    pub run: u64,
    /// The run's lineage.
    pub lineage: u64,
    /// Where the run began.
    pub begins: u64,
    /// Up to where the run repeats what was delivered before; 0 when it is through with that.
    pub until: u64,
    /// The last position that is in the table; -1 before the first.
    pub position: i64,
}
