//! The index over HTTP, with a fake embedder on a port of its own.

mod api;
mod process;
mod stand;
