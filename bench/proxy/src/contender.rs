//! What is measured: programs that stand between a caller and the same upstream, started once and kept for the whole run.
//!
//! All of them get two workers, connections that are kept on both sides and no access log: the work that a data plane has to
//! do, with what each of them does by default besides.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{generator, processes};

mod haproxy;
mod nginx;

/// How long a program may take to answer first.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to end when asked.
const END_WITHIN: Duration = Duration::from_millis(500);
/// Worker threads or processes of everybody.
pub const WORKERS: usize = 2;

/// The names, in the order of the tables.
pub const NAMES: &[&str] = &["direct", "nginx", "haproxy", "hyper", "pingora", "motet"];

/// Where programs and files are.
#[derive(Debug, Clone)]
pub struct Places {
    /// Holds the programs of this workspace.
    pub programs: PathBuf,
    /// The program that holds one edge of Motet's open.
    pub edge: PathBuf,
    /// For configurations and what programs say.
    pub scratch: PathBuf,
    /// How many streams are held at most, which some want to know in advance.
    pub streams: usize,
}

/// A program under test.
#[derive(Debug)]
pub struct Contender {
    /// One of [`NAMES`].
    pub name: &'static str,
    /// Where it takes HTTP/1.1.
    pub http: SocketAddr,
    /// Where it takes gRPC, if it does.
    pub grpc: Option<SocketAddr>,
    program: Option<Program>,
}

/// A child process that ends with this value.
#[derive(Debug)]
pub struct Program {
    child: Child,
}

impl Program {
    /// Starts a program; what it says goes to a file in `scratch`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, scratch: &Path, name: &str) -> Result<Self> {
        let log = File::create(scratch.join(format!("{name}.log")))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {name} ({command:?})"))?;
        Ok(Self { child })
    }

    /// The process and its descendants, as they are now.
    pub fn pids(&self) -> Vec<u32> {
        processes::tree(self.child.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let pids = self.pids();
        let signal = |pids: &[u32], signal| {
            for pid in pids.iter().filter_map(|&pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
                // One that has ended is what we want.
                let _ = kill_process(pid, signal);
            }
        };
        signal(&pids[..1], Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < END_WITHIN && matches!(self.child.try_wait(), Ok(None)) {
            thread::park_timeout(Duration::from_millis(10));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(&pids, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

impl Contender {
    /// Starts one, in front of `upstream`, and waits until it answers.
    ///
    /// # Errors
    /// When it cannot be started or does not answer in time: with what it said.
    pub fn start(name: &'static str, upstream: SocketAddr, places: &Places) -> Result<Self> {
        let http = free_address()?;
        let workers = WORKERS.to_string();
        let (program, grpc) = match name {
            "direct" => return Ok(Self { name, http: upstream, grpc: Some(upstream), program: None }),
            "nginx" => {
                let grpc = free_address()?;
                (nginx::start(http, grpc, upstream, places)?, Some(grpc))
            }
            "haproxy" => {
                let grpc = free_address()?;
                (haproxy::start(http, grpc, upstream, places)?, Some(grpc))
            }
            "hyper" | "pingora" => {
                let mut command = Command::new(places.programs.join(format!("peer-{name}")));
                command.args([http.to_string(), upstream.to_string(), workers]);
                (Program::start(&mut command, &places.scratch, name)?, None)
            }
            "motet" => {
                let mut command = Command::new(&places.edge);
                command.args([http.to_string(), upstream.to_string()]).env("WORKERS", workers);
                (Program::start(&mut command, &places.scratch, name)?, Some(http))
            }
            unknown => bail!("there is no contender {unknown}; they are: {}", NAMES.join(", ")),
        };
        let mut contender = Self { name, http, grpc, program: Some(program) };
        contender.wait_until_ready(&places.scratch)?;
        Ok(contender)
    }

    fn wait_until_ready(&mut self, scratch: &Path) -> Result<()> {
        wait_for(self.http, self.name, scratch, || match &mut self.program {
            Some(program) => matches!(program.child.try_wait(), Ok(None)),
            None => true,
        })
    }

    /// Its processes.
    pub fn pids(&self) -> Vec<u32> {
        self.program.as_ref().map(Program::pids).unwrap_or_default()
    }
}

/// The upstream that everybody stands in front of.
#[derive(Debug)]
pub struct Upstream {
    /// Where it answers.
    pub address: SocketAddr,
    program: Program,
}

impl Upstream {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn start(places: &Places) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(places.programs.join("upstream"));
        command.arg(address.to_string());
        let mut program = Program::start(&mut command, &places.scratch, "upstream")?;
        wait_for(address, "upstream", &places.scratch, || matches!(program.child.try_wait(), Ok(None)))?;
        Ok(Self { address, program })
    }

    /// Its processes.
    pub fn pids(&self) -> Vec<u32> {
        self.program.pids()
    }
}

fn wait_for(address: SocketAddr, name: &str, scratch: &Path, mut lives: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let Err(error) = generator::ask(address) else { return Ok(()) };
        if !lives() || begun.elapsed() > READY_WITHIN {
            let said = std::fs::read_to_string(scratch.join(format!("{name}.log"))).unwrap_or_default();
            bail!("{name} does not answer at {address}: {error:#}\nit said:\n{said}");
        }
        thread::park_timeout(Duration::from_millis(20));
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
