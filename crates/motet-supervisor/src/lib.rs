//! Reconciles wanted services with running processes.
//!
//! The whole wanted set is handed over as [`spec::ServiceSpec`]s; whatever happens then, the supervisor compares wanted with actual and repairs:
//! builds what changed, starts in order, probes, restarts with growing waits, replaces one instance at a time, stops in reverse order.
//!
//! Invariants:
//! - Nothing outlives the supervisor by more than a few seconds, however it ends ([`guard`]), or the next one ends it ([`end_leftovers`]).
//! - The end of an instance is announced before anything else is done about it.
//! - A failed build or a version that never gets ready leaves what ran before running.
//! - Everything is bounded: lines, files, subscribers, builds at a time, waits.
//! - Absent on purpose: this crate does not know the definition, edges, contracts, stores or the registry. It opens no listener. It decides no number
//!   of instances: it is told. It never ends a process by name.
//!
//! Map: [`spec`] (what is wanted), `state` and `machine` (what is, and what to do next, pure), [`service`] (the loop), `instance` and `probe` (one
//! instance), `building`, [`logs`], [`status`], [`port`] (what others implement), [`process`] (instances as processes), `record` and
//! [`guard`] (no orphans), `procfs` and `sample` (what Linux says).
//!
//! ```no_run
//! use motet_kernel::{id::SessionId, task::TaskGroup};
//! use motet_supervisor::{port::Silent, process, service::Supervisor, spec::{Command, ServiceSpec}};
//! use std::{sync::Arc, time::Duration};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let group = TaskGroup::new();
//! let processes = process::Processes::open(process::Options::new(".motet"), SessionId::new())?;
//! let config = motet_supervisor::config::Config::new(".motet", ".motet/logs");
//! let supervisor = Supervisor::start(config, Arc::new(processes), Arc::new(Silent), &group);
//! let command = Command::Shell("python3 -m http.server $PORT".to_owned());
//! supervisor.apply(vec![ServiceSpec::new("web".parse()?, ".", command)]).await?;
//! supervisor.wait_for(Duration::from_secs(10), |status| status.is_settled()).await;
//! supervisor.stop_all().await?;
//! # Ok(())
//! # }
//! ```

mod allotment;
mod building;
pub mod config;
pub mod error;
pub mod guard;
mod instance;
pub mod logs;
mod machine;
pub mod port;
mod probe;
pub mod process;
mod procfs;
mod record;
mod sample;
pub mod service;
pub mod spec;
mod state;
pub mod status;

pub use record::{INSTANCE_VARIABLE, Leftovers, SESSION_VARIABLE, end_leftovers};
