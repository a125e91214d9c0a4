//! What the supervisor needs from the world: a way to run things, and somebody to tell where they answer.

use crate::{
    error::StartFailed,
    logs::Output,
    spec::{Command, Signal},
};
use async_trait::async_trait;
use motet_kernel::{endpoint::Authority, id::InstanceId, name::ServiceName};
use std::{collections::HashMap, fmt, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Runs instances: as processes, in containers, on a cluster.
///
/// The contract: after `start` returned an instance, `wait` returns once it has ended, however it ended, to every caller and at
/// any time until `clear`. `signal` reaches everything that the instance started. After `clear` nothing of the instance is
/// left and the driver has forgotten it. No method but `wait` may take longer than the times it is given plus two seconds.
#[async_trait]
pub trait Launch: Send + Sync + 'static {
    /// Starts an instance. Its output goes to `order.output` until it ends.
    async fn start(&self, order: Order) -> Result<Started, StartFailed>;
    /// Sends a signal to the instance and all that it started. To one that has ended, this does nothing.
    async fn signal(&self, instance: InstanceId, signal: Signal);
    /// Waits for its end.
    async fn wait(&self, instance: InstanceId) -> Exit;
    /// Ends what the instance left behind, waiting up to `patience` before killing, takes in the last output, and forgets it.
    async fn clear(&self, instance: InstanceId, patience: Duration);
    /// Runs a command beside the instance, with its directory and environment, and says why it did not exit with 0 in time.
    async fn check(&self, instance: InstanceId, command: &Command, timeout: Duration) -> Result<(), String>;
    /// What the instances use now. Those that it does not know are left out. The first sample of an instance has no CPU use.
    async fn sample(&self) -> HashMap<InstanceId, Sample>;
}

/// One instance to start.
#[derive(Debug)]
pub struct Order {
    /// Its id.
    pub instance: InstanceId,
    /// Of which service.
    pub service: ServiceName,
    /// Where it runs.
    pub dir: PathBuf,
    /// What it runs.
    pub command: Command,
    /// Where it is to listen.
    pub port: Option<u16>,
    /// It is a build: what it leaves running on purpose (a compiler's daemon) is not the system's and may outlive it.
    pub is_build: bool,
    /// The environment beyond the driver's own.
    pub env: Vec<(String, String)>,
    /// Where its output goes.
    pub output: Output,
}

/// An instance that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The process id, where there is one on this machine.
    pub pid: Option<u32>,
    /// The address that its port is on.
    pub host: IpAddr,
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It ended by itself with this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It never ran.
    NotStarted(String),
    /// It is gone and nobody can tell how it ended.
    Unknown(String),
}

impl Exit {
    /// Whether it ended by itself with code 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(127) => f.write_str("exited with 127 (command not found)"),
            Self::Code(126) => f.write_str("exited with 126 (command cannot be executed)"),
            Self::Code(code) => write!(f, "exited with {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
            Self::NotStarted(reason) => write!(f, "could not be started: {reason}"),
            Self::Unknown(reason) => write!(f, "gone: {reason}"),
        }
    }
}

/// What an instance uses, with all that it started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// Of one core, in percent: two busy cores are 200.
    pub cpu_percent: f32,
    /// Resident memory in bytes; pages that processes share count once for each.
    pub memory_bytes: u64,
}

/// Hears where instances answer.
///
/// The three sync methods are called in the moment that a thing happens, before anything else is done about it, and must return
/// at once: from them follows which instances get requests.
#[async_trait]
pub trait Announce: Send + Sync + 'static {
    /// The instance may get requests.
    fn ready(&self, member: &Member);
    /// It gets no new requests and finishes those that it has.
    fn draining(&self, member: &Member);
    /// It is no more. Called once for each that was announced ready.
    fn gone(&self, member: &Member);
    /// Returns when a draining instance has no requests any more, and at the deadline at the latest.
    async fn drained(&self, _member: &Member, _deadline: Instant) {}
}

/// An instance as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub instance: InstanceId,
    /// Of which service.
    pub service: ServiceName,
    /// Its name for people: `embedder-2`. An instance and its replacement share it for a moment.
    pub label: Arc<str>,
    /// Where it answers.
    pub address: Authority,
}

/// Tells nobody: for systems without a data plane, and for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Announce for Silent {
    fn ready(&self, _member: &Member) {}
    fn draining(&self, _member: &Member) {}
    fn gone(&self, _member: &Member) {}
}
