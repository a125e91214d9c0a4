//! A real PostgreSQL for tests: a throw-away cluster with password authentication, so that what a test says about who may
//! connect to what is what a company's server says too.
//!
//! The server refuses to run as root, so under root it runs as the user `postgres` that Debian's package makes. It ends with
//! the fixture, and with the test process if that is killed: the kernel signals it when the thread that started it is gone.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const ADMIN: &str = "motet_admin";
const PASSWORD: &str = "admin-of-a-throw-away-cluster";
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Why there is no server, in one line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A running server. Stops and removes its data when dropped.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    sockets: PathBuf,
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Postgres {
    /// Starts a server of its own on a free loopback port. Takes about two seconds.
    pub fn start() -> Result<Self, Unavailable> {
        let binaries = find_binaries().ok_or_else(|| {
            Unavailable("PostgreSQL's server programs are missing: apt install postgresql".to_owned())
        })?;
        let (started, starting) = mpsc::channel();
        let (stop, stopping) = mpsc::channel::<()>();
        // The thread that starts the server is the one whose end ends it, so it stays until the fixture is dropped.
        let keeper = thread::spawn(move || {
            let mut cluster = match Cluster::start(&binaries) {
                Ok(cluster) => cluster,
                Err(reason) => {
                    let _ = started.send(Err(Unavailable(reason)));
                    return;
                }
            };
            let _ = started.send(Ok((cluster.port, cluster.data.path().to_owned())));
            // An error means that the fixture was dropped, which is what this waits for.
            let _ = stopping.recv();
            cluster.stop();
        });
        let gone = |_| Unavailable("the thread that starts PostgreSQL is gone".to_owned());
        let (port, sockets) = starting.recv().map_err(gone)??;
        Ok(Self { port, sockets, stop: Some(stop), keeper: Some(keeper) })
    }

    /// One server for all tests of this process that run at the same time.
    ///
    /// Without PostgreSQL it is `None`, and a line says what is missing; where the variable `CI` is set, that is a failure.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        match Self::start() {
            Ok(server) => {
                let server = Arc::new(server);
                *shared = Arc::downgrade(&server);
                Some(server)
            }
            Err(missing) if std::env::var_os("CI").is_some() => panic!("{missing}"),
            Err(missing) => {
                let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("skipped: {missing}\n"));
                None
            }
        }
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the server's socket.
    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// The address of the superuser, over TCP.
    pub fn admin_url(&self) -> String {
        format!("postgres://{ADMIN}:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

struct Cluster {
    data: tempfile::TempDir,
    port: u16,
    server: Child,
}

impl Cluster {
    fn start(binaries: &Path) -> Result<Self, String> {
        let user = unprivileged_user()?;
        let data = crate::place::new("motet-postgres-").map_err(|error| error.to_string())?;
        let cluster = data.path().join("data");
        let password = data.path().join("password");
        fs::write(&password, PASSWORD).map_err(|error| error.to_string())?;
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).map_err(|error| error.to_string())?;
        if let Some(id) = user {
            for path in [data.path(), &password] {
                chown(path, Some(id), None)
                    .map_err(|error| format!("could not give {} away: {error}", path.display()))?;
            }
        }
        let made = command(&binaries.join("initdb"), user)
            .arg("--pgdata")
            .arg(&cluster)
            .args(["--username", ADMIN, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()))
            .current_dir(data.path())
            .output()
            .map_err(|error| format!("could not run initdb: {error}"))?;
        if !made.status.success() {
            return Err(format!("initdb failed: {}", String::from_utf8_lossy(&made.stderr).trim()));
        }
        let mut last = String::new();
        // Another process can take the port between the moment it was found free and the moment the server binds it.
        for _ in 0..3 {
            match Self::serve(binaries, user, data.path(), &cluster) {
                Ok((port, server)) => return Ok(Self { data, port, server }),
                Err(reason) => last = reason,
            }
        }
        Err(last)
    }

    fn serve(binaries: &Path, user: Option<u32>, home: &Path, cluster: &Path) -> Result<(u16, Child), String> {
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let log = home.join("server.log");
        let output = File::create(&log).map_err(|error| error.to_string())?;
        let mut server = command(&binaries.join("postgres"), user)
            .arg("-D")
            .arg(cluster)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"])
            .arg(home)
            .args(["-c", "fsync=off", "-c", "max_connections=60", "-c", "shared_buffers=16MB"])
            .current_dir(home)
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .map_err(|error| format!("could not run postgres: {error}"))?;
        let until = Instant::now() + START_LIMIT;
        while !is_ready(cluster) {
            let ended = server.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() >= until {
                end(&mut server);
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("postgres did not start: {}", said.lines().last().unwrap_or("it said nothing")));
            }
            thread::park_timeout(Duration::from_millis(20));
        }
        Ok((port, server))
    }

    fn stop(&mut self) {
        end(&mut self.server);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Asks for an immediate shutdown, and insists after a while.
fn end(server: &mut Child) {
    if let Ok(Some(_)) = server.try_wait() {
        return;
    }
    let id = nix::unistd::Pid::from_raw(i32::try_from(server.id()).expect("process ids are positive i32"));
    let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGQUIT);
    let until = Instant::now() + STOP_LIMIT;
    while Instant::now() < until {
        if let Ok(Some(_)) = server.try_wait() {
            return;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    let _ = server.kill();
    let _ = server.wait();
}

/// The last line of the file says how far the server is.
fn is_ready(cluster: &Path) -> bool {
    fs::read_to_string(cluster.join("postmaster.pid"))
        .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
}

fn command(program: &Path, user: Option<u32>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if let Some(id) = user {
        command.args([format!("--reuid={id}"), "--regid=postgres".to_owned(), "--clear-groups".to_owned()]);
    }
    command.arg(program).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
    command
}

/// The user to become, which is nobody else where this is not root.
fn unprivileged_user() -> Result<Option<u32>, String> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    match nix::unistd::User::from_name("postgres") {
        Ok(Some(user)) => Ok(Some(user.uid.as_raw())),
        _ => Err("there is no user `postgres` to run the server as: apt install postgresql".to_owned()),
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Debian keeps the server's programs off `PATH`, one directory per version: the newest is taken.
fn find_binaries() -> Option<PathBuf> {
    let complete = |path: &PathBuf| path.join("initdb").is_file() && path.join("postgres").is_file();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, path)| complete(path))
        .max();
    let on_path = || std::env::split_paths(&std::env::var_os("PATH")?).find(complete);
    debian.map(|(_, path)| path).or_else(on_path)
}
