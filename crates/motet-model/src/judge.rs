//! What the model has to ask others about: it knows no language of filters, compiles no schema and has met no engine.
//!
//! Those who do know are crates beside this one. What they would say when the system starts is wanted earlier, with the place in the
//! definition; so whoever loads a definition may pass a [`Judge`] along, and the rules and lints ask it.

use crate::system::events::{EventsEngine, Schema};
use std::{fmt, path::Path};

/// Somebody who knows. Answers at once: nothing is asked of a network.
pub trait Judge: fmt::Debug + Sync {
    /// Whether a text is an expression of the CloudEvents SQL language 1.0.
    ///
    /// # Errors
    /// Why not, as a fragment of a sentence.
    fn expression(&self, text: &str) -> Result<(), String>;

    /// Whether payloads can be held against a schema; `root` is the folder that its references stay in.
    ///
    /// # Errors
    /// Why not, as a fragment of a sentence.
    fn schema(&self, schema: &Schema, root: &Path) -> Result<(), String>;

    /// What an engine cannot keep of what a definition may ask for, each with a sentence that says why.
    fn lacks(&self, engine: &EventsEngine) -> Vec<(Promise, &'static str)>;
}

/// What a definition asks of the engine of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// A publisher hears yes after the event is on disk.
    Durable,
    /// Events of one key come in order (`key`).
    Order,
    /// What is published twice is stored once (`dedup`).
    Dedup,
    /// A subscription begins at a position (`from`).
    FromPosition,
    /// A subscription begins at a time (`from`).
    FromTime,
    /// Old events go (`keep.time`).
    KeepTime,
    /// What is too much goes (`keep.size`).
    KeepSize,
}
