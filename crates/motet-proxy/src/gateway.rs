//! The gateway: what stands between the system and everybody else. `connection.rs` holds a caller's connection to its limits, and this file
//! decides about each request, before anything is spent on it: how long it may be, which page of which origin it is from, and who sends it.
//!
//! What a service learns: `x-motet-subject` and `x-motet-auth` (see `access.rs`), and that the scheme was `https`. What comes from outside under
//! names of ours is taken off first.
//!
//! Everything that grows with the number of callers is bounded: connections, connections per client (`clients.rs`), looks at an issuer's keys
//! (`jwks.rs`). Nothing is kept per request.

mod access;
mod clients;
pub(crate) mod connection;
mod cors;
mod fetch;
mod jwks;
mod jwt;
mod keys;
mod keyset;
mod limits;
mod stamp;
mod tls;
mod upload;
mod wire;

pub use access::{Access, Need};
pub use cors::{Cors, CredentialsForAll, NotAnOrigin, Origin};
pub use fetch::FetchError;
pub use jwks::{Issuer, KeysFrom, NoKeys};
pub use jwt::{Algorithm, NotAnAlgorithm};
pub use keys::ApiKey;
pub use keyset::NoKeySet;
pub use limits::{BodyLimits, GatewayLimits};
pub use tls::{Tls, TlsUnusable};
pub(crate) use upload::{Broke, Upload, Watch};

use crate::{
    body::Reply,
    error::{ApplyError, Contradiction, KeysUnusable},
    headers,
    rescue::{self, Cause},
    spec::{self, GatewaySpec},
};
use access::{Guard, Issued};
use clients::Clients;
use cors::Stamp;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use jwks::Jwks;
use jwt::Rules;
use keys::Keyring;
use motet_kernel::task::TaskGroup;
use std::{collections::BTreeMap, sync::Arc};

/// A gateway as all workers share it. A change makes a new one, which takes over what need not be new.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) limits: GatewayLimits,
    pub(crate) clients: Arc<Clients>,
    /// What a caller is told whose head takes too long.
    late: Arc<[u8]>,
    tls: Option<Arc<tls::Endpoint>>,
    guard: Guard,
    /// By prefix.
    routes: BTreeMap<String, RouteRules>,
}

/// What holds for one route.
#[derive(Debug)]
struct RouteRules {
    cors: Option<cors::Rules>,
    access: Access,
    body: BodyLimits,
}

/// What has been found out about a request at the gateway: what its answer has to say, and what its body may be.
#[derive(Default)]
pub(crate) struct Passage {
    stamp: Option<Stamp>,
    preflight: bool,
    body: Option<BodyLimits>,
}

impl Gate {
    /// Reads the files of a gateway and puts its rules together. What the one before has read already is taken over.
    pub(crate) async fn prepare(
        spec: &GatewaySpec,
        before: Option<&Arc<Self>>,
        group: &TaskGroup,
    ) -> Result<Arc<Self>, ApplyError> {
        let mut issuers = Vec::with_capacity(spec.issuers.len());
        for issuer in &spec.issuers {
            issuers.push(Issued { rules: rules(issuer), keys: keys(issuer, before, group).await? });
        }
        let guard = Guard { keys: Keyring::new(spec.keys.clone()), issuers };
        let tls = match &spec.tls {
            None => None,
            Some(wanted) => {
                let known = before.and_then(|gate| gate.tls.clone()).filter(|endpoint| endpoint.is_of(wanted));
                Some(match known {
                    Some(known) => known,
                    None => tls::Endpoint::open(wanted, group).await?,
                })
            }
        };
        let mut routes = BTreeMap::new();
        for route in &spec.routes {
            let access = match &route.access {
                Some(access) => access.clone(),
                None if guard.is_closed() => Access::Guarded(Need::default()),
                None => Access::Open,
            };
            if matches!(access, Access::Guarded(_)) && !guard.is_closed() {
                let prefix = route.prefix.clone();
                return Err(Contradiction::NobodyKnown { prefix }.into());
            }
            let cors = route.cors.as_ref().or(spec.cors.as_ref()).cloned().map(cors::Rules::new).transpose();
            let cors = cors.map_err(Contradiction::from)?;
            let body = route.body.clone().unwrap_or_else(|| spec.limits.body());
            routes.insert(route.prefix.clone(), RouteRules { cors, access, body });
        }
        let clients = before.map(|gate| Arc::clone(&gate.clients)).unwrap_or_default();
        let limits = spec.limits.clone();
        let late = rescue::whole(&Cause::HeadLate { limit: limits.head_timeout }).into();
        Ok(Arc::new(Self { limits, clients, late, tls, guard, routes }))
    }

    fn route(&self, door: &spec::Door) -> Option<&RouteRules> {
        match door {
            spec::Door::Edge(_) => None,
            spec::Door::Route { prefix, .. } => self.routes.get(&**prefix),
        }
    }

    /// What can be said about a request before anybody decides about it, so that a refusal says it too: a page may read why it was refused.
    pub(crate) fn passage(&self, door: &spec::Door, request: &Request<Incoming>) -> Passage {
        let Some(route) = self.route(door) else { return Passage::default() };
        let stamp = route.cors.as_ref().map(|cors| cors.stamp(request.headers()));
        Passage { stamp, preflight: false, body: Some(route.body.clone()) }
    }

    /// Lets a request in, answers it (a preflight), or refuses it.
    pub(crate) async fn admit(
        &self,
        door: &spec::Door,
        request: &mut Request<Incoming>,
        passage: &mut Passage,
    ) -> Result<Option<Response<Reply>>, Cause> {
        headers::strip_ours(request.headers_mut());
        self.limits.check_head(request.uri(), request.headers())?;
        let Some(route) = self.route(door) else { return Ok(None) };
        if *request.method() == Method::OPTIONS
            && let Some(cors) = &route.cors
            && let Some(answer) = cors.preflight(request)
        {
            passage.preflight = true;
            return answer.map(|answer| Some(answer.map(|()| Reply::made(""))));
        }
        self.guard.admit(&route.access, request.headers_mut()).await?;
        match (route.body.max, http_body::Body::size_hint(request.body()).exact()) {
            (Some(limit), Some(length)) if length > limit => Err(Cause::BodyTooLong { limit }),
            _ => Ok(None),
        }
    }
}

impl Passage {
    /// Puts the request's body under watch.
    pub(crate) fn watch(&self, body: Incoming) -> (Upload<Incoming>, Watch) {
        match &self.body {
            None => (Upload::unwatched(body), Watch::default()),
            Some(limits) => Upload::watched(body, limits.clone()),
        }
    }

    /// Says what the answer has to say, whoever made it.
    pub(crate) fn stamp(self, answer: &mut HeaderMap) {
        if let Some(stamp) = self.stamp {
            stamp.put(answer, self.preflight);
        }
    }
}

fn rules(issuer: &Issuer) -> Rules {
    Rules {
        issuer: issuer.issuer.clone(),
        audience: issuer.audience.clone(),
        algorithms: issuer.algorithms.clone(),
        leeway: issuer.leeway,
    }
}

async fn keys(issuer: &Issuer, before: Option<&Arc<Gate>>, group: &TaskGroup) -> Result<Arc<Jwks>, KeysUnusable> {
    let mut known = before.into_iter().flat_map(|gate| &gate.guard.issuers);
    if let Some(issued) = known.find(|issued| issued.keys.is_of(issuer)) {
        return Ok(Arc::clone(&issued.keys));
    }
    let opened = Jwks::open(issuer, group).await;
    opened.map_err(|source| KeysUnusable { from: issuer.keys.to_string(), source })
}
