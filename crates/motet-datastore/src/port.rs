//! What an engine does for a store. One implementation serves all services that use its engine; the conformance suite in
//! `motet-testkit` holds every implementation to the words below.

use crate::{Credentials, Secret, StoreError};
use async_trait::async_trait;
use motet_kernel::name::ServiceName;
use std::{collections::BTreeMap, ffi::OsString, path::Path};

/// Makes and keeps stores of one engine. Every method has a deadline of its own and may be called by several at once:
/// operations that change one store exclude each other, also across processes.
#[async_trait]
pub trait Provision: Send + Sync + std::fmt::Debug {
    /// Makes the store if it is missing, repairs what an interrupted earlier call left half done, and returns what its
    /// service needs. Repeated, it returns the same credentials and touches no data. When it returns, the credentials work.
    async fn provision(&self, service: &ServiceName) -> Result<Credentials, StoreError>;

    /// What is there now. A store that was never made is described as missing, which is not an error.
    async fn describe(&self, service: &ServiceName) -> Result<Description, StoreError>;

    /// Writes all that is committed, as of one moment, to a new file, while the service may go on reading and writing.
    /// The file appears under its name when it is complete; an existing file is never replaced.
    async fn backup(&self, service: &ServiceName, to: &Path) -> Result<(), StoreError>;

    /// Replaces the whole content by that of a backup, at once: whoever looks sees all of the old or all of the new.
    /// If it fails, the old content stays.
    async fn restore(&self, service: &ServiceName, from: &Path, occupancy: Occupancy) -> Result<(), StoreError>;

    /// Replaces the store by an empty one with the same credentials.
    async fn reset(&self, service: &ServiceName, occupancy: Occupancy) -> Result<(), StoreError>;

    /// The command of an interactive shell on the store, with its secrets in the environment.
    async fn shell(&self, service: &ServiceName) -> Result<ShellCommand, StoreError>;

    /// Takes data and credentials away for good. A store that does not exist is removed already.
    async fn remove(&self, service: &ServiceName, occupancy: Occupancy) -> Result<(), StoreError>;
}

/// Whether somebody uses a store whose content is about to be replaced: what the caller knows about the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupancy {
    /// The service does not run. The engine still refuses if it sees somebody connected.
    Free,
    /// An instance of the service runs: the operation is refused.
    InUse,
    /// Go on whoever uses it. Connections are cut where the engine can do that; a program that keeps a file open goes on
    /// with the old content until it restarts.
    Forced,
}

/// What is there of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The engine with its version: `SQLite 3.51.1`, `PostgreSQL 15.14`.
    pub engine: String,
    /// Where it is, without secrets: a path, or `host:port/database`.
    pub location: String,
    /// Bytes on disk, everything that belongs to the store counted; `None` when it is missing.
    pub size: Option<u64>,
}

/// A program to run on the user's terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellCommand {
    /// Program and arguments. No secret is among them, because every user of the machine can read them.
    pub argv: Vec<OsString>,
    /// Variables to set in addition to the terminal's own.
    pub env: BTreeMap<String, Secret>,
}
