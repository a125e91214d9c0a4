//! Repository chores, as functions: what `cargo xtask` runs, `cargo test` runs too.
//!
//! A rule that only stands in a document is forgotten, and a rule that only a server checks is learnt too late. So the
//! repository tests itself here: [`tidy`] holds the sources to the rules of `ARCHITECTURE.md` and `CONTRIBUTING.md`,
//! [`commands`] collects what the documents tell people to type, [`gate`] is the one command that proves all of it, and
//! [`bench`] starts the benchmarks, which prove nothing and are run by hand.
//!
//! This crate knows no other crate of the workspace, so that it builds in seconds and works while they don't compile.

pub mod bench;
pub mod commands;
pub mod finding;
pub mod gate;
pub mod repo;
pub mod tidy;
