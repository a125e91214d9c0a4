//! Motet's own embedded store: what must not be lost is on disk before anybody hears yes.
//!
//! An embedded engine syncs once per batch and holds its lock meanwhile, so a program that syncs for each of many small writes is as slow
//! as the disk's latency. Here one thread writes: it takes everything that waits, makes one atomic batch of it, syncs once, and answers
//! everybody. What may be lost by a crash because it can be done again (an acknowledgement) goes the same way without waiting for the sync.
//!
//! Invariants:
//! - [`Store::commit`] answers after `fdatasync`; what it wrote is seen by readers from then on and never before.
//! - Writes take effect in the order in which they were handed in, durable and lazy ones alike: after a crash the store holds a prefix.
//! - What waits is bounded in bytes ([`Store::room`]); what is not flushed to tables is bounded too, so a million waiting records cost disk.
//! - A failed write or sync ends all writing, because nobody knows what the disk holds then; reading goes on. Only opening anew repairs.
//! - Durable writes are refused while free space is below the reserve, before the disk is full.
//! - What is large is in a file of its own, durable before a record refers to it and there for as long as one does ([`blob`]).
//! - Nothing here knows what is stored: no events, no topics, no serialization, no clock but for pacing.
//!
//! Map: [`store`] (open, commit, write, flush), [`batch`], [`blob`], [`keyspace`] (a sorted map), [`log`] (records by number, cheap trimming), `committer` (the one thread),
//! [`room`] (backpressure), `disk` (free space), `tail` (a torn journal), [`options`], [`stats`], [`error`].
//!
//! ```
//! use motet_store::{Batch, Options, Store};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let store = Store::open(dir.path(), Options::default())?;
//! let people = store.keyspace("people")?;
//! let mut batch = Batch::new();
//! batch.insert(&people, "ada", "1815");
//! store.commit(batch).await?;
//! assert_eq!(people.get("ada")?.as_deref(), Some(&b"1815"[..]));
//! # Ok(()) }
//! ```

pub mod batch;
pub mod blob;
mod committer;
mod disk;
pub mod error;
pub mod keyspace;
pub mod log;
pub mod options;
pub mod room;
pub mod stats;
pub mod store;
mod tail;

pub use batch::Batch;
pub use blob::{BlobError, BlobReader, BlobRef, Pin};
pub use error::{CommitError, OpenError, ReadError};
pub use keyspace::{Keyspace, Limits};
pub use log::Log;
pub use options::Options;
pub use room::Room;
pub use stats::Stats;
pub use store::Store;
