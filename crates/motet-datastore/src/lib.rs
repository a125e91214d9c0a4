//! Databases that belong to one service each: made, described, backed up, restored, reset, removed, and kept apart.
//!
//! Two services that share a database share a schema, its locks and its migrations, and can no longer be changed or
//! deployed apart. So every store here has exactly one owner, and the credentials of a store are made for that owner and
//! handed to nobody else.
//!
//! Invariants:
//! - A store is known by its service: there is no way to name a store of two services.
//! - [`Provision::provision`] converges: killed at any line, its repetition ends in the same state.
//! - A secret is shown by [`Secret::expose`] and by nothing else: not by `Debug`, not by an error, not on a command line.
//! - An operation that destroys data asks whether somebody uses it ([`Occupancy`]).
//! - A restore that fails leaves the store as it was; a backup appears under its name when it is complete, or not at all.
//! - Absent: this crate knows no definition file, starts no service, runs no migration and speaks no SQL of a service.
//!   Engines other than SQLite implement [`Provision`] elsewhere.
//!
//! Map: [`spec`] (which service wants which engine), [`port`] (what an engine does), [`service`] (all stores of a system),
//! [`sqlite`] (the engine that needs no server), [`credentials`] and [`record`] (what a service is given, and how it is kept),
//! [`place`] (the directory of one store), [`tool`] (programs that engines run), [`error`].
//!
//! ```
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! use motet_datastore::{Engines, Engine, Sqlite, StoreSpec, Stores};
//! use std::sync::Arc;
//! # let state = std::env::temp_dir().join(format!("motet-datastore-doc-{}", std::process::id()));
//! let library: motet_kernel::name::ServiceName = "library".parse()?;
//! let specs = [StoreSpec { service: library.clone(), engine: Engine::Sqlite }];
//! let stores = Stores::new(specs, &Engines { sqlite: Some(Arc::new(Sqlite::new(&state)?)), ..Engines::default() })?;
//! let credentials = stores.provision(&library).await?;
//! assert!(credentials.url.expose().starts_with("sqlite:////"));
//! assert_eq!(format!("{}", credentials.url), "***");
//! # std::fs::remove_dir_all(&state)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod credentials;
pub mod error;
pub mod place;
pub mod port;
pub mod record;
pub mod service;
pub mod spec;
pub mod sqlite;
pub mod tool;

pub use credentials::{Credentials, Secret};
pub use error::StoreError;
pub use port::{Description, Occupancy, Provision, ShellCommand};
pub use service::{Engines, Stores};
pub use spec::{Engine, StoreSpec};
pub use sqlite::Sqlite;
