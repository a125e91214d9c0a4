//! The keys of the top level, of contexts, of the gateway and of engines.

use super::{Fields, Key, KeyKind, Kind, Shape, edge, gateway, service};

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

pub(crate) const POSTGRES_URL: Key = Key::required(
    "url",
    Shape::One(Kind::Url(&["postgres", "postgresql"])),
    "The URL with which an administrator connects: Motet makes databases and roles with it.",
)
.because("services get roles of their own and never see this URL; keep it in a variable, not in the file")
.example("url: \"${POSTGRES_ADMIN_URL}\"");

static POSTGRES_SERVER: Fields = Fields {
    what: "a PostgreSQL server",
    id: "postgres-server",
    keys: &[POSTGRES_URL],
    one_of: &[],
    one_needed: false,
};

const STORES_POSTGRES: Key = Key::without(
    "postgres",
    Shape::Fields(&POSTGRES_SERVER),
    "no server: a service with `store: { postgres: {} }` is an error",
    "The PostgreSQL server that keeps the databases of services.",
)
.because("one server for all, one database and one role for each: nobody reaches another one's data")
.example("postgres: { url: \"${POSTGRES_ADMIN_URL}\" }");

static STORES: Fields =
    Fields { what: "the stores' servers", id: "stores", keys: &[STORES_POSTGRES], one_of: &[], one_needed: false };

const ENGINES_STORES: Key = Key::without(
    "stores",
    Shape::Fields(&STORES),
    "files beside the system (SQLite)",
    "The servers that keep services' stores.",
)
.because("a laptop needs none, a production has one already")
.example("stores: { postgres: { url: \"${POSTGRES_ADMIN_URL}\" } }");

static ENGINES_FIELDS: Fields =
    Fields { what: "the engines", id: "engines", keys: &[ENGINES_STORES], one_of: &[], one_needed: false };

pub(crate) const ENGINES: Key = Key::without(
    "engines",
    Shape::Fields(&ENGINES_FIELDS),
    "everything is embedded",
    "What stands behind each capability: something embedded, or an external system.",
)
.because("the same definition runs on a laptop and over the systems that a company already has")
.example("engines:\n  stores: { postgres: { url: \"${POSTGRES_ADMIN_URL}\" } }");

/// What a profile may change. Nothing in it is required: it lies over a definition.
pub(crate) static PROFILE: Fields = Fields {
    what: "a profile",
    id: "profile",
    keys: &[ABOUT, CONTEXTS, SERVICES, GATEWAY, ENGINES],
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
    keys: &[MOTET, SYSTEM, ABOUT, CONTEXTS, SERVICES, GATEWAY, ENGINES, PROFILES],
    one_of: &[],
    one_needed: false,
};
