//! The definition of a system: what `motet.yaml` says, read with positions, resolved and checked.
//!
//! [`system::System`] is the result: every default filled in, every reference looked up, every path absolute.
//! Whoever holds one need not doubt it. The crate reads the files of a definition and nothing else: it starts nothing,
//! opens no socket, asks no clock, and reads no environment (it is passed in).

pub mod code;
pub mod explain;
pub mod finding;
pub mod load;
pub mod report;
pub mod schema;
pub mod source;
pub mod system;

mod decode;
mod graph;
mod keys;
mod lint;
mod rules;
mod spelling;

pub use explain::{Explanation, explain};
pub use finding::{Finding, Problems, Severity};
pub use load::{LoadOptions, Loaded, check, find, load};
pub use report::Style;
pub use schema::{schema, service_schema};
