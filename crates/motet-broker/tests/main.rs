//! The broker through its handle, with a scripted subscriber and the embedded engine.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clock;
mod crash;
mod draining;
mod embedded;
mod outage;
mod payloads;
mod run;
mod script;
mod stuck;
