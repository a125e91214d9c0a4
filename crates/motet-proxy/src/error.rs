//! What can go wrong in setting the data plane up. What goes wrong with a request is in `rescue.rs`.

use crate::{
    gateway::{CredentialsForAll, NoKeys, TlsUnusable},
    spec::Door,
};
use motet_kernel::code::ErrorCode;
use std::{io, net::SocketAddr};

/// Somebody else listens there.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {purpose}: {}", held_by(holder.as_ref()))]
pub struct AddressTaken {
    /// Where.
    pub address: SocketAddr,
    /// What for: an edge's name, or `the gateway`.
    pub purpose: String,
    /// Who holds it, where the operating system tells.
    pub holder: Option<Holder>,
}

/// A process that listens on an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub command: String,
}

fn held_by(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { pid, command }) => format!("process {pid} ({command}) listens there already"),
        None => "another process listens there already".to_owned(),
    }
}

/// Listening failed for another reason: no such address on this machine, no right to a low port, no file descriptors left.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {purpose}")]
pub struct BindFailed {
    /// Where.
    pub address: SocketAddr,
    /// What for: an edge's name, or `the gateway`.
    pub purpose: String,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

/// The same edge or route is given twice.
#[derive(Debug, thiserror::Error)]
#[error("{door} is given twice")]
pub struct GivenTwice {
    /// Which.
    pub door: Door,
}

/// There is no such edge or route.
#[derive(Debug, thiserror::Error)]
#[error("{door} is not open")]
pub struct NotOpen {
    /// Which was meant.
    pub door: Door,
}

/// The keys that tokens are signed with cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{from} cannot be used for signing keys")]
pub struct KeysUnusable {
    /// Where they were looked for.
    pub from: String,
    /// Why.
    #[source]
    pub source: NoKeys,
}

/// The gateway is told two things that cannot both be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// See [`CredentialsForAll`].
    #[error(transparent)]
    Credentials(#[from] CredentialsForAll),
    /// A route asks who its callers are, and nobody could be recognized.
    #[error("the route {prefix} asks for a key or a token, and the gateway knows neither keys nor issuers")]
    NobodyKnown {
        /// The route.
        prefix: String,
    },
}

/// The data plane has been asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("the data plane is stopping")]
pub struct Stopping;

/// Why a set of edges was not put in force. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// See [`AddressTaken`].
    #[error(transparent)]
    AddressTaken(#[from] AddressTaken),
    /// See [`BindFailed`].
    #[error(transparent)]
    BindFailed(#[from] BindFailed),
    /// See [`GivenTwice`].
    #[error(transparent)]
    GivenTwice(#[from] GivenTwice),
    /// See [`Stopping`].
    #[error(transparent)]
    Stopping(#[from] Stopping),
    /// See [`TlsUnusable`].
    #[error(transparent)]
    TlsUnusable(#[from] TlsUnusable),
    /// See [`KeysUnusable`].
    #[error(transparent)]
    KeysUnusable(#[from] KeysUnusable),
    /// See [`Contradiction`].
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

impl ApplyError {
    /// The code to look up.
    pub fn code(&self) -> ErrorCode {
        ErrorCode(match self {
            Self::AddressTaken(_) => "MO-proxy-001",
            Self::BindFailed(_) => "MO-proxy-002",
            Self::GivenTwice(_) => "MO-proxy-003",
            Self::Stopping(_) => "MO-proxy-004",
            Self::TlsUnusable(_) => "MO-proxy-005",
            Self::KeysUnusable(_) => "MO-proxy-006",
            Self::Contradiction(_) => "MO-proxy-007",
        })
    }
}

/// A worker's thread or event loop could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot start worker {worker} of the data plane")]
pub struct StartError {
    /// Which.
    pub worker: usize,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}
