//! What can go wrong between a table and its topics.

use motet_kernel::code::ErrorCode;

/// Why a table did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// It is not there yet: its service makes it when it starts.
    #[error("there is no table `{0}` yet")]
    Missing(String),
    /// It is not the outbox that the definition describes.
    #[error("the table `{table}` is not the outbox that is described: {reason}")]
    Shape {
        /// Which table.
        table: String,
        /// What does not fit, and what to do.
        reason: String,
    },
    /// The database did not answer, or refused.
    #[error("the table `{table}` cannot be used: {reason}")]
    Unavailable {
        /// Which table.
        table: String,
        /// What the database said.
        reason: String,
    },
}

impl TableError {
    /// The code with a page of its own. A table that is not there yet is no error.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Missing(_) => None,
            Self::Shape { .. } => Some(ErrorCode("MO-relay-101")),
            Self::Unavailable { .. } => Some(ErrorCode("MO-relay-102")),
        }
    }
}

/// Why rows could not be published; they are published again, all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not publish: {0}")]
pub struct PublishError(pub String);

impl PublishError {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        ErrorCode("MO-relay-103")
    }
}

/// Why a row can never be published as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl Refusal {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        ErrorCode("MO-relay-104")
    }
}
