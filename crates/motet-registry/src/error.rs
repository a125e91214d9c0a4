//! What can go wrong: one struct per failure, one enum per operation.

use motet_kernel::{endpoint::Authority, id::InstanceId, name::ServiceName};
use std::sync::Arc;

/// An address at which nothing can answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{address}` is not an address that `{label}` can answer at: it needs a host and a port other than 0")]
pub struct InvalidInstance {
    /// Whose address.
    pub label: Arc<str>,
    /// What was given.
    pub address: Authority,
}

/// The announcement behind a lease is gone: expired, withdrawn, or replaced by a later one. Announce again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no announcement stands behind the lease of {instance} of `{service}`: it expired, was withdrawn or was replaced"
)]
pub struct LeaseUnknown {
    /// Of which service.
    pub service: ServiceName,
    /// Which instance.
    pub instance: InstanceId,
}

/// The system behind the port does not answer, or answers nonsense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("discovery engine `{engine}` is unavailable: {reason}")]
pub struct EngineUnavailable {
    /// Which one, with its address: `consul at http://consul:8500`.
    pub engine: String,
    /// What was seen.
    pub reason: String,
}

/// Why an announcement was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnounceError {
    /// See [`EngineUnavailable`].
    #[error(transparent)]
    Unavailable(#[from] EngineUnavailable),
}

/// Why a lease could not be renewed, changed or withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// See [`LeaseUnknown`].
    #[error(transparent)]
    Unknown(#[from] LeaseUnknown),
    /// See [`EngineUnavailable`].
    #[error(transparent)]
    Unavailable(#[from] EngineUnavailable),
}
