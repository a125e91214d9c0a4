//! Instances, leases, health, and endpoint sets as watched facts.
//!
//! Whoever starts an instance announces it here; whoever sends it requests watches the set of its service. One [`Discovery`] port
//! stands for all engines; [`Registry`] is the embedded one.
//!
//! Invariants:
//! - A watcher sees whole sets, never differences, and always the newest: a slow watcher skips sets, it does not queue them.
//! - The embedded registry publishes a change before the call that caused it returns. No loop, no disk and no timer stands between
//!   a withdrawal and the sets; expiry of a lease is the one change that a timer causes.
//! - Nothing here probes an instance, starts one or sends it requests, and nothing is kept on disk: after a restart the owners
//!   announce again.
//! - A lease belongs to one announcement. When the same instance is announced again, the older lease means nothing any more.
//!
//! Map: [`instance`] (what is announced), [`lease`] (for how long it holds), [`port`] (the contract all engines keep),
//! `book` (who is listed, as a pure value), [`service`] (the embedded registry), [`error`].
//!
//! ```
//! use motet_kernel::{endpoint::Authority, name::ServiceName, task::TaskGroup};
//! use motet_registry::{Instance, Registry, Term};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::start(&TaskGroup::new());
//! let embedder: ServiceName = "embedder".parse()?;
//! let set = registry.watch(&embedder);
//! let address = Authority { host: "127.0.0.1".into(), port: 7001 };
//! let lease = registry.announce(Instance::ready(embedder, "embedder-1", address)?, Term::Owned);
//! assert_eq!(set.borrow().ready().count(), 1);
//! registry.withdraw(&lease);
//! assert_eq!(set.borrow().ready().count(), 0);
//! # Ok(()) }
//! ```

mod book;
pub mod error;
pub mod instance;
pub mod lease;
pub mod port;
pub mod service;

pub use error::{AnnounceError, EngineUnavailable, InvalidInstance, LeaseError, LeaseUnknown};
pub use instance::{Health, Instance};
pub use lease::{Lease, Term};
pub use port::Discovery;
pub use service::Registry;
