//! Room for so many requests, and a clear no for the next one.
//!
//! A service that takes every request answers all of them late. One that says 429 at once lets the caller (or the proxy
//! between them) try another instance, wait, or give up.

use crate::problem::Problem;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
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

/// The layer that lets a request in, before its body is read, or says no.
pub async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Result<Response, Problem> {
    let _place = gate.enter()?;
    Ok(next.run(request).await)
}
