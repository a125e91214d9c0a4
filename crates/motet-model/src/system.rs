//! The resolved system: what the rest of Motet works from. Every default is filled in, every name refers to something, every path is absolute.
//!
//! These types are plain data without positions; where a value came from is kept beside them by the resolver and not needed to run a system.

pub mod events;
pub mod gateway;
pub mod policy;

use motet_kernel::{
    name::{ContextName, ProfileName, ServiceName, SystemName},
    topic::TopicName,
};
use policy::{PathPolicy, Policy};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// Everything that one definition describes, under one profile.
#[derive(Debug, Clone, PartialEq)]
pub struct System {
    /// Its name.
    pub name: SystemName,
    /// The file it was read from, absolute.
    pub file: PathBuf,
    /// The folder of that file: relative paths of the definition start here.
    pub dir: PathBuf,
    /// The profiles that were laid over it, in order.
    pub profiles: Vec<ProfileName>,
    /// The bounded contexts.
    pub contexts: BTreeMap<ContextName, Context>,
    /// The services.
    pub services: BTreeMap<ServiceName, Service>,
    /// What is told by events.
    pub topics: BTreeMap<TopicName, events::Topic>,
    /// The public door, if there is one.
    pub gateway: Option<Gateway>,
    /// What stands behind each capability.
    pub engines: Engines,
}

/// A bounded context: services that share a vocabulary and a team.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// What it is about, in the users' words.
    pub about: Option<String>,
    /// Its services.
    pub services: Vec<ServiceName>,
}

/// A unit with its own code, contract, store and scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// What it does, in one line.
    pub about: Option<String>,
    /// The context it belongs to.
    pub context: Option<ContextName>,
    /// Its folder, absolute; commands run there.
    pub path: PathBuf,
    /// How it is brought up.
    pub run: Run,
    /// Whether services of other contexts may call it.
    pub published: bool,
    /// Whether it runs to completion (an import, a migration) instead of serving.
    pub once: bool,
    /// What is run before it starts, when the inputs changed.
    pub build: Option<Build>,
    /// Its environment, beyond what Motet injects. Variables of the definition are already replaced.
    pub env: BTreeMap<String, String>,
    /// The port it insists on; otherwise Motet picks a free one for each instance.
    pub port: Option<u16>,
    /// Its OpenAPI document, absolute.
    pub contract: Option<PathBuf>,
    /// When it may get requests. `None`: as soon as its port accepts a connection.
    pub ready: Option<Probe>,
    /// When it has to be restarted. `None`: only when it exits.
    pub alive: Option<Probe>,
    /// How many instances.
    pub scale: Scale,
    /// The services it starts after, beside those it uses.
    pub after: Vec<ServiceName>,
    /// What its instances speak.
    pub protocol: Protocol,
    /// What an edge to it has that says nothing itself.
    pub policy: Policy,
    /// Where some of its paths behave otherwise.
    pub paths: Vec<PathPolicy>,
    /// The services it may call.
    pub uses: BTreeMap<ServiceName, Edge>,
    /// The topics that it may publish to.
    pub publishes: Vec<TopicName>,
    /// The topics whose events it gets. All its instances share one subscription of each.
    pub subscribes: BTreeMap<TopicName, events::Subscription>,
    /// The data that it owns.
    pub store: Option<Store>,
    /// The table of its store whose rows become events.
    pub outbox: Option<events::Outbox>,
    /// How it takes jobs. `None`: it takes none.
    pub jobs: Option<events::Jobs>,
    /// How it is asked to stop.
    pub stop: Stop,
    /// What happens when it exits.
    pub restart: Restart,
    /// Which files `motet up --watch` looks at; globs relative to `path`. Empty: the inputs of the build, or all files in `path`.
    pub watch: Vec<String>,
}

/// How a service is brought up.
#[derive(Debug, Clone, PartialEq)]
pub enum Run {
    /// A program that Motet starts.
    Process {
        /// What to run.
        command: Command,
    },
    /// A container that Motet starts.
    Container {
        /// The image's reference.
        image: String,
        /// What to run in it instead of what the image says.
        command: Option<Command>,
        /// The port it listens on inside; `PORT` when not given.
        port: Option<u16>,
    },
    /// Something that runs elsewhere.
    External {
        /// Where it answers: `http://host:port`.
        url: String,
    },
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// One text, run by `/bin/sh -c`.
    Shell(String),
    /// A program and its arguments, run without a shell.
    Argv(Vec<String>),
}

/// What is run before a service starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// What to run, in the service's folder.
    pub command: Command,
    /// The files whose change makes a build necessary; globs relative to the service's folder. Empty: all files in it that git does not ignore.
    pub inputs: Vec<String>,
}

/// How to find out about an instance's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// What is asked.
    pub check: Check,
    /// How often.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long after its start an instance may fail without consequence.
    pub grace: Duration,
    /// How many failures in a row count.
    pub failures: u32,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// `GET path` answers with 2xx or 3xx.
    Http {
        /// Path with query.
        path: String,
    },
    /// The port accepts a connection.
    Tcp,
    /// A line of output matches.
    Log {
        /// Regular expression.
        pattern: String,
    },
    /// A command exits with 0.
    Command(Command),
}

/// What the instances of a service speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS.
    H2c,
}

/// How many instances a service has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// How many are started.
    pub min: u32,
    /// How many there may be.
    pub max: u32,
}

/// The rules of one dependency.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// What is in force, the callee's own `policy` included.
    pub policy: Policy,
    /// Where some paths behave otherwise.
    pub paths: Vec<PathPolicy>,
    /// Whether the caller is started only after the callee is ready.
    pub wait: Wait,
}

/// Whether a caller waits for its callee when the system starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Started only after the callee is ready.
    Ready,
    /// Started without regard to the callee.
    None,
}

/// The data that a service owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// What keeps it.
    pub engine: StoreEngine,
    /// Run to completion before the service starts, with the store's credentials in its environment.
    pub migrate: Option<Command>,
}

/// What keeps a service's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreEngine {
    /// A file of its own.
    Sqlite,
    /// A database and a role of its own on the server of [`Engines::stores`].
    Postgres,
    /// A database and a user of its own on the MySQL or MariaDB server of [`Engines::stores`].
    Mysql,
}

/// How an instance is asked to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The first signal, without `SIG`: `TERM`, `INT`, `QUIT`, `HUP`, `USR1`, `USR2`.
    pub signal: String,
    /// How long it has before it is killed.
    pub grace: Duration,
}

/// What happens when an instance exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// It is started again.
    Always,
    /// It is started again unless it exited with 0.
    OnFailure,
    /// It stays as it is.
    Never,
}

/// The public door of a system.
#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What it lets in: path prefixes, the longest wins.
    pub routes: BTreeMap<String, Route>,
    /// What it needs to speak TLS.
    pub tls: Option<gateway::Tls>,
    /// How much a caller may ask.
    pub limits: gateway::Limits,
    /// Which pages of other origins may read answers. `None`: services say so themselves.
    pub cors: Option<gateway::Cors>,
    /// API keys, by name.
    pub keys: BTreeMap<String, gateway::ApiKey>,
    /// Whose tokens are believed.
    pub issuers: Vec<gateway::Issuer>,
}

/// A public way in.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Who answers.
    pub to: ServiceName,
    /// Whether the prefix is cut off before the request is passed on.
    pub strip_prefix: bool,
    /// What is in force, the service's own `policy` included.
    pub policy: Policy,
    /// Where some paths behave otherwise, as the service sees them.
    pub paths: Vec<PathPolicy>,
    /// Who may use it.
    pub access: gateway::Access,
    /// Which pages of other origins may read its answers, where it is not as the gateway says.
    pub cors: Option<gateway::Cors>,
    /// What a request's body may be: the gateway's limit, or its own.
    pub body: gateway::Body,
}

/// What stands behind each capability.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Engines {
    /// The servers that keep services' stores.
    pub stores: Stores,
    /// What keeps events.
    pub events: events::EventsEngine,
}

/// The servers that keep services' stores.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stores {
    /// The URL with which an administrator connects to PostgreSQL; needed when a service has `store: { postgres: {} }`.
    pub postgres: Option<String>,
    /// The URL with which an administrator connects to MySQL or MariaDB; needed when a service has `store: { mysql: {} }`.
    pub mysql: Option<String>,
}

impl Stores {
    /// The URLs of all servers.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        [&self.postgres, &self.mysql].into_iter().flatten().map(String::as_str)
    }
}
