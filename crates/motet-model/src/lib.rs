//! The definition of a system: what `motet.yaml` says, read with positions, resolved and checked.
//!
//! [`system::System`] is the result: every default filled in, every reference looked up, every path absolute.
//! Whoever holds one need not doubt it. The crate reads the files of a definition and nothing else: it starts nothing,
//! opens no socket and asks no clock.

pub mod system;
