//! What can go wrong: one struct or variant per failure, one enum per operation.

use crate::{
    name::{SubscriptionName, TopicName},
    port::TransportError,
    record::Malformed,
};
use motet_kernel::{code::ErrorCode, quantity};
use motet_store::{CommitError, OpenError, ReadError};

/// A topic that nobody declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no topic `{topic}`: declare it under `topics:`{}", suggestion(known))]
pub struct UnknownTopic {
    /// What was asked for.
    pub topic: String,
    /// What there is.
    pub known: Vec<String>,
}

/// A subscription that nobody declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no subscription `{subscription}`{}", suggestion(known))]
pub struct UnknownSubscription {
    /// What was asked for.
    pub subscription: String,
    /// What there is.
    pub known: Vec<String>,
}

fn suggestion(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; there are {}", known.join(", ")) }
}

/// An event that is too large for its topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "event {index} of the request has {}, and topic `{topic}` takes up to {}",
    quantity::show_size(*bytes as u64), quantity::show_size(*most as u64)
)]
pub struct TooLarge {
    /// Into which topic.
    pub topic: TopicName,
    /// Which event of the request, from 0.
    pub index: usize,
    /// Its size.
    pub bytes: usize,
    /// The limit.
    pub most: usize,
}

/// A wish for later delivery that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {index} of the request has `{attribute}: {value}`, {expected}")]
pub struct InvalidDelay {
    /// Which event of the request, from 0.
    pub index: usize,
    /// `deliverat` or `delay`.
    pub attribute: &'static str,
    /// What was written.
    pub value: String,
    /// What it should be.
    pub expected: &'static str,
}

/// Why events were not published. None of the request is acknowledged then; it can be repeated as it is, because duplicates are found.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// See [`UnknownTopic`].
    #[error(transparent)]
    UnknownTopic(#[from] UnknownTopic),
    /// See [`TooLarge`].
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// See [`InvalidDelay`].
    #[error(transparent)]
    InvalidDelay(#[from] InvalidDelay),
    /// The engine or the store did not take them.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The broker stops.
    #[error("the broker stops: publish again when the system runs")]
    Stopping,
}

impl PublishError {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownTopic(_) => ErrorCode("MO-broker-101"),
            Self::TooLarge(_) => ErrorCode("MO-broker-102"),
            Self::InvalidDelay(_) => ErrorCode("MO-broker-103"),
            Self::Transport(error) => error.code(),
            Self::Stopping => ErrorCode("MO-broker-104"),
        }
    }

    /// Whether the same request may succeed in a moment.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Transport(
                TransportError::Commit(CommitError::Busy(_) | CommitError::NoSpace(_))
                    | TransportError::Unavailable { .. }
            ) | Self::Stopping
        )
    }
}

impl From<CommitError> for PublishError {
    fn from(error: CommitError) -> Self {
        Self::Transport(error.into())
    }
}

/// Why a question or an order to a subscription was not followed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubscriptionError {
    /// See [`UnknownSubscription`].
    #[error(transparent)]
    Unknown(#[from] UnknownSubscription),
    /// It is pushed to: events are not fetched from it.
    #[error(
        "subscription `{0}` is pushed to a path: declare it with `pull: true` in the place of `to` to fetch its events"
    )]
    NotPull(SubscriptionName),
    /// The token stands for no event (any more): the lease was over, or it was answered already.
    #[error(
        "no event is leased by this token: its lease is over and it is delivered again, or it was answered already"
    )]
    LeaseGone,
    /// The engine or the store did not do it.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// What is on disk cannot be understood.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// What is on disk cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The broker stops.
    #[error("the broker stops: ask again when the system runs")]
    Stopping,
}

impl SubscriptionError {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown(_) => ErrorCode("MO-broker-201"),
            Self::NotPull(_) => ErrorCode("MO-broker-202"),
            Self::LeaseGone => ErrorCode("MO-broker-203"),
            Self::Transport(error) => error.code(),
            Self::Malformed(_) => ErrorCode("MO-broker-303"),
            Self::Read(error) => error.code(),
            Self::Stopping => ErrorCode("MO-broker-104"),
        }
    }
}

impl From<CommitError> for SubscriptionError {
    fn from(error: CommitError) -> Self {
        Self::Transport(error.into())
    }
}

impl From<crate::dead::Unreadable> for SubscriptionError {
    fn from(error: crate::dead::Unreadable) -> Self {
        match error {
            crate::dead::Unreadable::Read(error) => error.into(),
            crate::dead::Unreadable::Malformed(error) => error.into(),
        }
    }
}

/// Why the broker was not started, or did not take a declaration.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// A keyspace could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The engine did not do it.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// What is on disk cannot be understood.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// What is on disk cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// See [`EngineTakesLess`].
    #[error(transparent)]
    EngineTakesLess(#[from] EngineTakesLess),
    /// A subscription to a topic that is not declared.
    #[error("subscription `{0}` wants topic `{1}`, which is not declared")]
    NoSuchTopic(SubscriptionName, TopicName),
    /// The subscription exists and belongs to another topic.
    #[error(
        "subscription `{0}` has been one to topic `{1}`: give the new one another name, because its place in the old topic means nothing in the new one"
    )]
    OtherTopic(SubscriptionName, String),
}

/// A topic that may have events which its engine's server does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "topic `{topic}` takes events of up to {}, and {engine} takes none above {}: raise that server's limit, or lower the topic's `max_payload`",
    quantity::show_size(*wanted as u64), quantity::show_size(*most as u64)
)]
pub struct EngineTakesLess {
    /// Which topic.
    pub topic: TopicName,
    /// What it is declared to take, in bytes.
    pub wanted: usize,
    /// Which engine, with its address.
    pub engine: String,
    /// What that takes, in bytes.
    pub most: usize,
}

impl BrokerError {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Open(error) => error.code(),
            Self::Transport(error) => error.code(),
            Self::Malformed(_) => ErrorCode("MO-broker-303"),
            Self::Read(error) => error.code(),
            Self::NoSuchTopic(..) => ErrorCode("MO-broker-401"),
            Self::OtherTopic(..) => ErrorCode("MO-broker-402"),
            Self::EngineTakesLess(_) => ErrorCode("MO-broker-405"),
        }
    }
}

impl From<CommitError> for BrokerError {
    fn from(error: CommitError) -> Self {
        Self::Transport(error.into())
    }
}
