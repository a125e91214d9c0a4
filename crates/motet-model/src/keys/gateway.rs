//! The keys of the gateway's security: who is let in, from where, with how much.

use super::{Fields, Key, KeyKind, Kind, Shape};

const CERTIFICATE: Key = Key::required(
    "certificate",
    Shape::One(Kind::File),
    "The certificate (PEM), followed by those that lead to its issuer.",
)
.because("a file is what every issuer of certificates writes, and it is read again when it changes")
.example("certificate: tls/cert.pem");

const PRIVATE_KEY: Key = Key::required("key", Shape::One(Kind::File), "The certificate's private key (PEM).")
    .because("it stays in a file that only Motet's user may read")
    .example("key: tls/key.pem");

const CLIENT_CA: Key = Key::without(
    "client_ca",
    Shape::One(Kind::File),
    "callers need no certificate",
    "The certificates (PEM) of which one must have signed a caller's own.",
)
.because("between machines of one company, a certificate is the strongest sign of who calls")
.example("client_ca: tls/clients.pem");

static TLS_FIELDS: Fields = Fields {
    what: "the gateway's TLS",
    id: "tls",
    keys: &[CERTIFICATE, PRIVATE_KEY, CLIENT_CA],
    one_of: &[],
    one_needed: false,
};

pub(crate) const TLS: Key = Key::without(
    "tls",
    Shape::Fields(&TLS_FIELDS),
    "no TLS",
    "The files with which the gateway speaks TLS (1.2 and 1.3). They are read again when they change.",
)
.because("on one machine it protects from nobody; beyond it, keys and content can be read on the way without it")
.example("tls: { certificate: tls/cert.pem, key: tls/key.pem }");

pub(crate) const URI: Key = Key::with(
    "uri",
    Shape::One(Kind::Size { min: 1, max: 16 << 20 }),
    "8KiB",
    "The longest path with its query; more gets 414.",
)
.because("RFC 9110 asks every server for 8,000 bytes")
.example("uri: 16KiB");

pub(crate) const HEAD: Key = Key::with(
    "head",
    Shape::One(Kind::Size { min: 1, max: 16 << 20 }),
    "32KiB",
    "The longest request head; more gets 431.",
)
.because("room for large cookies and tokens, and not for an attack on memory")
.example("head: 64KiB");

pub(crate) const FIELDS: Key = Key::with(
    "fields",
    Shape::One(Kind::Integer { min: 1, max: 1000 }),
    "100",
    "How many header fields a request may have; more get 431.",
)
.because("browsers send about twenty")
.example("fields: 50");

pub(crate) const BODY: Key = Key::with(
    "body",
    Shape::One(Kind::SizeOrUnlimited),
    "64MiB",
    "The longest request body; more gets 413. Also at a route, where it counts instead.",
)
.because("documents and images pass; what takes more should say so at its route")
.example("body: 2GiB");

pub(crate) const BODY_RATE: Key = Key::with(
    "body_rate",
    Shape::One(Kind::SizeOrUnlimited),
    "256",
    "How slowly a request body may come, per second, until the answer begins; less gets 408. Also at a route.",
)
.because(
    "a body that trickles holds a place at the service for nothing (slow loris); the slowest modem is ten times faster",
)
.example("body_rate: 1KiB");

pub(crate) const BODY_GRACE: Key = Key::with(
    "body_grace",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "10s",
    "How long a body may fall behind `body_rate`.",
)
.because("networks pause, and a pause of a few seconds is no attack")
.example("body_grace: 30s");

pub(crate) const HEAD_TIMEOUT: Key = Key::with(
    "head_timeout",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "10s",
    "How long a request's head may take from its first byte, and a TLS handshake.",
)
.because("a head fits into a few packets")
.example("head_timeout: 5s");

pub(crate) const IDLE: Key = Key::with(
    "idle",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "60s",
    "How long a connection may be without a request.",
)
.because("browsers and load balancers keep connections for about as long")
.example("idle: 5m");

pub(crate) const STALLED: Key = Key::with(
    "stalled",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "60s",
    "How long a caller may take nothing of what is sent to it.",
)
.because("whoever reads nothing for a minute has gone, or wants to hold the connection")
.example("stalled: 20s");

pub(crate) const CONNECTIONS: Key = Key::with(
    "connections",
    Shape::One(Kind::Integer { min: 1, max: 1_000_000 }),
    "16384",
    "How many connections the gateway holds; more wait until one ends.",
)
.because("each costs a file descriptor and some memory")
.example("connections: 1000");

pub(crate) const PER_CLIENT: Key = Key::without(
    "connections_per_client",
    Shape::One(Kind::NumberOr { min: 1, max: 1_000_000, word: "unlimited" }),
    "1024; no limit where the gateway listens on loopback, because everybody is one client there",
    "How many connections one client may have (an IPv4 address, or the /64 of an IPv6 address); more are closed at once.",
)
.because("one client must not use up what is there for all; raise it behind a load balancer, which is one client")
.example("connections_per_client: unlimited");

pub(crate) const STREAMS: Key = Key::with(
    "streams",
    Shape::One(Kind::Integer { min: 1, max: 10_000 }),
    "128",
    "How many requests may be under way on one HTTP/2 connection.",
)
.because("RFC 9113 advises at least a hundred")
.example("streams: 256");

static LIMITS_FIELDS: Fields = Fields {
    what: "the gateway's limits",
    id: "limits",
    keys: &[
        URI,
        HEAD,
        FIELDS,
        BODY,
        BODY_RATE,
        BODY_GRACE,
        HEAD_TIMEOUT,
        IDLE,
        STALLED,
        CONNECTIONS,
        PER_CLIENT,
        STREAMS,
    ],
    one_of: &[],
    one_needed: false,
};

pub(crate) const LIMITS: Key = Key::without(
    "limits",
    Shape::Fields(&LIMITS_FIELDS),
    "each has its own",
    "How much a caller from outside may ask of the gateway.",
)
.because("whoever is unknown should not be able to wear a system down with a few slow or large requests")
.example("limits: { body: 10MiB }");

pub(crate) const ORIGINS: Key = Key::required(
    "origins",
    Shape::List(&Shape::One(Kind::Origin)),
    "The origins whose pages may read answers: exact ones, `https://*.example.org` for each host below, or `*` for all.",
)
.because("a browser keeps answers from pages of other origins unless they are named")
.example("origins: [\"https://app.example.org\"]");

pub(crate) const METHODS: Key = Key::with(
    "methods",
    Shape::List(&Shape::One(Kind::Choice(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"]))),
    "[GET, HEAD, POST, PUT, PATCH, DELETE]",
    "The methods that pages may use.",
)
.because("those that interfaces of programs use")
.example("methods: [GET, POST]");

pub(crate) const HEADERS: Key = Key::with(
    "headers",
    Shape::List(&Shape::One(Kind::HeaderName)),
    "[authorization, content-type, x-api-key, idempotency-key]",
    "The header fields that pages may send, beyond those that are always allowed; `*` for each.",
)
.because("what Motet itself reads, and the type of the content")
.example("headers: [content-type, x-tenant]");

pub(crate) const EXPOSE: Key = Key::with(
    "expose",
    Shape::List(&Shape::One(Kind::HeaderName)),
    "[]",
    "The header fields of answers that pages may read, beyond those that are always allowed.",
)
.because("a page sees few headers unless it is told")
.example("expose: [x-total-count]");

pub(crate) const CREDENTIALS: Key = Key::with(
    "credentials",
    Shape::One(Kind::Bool),
    "false",
    "Whether cookies and TLS certificates come along. Not possible with `*`.",
)
.because("a page of another origin should not act with its visitor's login by accident")
.example("credentials: true");

pub(crate) const MAX_AGE: Key = Key::with(
    "max_age",
    Shape::One(Kind::Duration { min_ms: 0 }),
    "10m",
    "How long a browser may remember what it was told before a request.",
)
.because("one question per ten minutes costs nothing, and a change is felt soon")
.example("max_age: 1h");

static CORS_FIELDS: Fields = Fields {
    what: "a rule for other origins",
    id: "cors",
    keys: &[ORIGINS, METHODS, HEADERS, EXPOSE, CREDENTIALS, MAX_AGE],
    one_of: &[],
    one_needed: false,
};

pub(crate) const CORS: Key = Key::without(
    "cors",
    Shape::Fields(&CORS_FIELDS),
    "what services say about it is passed on",
    "Which pages of other origins may read answers (CORS). Answered by the gateway, in place of the services. Also at a route.",
)
.because("one rule at the door instead of one in each service, which then disagree")
.example("cors: { origins: [\"https://app.example.org\"] }");

pub(crate) const SHA256: Key = Key::without(
    "sha256",
    Shape::One(Kind::Sha256),
    "the key itself stands under `secret`",
    "The SHA-256 of the key, in hexadecimal: `printf %s \"$KEY\" | sha256sum`.",
)
.because("a hash can stand in a file that many read; nobody gets the key from it")
.example("sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");

pub(crate) const SECRET: Key = Key::without(
    "secret",
    Shape::One(Kind::Text),
    "its hash stands under `sha256`",
    "The key itself, 16 characters at least. Take it from a variable; it is hashed and never shown.",
)
.because("secrets come by the environment on most platforms")
.example("secret: \"${CI_KEY}\"");

pub(crate) const KEY_SCOPES: Key = Key::with(
    "scopes",
    Shape::List(&Shape::One(Kind::Scope)),
    "[]",
    "What the key may be used for, where a route asks for scopes.",
)
.because("a key for reading should not be one for writing")
.example("scopes: [read]");

static KEY_FIELDS: Fields = Fields {
    what: "an API key",
    id: "api-key",
    keys: &[SHA256, SECRET, KEY_SCOPES],
    one_of: &["sha256", "secret"],
    one_needed: true,
};

static KEY_SHAPE: Shape = Shape::Fields(&KEY_FIELDS);

pub(crate) const KEYS: Key = Key::without(
    "keys",
    Shape::Map(KeyKind::Name, &KEY_SHAPE),
    "no keys",
    "API keys by the names that services see in `x-motet-subject`. Callers send them as `X-API-Key` or `Authorization: Bearer`.",
)
.because("the simplest way to know who calls; where there are keys or `jwt`, each route asks for one unless it says `access: open`")
.example("keys:\n  ci: { secret: \"${CI_KEY}\" }");

pub(crate) const ISSUER: Key =
    Key::required("issuer", Shape::One(Kind::Text), "What tokens have as `iss`, letter by letter.")
        .because("a token of somebody else is worth nothing here")
        .example("issuer: https://id.example.org/");

pub(crate) const AUDIENCE: Key =
    Key::required("audience", Shape::One(Kind::Text), "What tokens have as `aud`, or among it.")
        .because("a token that was made for another system must not open this one")
        .example("audience: askdocs");

pub(crate) const JWKS_FILE: Key = Key::without(
    "file",
    Shape::One(Kind::File),
    "they stand behind `url`",
    "The file that holds the issuer's public keys as a JWK set. It is read again when it changes.",
)
.because("works without a network")
.example("file: keys/jwks.json");

pub(crate) const JWKS_URL: Key = Key::without(
    "url",
    Shape::One(Kind::Document),
    "they stand in `file`",
    "The URL of the issuer's public keys, a JWK set. Fetched every ten minutes, and when a token's key is not known.",
)
.because("issuers change their keys without telling anybody")
.example("url: https://id.example.org/.well-known/jwks.json");

pub(crate) const JWKS_CA: Key = Key::without(
    "ca",
    Shape::One(Kind::File),
    "the certificates that the machine trusts",
    "The certificates (PEM) that may have signed the server's own.",
)
.because("companies have authorities of their own")
.example("ca: tls/ca.pem");

static JWKS_FIELDS: Fields = Fields {
    what: "the place of signing keys",
    id: "jwks",
    keys: &[JWKS_FILE, JWKS_URL, JWKS_CA],
    one_of: &["file", "url"],
    one_needed: true,
};

pub(crate) const JWKS: Key = Key::required("jwks", Shape::Fields(&JWKS_FIELDS), "Where the issuer's public keys are.")
    .because("a signature is checked with the key of whoever should have made it")
    .example("jwks: { url: https://id.example.org/.well-known/jwks.json }");

pub(crate) const ALGORITHMS: Key = Key::with(
    "algorithms",
    Shape::List(&Shape::One(Kind::Choice(&[
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
    ]))),
    "[RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA]",
    "How tokens may be signed. There is no way to allow tokens without a signature, or with a shared secret.",
)
.because("which of them counts is decided by the issuer's key")
.example("algorithms: [ES256]");

pub(crate) const LEEWAY: Key = Key::with(
    "leeway",
    Shape::One(Kind::Duration { min_ms: 0 }),
    "30s",
    "By how much the issuer's clock and ours may differ.",
)
.because("clocks do")
.example("leeway: 5s");

static JWT_FIELDS: Fields = Fields {
    what: "an issuer of tokens",
    id: "jwt",
    keys: &[ISSUER, AUDIENCE, JWKS, ALGORITHMS, LEEWAY],
    one_of: &[],
    one_needed: false,
};

static JWT_SHAPE: Shape = Shape::Fields(&JWT_FIELDS);
static JWT_SHAPES: [Shape; 2] = [JWT_SHAPE, Shape::List(&JWT_SHAPE)];

pub(crate) const JWT: Key = Key::without(
    "jwt",
    Shape::Either(&JWT_SHAPES),
    "no tokens",
    "Whose signed tokens (JWT) let in: one issuer, or a list. Services see the token's `sub` in `x-motet-subject`.",
)
.because("whoever has a login somewhere already needs no other one here")
.example("jwt: { issuer: https://id.example.org/, audience: askdocs, jwks: { file: jwks.json } }");

pub(crate) const ACCESS_KEYS: Key = Key::without(
    "keys",
    Shape::List(&Shape::One(Kind::Name)),
    "each key of the gateway",
    "The names of the keys that will do.",
)
.because("a key for one partner is not one for another")
.example("keys: [ci]");

pub(crate) const SCOPES: Key = Key::with(
    "scopes",
    Shape::List(&Shape::One(Kind::Scope)),
    "[]",
    "The scopes that the key or token must have, all of them.",
)
.because("what somebody may do is said by whoever gave out the key or token")
.example("scopes: [ask]");

static CLAIM_SHAPE: Shape = Shape::One(Kind::Text);

pub(crate) const CLAIMS: Key = Key::without(
    "claims",
    Shape::Map(KeyKind::Claim, &CLAIM_SHAPE),
    "none",
    "Claims of the token that must have this value, or hold it in their list. A key has none and will not do.",
)
.because("issuers say more than scopes: groups, tenants, roles")
.example("claims: { tenant: acme }");

static ACCESS_FIELDS: Fields = Fields {
    what: "what a route asks for",
    id: "access",
    keys: &[ACCESS_KEYS, SCOPES, CLAIMS],
    one_of: &[],
    one_needed: false,
};

static ACCESS_SHAPES: [Shape; 2] = [Shape::One(Kind::Choice(&["open"])), Shape::Fields(&ACCESS_FIELDS)];

pub(crate) const ACCESS: Key = Key::without(
    "access",
    Shape::Either(&ACCESS_SHAPES),
    "any key or token that the gateway knows; everybody when it knows none",
    "Who may use the route: `open` for everybody, or what callers have to show.",
)
.because("what is forgotten is closed, once there are keys at all")
.example("access: { scopes: [ask] }");
