//! What can go wrong. Failures are cheap to clone, because one failed sync is answered to everybody who waited for it.

use motet_kernel::{code::ErrorCode, quantity};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Another process uses the directory.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store at {} is in use by another process: stop that one first", path.display())]
pub struct InUse {
    /// The store's directory.
    pub path: PathBuf,
}

/// Bytes that once were whole are not any more.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "the store at {} is damaged: {reason}. Nothing was changed: check the disk, then restore the directory from a copy or move it away to start empty",
    path.display()
)]
pub struct Damaged {
    /// The store's directory.
    pub path: PathBuf,
    /// What was found.
    pub reason: Arc<str>,
}

/// The store could not be opened for a reason of the operating system.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store at {} cannot be opened: {reason}", path.display())]
pub struct Unusable {
    /// The store's directory.
    pub path: PathBuf,
    /// What the operating system said.
    pub reason: Arc<str>,
}

/// Why a store was not opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// See [`InUse`].
    #[error(transparent)]
    InUse(#[from] InUse),
    /// See [`Damaged`].
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// See [`Unusable`].
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

impl OpenError {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        ErrorCode(match self {
            Self::InUse(_) => "MO-store-101",
            Self::Damaged(_) => "MO-store-102",
            Self::Unusable(_) => "MO-store-103",
        })
    }
}

/// Free space is below the reserve.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "only {} are free on the disk of {}, and {} are kept in reserve: make room, and writing goes on by itself",
    quantity::show_size(*free_bytes), path.display(), quantity::show_size(*reserve_bytes)
)]
pub struct NoSpace {
    /// The store's directory.
    pub path: PathBuf,
    /// What is free, in bytes.
    pub free_bytes: u64,
    /// What has to stay free, in bytes.
    pub reserve_bytes: u64,
}

/// A write or a sync failed: what the disk holds is unknown, so nothing more is written.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "the disk refused a write to {} ({reason}); nothing more is written, because what the disk holds is not known any more: repair the disk, then restart, which keeps all that was acknowledged",
    path.display()
)]
pub struct Poisoned {
    /// The store's directory.
    pub path: PathBuf,
    /// What the engine said.
    pub reason: Arc<str>,
}

/// Too much waits to be written already.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "{} wait to be written already, and there was no room within {}: try again in a moment",
    quantity::show_size(*waiting_bytes), quantity::show_duration(*waited)
)]
pub struct Busy {
    /// The bound, in bytes.
    pub waiting_bytes: u64,
    /// How long room was waited for.
    pub waited: Duration,
}

/// The store was closed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store at {} is closed", path.display())]
pub struct Closed {
    /// The store's directory.
    pub path: PathBuf,
}

/// A large value could not be written into a file of its own.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} could not be written ({reason}): check the disk, then try again", path.display())]
pub struct NotKept {
    /// The file.
    pub path: PathBuf,
    /// What the operating system said.
    pub reason: Arc<str>,
}

/// Why something was not written. Nothing of the batch was, then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// See [`Busy`].
    #[error(transparent)]
    Busy(#[from] Busy),
    /// See [`NoSpace`].
    #[error(transparent)]
    NoSpace(#[from] NoSpace),
    /// See [`Poisoned`].
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// See [`Closed`].
    #[error(transparent)]
    Closed(#[from] Closed),
    /// See [`NotKept`].
    #[error(transparent)]
    NotKept(#[from] NotKept),
}

impl CommitError {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        ErrorCode(match self {
            Self::Busy(_) => "MO-store-201",
            Self::NoSpace(_) => "MO-store-202",
            Self::Poisoned(_) => "MO-store-203",
            Self::Closed(_) => "MO-store-204",
            Self::NotKept(_) => "MO-store-205",
        })
    }
}

/// Something could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store's keyspace `{keyspace}` cannot be read: {reason}. Check the disk; what is damaged is not skipped")]
pub struct ReadError {
    /// Which keyspace.
    pub keyspace: Arc<str>,
    /// What the engine said.
    pub reason: Arc<str>,
}

impl ReadError {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        ErrorCode("MO-store-301")
    }
}
