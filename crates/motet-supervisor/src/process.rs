//! Instances as processes on this machine: the first implementation of [`Launch`].
//!
//! Each instance is a process group of its own, so that a signal reaches everything it started. The end of the leader is told at once; what the
//! leader leaves behind is ended afterwards, in [`Launch::clear`]. A process that left the group (`setsid`) is found by the mark in its
//! environment.

use crate::{
    error::StartFailed,
    guard,
    logs::{Stream, read_lines},
    port::{Exit, Launch, Order, Sample, Started},
    procfs,
    record::{Group, INSTANCE_VARIABLE, Ledger, SESSION_VARIABLE},
    sample::Sampler,
    spec::{Command, Signal},
};
use async_trait::async_trait;
use motet_kernel::{
    id::{InstanceId, SessionId},
    quantity,
    task::{Kind, TaskGroup},
};
use nix::sys::signal::Signal as Number;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs, io,
    net::{IpAddr, Ipv4Addr},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{process::Child, sync::watch, task::JoinHandle, time::Instant};

/// How long the last output may take to arrive after everything has ended.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(250);

/// What the process driver needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the record of running processes is kept.
    pub state_dir: PathBuf,
    /// The environment that every process gets. The rest of the supervisor's own environment stays with the supervisor.
    pub environment: BTreeMap<OsString, OsString>,
    /// How to start the guard process, which calls [`guard::guard_main`] on its standard input. Without one, a killed supervisor leaves
    /// its processes to [`crate::end_leftovers`] of the next.
    pub guard: Option<Vec<OsString>>,
}

impl Options {
    /// The environment of this process without `MOTET_…`, and no guard.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        let is_ours = |name: &OsString| name.to_string_lossy().starts_with("MOTET_");
        let environment = std::env::vars_os().filter(|(name, _)| !is_ours(name)).collect();
        Self { state_dir: state_dir.into(), environment, guard: None }
    }
}

/// Runs instances as processes.
#[derive(Debug)]
pub struct Processes {
    environment: BTreeMap<OsString, OsString>,
    ledger: Arc<Ledger>,
    group: TaskGroup,
    running: Mutex<HashMap<InstanceId, Arc<Running>>>,
    sampler: Arc<Mutex<Sampler>>,
}

#[derive(Debug)]
struct Running {
    group: Group,
    dir: PathBuf,
    env: Vec<(String, String)>,
    exit: watch::Receiver<Option<Exit>>,
    readers: Mutex<Vec<JoinHandle<Option<()>>>>,
    is_asked: Mutex<bool>,
}

impl Processes {
    /// A driver for one session of a supervisor. What an earlier session left has to be ended before, with [`crate::end_leftovers`].
    ///
    /// # Errors
    /// When the state directory cannot be made.
    pub fn open(options: Options, session: SessionId) -> io::Result<Self> {
        fs::create_dir_all(&options.state_dir)?;
        let ledger = Arc::new(Ledger::open(session, &options.state_dir));
        // A group of its own: output and exits are followed, and the guard stays, until the last process has ended.
        let group = TaskGroup::new();
        if let Some(command) = options.guard {
            guard::keep(command, Arc::clone(&ledger), &group);
        }
        let (running, sampler) = (Mutex::default(), Arc::default());
        Ok(Self { environment: options.environment, ledger, group, running, sampler })
    }

    fn find(&self, instance: InstanceId) -> Option<Arc<Running>> {
        self.running.lock().get(&instance).cloned()
    }

    fn spawn(&self, order: &Order) -> io::Result<Child> {
        let mut command = to_command(&order.command, &order.dir);
        command
            .current_dir(&order.dir)
            .env_clear()
            .envs(&self.environment)
            .envs(order.env.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !order.is_build {
            command
                .env(SESSION_VARIABLE, self.ledger.session().to_string())
                .env(INSTANCE_VARIABLE, order.instance.to_string());
        }
        command.spawn()
    }

    async fn run_check(&self, running: &Running, command: &Command, timeout: Duration) -> Result<(), String> {
        let mut command = to_command(command, &running.dir);
        command
            .current_dir(&running.dir)
            .env_clear()
            .envs(&self.environment)
            .envs(running.env.iter().map(|(name, value)| (name, value)))
            .env(SESSION_VARIABLE, self.ledger.session().to_string())
            // In the group of the instance: it ends with it.
            .process_group(i32::try_from(running.group.id).unwrap_or(0))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("the command could not be run: {error}"))?;
        match tokio::time::timeout(timeout, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("the command {}", to_exit(status))),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("the command did not end within {}", quantity::show_duration(timeout))),
        }
    }

    fn follow(&self, order: Order, mut child: Child, group: Group) -> Running {
        let mut readers = Vec::new();
        let (dir, env) = (order.dir, order.env);
        let (out, err) = if order.is_build { (Stream::Build, Stream::Build) } else { (Stream::Out, Stream::Err) };
        if let Some(from) = child.stdout.take() {
            readers.push(self.group.spawn(Kind::Instance, "output", read_lines(from, out, order.output.clone())));
        }
        if let Some(from) = child.stderr.take() {
            readers.push(self.group.spawn(Kind::Instance, "output", read_lines(from, err, order.output)));
        }
        let (sender, exit) = watch::channel(None);
        self.group.spawn(Kind::Instance, "exit", async move {
            let ended = match child.wait().await {
                Ok(status) => to_exit(status),
                Err(error) => Exit::Unknown(error.to_string()),
            };
            sender.send_replace(Some(ended));
        });
        Running { group, dir, env, exit, readers: Mutex::new(readers), is_asked: Mutex::new(false) }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.ledger.close();
        self.group.cancel();
    }
}

#[async_trait]
impl Launch for Processes {
    async fn start(&self, order: Order) -> Result<Started, StartFailed> {
        let instance = order.instance;
        let child = self.spawn(&order).map_err(|error| explain(&order.command, &order.dir, &error))?;
        let Some(pid) = child.id() else {
            return Err(StartFailed { reason: "it ended before it had a process id".to_owned() });
        };
        // A process that has ended keeps its entry until its parent takes note, which nobody does before `follow`.
        let group = Group { id: pid, start: procfs::stat(pid).map_or(0, |stat| stat.start) };
        self.ledger.add(instance, group);
        let running = self.follow(order, child, group);
        self.running.lock().insert(instance, Arc::new(running));
        Ok(Started { pid: Some(pid), host: IpAddr::V4(Ipv4Addr::LOCALHOST) })
    }

    async fn signal(&self, instance: InstanceId, signal: Signal) {
        if let Some(running) = self.find(instance) {
            *running.is_asked.lock() = true;
            procfs::signal_group(running.group.id, Some(to_number(signal)));
        }
    }

    async fn wait(&self, instance: InstanceId) -> Exit {
        let Some(running) = self.find(instance) else { return Exit::Unknown("never started".to_owned()) };
        let mut exit = running.exit.clone();
        let ended = exit.wait_for(Option::is_some).await;
        ended.ok().and_then(|exit| exit.clone()).unwrap_or_else(|| Exit::Unknown("nobody follows it".to_owned()))
    }

    async fn clear(&self, instance: InstanceId, patience: Duration) {
        let Some(running) = self.find(instance) else { return };
        let group = running.group.id;
        if !*running.is_asked.lock() {
            procfs::signal_group(group, Some(Number::SIGTERM));
        }
        let deadline = Instant::now() + patience;
        while procfs::is_group_alive(group) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        procfs::signal_group(group, Some(Number::SIGKILL));
        let id = instance.to_string();
        // A walk over all processes: reads of /proc, some milliseconds of computing, no waiting.
        let _ = tokio::task::spawn_blocking(move || end_escaped(&id)).await;
        let readers = std::mem::take(&mut *running.readers.lock());
        let deadline = Instant::now() + OUTPUT_TIMEOUT;
        for mut reader in readers {
            if tokio::time::timeout_at(deadline, &mut reader).await.is_err() {
                reader.abort();
            }
        }
        self.running.lock().remove(&instance);
        self.ledger.remove(instance);
    }

    async fn check(&self, instance: InstanceId, command: &Command, timeout: Duration) -> Result<(), String> {
        match self.find(instance) {
            Some(running) => self.run_check(&running, command, timeout).await,
            None => Err("the instance is gone".to_owned()),
        }
    }

    async fn sample(&self) -> HashMap<InstanceId, Sample> {
        let groups = self.running.lock().iter().map(|(id, running)| (running.group.id, *id)).collect();
        let sampler = Arc::clone(&self.sampler);
        tokio::task::spawn_blocking(move || sampler.lock().sample(&groups)).await.unwrap_or_default()
    }
}

fn end_escaped(instance: &str) {
    for stat in procfs::with_environment(INSTANCE_VARIABLE, instance) {
        procfs::signal_process(&stat, Number::SIGKILL);
    }
}

fn to_exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown(status.to_string()),
    }
}

fn to_number(signal: Signal) -> Number {
    match signal {
        Signal::Term => Number::SIGTERM,
        Signal::Int => Number::SIGINT,
        Signal::Quit => Number::SIGQUIT,
        Signal::Hup => Number::SIGHUP,
        Signal::Usr1 => Number::SIGUSR1,
        Signal::Usr2 => Number::SIGUSR2,
        Signal::Kill => Number::SIGKILL,
    }
}

/// The command for the operating system. Directory and environment are the caller's.
pub(crate) fn to_command(command: &Command, dir: &Path) -> tokio::process::Command {
    match command {
        Command::Shell(line) => {
            let mut shell = tokio::process::Command::new("/bin/sh");
            shell.arg("-c").arg(shell_line(line));
            shell
        }
        Command::Argv(words) => {
            let program = words.first().map_or("", String::as_str);
            let program = if program.contains('/') { dir.join(program).into_os_string() } else { program.into() };
            let mut direct = tokio::process::Command::new(program);
            direct.args(words.iter().skip(1));
            direct
        }
    }
}

/// A line that is one plain command replaces the shell, so that signals and exit codes are the service's own and no shell sits idle beside
/// it. `exec` before anything else (`cd x && run`, `A=1 run`) would do something else.
fn shell_line(line: &str) -> String {
    const NOT_PROGRAMS: [&str; 21] = [
        "cd", ".", ":", "source", "set", "export", "exec", "eval", "if", "for", "while", "until", "case", "ulimit",
        "umask", "trap", "wait", "read", "unset", "exit", "!",
    ];
    let line = line.trim();
    let first = line.split_whitespace().next().unwrap_or_default();
    let is_plain = !line.contains([';', '&', '|', '<', '>', '(', ')', '`', '{', '}', '\n', '#']);
    if is_plain && !first.is_empty() && !first.contains('=') && !NOT_PROGRAMS.contains(&first) {
        format!("exec {line}")
    } else {
        line.to_owned()
    }
}

fn explain(command: &Command, dir: &Path, error: &io::Error) -> StartFailed {
    let reason = if !dir.is_dir() {
        format!("directory {} does not exist", dir.display())
    } else {
        let program = match command {
            Command::Shell(_) => "/bin/sh",
            Command::Argv(words) => words.first().map_or("", String::as_str),
        };
        match error.kind() {
            io::ErrorKind::NotFound => format!("program `{program}` not found"),
            io::ErrorKind::PermissionDenied => format!("program `{program}` is not executable"),
            _ => format!("`{program}`: {error}"),
        }
    };
    StartFailed { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_command_replaces_the_shell() {
        assert_eq!(shell_line(" python3 -m app --port $PORT "), "exec python3 -m app --port $PORT");
        for line in ["cd web && npm start", "A=1 run", "exec run", "echo a; echo b", "exit 3", "", "run # why"] {
            assert_eq!(shell_line(line), line.trim());
        }
    }
}
