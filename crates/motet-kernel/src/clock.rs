//! The time of day. How long something takes is asked of tokio's clock, which tests can stop; this one only dates records and logs.

pub use jiff::Timestamp;

/// The time of day, now.
pub fn now() -> Timestamp {
    Timestamp::now()
}
