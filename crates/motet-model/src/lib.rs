//! The definition of a system: what `motet.yaml` says, read with positions, resolved and checked.
//!
//! [`system::System`] is the result: every default filled in, every reference looked up, every path absolute.
//! Whoever holds one need not doubt it. What is wrong is told all at once, for all files, each with its place and the way
//! out ([`Problems`]).
//!
//! Absent on purpose: the crate reads the files of a definition and nothing else. It starts nothing, opens no socket, asks
//! no clock, and reads no environment (it is passed in). It knows no context: the binary maps a `System` onto what
//! each of them wants.
//!
//! Map, in the order in which a definition passes through: [`load`] (the steps), [`source`] (text to a tree with positions;
//! includes, profiles, variables), `keys` (the language as one table, and the check against it), `layers` (which words about a policy lie over which), `decode` (tree to
//! [`system`]), `rules` (what has to hold for the whole), `lint` (what will hurt later), [`finding`], [`report`] and
//! [`code`] (what is wrong and how it is shown). [`schema`](mod@schema) and [`explain`](mod@explain) read the same table;
//! [`judge`] is what the rules ask others; [`in_force`] tells which policy holds on an edge, what holds for a topic, and where each value comes from.
//!
//! ```
//! use motet_model::{LoadOptions, load::load_from, source::files::Memory};
//!
//! let files = Memory::new([(
//!     "/shop/motet.yaml",
//!     "motet: 1\nsystem: shop\nservices:\n  web:\n    path: .\n    process: { command: node web.js }\n",
//! )]);
//! let options = LoadOptions { file: "/shop".into(), ..LoadOptions::default() };
//! let loaded = load_from(&files, &options)?;
//! assert_eq!(loaded.system.services["web"].scale.min, 1);
//! # Ok::<(), motet_model::Problems>(())
//! ```

pub mod code;
pub mod explain;
pub mod finding;
pub mod in_force;
pub mod judge;
pub mod load;
pub mod report;
pub mod schema;
pub mod source;
pub mod system;

mod decode;
mod graph;
mod keys;
mod layers;
mod lint;
mod rules;
mod spelling;

pub use explain::{Explanation, explain};
pub use finding::{Finding, Problems, Severity};
pub use judge::Judge;
pub use load::{LoadOptions, Loaded, check, find, load};
pub use report::Style;
pub use schema::{schema, service_schema};
