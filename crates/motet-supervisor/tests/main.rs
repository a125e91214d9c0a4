//! The supervisor with real processes, through its handle only.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod building;
mod fixture;
mod lifecycle;
mod logs;
mod orphans;
mod replacing;
