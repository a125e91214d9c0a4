//! What is measured: servers that run as long as the benchmark, and the ways to publish to them and to consume from them.
//!
//! Every server keeps its data in the same folder, is as durable as it can be unless its name says otherwise, and has one node. Every way gets
//! the same messages, and publishes in closed loops; at most 64 publishes share a connection, which is better for the peers than all
//! on one. Consumers acknowledge what they get.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use bench_proxy::contender::Program;
use futures_util::future::BoxFuture;

use crate::tally::Tally;

pub mod floor;
pub mod motet;
mod nats;
mod rabbitmq;
mod redis;

/// How long a server may take until it answers: RabbitMQ takes seven seconds on a quiet machine.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// How many publishes share a connection, where a connection can have several.
pub const SHARED_BY: usize = 64;

/// Where programs and files are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The program of this benchmark, which is the service and the floor's server too.
    pub own: PathBuf,
    /// The `motet` binary.
    pub motet: PathBuf,
    /// For data, configurations and what programs say.
    pub scratch: PathBuf,
}

/// Both ends of a cell, connected and ready.
pub struct Session {
    /// Publishes until the tally says that it is over.
    pub publishing: BoxFuture<'static, Result<()>>,
    /// Consumes and acknowledges until it is dropped. Nothing where nobody consumes.
    pub consuming: Option<BoxFuture<'static, Result<()>>>,
    /// Removes what the cell left behind.
    pub cleaning: BoxFuture<'static, Result<()>>,
}

impl Session {
    /// Without anything to remove.
    pub fn new(publishing: BoxFuture<'static, Result<()>>, consuming: Option<BoxFuture<'static, Result<()>>>) -> Self {
        Self { publishing, consuming, cleaning: Box::pin(async { Ok(()) }) }
    }
}

/// A way to publish and to consume.
#[async_trait]
pub trait Way: Send + Sync {
    /// What it is called in tables.
    fn name(&self) -> &'static str;

    /// What chooses it on the command line: the server.
    fn server(&self) -> &'static str;

    /// Which version of what, for the heading.
    fn version(&self) -> String;

    /// The server's processes; none where it is in this one.
    fn pids(&self) -> Vec<u32>;

    /// Connects both ends.
    async fn session(&self, in_flight: usize, tally: Arc<Tally>) -> Result<Session>;
}

/// The servers, in the order of the tables.
pub const SERVERS: &[&str] = &["floor", "nats", "nats-default", "rabbitmq", "redis", "motet"];

/// Starts a server; its ways.
///
/// # Errors
/// When it cannot be started or does not answer in time: with what it said.
pub fn start(server: &str, places: &Places) -> Result<Vec<Box<dyn Way>>> {
    match server {
        "floor" => floor::start(places),
        "nats" => nats::start(places, true),
        "nats-default" => nats::start(places, false),
        "rabbitmq" => rabbitmq::start(places),
        "redis" => redis::start(places),
        "motet" => motet::start(places),
        unknown => bail!("there is no server {unknown}; they are: {}", SERVERS.join(", ")),
    }
}

/// A command whose process ends with the thread that starts it, however that ends.
fn bound(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program.as_ref());
    command
}

fn launch(mut command: Command, name: &str, address: SocketAddr, places: &Places) -> Result<Program> {
    let program = Program::start(&mut command, &places.scratch, name)?;
    wait_until(name, places, || TcpStream::connect(address).is_ok())?;
    Ok(program)
}

fn wait_until(name: &str, places: &Places, is_ready: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !is_ready() {
        if begun.elapsed() > READY_WITHIN {
            let said = std::fs::read_to_string(places.scratch.join(format!("{name}.log"))).unwrap_or_default();
            bail!("{name} does not answer; it said:\n{said}");
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The first word of what a program prints that has a digit in it.
fn version_of(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let found = text.split_whitespace().find(|word| word.contains(|letter: char| letter.is_ascii_digit()));
    found.unwrap_or("of unknown version").trim_start_matches("v=").trim_start_matches('v').to_owned()
}

/// How `in_flight` publishes are spread over connections.
fn shares(in_flight: usize) -> Vec<usize> {
    let connections = in_flight.div_ceil(SHARED_BY).max(1);
    (0..connections).map(|at| in_flight / connections + usize::from(at < in_flight % connections)).collect()
}

/// Where a folder for a server's data is.
fn folder(places: &Places, name: &str) -> Result<PathBuf> {
    let folder = places.scratch.join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn no_connection_is_shared_by_more_than_may_share_it() {
        assert_eq!(shares(1), [1]);
        assert_eq!(shares(16), [16]);
        assert_eq!(shares(256), [64, 64, 64, 64]);
        assert_eq!(shares(65).iter().sum::<usize>(), 65);
    }
}
