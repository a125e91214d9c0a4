//! A real RabbitMQ for tests: a throw-away node with data, log, cookie, ports and a port mapper (`epmd`) of its own, all on loopback.
//!
//! Erlang's defaults make a node a citizen of its machine: it listens on every interface, keeps a cookie in the user's home, and leaves
//! a port mapper behind when it ends. Here each of these is said explicitly, the port mapper is a child like the server, and both end with
//! the test process, also if that is killed: the kernel signals them when the thread that started them is gone. A start takes seconds, so one
//! node serves all tests that do not kill it, and one that was killed and runs again serves the next such test.

use crate::leftovers::remove_at_the_end;
use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const USER: &str = "motet";
const PASSWORD: &str = "secret-of-a-throw-away-node";
/// A node starts in about seven seconds on two cores that do nothing else.
const START_LIMIT: Duration = Duration::from_secs(120);
/// New queues are on disk after about three seconds.
const WRITTEN_LIMIT: Duration = Duration::from_secs(20);

/// Why there is no server, in one line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A running server, for as long as this value lives.
#[derive(Debug)]
pub struct RabbitMq {
    keeper: Arc<Keeper>,
    /// The next test that wants to kill a server gets it.
    is_passed_on: bool,
}

/// Servers that wait for a test that kills them.
static WAITING: Mutex<Vec<Arc<Keeper>>> = Mutex::new(Vec::new());

/// What the thread that owns the server is told.
enum Order {
    /// End it as `kill -9` does.
    Kill(mpsc::Sender<Result<(), Unavailable>>),
    /// `rabbitmqctl`.
    Control(Vec<&'static str>, mpsc::Sender<Result<(), Unavailable>>),
    /// Start it again on the same data and ports.
    Start(mpsc::Sender<Result<(), Unavailable>>),
}

impl RabbitMq {
    /// Starts a server of its own on free loopback ports. Takes about seven seconds. It ends and its data is removed when it is dropped.
    pub fn start() -> Result<Self, Unavailable> {
        Ok(Self { keeper: Arc::new(Keeper::start()?), is_passed_on: false })
    }

    /// A server that nobody else uses as long as this value lives. Without RabbitMQ it is `None`, as with [`RabbitMq::shared`].
    pub fn own() -> Option<Self> {
        let waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let keeper = match waiting {
            Some(keeper) => keeper,
            None => Arc::new(or_skip(Keeper::start_for_all())?),
        };
        Some(Self { keeper, is_passed_on: true })
    }

    /// The server that all tests of this process share.
    ///
    /// Without RabbitMQ it is `None`, and a line says what is missing; where the variable `CI` is set, that is a failure.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Option<Arc<RabbitMq>>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*shared {
            return Some(Arc::clone(running));
        }
        let keeper = Arc::new(or_skip(Keeper::start_for_all())?);
        let server = Arc::new(Self { keeper, is_passed_on: false });
        *shared = Some(Arc::clone(&server));
        Some(server)
    }

    /// Where it listens for AMQP, on loopback.
    pub fn port(&self) -> u16 {
        self.keeper.port
    }

    /// Its address with user and password.
    pub fn url(&self) -> String {
        self.url_at(self.port())
    }

    /// The same, by way of another port: a relay's.
    pub fn url_at(&self, port: u16) -> String {
        format!("amqp://{USER}:{PASSWORD}@127.0.0.1:{port}/%2f")
    }

    /// Has the server take no messages, as it does when it has too little memory; or take them again. Blocks for about two seconds.
    pub fn block(&self, is_blocked: bool) {
        let watermark = if is_blocked { "0.000001" } else { "0.9" };
        self.keeper.is_whole.store(!is_blocked, Ordering::Release);
        self.keeper.order(|done| Order::Control(vec!["set_vm_memory_high_watermark", watermark], done));
    }

    /// Ends the server as `kill -9` does, and returns when it is gone. Waits before, if need be, until queues that were just made are on disk.
    pub fn kill(&self) {
        self.keeper.is_whole.store(false, Ordering::Release);
        self.keeper.order(Order::Kill);
    }

    /// Starts it again on the same data and ports, and returns when it listens.
    pub fn revive(&self) {
        self.keeper.order(Order::Start);
        self.keeper.is_whole.store(true, Ordering::Release);
    }

    /// Ends it as `kill -9` does and starts it again. Blocks for about seven seconds.
    pub fn restart(&self) {
        self.kill();
        self.revive();
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        // A test that failed may have left it anyhow.
        if self.is_passed_on && !thread::panicking() && self.keeper.is_whole.load(Ordering::Acquire) {
            WAITING.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&self.keeper));
        }
    }
}

/// The thread that owns a server, and what it is told.
#[derive(Debug)]
struct Keeper {
    port: u16,
    home: PathBuf,
    /// It runs, and takes messages.
    is_whole: AtomicBool,
    orders: Option<mpsc::SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    fn start() -> Result<Self, Unavailable> {
        let script = find_script()
            .ok_or_else(|| Unavailable("RabbitMQ's server is missing: apt install rabbitmq-server".to_owned()))?;
        let (started, starting) = mpsc::channel();
        let (orders, inbox) = mpsc::sync_channel(1);
        // The thread that starts the server is the one whose end ends it, so it stays until the fixture is dropped.
        let thread = thread::spawn(move || {
            let mut node = match Node::start(&script) {
                Ok(node) => node,
                Err(reason) => {
                    let _ = started.send(Err(Unavailable(reason)));
                    return;
                }
            };
            let _ = started.send(Ok((node.ports.client, node.home.path().to_owned())));
            // The end of orders means that the fixture was dropped.
            while let Ok(order) = inbox.recv() {
                match order {
                    Order::Kill(done) => {
                        node.wait_until_queues_are_on_disk();
                        end(&mut node.server);
                        let _ = done.send(Ok(()));
                    }
                    Order::Control(arguments, done) => {
                        let _ = done.send(node.control(&arguments).map_err(Unavailable));
                    }
                    Order::Start(done) => {
                        let _ = done.send(node.serve().map_err(Unavailable));
                    }
                }
            }
        });
        let gone = |_| Unavailable("the thread that starts RabbitMQ is gone".to_owned());
        let (port, home) = starting.recv().map_err(gone)??;
        Ok(Self { port, home, is_whole: AtomicBool::new(true), orders: Some(orders), thread: Some(thread) })
    }

    /// One that stays until the process ends.
    fn start_for_all() -> Result<Self, Unavailable> {
        let keeper = Self::start()?;
        let removed = remove_at_the_end(&keeper.home);
        removed.map_err(|error| Unavailable(format!("nothing would remove RabbitMQ's data: {error}")))?;
        Ok(keeper)
    }

    fn order(&self, order: impl FnOnce(mpsc::Sender<Result<(), Unavailable>>) -> Order) {
        let (done, doing) = mpsc::channel();
        let orders = self.orders.as_ref().expect("there until the fixture is dropped");
        orders.send(order(done)).expect("the keeper stays until the fixture is dropped");
        doing.recv().expect("the keeper answers every order").expect("RabbitMQ starts again");
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Without a server, a line says what is missing; where the variable `CI` is set, that is a failure.
fn or_skip<T>(started: Result<T, Unavailable>) -> Option<T> {
    match started {
        Ok(server) => Some(server),
        Err(missing) if std::env::var_os("CI").is_some() => panic!("{missing}"),
        Err(missing) => {
            let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("skipped: {missing}\n"));
            None
        }
    }
}

#[derive(Clone, Copy)]
struct Ports {
    client: u16,
    /// Between nodes, of which there is one.
    distribution: u16,
    /// The port mapper.
    epmd: u16,
}

struct Node {
    script: PathBuf,
    home: tempfile::TempDir,
    ports: Ports,
    epmd: Child,
    server: Child,
}

impl Node {
    fn start(script: &Path) -> Result<Self, String> {
        let home = crate::place::new("motet-rabbitmq-").map_err(|error| error.to_string())?;
        prepare(home.path()).map_err(|error| format!("could not write RabbitMQ's configuration: {error}"))?;
        let mut last = String::new();
        // Another process can take a port between the moment it was found free and the moment the server binds it.
        for _ in 0..3 {
            let ports = free_ports().map_err(|error| format!("no free port: {error}"))?;
            let mut epmd = bound_to_this_thread("epmd")
                .args(["-port", &ports.epmd.to_string(), "-address", "127.0.0.1"])
                .spawn()
                .map_err(|error| format!("could not run epmd: {error}"))?;
            match serve(script, home.path(), ports) {
                Ok(server) => return Ok(Self { script: script.to_owned(), home, ports, epmd, server }),
                Err(reason) => last = reason,
            }
            end(&mut epmd);
        }
        Err(last)
    }

    /// RabbitMQ 3 holds back what it writes down of a new queue for three seconds. Killed within them, it makes another queue of that name, which
    /// never answers anybody. No client can do anything about it, so no test is to meet it.
    fn wait_until_queues_are_on_disk(&self) {
        let node = node_name(self.ports);
        let place = self.home.path().join("data").join(&node).join("quorum").join(&node);
        let is_written = || {
            let names = fs::read(place.join("names.dets")).unwrap_or_default();
            let queues = fs::read_dir(&place).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
            let mut names_of_queues = queues.map(|entry| entry.file_name().into_encoded_bytes());
            names_of_queues.all(|name| names.windows(name.len()).any(|window| window == name))
        };
        let until = Instant::now() + WRITTEN_LIMIT;
        while !is_written() && Instant::now() < until {
            thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn control(&self, arguments: &[&str]) -> Result<(), String> {
        let output = bound_to_this_thread(self.script.with_file_name("rabbitmqctl"))
            .args(["--node", &node_name(self.ports)])
            .args(arguments)
            .env("HOME", self.home.path())
            .env("ERL_EPMD_PORT", self.ports.epmd.to_string())
            .current_dir(self.home.path())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| format!("could not run rabbitmqctl: {error}"))?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    fn serve(&mut self) -> Result<(), String> {
        end(&mut self.server);
        self.server = serve(&self.script, self.home.path(), self.ports)?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        end(&mut self.server);
        end(&mut self.epmd);
    }
}

fn prepare(home: &Path) -> io::Result<()> {
    // Small limits: many tests share one machine, and a full disk or memory would stop publishers.
    let settings = format!(
        "default_user = {USER}\ndefault_pass = {PASSWORD}\nlog.console = true\nlog.console.level = info\nlog.file = false\n\
         raft.wal_max_size_bytes = 33554432\ndisk_free_limit.absolute = 64MB\n"
    );
    fs::write(home.join("rabbitmq.conf"), settings)?;
    fs::write(home.join("plugins"), "[].\n")
}

fn serve(script: &Path, home: &Path, ports: Ports) -> Result<Child, String> {
    let log = home.join("server.log");
    let output = File::create(&log).map_err(|error| error.to_string())?;
    let errors = output.try_clone().map_err(|error| error.to_string())?;
    let mut server = bound_to_this_thread(script)
        .env("HOME", home)
        .env("RABBITMQ_NODENAME", node_name(ports))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", ports.client.to_string())
        .env("RABBITMQ_DIST_PORT", ports.distribution.to_string())
        .env("RABBITMQ_MNESIA_BASE", home.join("data"))
        .env("RABBITMQ_LOG_BASE", home.join("log"))
        .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", home.join("advanced"))
        .env("RABBITMQ_CONF_ENV_FILE", home.join("no-environment"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", home.join("generated"))
        .env("RABBITMQ_SCHEMA_DIR", home.join("schema"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1} -noinput")
        .env("ERL_EPMD_PORT", ports.epmd.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        // The script becomes the server instead of waiting for it, so that ending the child ends the server.
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .current_dir(home)
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("could not run {}: {error}", script.display()))?;
    let until = Instant::now() + START_LIMIT;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, ports.client)).is_err() {
        let ended = server.try_wait().ok().flatten();
        if ended.is_some() || Instant::now() >= until {
            end(&mut server);
            let said = fs::read_to_string(&log).unwrap_or_default();
            let why = said.lines().rfind(|line| line.contains("error")).unwrap_or("it said nothing of an error");
            return Err(format!("RabbitMQ did not start: {why}"));
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    Ok(server)
}

fn node_name(ports: Ports) -> String {
    format!("motet{}@localhost", ports.client)
}

/// As `kill -9` does.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn bound_to_this_thread(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program.as_ref());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env("LC_ALL", "C.UTF-8");
    command
}

fn free_ports() -> io::Result<Ports> {
    // Held together, so that they differ.
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = [bind()?, bind()?, bind()?];
    let port = |at: usize| held[at].local_addr().map(|address| address.port());
    Ok(Ports { client: port(0)?, distribution: port(1)?, epmd: port(2)? })
}

/// The script inside the package: the one on the `PATH` insists on a user and leaves the directory.
fn find_script() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/rabbitmq/lib").into_iter().flatten().flatten();
    versions.map(|entry| entry.path().join("sbin/rabbitmq-server")).filter(|path| path.is_file()).max()
}
