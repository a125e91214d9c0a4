//! The gateway and its routes.

use super::{Frame, policy, value};
use crate::{
    keys::{
        Key, edge, gateway as keys, top,
        value::{
            door::{UNLIMITED, parse_sha256},
            parse_listen,
        },
    },
    layers::Door,
    source::{files::clean, include::empty, tree::Node},
    system::{
        Gateway, Route,
        gateway::{Access, ApiKey, Body, Cors, Issuer, Jwks, Limits, PerClient, Shown, Tls},
    },
};
use motet_kernel::quantity;
use std::path::PathBuf;

pub(super) fn gateway(tree: &Node, node: &Node, frame: &Frame<'_>) -> Option<Gateway> {
    let listen = value::word(Some(node), &top::LISTEN);
    let limits = limits(node.get(keys::LIMITS.name));
    let routes = entries(node.get(top::ROUTES.name));
    let routes = routes
        .filter_map(|(path, node)| {
            let route = route(tree, &path, node, &limits)?;
            Some((path, route))
        })
        .collect();
    let jwt = node.get(keys::JWT.name);
    let issuers =
        jwt.and_then(Node::as_list).map_or_else(|| jwt.into_iter().collect(), |list| list.iter().collect::<Vec<_>>());
    Some(Gateway {
        listen: parse_listen(listen).or_else(|| parse_listen(top::LISTEN.default_text()))?,
        routes,
        tls: node.get(keys::TLS.name).and_then(|node| tls(node, frame)),
        limits,
        cors: node.get(keys::CORS.name).map(cors),
        keys: entries(node.get(keys::KEYS.name)).filter_map(|(name, node)| Some((name, key(node)?))).collect(),
        issuers: issuers.into_iter().filter_map(|node| issuer(node, frame)).collect(),
    })
}

fn entries(node: Option<&Node>) -> impl Iterator<Item = (String, &Node)> {
    let map = node.and_then(Node::as_map).into_iter().flat_map(|map| map.iter());
    map.map(|entry| (entry.key.to_string(), &entry.value))
}

/// A route: the name of a service, or a map.
fn route(tree: &Node, prefix: &str, node: &Node, limits: &Limits) -> Option<Route> {
    let nothing = empty(node.span);
    let (to, rules) = match node.text() {
        Some(to) => (to, &nothing),
        None => (node.get(edge::TO.name)?.text()?, node),
    };
    let (policy, paths) = policy::at_door(tree, Door::Route { prefix, callee: to });
    let written = |key: &Key| rules.get(key.name).is_some();
    let body = Body {
        max: if written(&keys::BODY) { size_or_unlimited(Some(rules), &keys::BODY) } else { limits.body.max },
        rate: if written(&keys::BODY_RATE) {
            size_or_unlimited(Some(rules), &keys::BODY_RATE)
        } else {
            limits.body.rate
        },
    };
    Some(Route {
        to: to.parse().ok()?,
        strip_prefix: value::flag(rules, &edge::STRIP_PREFIX),
        policy,
        paths,
        access: access(rules.get(keys::ACCESS.name)),
        cors: rules.get(keys::CORS.name).map(cors),
        body,
    })
}

fn access(node: Option<&Node>) -> Access {
    match node {
        None => Access::Default,
        Some(node) if node.text().is_some() => Access::Open,
        Some(node) => Access::Guarded {
            keys: node.get(keys::ACCESS_KEYS.name).map(|node| value::texts(Some(node)).into_iter().collect()),
            scopes: value::texts(node.get(keys::SCOPES.name)).into_iter().collect(),
            claims: entries(node.get(keys::CLAIMS.name))
                .filter_map(|(name, node)| Some((name, node.text()?.to_owned())))
                .collect(),
        },
    }
}

fn tls(node: &Node, frame: &Frame<'_>) -> Option<Tls> {
    Some(Tls {
        certificate: file(node.get("certificate")?, frame)?,
        key: file(node.get("key")?, frame)?,
        client_ca: node.get("client_ca").and_then(|node| file(node, frame)),
    })
}

fn limits(node: Option<&Node>) -> Limits {
    let per_client = node.and_then(|node| node.get(keys::PER_CLIENT.name)).and_then(Node::text);
    Limits {
        uri: size(node, &keys::URI),
        head: size(node, &keys::HEAD),
        fields: value::parsed(node, &keys::FIELDS).unwrap_or(100),
        body: Body { max: size_or_unlimited(node, &keys::BODY), rate: size_or_unlimited(node, &keys::BODY_RATE) },
        body_grace: value::duration(node, &keys::BODY_GRACE),
        head_timeout: value::duration(node, &keys::HEAD_TIMEOUT),
        idle: value::duration(node, &keys::IDLE),
        stalled: value::duration(node, &keys::STALLED),
        connections: value::parsed(node, &keys::CONNECTIONS).unwrap_or(16_384),
        connections_per_client: match per_client {
            Some(UNLIMITED) => PerClient::Unlimited,
            Some(text) => text.parse().map_or(PerClient::Default, PerClient::Most),
            None => PerClient::Default,
        },
        streams: value::parsed(node, &keys::STREAMS).unwrap_or(128),
    }
}

fn cors(node: &Node) -> Cors {
    Cors {
        origins: value::texts(node.get(keys::ORIGINS.name)),
        methods: value::list(Some(node), &keys::METHODS),
        headers: value::list(Some(node), &keys::HEADERS),
        expose: value::texts(node.get(keys::EXPOSE.name)),
        credentials: value::flag(node, &keys::CREDENTIALS),
        max_age: value::duration(Some(node), &keys::MAX_AGE),
    }
}

fn key(node: &Node) -> Option<ApiKey> {
    let hash = node.get(keys::SHA256.name).and_then(Node::text).and_then(parse_sha256);
    let shown = match hash {
        Some(hash) => Shown::Sha256(hash),
        None => Shown::Secret(value::text(node, keys::SECRET.name)?),
    };
    Some(ApiKey { shown, scopes: value::texts(node.get(keys::KEY_SCOPES.name)).into_iter().collect() })
}

fn issuer(node: &Node, frame: &Frame<'_>) -> Option<Issuer> {
    let place = node.get(keys::JWKS.name)?;
    let path = |name: &str| place.get(name).and_then(|node| file(node, frame));
    let jwks = match path(keys::JWKS_FILE.name) {
        Some(file) => Jwks::File(file),
        None => Jwks::Url { url: value::text(place, keys::JWKS_URL.name)?, ca: path(keys::JWKS_CA.name) },
    };
    Some(Issuer {
        issuer: value::text(node, keys::ISSUER.name)?,
        audience: value::text(node, keys::AUDIENCE.name)?,
        jwks,
        algorithms: value::list(Some(node), &keys::ALGORITHMS),
        leeway: value::duration(Some(node), &keys::LEEWAY),
    })
}

fn file(node: &Node, frame: &Frame<'_>) -> Option<PathBuf> {
    Some(clean(&frame.sources.dir_of(node.span).join(node.text()?)))
}

fn size(node: Option<&Node>, key: &Key) -> u64 {
    let written = node.and_then(|node| node.get(key.name)).and_then(Node::text);
    let written = written.and_then(|text| quantity::parse_size(text).ok());
    written.or_else(|| quantity::parse_size(key.default_text()).ok()).unwrap_or_default()
}

fn size_or_unlimited(node: Option<&Node>, key: &Key) -> Option<u64> {
    let written = node.and_then(|node| node.get(key.name)).and_then(Node::text);
    if written == Some(UNLIMITED) { None } else { Some(size(node, key)) }
}
