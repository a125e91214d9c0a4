//! Why a view could not be written.

use super::Place;
use motet_kernel::code::ErrorCode;

/// Why a table did not do what it was asked for. Nothing of it was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// A table of that name is there, and it is not one that Motet makes.
    #[error("the table `{table}` is not a view that Motet can write: {reason}")]
    Shape {
        /// Which table.
        table: String,
        /// What does not fit, and what to do.
        reason: String,
    },
    /// The database did not answer, or refused something that is not about a row. It may be better in a moment.
    #[error("the view `{table}` cannot be written: {reason}")]
    Unavailable {
        /// Which table.
        table: String,
        /// What the database said.
        reason: String,
    },
    /// The table is not where it was taken to be: somebody else has written it, or it is another one.
    #[error("the table is somewhere else than expected")]
    Moved(Option<Place>),
    /// The table is not there (any more).
    #[error("the table is gone")]
    Gone,
    /// A row cannot be in this table; what the database said.
    #[error("the table refuses it: {0}")]
    Refused(String),
}

impl ViewError {
    /// The code with a page of its own, of those that people see.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Shape { .. } => ErrorCode("MO-relay-201"),
            Self::Unavailable { .. } | Self::Moved(_) | Self::Gone => ErrorCode("MO-relay-202"),
            Self::Refused(_) => ErrorCode("MO-relay-203"),
        }
    }
}
