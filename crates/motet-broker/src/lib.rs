//! Topics and subscriptions: what was published is never lost, and is delivered in order per key without one key holding up another.
//!
//! A service publishes an event; when it hears yes, the event is on disk. Each subscription to the topic gets it at least once, however
//! often services or Motet itself die: pushed over HTTP, or fetched by workers. What is not taken is tried again with growing waits, and
//! what is given up becomes a dead letter with its reason. All of that means the same whichever engine keeps the topics, because engines
//! are only asked to append and to read ([`port::Transport`]); the rest is done here.
//!
//! Invariants:
//! - [`Handle::publish`] answers after the event is durable. What was answered with an error may be repeated: duplicates are found by
//!   source and id within the topic's window, across restarts.
//! - Of one key at most one event is in flight per subscription, and none is handed on before the one before it is settled. Events without
//!   a key are handed on in order and may overtake each other.
//! - An event leaves a subscription in one of four ways: acknowledged, not taken by the filter, a dead letter, or gone by retention
//!   (`missed`), and each is counted.
//! - Everything is bounded: bytes waiting for disk, bodies in memory, events behind busy keys, workers waiting, ids remembered.
//! - How far a subscription is, what it retries, what it gave up and whether it is paused survive a crash; what was acknowledged within the
//!   last moments may be delivered again.
//! - Nothing here knows HTTP, JSON Schema, services, instances or the definition.
//!
//! Map: [`topic`], [`subscription`], [`name`], [`outcome`] (what an answer means), [`key`], [`run`] (how often it was begun) · `machine` (what a subscription does next, pure)
//! · [`service`] (the loops, [`Handle`]) · `observed` (whether the engine answers) · `publish`, `dedup`, `delay` · [`dead`] · [`port`] (engine, way to subscribers) · [`engine`] (what an
//! engine keeps, and what Motet adds) · [`embedded`] (the engine in this process) · `record` (bytes on disk) · [`config`], [`error`], [`time`].

pub mod config;
pub mod dead;
mod dedup;
mod delay;
pub mod embedded;
pub mod engine;
pub mod error;
pub mod key;
mod machine;
pub mod name;
mod observed;
pub mod outcome;
pub mod port;
mod publish;
mod rate;
mod record;
pub mod run;
pub mod service;
pub mod subscription;
pub mod time;
pub mod topic;

pub use config::Config;
pub use dead::{DeadLetter, Reason, Which};
pub use embedded::Embedded;
pub use error::{BrokerError, PublishError, SubscriptionError};
pub use machine::{Attempts, Caps, Counts};
pub use motet_cloudevents::Event;
pub use motet_store::Limits;
pub use name::{SubscriptionName, TopicName};
pub use outcome::{Outcome, Permanent, Refusal};
pub use port::{Deliver, Delivery, Entry, Parcel, Stored, Transport};
pub use run::Run;
pub use service::{Broker, Declaration, Description, Handle, SubscriptionStatus, TopicStatus};
pub use subscription::{BatchRule, Filter, Mode, Retry, SubscriptionSpec};
pub use time::Time;
pub use topic::{Keep, Position, Receipt, Start, TopicSpec};
