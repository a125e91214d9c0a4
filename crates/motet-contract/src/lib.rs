//! Contracts of what is published: a JSON Schema is loaded and compiled once, and then each payload is held against it.
//!
//! The problem solved here: a publisher that is wrong has to hear of it at once, with the place in what it sent; and the check stands
//! on the way of every event, so what is right must cost little and what is wrong must cost no more than a bound.
//!
//! Invariants:
//! - A [`Contract`] that exists can be used: every reference was followed when it was made. Nothing is read afterwards.
//! - Nothing is fetched from other machines, and no file outside of the root is read, also not through a link.
//! - What is said about a payload is bounded in number and length, and holds no values out of it: it may be logged.
//!
//! Absent on purpose: topics, events, HTTP. The binary knows which contract is whose, and says so in its answers.
//!
//! Map: [`contract`] (loading and validating), `files` (what a reference may lead to), [`violation`] (what is wrong with a payload),
//! [`error`] (why a schema cannot be used).
//!
//! ```
//! use motet_contract::Contract;
//! use serde_json::json;
//!
//! let schema = json!({ "properties": { "pages": { "type": "integer" } }, "required": ["documentId"] });
//! let contract = Contract::inline(&schema, "/shop".as_ref(), "/shop".as_ref())?;
//! assert!(contract.validate(br#"{ "documentId": "d-1", "pages": 3 }"#).is_ok());
//!
//! let wrong = contract.validate(br#"{ "documentId": "d-1", "pages": "three" }"#).unwrap_err();
//! assert_eq!(wrong.violations[0].pointer, "/pages");
//! # Ok::<(), motet_contract::LoadError>(())
//! ```

pub mod contract;
pub mod error;
pub mod violation;

mod files;

pub use contract::Contract;
pub use error::LoadError;
pub use violation::{Refused, Violation};
