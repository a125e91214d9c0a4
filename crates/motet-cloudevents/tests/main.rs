//! What is true of events through the public surface of the crate.

mod any;
mod binding;
mod event;
mod filter;
mod http;
mod json;
mod sql;
