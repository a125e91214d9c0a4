//! The index over HTTP, with a fake embedder on a port of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod api;
mod process;
mod stand;
