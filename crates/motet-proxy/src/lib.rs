//! The data plane: one address per edge, a gateway for routes, streams both ways.
//!
//! What it does with a request is written in `stack.rs`, top to bottom. Everything else serves that page.
//!
//! Invariants:
//! - A body is never collected. At most [`policy::Retry::replay_max`] bytes of a request are kept, for sending it again.
//! - One event loop per worker thread. A connection, the request on it, and the upstream connection that serves it stay on one thread; what
//!   workers share are counters.
//! - When a caller goes away, its upstream call ends at once: the connection is closed (HTTP/1) or the stream reset (HTTP/2).
//! - A request is repeated only when nothing of it was sent, or doing it twice is the same as doing it once.
//! - Motet's own answers are problem documents, made in `rescue.rs` and nowhere else; the status of an instance's answer is never changed.
//! - Nothing here knows the registry, the supervisor or the definition: it watches endpoint sets and is told edges and routes. It
//!   starts nothing, probes nothing, writes nothing to disk.
//!
//! Map: [`service`] (the handle), [`spec`] (edges and routes), [`gateway`] (who comes in from outside), [`policy`], [`fault`], [`config`], [`error`],
//! [`stats`] (counters);
//! inside: `worker` (one event loop), `listener`, `lane` (an edge as a worker sees it), `door` (what its workers share), `pool` (an instance and
//! its connections), `stack` and `stage` (the way of a request), `breaker`, `budget`, `bulkhead`, `adaptive`, `rate` (what the stages remember),
//! `body`, `flight` (what ends with an answer), `farewell` (how connections are closed), `rescue`, `headers`, `grpc`, `trace_context`, `load`, `bind`, `holder`, `net` (the network, which
//! tests may simulate).
//!
//! ```
//! use motet_kernel::{endpoint::EndpointSet, task::TaskGroup};
//! use motet_proxy::{Config, EdgeSpec, Proxy};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let group = TaskGroup::new();
//! let proxy = Proxy::start(Config::default(), &group)?;
//! let (_publish, endpoints) = tokio::sync::watch::channel(EndpointSet::default());
//! let edge = EdgeSpec::new("answerer->embedder".parse()?, endpoints);
//! let addresses = proxy.apply(vec![edge], None).await?;
//! println!("EMBEDDER_URL=http://{}", addresses.edges[&"answerer->embedder".parse()?]);
//! group.cancel();
//! group.wait().await;
//! # Ok(()) }
//! ```

mod adaptive;
mod bind;
mod body;
mod breaker;
mod budget;
mod bulkhead;
pub mod config;
mod door;
pub mod error;
mod farewell;
pub mod fault;
mod flight;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod gateway;
mod grpc;
mod headers;
mod holder;
mod http1;
mod journey;
mod lane;
mod listener;
mod load;
mod net;
pub mod policy;
mod pool;
mod rate;
mod rescue;
pub mod service;
pub mod spec;
mod stack;
mod stage;
pub mod stats;
mod trace_context;
mod worker;

pub use config::Config;
pub use error::{ApplyError, StartError};
pub use policy::{EdgePolicy, PathPolicy, Retry};
pub use service::{Addresses, Handle, Proxy, StillBusy};
pub use spec::{Callee, Door, EdgeSpec, GatewaySpec, Protocol, RouteSpec};
pub use stats::DoorStats;
