//! Conformance suites for the ports, fixtures, output filters.
//!
//! Nothing here runs outside tests. Map: [`discovery`] (the suite of the discovery port).

#[cfg(feature = "discovery")]
pub mod discovery;
