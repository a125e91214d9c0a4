//! Room for so many requests, and a clear no for the next one.
//!
//! A service that takes every request answers all of them late. One that says 429 at once lets the caller (or the proxy
//! between them) try another instance, wait, or give up.

use crate::problem::Problem;
use axum::http::StatusCode;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts the requests inside; cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate {
    room: Arc<Semaphore>,
    limit: usize,
}

/// One request's place; dropping it frees the place.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held for what its drop does")] OwnedSemaphorePermit);

impl Gate {
    /// Room for `limit` requests, those that wait for others included.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(limit)), limit }
    }

    /// A place, or the problem to answer with: 429 and `Retry-After`.
    pub fn enter(&self) -> Result<Place, Problem> {
        let full = |_| {
            let detail = format!("{} requests are being answered already; try again in a moment", self.limit);
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", "The service is busy", detail).retry_after_seconds(1)
        };
        Arc::clone(&self.room).try_acquire_owned().map(Place).map_err(full)
    }
}
