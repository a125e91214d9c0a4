//! A real Apache Kafka for tests: one broker that is its own controller (KRaft), with throw-away data, on free loopback ports.
//!
//! Kafka is no Debian package, but all of it is on Maven Central: Maven collects the jars once into a directory under the target directory,
//! and Java runs them from there. What a broker tells its clients as its address is a [`Relay`], so that a test can break the network. A
//! start takes seconds, so one broker serves all tests that do not kill it, and one that was killed and runs again serves the next such test. They
//! end with the test process, also if that is killed: the kernel signals them when the thread that started them is gone.

use crate::{leftovers::remove_at_the_end, relay::Relay};
use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const POM: &str = include_str!("../kafka/pom.xml");
/// The directory of the jars is called by it: another version is another directory.
const VERSION: &str = "4.1.1";
const CLUSTER: &str = "bW90ZXQtdGVzdC1jbHVzdA";
/// On a busy machine a start takes a while.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How many networks lead to the broker that tests share: one for all, and others that a test may break.
const NETWORKS: usize = 4;
/// What Java is told: to start quickly and to stay small.
const JAVA: &[&str] = &[
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx512m",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
];

/// Why there is no server, in one line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

enum Order {
    Kill(mpsc::Sender<()>),
    Start(mpsc::Sender<Result<(), String>>),
}

/// A running broker, for as long as this value lives.
#[derive(Debug)]
pub struct Kafka {
    server: Arc<Server>,
    /// Which of the server's networks.
    network: usize,
    then: Then,
}

/// What becomes of the server when a test has done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It ends, and its data is removed.
    End,
    /// Others use it too.
    Stay,
    /// The next test that wants to kill one gets it.
    Wait,
}

/// Brokers that wait for a test that kills them.
static WAITING: Mutex<Vec<Arc<Server>>> = Mutex::new(Vec::new());

impl Kafka {
    /// Starts a broker of its own. Takes about three seconds; the first time on a machine, Maven downloads 100 MB before.
    pub fn start() -> Result<Self, Unavailable> {
        Ok(Self { server: Arc::new(Server::start(1)?), network: 0, then: Then::End })
    }

    /// The broker that all tests of this process share.
    ///
    /// Where it cannot run it is `None`, and a line says what is missing; where the variable `CI` is set, that is a failure.
    pub fn shared() -> Option<Self> {
        Some(Self { server: Server::shared()?, network: 0, then: Then::Stay })
    }

    /// The same broker, over a network that nobody else uses as long as this value lives. Waits until one is free.
    pub fn proxied() -> Option<Self> {
        let server = Server::shared()?;
        let network = server.take_network();
        Some(Self { server, network, then: Then::Stay })
    }

    /// A broker that nobody else uses as long as this value lives; missing ones are treated as [`Kafka::shared`] does.
    pub fn own() -> Option<Self> {
        let waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let server = match waiting {
            Some(server) => server,
            None => Arc::new(or_skip(Server::start_for_all(1))?),
        };
        Some(Self { server, network: 0, then: Then::Wait })
    }

    /// Where clients reach it: through the relay.
    pub fn address(&self) -> String {
        self.relay().address().to_string()
    }

    /// The broker's own port. It tells clients to go through the relay all the same.
    pub fn port(&self) -> u16 {
        self.server.ports[self.network]
    }

    /// The network between clients and broker.
    pub fn relay(&self) -> &Relay {
        &self.server.relays[self.network]
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts it again on the same data and address; ready when this returns.
    pub fn resume(&self) -> Result<(), String> {
        self.server.resume()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.relay().heal();
        if self.network > 0 {
            self.server.give_network(self.network);
        }
        // A test that failed may have left it anyhow.
        if self.then == Then::Wait && !thread::panicking() && self.server.is_running() {
            WAITING.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&self.server));
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

/// The process, and the networks that lead to it: each is a listener of the broker's own, because a broker tells its clients where to go on.
#[derive(Debug)]
struct Server {
    home: PathBuf,
    relays: Vec<Relay>,
    ports: Vec<u16>,
    free: Mutex<Vec<usize>>,
    freed: Condvar,
    is_running: AtomicBool,
    orders: Option<mpsc::Sender<Order>>,
    keeper: Option<JoinHandle<()>>,
}

impl Server {
    fn start(networks: usize) -> Result<Self, Unavailable> {
        let jars = provide().map_err(Unavailable)?;
        let mut last = String::new();
        // Another process can take a port between the moment it was found free and the moment the server binds it.
        for _ in 0..3 {
            match Self::try_start(&jars, networks) {
                Ok(server) => return Ok(server),
                Err(reason) => last = reason,
            }
        }
        Err(Unavailable(last))
    }

    fn try_start(jars: &Path, networks: usize) -> Result<Self, String> {
        let mut ports = free_ports(networks + 1).map_err(|error| format!("no free port: {error}"))?;
        let controller = ports.pop().unwrap_or_default();
        let relay = |port: &u16| Relay::start(SocketAddr::from((Ipv4Addr::LOCALHOST, *port)));
        let relays: Result<Vec<_>, _> = ports.iter().map(relay).collect();
        let relays = relays.map_err(|error| format!("no relay: {error}"))?;
        let home = crate::place::new("motet-kafka-").map_err(|error| error.to_string())?;
        let place = home.path().to_owned();
        let advertised: Vec<_> = relays.iter().map(|relay| relay.address().port()).collect();
        let broker = Broker::prepare(jars, home, controller, ports.iter().copied().zip(advertised))?;
        let (orders, receiver) = mpsc::channel();
        // The thread that starts the server is the one whose end ends it, so it stays until the fixture is dropped.
        let keeper = thread::spawn(move || broker.keep(&receiver));
        let server = Self {
            home: place,
            relays,
            ports,
            free: Mutex::new((1..networks).collect()),
            freed: Condvar::new(),
            is_running: AtomicBool::new(false),
            orders: Some(orders),
            keeper: Some(keeper),
        };
        server.resume()?;
        Ok(server)
    }

    fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Option<Arc<Server>>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*shared {
            return Some(Arc::clone(running));
        }
        let server = Arc::new(or_skip(Self::start_for_all(NETWORKS))?);
        *shared = Some(Arc::clone(&server));
        Some(server)
    }

    /// One that stays until the process ends.
    fn start_for_all(networks: usize) -> Result<Self, Unavailable> {
        let server = Self::start(networks)?;
        let removed = remove_at_the_end(&server.home);
        removed.map_err(|error| Unavailable(format!("nothing would remove Kafka's data: {error}")))?;
        Ok(server)
    }

    fn take_network(&self) -> usize {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match free.pop() {
                Some(network) => return network,
                None => free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn give_network(&self, network: usize) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(network);
        self.freed.notify_one();
    }

    fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Acquire)
    }

    fn kill(&self) {
        self.is_running.store(false, Ordering::Release);
        let (done, killed) = mpsc::channel();
        self.order(Order::Kill(done));
        let _ = killed.recv();
    }

    fn resume(&self) -> Result<(), String> {
        let (done, started) = mpsc::channel();
        self.order(Order::Start(done));
        let started = started.recv().unwrap_or_else(|_| Err("the thread that starts Kafka is gone".to_owned()));
        self.is_running.store(started.is_ok(), Ordering::Release);
        started
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // Without its receiver the thread is gone, which the answer says.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

struct Broker {
    jars: PathBuf,
    home: tempfile::TempDir,
    process: Option<Child>,
}

impl Broker {
    /// Writes the settings and the marks of an empty cluster. `networks`: of each, the port and the one that clients are told.
    fn prepare(
        jars: &Path,
        home: tempfile::TempDir,
        controller: u16,
        networks: impl Iterator<Item = (u16, u16)>,
    ) -> Result<Self, String> {
        let data = home.path().join("data");
        let (mut listeners, mut advertised) = (format!("CONTROLLER://127.0.0.1:{controller}"), Vec::new());
        let mut protocols = "CONTROLLER:PLAINTEXT".to_owned();
        for ((port, told), name) in networks.zip(0..) {
            listeners.push_str(&format!(",NET{name}://127.0.0.1:{port}"));
            protocols.push_str(&format!(",NET{name}:PLAINTEXT"));
            advertised.push(format!("NET{name}://127.0.0.1:{told}"));
        }
        let settings = [
            "process.roles=broker,controller".to_owned(),
            "node.id=1".to_owned(),
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            format!("listeners={listeners}"),
            format!("advertised.listeners={}", advertised.join(",")),
            "controller.listener.names=CONTROLLER".to_owned(),
            "inter.broker.listener.name=NET0".to_owned(),
            format!("listener.security.protocol.map={protocols}"),
            format!("log.dirs={}", data.display()),
            SMALL.to_owned(),
        ];
        let path = home.path().join("server.properties");
        fs::write(&path, settings.join("\n")).map_err(|error| error.to_string())?;
        let broker = Self { jars: jars.to_owned(), home, process: None };
        let formatted = broker
            .java("kafka.tools.StorageTool")
            .args(["format", "-t", CLUSTER, "-c"])
            .arg(&path)
            .output()
            .map_err(|error| format!("could not run java: {error}"))?;
        if !formatted.status.success() {
            return Err(format!("Kafka's storage tool failed: {}", String::from_utf8_lossy(&formatted.stderr).trim()));
        }
        Ok(broker)
    }

    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "java"]).args(JAVA).arg("-cp").arg(self.jars.join("*")).arg(class);
        command.current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    fn keep(mut self, orders: &mpsc::Receiver<Order>) {
        // An error means that the fixture was dropped.
        while let Ok(order) = orders.recv() {
            match order {
                Order::Kill(done) => {
                    self.kill();
                    let _ = done.send(());
                }
                Order::Start(done) => {
                    let _ = done.send(self.start());
                }
            }
        }
        self.kill();
    }

    fn start(&mut self) -> Result<(), String> {
        self.kill();
        let log = self.home.path().join("server.log");
        let output = File::create(&log).map_err(|error| error.to_string())?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let spawned = self
            .java("kafka.Kafka")
            .arg(self.home.path().join("server.properties"))
            .stdout(output)
            .stderr(errors)
            .spawn();
        let process = self.process.insert(spawned.map_err(|error| format!("could not run java: {error}"))?);
        let until = Instant::now() + START_LIMIT;
        loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if said.contains("Kafka Server started") {
                return Ok(());
            }
            let ended = process.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() >= until {
                let last = said.lines().rev().take(3).collect::<Vec<_>>().join(" / ");
                return Err(format!("Kafka did not start: {last}"));
            }
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A single broker cannot keep three copies, and fifty partitions of each internal topic would only take time to make.
const SMALL: &str = "\
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
num.network.threads=1
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.backoff.ms=200
log.initial.task.delay.ms=200
";

/// The directory of the jars, filled by Maven the first time.
pub fn provide() -> Result<PathBuf, String> {
    let runs = |program: &str| {
        let mut command = Command::new(program);
        command.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !runs("java") {
        return Err("Apache Kafka needs Java 17: apt install openjdk-17-jre-headless".to_owned());
    }
    let tools = target()?.join("tools");
    let jars = tools.join(format!("kafka-{VERSION}"));
    if jars.is_dir() {
        return Ok(jars);
    }
    fs::create_dir_all(&tools).map_err(|error| format!("{}: {error}", tools.display()))?;
    let lock = File::create(tools.join("kafka.lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| format!("the lock of {}: {error}", tools.display()))?;
    if jars.is_dir() {
        return Ok(jars);
    }
    if !runs("mvn") {
        return Err("Apache Kafka is fetched with Maven, which is missing: apt install maven".to_owned());
    }
    download(&tools, &jars)?;
    Ok(jars)
}

fn download(tools: &Path, jars: &Path) -> Result<(), String> {
    let place = tempfile::Builder::new().prefix("kafka-").tempdir_in(tools).map_err(|error| error.to_string())?;
    let pom = place.path().join("pom.xml");
    fs::write(&pom, POM).map_err(|error| error.to_string())?;
    let complete = place.path().join("jars");
    let fetched = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "dependency:copy-dependencies", "--file"])
        .arg(&pom)
        .arg(format!("-DoutputDirectory={}", complete.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("could not run mvn: {error}"))?;
    if !fetched.status.success() {
        let said = String::from_utf8_lossy(&fetched.stdout);
        let first = said.lines().find(|line| line.contains("ERROR")).unwrap_or("it did not say why").to_owned();
        return Err(format!("Maven could not fetch Apache Kafka (is Maven Central in reach?): {first}"));
    }
    fs::rename(&complete, jars).map_err(|error| format!("{}: {error}", jars.display()))
}

/// The target directory that this test was built into: cargo marks it.
fn target() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let marked = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.map(Path::to_owned).ok_or_else(|| format!("{} is in no target directory", program.display()))
}

fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    // Held together, so that they differ.
    let held: io::Result<Vec<_>> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    held?.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
