//! What is true of events through the public surface of the crate.

mod event;
