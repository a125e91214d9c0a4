//! What can go wrong when the supervisor is asked for something: one struct per failure, one enum per operation.

use motet_kernel::name::ServiceName;
use thiserror::Error;

/// A service that is not in the wanted set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no service `{service}`{}", named_by.as_ref().map(|by| format!(", which `{by}` waits for")).unwrap_or_default())]
pub struct UnknownService {
    /// The name that nobody has.
    pub service: ServiceName,
    /// Who named it, when it was another service.
    pub named_by: Option<ServiceName>,
}

/// A name that stands twice in the wanted set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("service `{service}` stands twice in the wanted set")]
pub struct RepeatedService {
    /// The name.
    pub service: ServiceName,
}

/// Services that wait for each other.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("services wait for each other: {}", cycle.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(" → "))]
pub struct CyclicOrder {
    /// The cycle; the first name is repeated at the end.
    pub cycle: Vec<ServiceName>,
}

/// A wait for the completion of a service that runs until it is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{service}` waits for the completion of `{waits_for}`, which runs until it is stopped: wait until it is ready instead"
)]
pub struct NeverCompletes {
    /// Who waits.
    pub service: ServiceName,
    /// For whom.
    pub waits_for: ServiceName,
}

/// Several instances of a service that can have one only.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{service}` cannot have {wanted} instances: {reason}")]
pub struct ExclusiveInstances {
    /// The service.
    pub service: ServiceName,
    /// How many were asked for.
    pub wanted: u32,
    /// Why it can have one only.
    pub reason: &'static str,
}

/// A probe that could never answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a probe of `{service}` cannot work: {reason}")]
pub struct InvalidProbe {
    /// The service.
    pub service: ServiceName,
    /// Why.
    pub reason: String,
}

/// The supervisor has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the supervisor has ended")]
pub struct Ended;

/// Why a wanted set is refused. Nothing changes then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// See [`UnknownService`].
    #[error(transparent)]
    Unknown(#[from] UnknownService),
    /// See [`RepeatedService`].
    #[error(transparent)]
    Repeated(#[from] RepeatedService),
    /// See [`CyclicOrder`].
    #[error(transparent)]
    Cyclic(#[from] CyclicOrder),
    /// See [`NeverCompletes`].
    #[error(transparent)]
    NeverCompletes(#[from] NeverCompletes),
    /// See [`ExclusiveInstances`].
    #[error(transparent)]
    Exclusive(#[from] ExclusiveInstances),
    /// See [`InvalidProbe`].
    #[error(transparent)]
    Probe(#[from] InvalidProbe),
    /// See [`Ended`].
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// Why an order about one service is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OrderError {
    /// See [`UnknownService`].
    #[error(transparent)]
    Unknown(#[from] UnknownService),
    /// See [`ExclusiveInstances`].
    #[error(transparent)]
    Exclusive(#[from] ExclusiveInstances),
    /// See [`Ended`].
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// An instance could not be started at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct StartFailed {
    /// What the driver said, with the program or directory that it was about.
    pub reason: String,
}
