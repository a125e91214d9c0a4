//! What can go wrong with a request to the control API, for the side that answers and for the side that asks.

use crate::{services, wire::Problem};
use motet_kernel::code::ErrorCode;

/// A request that the running system refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such service.
    #[error("there is no service `{name}` in this system{}", did_you_mean(.nearest))]
    UnknownService {
        /// What was asked for.
        name: String,
        /// The nearest name that exists.
        nearest: Option<String>,
    },
    /// There is no such edge or route.
    #[error("there is no {name}{}{}", did_you_mean(.nearest), there_are(.all))]
    UnknownDoor {
        /// What was asked for: `edge a→b` or `route /path`.
        name: String,
        /// The nearest that exists.
        nearest: Option<String>,
        /// All that exist.
        all: Vec<String>,
    },
    /// The request makes no sense for what it is about.
    #[error("{0}")]
    NotPossible(String),
    /// The definition has errors; the system goes on as it was.
    #[error("the definition has errors, so the system goes on as it was:\n{0}")]
    Definition(String),
    /// The token is missing or wrong.
    #[error(
        "this address asks for the token that is in the system's `control.json`: send it as `Authorization: Bearer …`"
    )]
    Unauthorized,
    /// The request cannot be read.
    #[error("the request cannot be read: {0}")]
    Unreadable(String),
    /// What is asked of topics and subscriptions is refused for the same reasons that services hear.
    #[error(transparent)]
    Events(#[from] services::Refusal),
    /// Motet's own failure.
    #[error("motet failed to do that: {0}")]
    Internal(String),
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

/// Enough names to choose from, and no more than a person reads.
fn there_are(all: &[String]) -> String {
    const SHOWN: usize = 20;
    let names = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match all.len() {
        0 => "; the system has none".to_owned(),
        count if count > SHOWN => format!("; there are: {names}, and {} more", count - SHOWN),
        _ => format!("; there are: {names}"),
    }
}

impl Refusal {
    /// The code under which the book explains it.
    pub fn code(&self) -> ErrorCode {
        ErrorCode(match self {
            Self::UnknownService { .. } => "MO-api-101",
            Self::NotPossible(_) => "MO-api-102",
            Self::Definition(_) => "MO-api-103",
            Self::Unauthorized => "MO-api-104",
            Self::Unreadable(_) => "MO-api-105",
            Self::Internal(_) => "MO-api-106",
            Self::UnknownDoor { .. } => "MO-api-107",
            Self::Events(refusal) => return refusal.code(),
        })
    }

    /// The problem document that the caller gets.
    pub fn problem(&self) -> Problem {
        let (status, title) = match self {
            Self::UnknownService { .. } => (404, "unknown service"),
            Self::UnknownDoor { .. } => (404, "unknown edge or route"),
            Self::NotPossible(_) => (409, "not possible"),
            Self::Definition(_) => (422, "the definition has errors"),
            Self::Unauthorized => (401, "token needed"),
            Self::Unreadable(_) => (400, "unreadable request"),
            Self::Internal(_) => (500, "internal failure"),
            Self::Events(refusal) => return refusal.problem(),
        };
        Problem {
            kind: format!("urn:motet:error:{}", self.code()),
            title: title.to_owned(),
            status,
            detail: self.to_string(),
        }
    }
}

/// Why a call to the control API did not bring what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answers there.
    #[error("the running system does not answer: {0}")]
    Unreachable(#[source] reqwest::Error),
    /// It answered, and the answer is a refusal.
    #[error("{}", .0.detail)]
    Refused(Problem),
    /// It answered something that is not the control API's.
    #[error("the running system answered something else than expected ({0}); is it of another version of motet?")]
    Garbled(String),
}
