//! What the data plane is told to hold open: edges and the gateway's routes.

use crate::{
    gateway::{Access, ApiKey, BodyLimits, Cors, GatewayLimits, Issuer, Tls},
    policy::{EdgePolicy, PathPolicy},
};
use motet_kernel::{
    endpoint::{EdgeName, EndpointSet},
    name::ServiceName,
};
use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc};
use tokio::sync::watch;

/// One edge: an address of its own for one caller and one callee.
#[derive(Debug, Clone)]
pub struct EdgeSpec {
    /// Who calls whom.
    pub name: EdgeName,
    /// How it behaves when things go wrong.
    pub policy: EdgePolicy,
    /// Where some paths behave otherwise.
    pub paths: Vec<PathPolicy>,
    /// The services that a policy names as fallbacks.
    pub fallbacks: BTreeMap<ServiceName, Callee>,
    /// What the callee's instances speak.
    pub protocol: Protocol,
    /// Where the callee's instances answer.
    pub endpoints: watch::Receiver<EndpointSet>,
    /// Where the caller reaches it. `None`: a free port on 127.0.0.1, which the edge keeps for as long as it exists.
    pub listen: Option<SocketAddr>,
}

impl EdgeSpec {
    /// An edge with every default.
    pub fn new(name: EdgeName, endpoints: watch::Receiver<EndpointSet>) -> Self {
        Self {
            name,
            policy: EdgePolicy::default(),
            paths: Vec::new(),
            fallbacks: BTreeMap::new(),
            protocol: Protocol::default(),
            endpoints,
            listen: None,
        }
    }
}

/// A service that answers in place of another.
#[derive(Debug, Clone)]
pub struct Callee {
    /// What its instances speak.
    pub protocol: Protocol,
    /// Where its instances answer.
    pub endpoints: watch::Receiver<EndpointSet>,
}

/// The public way in.
#[derive(Debug, Clone)]
pub struct GatewaySpec {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where which path leads. The longest prefix wins.
    pub routes: Vec<RouteSpec>,
    /// How much its callers may ask of it.
    pub limits: GatewayLimits,
    /// Which pages of other origins may read answers. `None`: what services say about it is passed on.
    pub cors: Option<Cors>,
    /// The API keys that it knows. Where there are keys or issuers, each route asks for one unless it says otherwise.
    pub keys: Vec<ApiKey>,
    /// Whose tokens it believes.
    pub issuers: Vec<Issuer>,
    /// What it needs to speak TLS. `None`: it speaks none.
    pub tls: Option<Tls>,
}

impl GatewaySpec {
    /// A gateway with every default.
    pub fn new(listen: SocketAddr, routes: Vec<RouteSpec>) -> Self {
        let limits = GatewayLimits::listening_on(listen.ip());
        Self { listen, routes, limits, cors: None, keys: Vec::new(), issuers: Vec::new(), tls: None }
    }
}

/// One public path.
#[derive(Debug, Clone)]
pub struct RouteSpec {
    /// `/api` takes `/api` and `/api/…`, not `/apis`. `/` takes what no other route does.
    pub prefix: String,
    /// Who answers.
    pub service: ServiceName,
    /// Whether the service sees paths without the prefix.
    pub strip_prefix: bool,
    /// Who may use it. `None`: whoever shows a key or a token that the gateway knows; everybody when it knows none.
    pub access: Option<Access>,
    /// Which pages of other origins may read its answers, in place of the gateway's rule.
    pub cors: Option<Cors>,
    /// What a request's body may be, in place of the gateway's limits.
    pub body: Option<BodyLimits>,
    /// How it behaves when things go wrong.
    pub policy: EdgePolicy,
    /// Where some paths behave otherwise.
    pub paths: Vec<PathPolicy>,
    /// The services that a policy names as fallbacks.
    pub fallbacks: BTreeMap<ServiceName, Callee>,
    /// What the service's instances speak.
    pub protocol: Protocol,
    /// Where the service's instances answer.
    pub endpoints: watch::Receiver<EndpointSet>,
}

impl RouteSpec {
    /// A route with every default.
    pub fn new(prefix: &str, service: ServiceName, endpoints: watch::Receiver<EndpointSet>) -> Self {
        Self {
            prefix: prefix.to_owned(),
            service,
            strip_prefix: false,
            access: None,
            cors: None,
            body: None,
            policy: EdgePolicy::default(),
            paths: Vec::new(),
            fallbacks: BTreeMap::new(),
            protocol: Protocol::default(),
            endpoints,
        }
    }
}

/// What instances speak. Callers may speak HTTP/1.1 or HTTP/2 (prior knowledge) on every address, and a gRPC request goes out as HTTP/2
/// in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1 (RFC 9112).
    #[default]
    Http1,
    /// HTTP/2 without TLS, with prior knowledge (RFC 9113, section 3.3).
    H2c,
}

/// What a request came in by: the thing that has a policy and counters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Door {
    /// An edge.
    Edge(EdgeName),
    /// A route of the gateway.
    Route {
        /// Its path.
        prefix: Arc<str>,
        /// Who answers.
        service: ServiceName,
    },
}

impl Door {
    /// Who is called.
    pub fn callee(&self) -> &ServiceName {
        match self {
            Self::Edge(name) => &name.callee,
            Self::Route { service, .. } => service,
        }
    }

    /// Who calls, as the callee is told it in `x-motet-caller`.
    pub fn caller(&self) -> &str {
        match self {
            Self::Edge(name) => name.caller.as_str(),
            Self::Route { .. } => "gateway",
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}→{}", self.caller(), self.callee())
    }
}
