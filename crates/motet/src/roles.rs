//! The roles of the binary and where they meet. Contexts do not know each other: what the supervisor says about instances becomes known to the
//! registry, what the registry publishes is balanced over by the data plane, and all of that happens in this folder.
//!
//! Map: [`session`] (one life of a running system: start, apply, stop), [`translate`] (the definition in the words of each context), [`doors`], [`policies`] and [`gateway`] (the same for the data plane),
//! [`environment`] (what each service finds in its environment), [`membership`] (supervisor → registry), [`stores`] (databases before services), [`events`] (the broker, each service's address for it, deliveries through the data plane),
//! [`status`] (what everybody knows, in one answer), [`traffic`] (the last minute of each edge), [`metrics`] (the same for Prometheus),
//! [`faults`] (what people put on edges to see what happens), [`watching`] (changed files → rebuilds).

pub(crate) mod doors;
pub(crate) mod environment;
pub(crate) mod events;
pub(crate) mod faults;
pub(crate) mod gateway;
pub(crate) mod jobs;
pub(crate) mod membership;
pub(crate) mod metrics;
pub(crate) mod policies;
pub(crate) mod session;
pub(crate) mod status;
pub(crate) mod stores;
pub(crate) mod traffic;
pub(crate) mod translate;
pub(crate) mod watching;
