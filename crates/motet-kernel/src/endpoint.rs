//! Where the instances of a service answer: the fact that the registry publishes and the data plane balances over.

use crate::{id::InstanceId, name::ServiceName};
use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc};

/// One instance at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Which instance answers there.
    pub instance: InstanceId,
    /// Its name for people: `embedder-2`.
    pub label: Arc<str>,
    /// Where it answers.
    pub address: Authority,
    /// Whether it may get new requests.
    pub state: State,
}

/// Whether an instance may get new requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is ready.
    Ready,
    /// It finishes what it has and gets nothing new.
    Draining,
}

/// A host and a port. The host is an IP address for everything that Motet starts, and may be a name for external services.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// Host name or IP address, without brackets.
    pub host: Arc<str>,
    /// TCP port.
    pub port: u16,
}

impl From<SocketAddr> for Authority {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string().into(), port: address.port() }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// All instances of one service that anybody may know of, ready and draining ones, in the order of their ids.
///
/// A set is immutable: whoever watches gets a whole new one. The version grows with each change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointSet {
    /// Grows by one with each change; 0 is the empty set before anybody announced anything.
    pub version: u64,
    /// The members.
    pub endpoints: Arc<[Endpoint]>,
}

impl EndpointSet {
    /// The instances that may get new requests.
    pub fn ready(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(|endpoint| endpoint.state == State::Ready)
    }
}

/// A declared dependency of one service on another; written `answerer→embedder`, or `answerer->embedder` where arrows are hard to type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EdgeName {
    /// Who calls.
    pub caller: ServiceName,
    /// Who is called.
    pub callee: ServiceName,
}

impl fmt::Display for EdgeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}→{}", self.caller, self.callee)
    }
}

/// A text that does not name an edge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name an edge: write `caller->callee`")]
pub struct InvalidEdge(pub String);

impl FromStr for EdgeName {
    type Err = InvalidEdge;

    fn from_str(text: &str) -> Result<Self, InvalidEdge> {
        let invalid = || InvalidEdge(text.to_owned());
        let (caller, callee) = text.split_once('→').or_else(|| text.split_once("->")).ok_or_else(invalid)?;
        let name = |part: &str| part.trim().parse().map_err(|_| invalid());
        Ok(Self { caller: name(caller)?, callee: name(callee)? })
    }
}
