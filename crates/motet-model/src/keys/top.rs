//! The keys of the top level, of contexts and of the gateway.

use super::{Fields, Key, KeyKind, Kind, Shape, edge, engine::ENGINES, gateway, service, topic};

pub(crate) const MOTET: Key =
    Key::required("motet", Shape::One(Kind::Version), "The version of this language. There is one so far: 1.")
        .because("a later Motet can tell what an older file means")
        .example("motet: 1");

pub(crate) const SYSTEM: Key = Key::required("system", Shape::One(Kind::Name), "The system's name.")
    .because("it tells systems on one machine apart: in names of containers and databases, and in `motet ps`")
    .example("system: askdocs");

const ABOUT: Key = Key::without("about", Shape::One(Kind::Text), "nothing is said", "What it is for, in one line.")
    .because("shown by `motet ps`, the console and editors")
    .example("about: answers questions over our documents");

const CONTEXT_SERVICES: Key = Key::without(
    "services",
    Shape::List(&Shape::One(Kind::Service)),
    "no services",
    "The services that belong to it. A service belongs to one context at most.",
)
.because("services of one context may call each other freely; others may call only what is `published`")
.example("services: [embedder, index]");

static CONTEXT: Fields =
    Fields { what: "a context", id: "context", keys: &[ABOUT, CONTEXT_SERVICES], one_of: &[], one_needed: false };

static CONTEXT_SHAPE: Shape = Shape::Fields(&CONTEXT);

pub(crate) const CONTEXTS: Key = Key::without(
    "contexts",
    Shape::Map(KeyKind::Name, &CONTEXT_SHAPE),
    "services belong to no context, and each may be called by each",
    "Bounded contexts: services that share a vocabulary and a team.",
)
.because("what may change together stands together, and a reach from one into another is a decision")
.example("contexts:\n  retrieval: { about: finding passages, services: [embedder, index] }");

static SERVICE_SHAPE: Shape = Shape::Fields(&service::SERVICE);

pub(crate) const SERVICES: Key = Key::without(
    "services",
    Shape::Map(KeyKind::Name, &SERVICE_SHAPE),
    "no services",
    "The services, by name.",
)
.because(
    "a name becomes a host name, a variable (`EMBEDDER_URL`) and a file name, so it follows the rule of DNS labels",
)
.example("services:\n  embedder:\n    process: { command: ./embedder }\n    ready: { http: /healthz }");

pub(crate) const LISTEN: Key =
    Key::with("listen", Shape::One(Kind::Listen), "127.0.0.1:8080", "Address and port on which the gateway listens.")
        .because("nobody else on the network reaches a system under development unless you say so")
        .example("listen: 127.0.0.1:9000");

static ROUTE_SHAPES: [Shape; 2] = [Shape::One(Kind::Service), Shape::Fields(&edge::ROUTE)];
static ROUTE_SHAPE: Shape = Shape::Either(&ROUTE_SHAPES);

pub(crate) const ROUTES: Key = Key::without(
    "routes",
    Shape::Map(KeyKind::UrlPath, &ROUTE_SHAPE),
    "nothing is let in",
    "Path prefixes and who answers them; the longest wins.",
)
.because("what is reachable from outside is a short list that one can read")
.example("routes:\n  /: web\n  /api: { to: api, timeout: 10s }");

static GATEWAY_FIELDS: Fields = Fields {
    what: "the gateway",
    id: "gateway",
    keys: &[LISTEN, ROUTES, gateway::TLS, gateway::LIMITS, gateway::CORS, gateway::KEYS, gateway::JWT, service::ALLOW],
    one_of: &[],
    one_needed: false,
};

pub(crate) const GATEWAY: Key = Key::without(
    "gateway",
    Shape::Fields(&GATEWAY_FIELDS),
    "the system has no public door",
    "The system's public door.",
)
.because("one address for all that is public, with the same rules as an edge")
.example("gateway:\n  routes:\n    /: web");

static TOPIC_SHAPE: Shape = Shape::Fields(&topic::TOPIC);

pub(crate) const TOPICS: Key = Key::without(
    "topics",
    Shape::Map(KeyKind::TopicName, &TOPIC_SHAPE),
    "no topics: services only call each other",
    "What is told by events, by name. `motet up` creates a topic before anything starts; one that is not declared is refused.",
)
.because("who publishes need not know who listens, so what they share is a name that both can look up")
.example("topics:\n  document.indexed: { schema: events/document.indexed.schema.json, keep: 7d, key: /documentId }");

/// What a profile may change. Nothing in it is required: it lies over a definition.
pub(crate) static PROFILE: Fields = Fields {
    what: "a profile",
    id: "profile",
    keys: &[ABOUT, CONTEXTS, SERVICES, TOPICS, GATEWAY, ENGINES],
    one_of: &[],
    one_needed: false,
};

static PROFILE_SHAPE: Shape = Shape::Fields(&PROFILE);

pub(crate) const PROFILES: Key = Key::without(
    "profiles",
    Shape::Map(KeyKind::Name, &PROFILE_SHAPE),
    "no profiles",
    "Overlays by name, laid over the definition with `--profile`: maps are merged, lists and single values replaced, `null` removes.",
)
.because("production differs from a laptop in a few values, not in a second file that drifts")
.example("profiles:\n  production:\n    services:\n      embedder: { scale: 4 }");

/// The top level.
pub(crate) static TOP: Fields = Fields {
    what: "a definition",
    id: "definition",
    keys: &[MOTET, SYSTEM, ABOUT, CONTEXTS, SERVICES, TOPICS, GATEWAY, ENGINES, PROFILES],
    one_of: &[],
    one_needed: false,
};
