//! The broker through its handle, with a scripted subscriber and the embedded engine.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clock;
mod crash;
mod embedded;
mod outage;
mod run;
mod script;
