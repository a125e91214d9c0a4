//! The data plane through its handle, with real servers and real callers on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod change;
mod draining;
mod failure;
mod gateway;
mod protocol;
mod streaming;
mod world;
