//! Jobs: a request that nobody waits for. It is on disk before it is answered, runs until it succeeds or is given up, and its result is kept.
//!
//! The problem solved here: an HTTP call is over when its caller dies, and a long one blocks its caller. A job is the same request with a life
//! of its own: it has an id, a state, attempts, a result, and can be cancelled. Nothing of a second queue is in here: what waits, in which
//! order, how many at once, is the broker's ([`port::Queue`]). A *ticket* in the queue names a job; what the job is, what became of it and
//! what is to be done next stands here, so that it means the same whichever engine keeps the queue.
//!
//! Invariants:
//! - [`Handle::submit`] answers after the job is durable. A ticket that is not in the queue yet is owed ([`record`]: `owed`), written with the
//!   job, and put there by the relay until it is: a crash between the two loses nothing.
//! - An attempt is noted durably before its request is sent, so a job with one attempt is sent at most once; every other at least once.
//! - A job's end, its result, its callback and its event become durable together. The callback is a job itself.
//! - A job that is over never changes again, but by [`Handle::retry`]; an answer that comes after the end is dropped.
//! - Everything is bounded: jobs and bytes that wait per service, results by time, bytes and number, bodies, progress, waits.
//! - Nothing here knows HTTP clients, CloudEvents, topics, the definition, or who may do what.
//!
//! Map: [`job`] (what one is) · [`spec`] (what holds for a service's jobs) · `machine` (what becomes of a job, pure) · [`record`] (what is on
//! disk) · [`service`] ([`Handle`], the relay, pruning) · [`port`] (the queue, the way to services) · [`config`], [`error`].

pub mod config;
pub mod error;
pub mod job;
mod machine;
pub mod port;
pub mod record;
pub mod service;
pub mod spec;

pub use config::Config;
pub use error::JobError;
pub use job::{Answer, Answered, Failure, Job, JobId, Order, State, Target};
pub use port::{Call, NotAnnounced, Queue, QueueError, Reach, Ticket, Verdict};
pub use service::{Counts, Handle, Jobs, List, Submitted};
pub use spec::{Keep, Retry, Spec};
