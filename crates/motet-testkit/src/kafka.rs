//! A real Apache Kafka for tests: one broker that is its own controller (KRaft), with throw-away data, on free loopback ports.
//!
//! Kafka is no Debian package, but all of it is on Maven Central: Maven collects the jars once into a directory under the target directory,
//! and Java runs them from there. What a broker tells its clients as its address is a [`Relay`], so that a test can break the network. It
//! ends with the fixture, and with the test process if that is killed: the kernel signals it when the thread that started it is gone.

use crate::relay::Relay;
use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const POM: &str = include_str!("../kafka/pom.xml");
/// The directory of the jars is called by it: another version is another directory.
const VERSION: &str = "4.1.1";
const CLUSTER: &str = "bW90ZXQtdGVzdC1jbHVzdA";
/// On a busy machine a start takes a while.
const START_LIMIT: Duration = Duration::from_secs(120);
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

/// A running broker. Stops and removes its data when dropped.
#[derive(Debug)]
pub struct Kafka {
    relay: Relay,
    port: u16,
    orders: Option<mpsc::Sender<Order>>,
    keeper: Option<JoinHandle<()>>,
}

impl Kafka {
    /// Starts a broker of its own. Takes about three seconds; the first time on a machine, Maven downloads 100 MB before.
    pub fn start() -> Result<Self, Unavailable> {
        let jars = provide().map_err(Unavailable)?;
        let mut last = String::new();
        // Another process can take a port between the moment it was found free and the moment the server binds it.
        for _ in 0..3 {
            match Self::try_start(&jars) {
                Ok(server) => return Ok(server),
                Err(reason) => last = reason,
            }
        }
        Err(Unavailable(last))
    }

    fn try_start(jars: &Path) -> Result<Self, String> {
        let free = || free_port().map_err(|error| format!("no free port: {error}"));
        let (port, controller) = (free()?, free()?);
        let relay = Relay::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let relay = relay.map_err(|error| format!("no relay: {error}"))?;
        let home = tempfile::Builder::new().prefix("motet-kafka-").tempdir().map_err(|error| error.to_string())?;
        let broker = Broker::prepare(jars, home, port, controller, relay.address().port())?;
        let (orders, receiver) = mpsc::channel();
        // The thread that starts the server is the one whose end ends it, so it stays until the fixture is dropped.
        let keeper = thread::spawn(move || broker.keep(&receiver));
        let server = Self { relay, port, orders: Some(orders), keeper: Some(keeper) };
        server.resume()?;
        Ok(server)
    }

    /// One server for all tests of this process that run at the same time.
    ///
    /// Where it cannot run it is `None`, and a line says what is missing; where the variable `CI` is set, that is a failure.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Kafka>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let server = Arc::new(Self::own()?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// A server for one test; missing ones are treated as [`Kafka::shared`] does.
    pub fn own() -> Option<Self> {
        match Self::start() {
            Ok(server) => Some(server),
            Err(missing) if std::env::var_os("CI").is_some() => panic!("{missing}"),
            Err(missing) => {
                let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("skipped: {missing}\n"));
                None
            }
        }
    }

    /// Where clients reach it: through the relay.
    pub fn address(&self) -> String {
        self.relay.address().to_string()
    }

    /// The broker's own port. It tells clients to go through the relay all the same.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The network between clients and broker.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// `kill -9`.
    pub fn kill(&self) {
        let (done, killed) = mpsc::channel();
        self.order(Order::Kill(done));
        let _ = killed.recv();
    }

    /// Starts it again on the same data and address; ready when this returns.
    pub fn resume(&self) -> Result<(), String> {
        let (done, started) = mpsc::channel();
        self.order(Order::Start(done));
        started.recv().unwrap_or_else(|_| Err("the thread that starts Kafka is gone".to_owned()))
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // Without its receiver the thread is gone, which the answer says.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Kafka {
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
    /// Writes the settings and the marks of an empty cluster.
    fn prepare(
        jars: &Path,
        home: tempfile::TempDir,
        port: u16,
        controller: u16,
        advertised: u16,
    ) -> Result<Self, String> {
        let data = home.path().join("data");
        let settings = [
            "process.roles=broker,controller".to_owned(),
            "node.id=1".to_owned(),
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            format!("listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"),
            format!("advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT".to_owned(),
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
num.network.threads=2
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

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
