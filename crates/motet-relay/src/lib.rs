//! What a service's own tables give to events and take from them.
//!
//! The outbox: rows that a service writes into a table of its own store, in the transaction of the change they tell of, become events.
//! The other way round, a table of its store is kept as a copy of a topic: see [`view`].
//!
//! The problem solved here: a service that changes its data and publishes an event does two things and may die in between. An INSERT
//! is one thing with the change. Somebody then has to publish the row, once it is committed, in order, and without missing one that
//! was committed late with an early number.
//!
//! Invariants:
//! - A row is never skipped. What is looked for is rows that are not published, from the beginning, each time; never `id > last`: numbers
//!   are given before transactions commit, so a later number can be seen first.
//! - Rows with one key go out in the order of the table. A row that cannot be published holds up its key and no other.
//! - A row is settled after its event is durable, so a crash publishes it again and never loses it. The event's id is the row's, so
//!   the second time is recognized.
//!
//! Absent on purpose: topics, schemas, the event format (behind [`port::Publish`]), and who owns which table. One relay follows one
//! table; two relays over one table would publish its rows twice.
//!
//! Map: [`row`], [`spec`] (which table, how much at once), [`port`] (the table, the way out), [`machine`] (what to do next), [`service`]
//! (the loop), [`sqlite`] (tables in SQLite files), [`status`], [`error`]; and apart from all of these [`view`].

pub mod error;
pub mod machine;
pub mod port;
pub mod row;
pub mod service;
pub mod spec;
pub mod sqlite;
pub mod status;
pub mod view;

pub use error::{PublishError, Refusal, TableError};
pub use row::{Place, Row};
pub use service::{Handle, start};
pub use spec::{Columns, Limits, Spec};
pub use status::{Lag, State, Status};
