//! For how long an announcement holds, and the proof of having made it.

use motet_kernel::{id::InstanceId, name::ServiceName};
use std::time::Duration;

/// Until when an announcement holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// Until it is withdrawn. For instances whose owner lives in this process and sees them end: the supervisor's.
    /// Such a lease cannot go stale, because owner and registry end together.
    Owned,
    /// Until so much time has passed since the announcement or the last renewal. Renew at a third of it.
    Renewed(Duration),
}

/// The right to renew, change and withdraw one announcement.
///
/// Consul keeps it as a TTL check, Eureka as a renewal, ZooKeeper as a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Of which service.
    pub service: ServiceName,
    /// Which instance.
    pub instance: InstanceId,
    /// Which announcement of it: a later one of the same instance has a larger number. An engine without such numbers uses 0.
    pub number: u64,
    /// For how long it holds without being renewed.
    pub term: Term,
}
