//! The keys of an edge (`uses`) and of a route: a policy, and what else each of them says.

use super::{Fields, Key, Kind, Shape, gateway, policy};

static EDGE_KEYS: [Key; 16] = policy::joined(&[policy::PATHS, policy::WAIT]);

pub(crate) static EDGE: Fields =
    Fields { what: "an edge", id: "edge", keys: &EDGE_KEYS, one_of: &[], one_needed: false };

pub(crate) const TO: Key = Key::required("to", Shape::One(Kind::Service), "The service that answers.")
    .because("a route has one callee")
    .example("to: web");

pub(crate) const STRIP_PREFIX: Key = Key::with(
    "strip_prefix",
    Shape::One(Kind::Bool),
    "false",
    "Whether the route's path is cut off before the request is passed on.",
)
.because("a service that sees the path that the browser sees builds links that work")
.example("strip_prefix: true");

static ROUTE_KEYS: [Key; 21] = policy::joined(&[
    policy::PATHS,
    TO,
    STRIP_PREFIX,
    gateway::ACCESS,
    gateway::CORS,
    gateway::BODY,
    gateway::BODY_RATE,
]);

pub(crate) static ROUTE: Fields =
    Fields { what: "a route", id: "route", keys: &ROUTE_KEYS, one_of: &[], one_needed: false };
