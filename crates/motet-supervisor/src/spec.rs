//! What is wanted: one [`ServiceSpec`] per service, complete, with every default filled in.
//!
//! The supervisor gets the whole wanted set in one piece and compares it with what runs. So a spec holds values, not
//! references into a definition file, and two specs can be compared to tell whether running instances are outdated.

pub(crate) mod check;

use motet_kernel::{backoff::Backoff, name::ServiceName};
use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// In values of [`ServiceSpec::env`] and in arguments, this text stands for the port of the instance.
pub const PORT_PLACEHOLDER: &str = "${PORT}";

/// Everything that is needed to run one service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSpec {
    /// Its name.
    pub name: ServiceName,
    /// The directory that its commands run in.
    pub dir: PathBuf,
    /// Whether it runs until it is stopped, or until it is done.
    pub kind: Kind,
    /// What has to be built before anything runs.
    pub build: Option<Build>,
    /// A command that runs to completion before the first instance of a new version starts (a migration).
    pub prepare: Option<Command>,
    /// What an instance runs.
    pub command: Command,
    /// The environment beyond the one that all processes get. `PORT` is set per instance.
    pub env: BTreeMap<String, String>,
    /// Whether and where it listens.
    pub port: Port,
    /// How to tell that an instance may get requests. Without one: a TCP connect if it has a port, else as soon as it runs.
    pub ready: Option<Probe>,
    /// How to tell that a ready instance still works. Without one, only its exit tells.
    pub alive: Option<Probe>,
    /// What has to be there before its first instance starts. Restarts do not wait again: one failure stays one failure.
    pub after: Vec<Dependency>,
    /// How many instances are wanted.
    pub instances: u32,
    /// How an instance is stopped.
    pub stop: StopPolicy,
    /// Whether and when an instance that ended is started again.
    pub restart: RestartPolicy,
    /// How much of its output is kept.
    pub logs: LogPolicy,
}

impl ServiceSpec {
    /// A service with the defaults: one instance, a free port, restarted always.
    pub fn new(name: ServiceName, dir: impl Into<PathBuf>, command: Command) -> Self {
        Self {
            name,
            dir: dir.into(),
            kind: Kind::Service,
            build: None,
            prepare: None,
            command,
            env: BTreeMap::new(),
            port: Port::Free,
            ready: None,
            alive: None,
            after: Vec::new(),
            instances: 1,
            stop: StopPolicy::default(),
            restart: RestartPolicy::default(),
            logs: LogPolicy::default(),
        }
    }

    /// A command that runs once to its end: no port, repeated only when it fails.
    pub fn job(name: ServiceName, dir: impl Into<PathBuf>, command: Command) -> Self {
        let restart = RestartPolicy { policy: Restart::OnFailure, ..RestartPolicy::default() };
        Self { kind: Kind::RunToCompletion, port: Port::None, restart, ..Self::new(name, dir, command) }
    }

    /// The readiness probe that counts: the one given, or the default for a service with a port.
    pub fn readiness(&self) -> Option<Probe> {
        match (&self.ready, self.port, self.kind) {
            (Some(probe), ..) => Some(probe.clone()),
            (None, Port::None, _) | (None, _, Kind::RunToCompletion) => None,
            (None, ..) => Some(Probe::readiness(Check::Tcp)),
        }
    }

    /// Whether instances of `self` have to be replaced to become instances of `next`. The number of instances, the start
    /// order, and the policies for restarts and logs take effect without that.
    pub fn is_outdated_by(&self, next: &Self) -> bool {
        let lasting = |spec: &Self| Self {
            instances: 0,
            after: Vec::new(),
            restart: RestartPolicy::default(),
            logs: LogPolicy::default(),
            ..spec.clone()
        };
        lasting(self) != lasting(next)
    }

    /// Whether two instances must not run side by side.
    pub fn is_exclusive(&self) -> bool {
        matches!(self.port, Port::Fixed(_)) || self.kind == Kind::RunToCompletion
    }
}

/// Whether a service runs until it is stopped or until it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Runs until it is stopped.
    Service,
    /// Runs until it is done: a migration, an import. Exit code 0 is success.
    RunToCompletion,
}

/// Where a service listens, on the loopback address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// It does not listen.
    None,
    /// A port that is free at each start.
    Free,
    /// This port: so there is one instance, and it is replaced with a gap.
    Fixed(u16),
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// Read by `/bin/sh -c`.
    Shell(String),
    /// A program and its arguments. A program with a slash is relative to the service's directory.
    Argv(Vec<String>),
}

/// How to build a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The command, run in the service's directory.
    pub command: Command,
    /// Globs relative to the directory. Empty: all files that git would not ignore.
    pub inputs: Vec<String>,
    /// Paths relative to the directory which the build makes: they are no inputs, and when one is missing the build runs.
    pub outputs: Vec<String>,
    /// The longest that one build may take.
    pub timeout: Duration,
}

impl Build {
    /// A build with the default inputs, within 30 minutes.
    pub fn new(command: Command) -> Self {
        Self { command, inputs: Vec::new(), outputs: Vec::new(), timeout: Duration::from_secs(30 * 60) }
    }
}

/// Something that has to be there first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The other service.
    pub service: ServiceName,
    /// What of it has to be reached.
    pub until: Until,
}

/// How far another service has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It runs.
    Started,
    /// One instance is ready. For a service that runs to completion: it is done.
    Ready,
    /// It is done. For a service that runs until it is stopped, this is refused.
    Completed,
}

/// A question asked of an instance again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// The question.
    pub check: Check,
    /// The time between two questions; while an instance starts it is the longest time, reached from 20 ms.
    pub interval: Duration,
    /// How long one answer may take.
    pub timeout: Duration,
    /// So many failures in a row mean that the instance is dead (liveness only).
    pub failures_max: u32,
    /// Readiness: the longest that a start may take. Liveness: how long after it became ready nothing counts.
    pub grace: Duration,
}

impl Probe {
    /// A readiness probe: up to every 250 ms, each answer within 2 s, the whole start within 60 s.
    pub fn readiness(check: Check) -> Self {
        let (interval, timeout) = (Duration::from_millis(250), Duration::from_secs(2));
        Self { check, interval, timeout, failures_max: 1, grace: Duration::from_secs(60) }
    }

    /// A liveness probe: every 10 s, each answer within 5 s, dead after 3 failures in a row.
    pub fn liveness(check: Check) -> Self {
        let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(5));
        Self { check, interval, timeout, failures_max: 3, grace: Duration::ZERO }
    }
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// `GET path` on the instance's port answers with a status from 200 to 399.
    Http {
        /// The path, beginning with a slash.
        path: String,
    },
    /// The instance's port accepts a connection.
    Tcp,
    /// A line of output matches the regular expression (readiness only).
    Log {
        /// The expression, in the syntax of the `regex` crate.
        pattern: String,
    },
    /// The command exits with 0; it runs in the service's directory with the instance's environment.
    Command(Command),
}

/// How an instance is stopped: drained, asked, killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopPolicy {
    /// The longest that it may take to finish the requests it has, after it gets no new ones.
    pub drain: Duration,
    /// What it is asked with.
    pub signal: Signal,
    /// How long it may take after that, before it is killed.
    pub grace: Duration,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self { drain: Duration::from_secs(10), signal: Signal::Term, grace: Duration::from_secs(10) }
    }
}

/// A signal that ends a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGKILL.
    Kill,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Term => "SIGTERM",
            Self::Int => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Hup => "SIGHUP",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
            Self::Kill => "SIGKILL",
        })
    }
}

/// Whether and when an instance that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestartPolicy {
    /// After which ends.
    pub policy: Restart,
    /// The wait before each start, growing with the failures in a row.
    pub backoff: Backoff,
    /// So many failures in a row are called a crash loop. It is retried at the longest wait.
    pub crash_loop_after: u32,
    /// An instance that was ready for so long starts the count anew.
    pub reset_after: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        let backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(30), factor: 2.0 };
        Self { policy: Restart::Always, backoff, crash_loop_after: 5, reset_after: Duration::from_secs(5) }
    }
}

/// After which ends an instance is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// After all.
    Always,
    /// After all but exit code 0.
    OnFailure,
    /// After none.
    Never,
}

/// How much of a service's output is kept in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPolicy {
    /// The size of one file, in bytes.
    pub file_max: u64,
    /// How many full files are kept beside the current one.
    pub files_kept: u32,
}

impl Default for LogPolicy {
    fn default() -> Self {
        Self { file_max: 10 << 20, files_kept: 3 }
    }
}
