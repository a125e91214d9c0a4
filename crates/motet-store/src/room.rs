//! Backpressure in bytes: who wants to write takes room first, and gives it back when the write is done or forgotten.
//!
//! A bound on the number of waiting writes would let a few large ones take all memory; a bound on bytes does not care how they are cut.

use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// Permission to have so many bytes waiting. Dropping it gives the bytes back.
#[derive(Debug)]
pub struct Room {
    _permit: Option<OwnedSemaphorePermit>,
}

/// The bytes that are left.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    left: Arc<Semaphore>,
    most: usize,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Self {
        let most = most.clamp(1, u32::MAX as usize);
        Self { left: Arc::new(Semaphore::new(most)), most }
    }

    /// Takes room at once, or says that there is none. What is larger than the whole budget takes all of it.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Room> {
        match Arc::clone(&self.left).try_acquire_many_owned(self.share(bytes)) {
            Ok(permit) => Some(Room { _permit: Some(permit) }),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => None,
        }
    }

    /// Waits for room, in the order of asking.
    pub(crate) async fn take(&self, bytes: usize, at_most: Duration) -> Option<Room> {
        let wanted = Arc::clone(&self.left).acquire_many_owned(self.share(bytes));
        let permit = tokio::time::timeout(at_most, wanted).await.ok()?.ok()?;
        Some(Room { _permit: Some(permit) })
    }

    pub(crate) fn most(&self) -> usize {
        self.most
    }

    pub(crate) fn taken(&self) -> usize {
        self.most.saturating_sub(self.left.available_permits())
    }

    fn share(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.most)).unwrap_or(u32::MAX)
    }
}

impl Room {
    /// For what is so small that it is not worth counting (a barrier), or is bounded elsewhere.
    pub(crate) fn uncounted() -> Self {
        Self { _permit: None }
    }
}
