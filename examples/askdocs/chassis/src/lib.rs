//! What every Rust service of askdocs does in the same way, so that a service's own code is only about its own job.
//!
//! None of it knows Motet: a service gets a port and the addresses of what it may call from its environment, answers
//! `/healthz`, and stops when it is asked to. Any HTTP program that does so can be run.
//!
//! Map: [`serve`] is a service's life from its first log line to its exit, [`environment`] reads what it was given,
//! [`problem`] is the one form of every refusal, [`gate`] says no before a queue grows, [`fault`] breaks the service on
//! purpose. [`event`] is what comes in batches of events and what is answered, [`outbox`] the table of what is to be told.

pub mod environment;
pub mod event;
pub mod fault;
pub mod gate;
pub mod outbox;
pub mod problem;
pub mod serve;
