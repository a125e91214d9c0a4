//! The contract that every discovery engine keeps. `motet-testkit` holds its conformance suite.

use crate::{
    error::{AnnounceError, EngineUnavailable, LeaseError},
    instance::{Health, Instance},
    lease::{Lease, Term},
};
use async_trait::async_trait;
use motet_kernel::{endpoint::EndpointSet, name::ServiceName};
use std::fmt;
use tokio::sync::watch;

/// Where instances are announced and found.
///
/// Visibility is eventual: a change made through one method is in every watch soon after, at the latest after the engine's own
/// propagation time, and at once only in the embedded engine. Every method answers or fails within the engine's request timeout.
#[async_trait]
pub trait Discovery: fmt::Debug + Send + Sync {
    /// Lists an instance. Announcing an instance that is listed replaces what was said of it, and the older lease ends.
    async fn announce(&self, instance: Instance, term: Term) -> Result<Lease, AnnounceError>;

    /// Starts the lease's term anew. [`LeaseError::Unknown`] means: announce again.
    async fn renew(&self, lease: &Lease) -> Result<(), LeaseError>;

    /// Says how the instance is. Counts as a renewal.
    async fn report(&self, lease: &Lease, health: Health) -> Result<(), LeaseError>;

    /// Takes the instance off the list. A lease that is gone already is no failure: the outcome is what was asked for.
    async fn withdraw(&self, lease: &Lease) -> Result<(), EngineUnavailable>;

    /// Follows the instances of one service, also of one that nobody has announced yet.
    ///
    /// The receiver holds the newest set that is known, at first perhaps the empty set of version 0. Versions grow within one
    /// receiver and mean nothing beyond it. While the engine is away the last set stays; the watch mends itself and never ends
    /// before the receiver is dropped.
    async fn watch(&self, service: &ServiceName) -> Result<watch::Receiver<EndpointSet>, EngineUnavailable>;

    /// The services that have at least one instance listed, in order.
    async fn services(&self) -> Result<Vec<ServiceName>, EngineUnavailable>;
}
