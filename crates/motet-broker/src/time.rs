//! The time of day, in milliseconds.
//!
//! What is kept on disk (when a retry is due, when an event was published) has to mean something after a restart, so it is the time of
//! day. It advances with tokio's clock from the time at which the broker started: tests can stop it, and a clock that somebody sets while
//! the broker runs makes no lease expire.

use std::{fmt, time::Duration};
use tokio::time::Instant;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// This much later; the end of time at most.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This much earlier; the beginning of time at least.
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long it has been since `earlier`; nothing if it is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms since 1970", self.0)
    }
}

/// Where the time of day comes from.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    at: Time,
}

impl Clock {
    /// A clock that shows the system's time of day now, and goes on with tokio's.
    pub fn start() -> Self {
        let millis = motet_kernel::clock::now().as_millisecond();
        Self { began: Instant::now(), at: Time(u64::try_from(millis).unwrap_or_default()) }
    }

    /// The time of day.
    pub fn now(&self) -> Time {
        self.at.after(self.began.elapsed())
    }

    /// When tokio's clock will show that time of day: for waiting.
    pub fn instant(&self, time: Time) -> Instant {
        self.began + time.since(self.at)
    }
}
