//! The total deadline of a request: one timer around everything up to the answer's head.

use crate::rescue::Cause;
use std::{future::Future, pin::Pin, time::Duration};
use tokio::time::{Instant, timeout_at};

/// By when a request must be answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) limit: Duration,
}

impl Deadline {
    /// The policy's limit, or the caller's if it is shorter.
    pub(crate) fn new(started: Instant, policy: Duration, caller: Option<Duration>) -> Self {
        let limit = caller.map_or(policy, |caller| caller.min(policy));
        Self { at: started.checked_add(limit).unwrap_or(started + Duration::from_secs(86_400 * 365)), limit }
    }

    pub(crate) fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Leaves the work when the deadline passes. The work is pinned by the caller: a future that is handed on by value is copied,
    /// and kept once more, at each hand.
    pub(crate) async fn bound<T>(self, work: Pin<&mut impl Future<Output = Result<T, Cause>>>) -> Result<T, Cause> {
        timeout_at(self.at, work).await.unwrap_or(Err(Cause::Deadline { limit: self.limit }))
    }
}
