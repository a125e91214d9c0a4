//! What can go wrong with a job, for whoever asks.

use crate::job::State;
use motet_kernel::{code::ErrorCode, quantity};
use motet_store::{CommitError, OpenError, ReadError};

/// Why something was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JobError {
    /// There is none of this id, for whoever asks.
    #[error("there is no job `{0}`: it never was, or it is over for longer than its service keeps jobs")]
    Unknown(String),
    /// The service takes none.
    #[error("service `{0}` takes no jobs: write `jobs: {{}}` under it in the definition")]
    NoJobs(String),
    /// The key was used for another request.
    #[error(
        "the `Idempotency-Key` `{key}` belongs to job {job}, which asks for something else: take a new key for a new request"
    )]
    KeyReused {
        /// The key.
        key: String,
        /// Whose it is.
        job: String,
    },
    /// The body is too large.
    #[error("the body has more than the {} that service `{service}` takes in a job", quantity::show_size(*most as u64))]
    TooLarge {
        /// Whose limit.
        service: String,
        /// How much is taken.
        most: usize,
    },
    /// So many wait already.
    #[error("{what} of service `{service}` wait already: ask again when some of its jobs are over")]
    Full {
        /// Whose.
        service: String,
        /// How many.
        what: String,
    },
    /// It is not in the state for that.
    #[error("job {job} is {}, {wanted}", state.as_str())]
    NotNow {
        /// Which.
        job: String,
        /// How it is.
        state: State,
        /// What it would have to be.
        wanted: &'static str,
    },
    /// What was sent cannot be used.
    #[error("{0}")]
    Unfit(String),
    /// The store did not take it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is on disk cannot be understood.
    #[error("job {job} on disk cannot be understood: {reason}")]
    Malformed {
        /// Which.
        job: String,
        /// Why.
        reason: String,
    },
}

impl JobError {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown(_) => ErrorCode("MO-jobs-101"),
            Self::NoJobs(_) => ErrorCode("MO-jobs-102"),
            Self::KeyReused { .. } => ErrorCode("MO-jobs-103"),
            Self::TooLarge { .. } => ErrorCode("MO-jobs-104"),
            Self::Full { .. } => ErrorCode("MO-jobs-105"),
            Self::NotNow { .. } => ErrorCode("MO-jobs-106"),
            Self::Unfit(_) => ErrorCode("MO-jobs-107"),
            Self::Malformed { .. } => ErrorCode("MO-jobs-201"),
            Self::Commit(error) => error.code(),
            Self::Read(error) => error.code(),
            Self::Open(error) => error.code(),
        }
    }
}
