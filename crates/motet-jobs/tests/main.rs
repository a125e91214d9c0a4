//! Jobs through their handle, with a queue in memory, a scripted service, and crashes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bounds;
mod crash;
mod life;
mod world;
