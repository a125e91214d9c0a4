//! A real NATS server with JetStream for tests: a throw-away directory, a free loopback port, a user with a password, so that what a test says
//! about who may connect is what a company's server says too.
//!
//! It ends with the fixture, and with the test process if that is killed: the kernel signals it when the thread that started it is gone.

use std::{
    fs::{self, File},
    io::{self, Read},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const USER: &str = "motet";
const PASSWORD: &str = "secret-of-a-throw-away-server";
const START_LIMIT: Duration = Duration::from_secs(60);

/// Why there is no server, in one line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A running server. Ends and removes its data when dropped.
#[derive(Debug)]
pub struct Nats {
    port: u16,
    orders: Option<mpsc::SyncSender<Order>>,
    keeper: Option<JoinHandle<()>>,
}

/// What the thread that owns the server is told; it answers when it is done.
enum Order {
    /// End it as `kill -9` does.
    Kill(mpsc::Sender<Result<(), Unavailable>>),
    /// Start it again on the same data and port.
    Start(mpsc::Sender<Result<(), Unavailable>>),
    /// Delete its data; it has to be ended before.
    Forget(mpsc::Sender<Result<(), Unavailable>>),
}

impl Nats {
    /// Starts a server of its own on a free loopback port. Takes about a tenth of a second. Takes events up to 8 MiB.
    pub fn start() -> Result<Self, Unavailable> {
        // It sets aside what each stream may keep at most, which is far more than tests publish.
        Self::start_with("jetstream { store_dir: data, max_file_store: 100TB }")
    }

    /// The same, with these lines of configuration in place of those that switch JetStream on.
    pub fn start_with(lines: &'static str) -> Result<Self, Unavailable> {
        let program = find_program()
            .ok_or_else(|| Unavailable("NATS's server is missing: apt install nats-server".to_owned()))?;
        let (started, starting) = mpsc::channel();
        let (orders, inbox) = mpsc::sync_channel(1);
        // The thread that starts the server is the one whose end ends it, so it stays until the fixture is dropped.
        let keeper = thread::spawn(move || {
            let mut server = match Server::start(&program, lines) {
                Ok(server) => server,
                Err(reason) => {
                    let _ = started.send(Err(Unavailable(reason)));
                    return;
                }
            };
            let _ = started.send(Ok(server.port));
            // The end of orders means that the fixture was dropped.
            while let Ok(order) = inbox.recv() {
                let (done, result) = match order {
                    Order::Kill(done) => {
                        end(&mut server.process);
                        (done, Ok(()))
                    }
                    Order::Start(done) => (done, server.again()),
                    Order::Forget(done) => (done, server.forget()),
                };
                let _ = done.send(result.map_err(Unavailable));
            }
        });
        let gone = |_| Unavailable("the thread that starts NATS is gone".to_owned());
        let port = starting.recv().map_err(gone)??;
        Ok(Self { port, orders: Some(orders), keeper: Some(keeper) })
    }

    /// A server of its own for one test. Without NATS it is `None`, as with [`Nats::shared`].
    pub fn own() -> Option<Self> {
        or_skip(Self::start())
    }

    /// One server for all tests of this process that run at the same time.
    ///
    /// Without NATS it is `None`, and a line says what is missing; where the variable `CI` is set, that is a failure.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Nats>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let server = Arc::new(or_skip(Self::start())?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its address with user and password.
    pub fn url(&self) -> String {
        Self::url_at(self.address())
    }

    /// The same, by way of another address: a relay's.
    pub fn url_at(address: SocketAddr) -> String {
        format!("nats://{USER}:{PASSWORD}@{address}")
    }

    /// Ends it as `kill -9` does, and returns when it is gone.
    pub fn kill(&self) {
        self.order(Order::Kill);
    }

    /// Starts it again on the same data and port, and returns when it answers.
    pub fn revive(&self) {
        self.order(Order::Start);
    }

    /// Ends it as `kill -9` does, and starts it again.
    pub fn restart(&self) {
        self.kill();
        self.revive();
    }

    /// Deletes the data of a server that was ended: the next start finds nothing.
    pub fn forget(&self) {
        self.order(Order::Forget);
    }

    fn order(&self, order: impl FnOnce(mpsc::Sender<Result<(), Unavailable>>) -> Order) {
        let (done, doing) = mpsc::channel();
        let orders = self.orders.as_ref().expect("there until the fixture is dropped");
        orders.send(order(done)).expect("the keeper stays until the fixture is dropped");
        doing.recv().expect("the keeper answers every order").expect("NATS does what it is told");
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// Without a server, a line says what is missing; where the variable `CI` is set, that is a failure.
fn or_skip(started: Result<Nats, Unavailable>) -> Option<Nats> {
    match started {
        Ok(server) => Some(server),
        Err(missing) if std::env::var_os("CI").is_some() => panic!("{missing}"),
        Err(missing) => {
            let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("skipped: {missing}\n"));
            None
        }
    }
}

struct Server {
    program: PathBuf,
    home: tempfile::TempDir,
    lines: &'static str,
    port: u16,
    process: Child,
}

impl Server {
    fn start(program: &Path, lines: &'static str) -> Result<Self, String> {
        let home = crate::place::new("motet-nats-").map_err(|error| error.to_string())?;
        let mut last = String::new();
        // Another process can take the port between the moment it was found free and the moment the server binds it.
        for _ in 0..3 {
            let port = free_port().map_err(|error| format!("no free port: {error}"))?;
            match serve(program, home.path(), lines, port) {
                Ok(process) => return Ok(Self { program: program.to_owned(), home, lines, port, process }),
                Err(reason) => last = reason,
            }
        }
        Err(last)
    }

    fn again(&mut self) -> Result<(), String> {
        end(&mut self.process);
        self.process = serve(&self.program, self.home.path(), self.lines, self.port)?;
        Ok(())
    }

    fn forget(&mut self) -> Result<(), String> {
        fs::remove_dir_all(self.home.path().join("data")).map_err(|error| error.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

fn serve(program: &Path, home: &Path, lines: &str, port: u16) -> Result<Child, String> {
    let configuration = format!(
        "listen: \"127.0.0.1:{port}\"\nmax_payload: 8388608\nauthorization {{ user: {USER}, password: {PASSWORD} }}\n{lines}\n"
    );
    fs::write(home.join("nats.conf"), configuration).map_err(|error| error.to_string())?;
    let log = home.join("server.log");
    let output = File::create(&log).map_err(|error| error.to_string())?;
    let mut server = Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .arg(program)
        .args(["-c", "nats.conf"])
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .map_err(|error| format!("could not run nats-server: {error}"))?;
    let until = Instant::now() + START_LIMIT;
    while !is_ready(port) {
        let ended = server.try_wait().ok().flatten();
        if ended.is_some() || Instant::now() >= until {
            end(&mut server);
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("nats-server did not start: {}", said.lines().last().unwrap_or("it said nothing")));
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    Ok(server)
}

/// The server speaks first.
fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let mut begin = [0; 5];
    stream.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
        && stream.read_exact(&mut begin).is_ok()
        && begin == *b"INFO "
}

fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Debian keeps it where only administrators look.
fn find_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("nats-server")).find(|program| program.is_file())
}
