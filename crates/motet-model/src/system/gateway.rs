//! The gateway's security, resolved.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    time::Duration,
};

/// The files of a gateway that speaks TLS, absolute. They are not looked at here: they may be there only where the system runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate and those that lead to its issuer, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The certificates of which one must have signed a caller's own.
    pub client_ca: Option<PathBuf>,
}

/// How much a caller may ask. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest path with its query.
    pub uri: u64,
    /// The longest request head.
    pub head: u64,
    /// How many header fields.
    pub fields: u32,
    /// What a body may be.
    pub body: Body,
    /// How long a body may fall behind its rate.
    pub body_grace: Duration,
    /// How long a head may take from its first byte.
    pub head_timeout: Duration,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// How long a caller may take nothing.
    pub stalled: Duration,
    /// How many connections.
    pub connections: u32,
    /// How many of one client.
    pub connections_per_client: PerClient,
    /// How many requests on one HTTP/2 connection.
    pub streams: u32,
}

/// What a request's body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    /// Its length; `None` without a limit.
    pub max: Option<u64>,
    /// How many bytes per second it has to bring; `None` without a limit.
    pub rate: Option<u64>,
}

/// How many connections one client may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerClient {
    /// What is right for where the gateway listens.
    Default,
    /// So many.
    Most(u32),
    /// As many as it likes.
    Unlimited,
}

/// A rule for pages of other origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// `*`, `https://host`, `https://*.domain`.
    pub origins: Vec<String>,
    /// The methods that pages may use.
    pub methods: Vec<String>,
    /// The header fields that they may send; `*` for each.
    pub headers: Vec<String>,
    /// The header fields that they may read.
    pub expose: Vec<String>,
    /// Whether cookies come along.
    pub credentials: bool,
    /// How long a browser may remember a preflight.
    pub max_age: Duration,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// How it is known.
    pub shown: Shown,
    /// What it may be used for.
    pub scopes: BTreeSet<String>,
}

/// How a key is known.
#[derive(Clone, PartialEq, Eq)]
pub enum Shown {
    /// By its SHA-256.
    Sha256([u8; 32]),
    /// By itself.
    Secret(String),
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256(_) => "Sha256(…)",
            Self::Secret(_) => "Secret(…)",
        })
    }
}

/// An issuer of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// What tokens have as `iss`.
    pub issuer: String,
    /// What tokens have as `aud`.
    pub audience: String,
    /// Where its public keys are.
    pub jwks: Jwks,
    /// How tokens may be signed.
    pub algorithms: Vec<String>,
    /// By how much clocks may differ.
    pub leeway: Duration,
}

/// Where public keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Jwks {
    /// In a file, absolute.
    File(PathBuf),
    /// Behind a URL.
    Url {
        /// It.
        url: String,
        /// The certificates to trust, in a file, absolute.
        ca: Option<PathBuf>,
    },
}

/// Who may use a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Nothing is written: whoever shows a key or token, everybody where there are neither.
    Default,
    /// Everybody.
    Open,
    /// Who shows this.
    Guarded {
        /// The names of keys that will do; `None`: each.
        keys: Option<BTreeSet<String>>,
        /// Scopes that are needed.
        scopes: BTreeSet<String>,
        /// Claims that are needed.
        claims: BTreeMap<String, String>,
    },
}
