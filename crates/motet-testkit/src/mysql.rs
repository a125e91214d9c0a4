//! A real MariaDB for tests: a throw-away data directory with password authentication, so that what a test says about who may do what is
//! what a company's server says too.
//!
//! Under root it runs as the user `mysql` that Debian's package makes. It ends with the fixture, and with the test process if that is
//! killed: the kernel signals it when the thread that started it is gone.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const ADMIN: &str = "motet_admin";
const PASSWORD: &str = "admin-of-a-throw-away-server";
const START_LIMIT: Duration = Duration::from_secs(60);

/// What the server does before it lets anybody in.
const INIT: &str = "CREATE USER 'ADMIN'@'%' IDENTIFIED BY 'PASSWORD';
GRANT ALL PRIVILEGES ON *.* TO 'ADMIN'@'%' WITH GRANT OPTION;
DELETE FROM mysql.global_priv WHERE User = '';
FLUSH PRIVILEGES;
";

/// Small and quick: nobody needs what it holds after a crash.
const SETTINGS: [&str; 10] = [
    "--bind-address=127.0.0.1",
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=8M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--skip-log-bin",
    "--performance-schema=OFF",
    "--max-connections=150",
    "--max-allowed-packet=4M",
    "--default-time-zone=+05:30",
];

/// Why there is no server, in one line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A running server. Stops and removes its data when dropped. Its clock shows another zone than UTC, and a packet has 4 MiB at most.
#[derive(Debug)]
pub struct Mysql {
    port: u16,
    home: PathBuf,
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Mysql {
    /// Starts a server of its own on a free loopback port. Takes about three seconds.
    pub fn start() -> Result<Self, Unavailable> {
        let (started, starting) = mpsc::channel();
        let (stop, stopping) = mpsc::channel::<()>();
        // The thread that starts the server is the one whose end ends it, so it stays until the fixture is dropped.
        let keeper = thread::spawn(move || {
            let server = match Server::start() {
                Ok(server) => server,
                Err(reason) => {
                    let _ = started.send(Err(Unavailable(reason)));
                    return;
                }
            };
            let _ = started.send(Ok((server.port, server.home.path().to_owned())));
            // An error means that the fixture was dropped, which is what this waits for.
            let _ = stopping.recv();
        });
        let gone = |_| Unavailable("the thread that starts MariaDB is gone".to_owned());
        let (port, home) = starting.recv().map_err(gone)??;
        Ok(Self { port, home, stop: Some(stop), keeper: Some(keeper) })
    }

    /// One server for all tests of this process that run at the same time.
    ///
    /// Without MariaDB it is `None`, and a line says what is missing; where the variable `CI` is set, that is a failure.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Mysql>> = Mutex::new(Weak::new());
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

    /// The server's socket.
    pub fn socket(&self) -> PathBuf {
        self.home.join("socket")
    }

    /// The folder with the server's log, `server.log`.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The address of an administrator who may do everything, over TCP.
    pub fn admin_url(&self) -> String {
        format!("mysql://{ADMIN}:{PASSWORD}@127.0.0.1:{}", self.port)
    }
}

impl Drop for Mysql {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

struct Server {
    home: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Server {
    fn start() -> Result<Self, String> {
        let missing = || "MariaDB's server programs are missing: apt install mariadb-server".to_owned();
        let (installer, program) = (find("mariadb-install-db"), find("mariadbd"));
        let (installer, program) = (installer.ok_or_else(missing)?, program.ok_or_else(missing)?);
        let user = unprivileged_user()?;
        let home = tempfile::Builder::new().prefix("motet-mariadb-").tempdir().map_err(|error| error.to_string())?;
        let init = home.path().join("init.sql");
        let text = INIT.replace("ADMIN", ADMIN).replace("PASSWORD", PASSWORD);
        fs::write(&init, text).map_err(|error| error.to_string())?;
        fs::set_permissions(&init, fs::Permissions::from_mode(0o600)).map_err(|error| error.to_string())?;
        if let Some(id) = user {
            for path in [home.path(), &init] {
                chown(path, Some(id), None)
                    .map_err(|error| format!("could not give {} away: {error}", path.display()))?;
            }
        }
        let made = command(&installer, user)
            .arg("--no-defaults")
            .arg(format!("--datadir={}", home.path().join("data").display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"])
            .args(["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M"])
            .current_dir(home.path())
            .output()
            .map_err(|error| format!("could not run mariadb-install-db: {error}"))?;
        if !made.status.success() {
            return Err(format!("mariadb-install-db failed: {}", String::from_utf8_lossy(&made.stderr).trim()));
        }
        let mut last = String::new();
        // Another process can take the port between the moment it was found free and the moment the server binds it.
        for _ in 0..3 {
            match serve(&program, user, home.path()) {
                Ok((port, process)) => return Ok(Self { home, port, process }),
                Err(reason) => last = reason,
            }
        }
        Err(last)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its data is thrown away: there is nothing to shut down in good order.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(program: &Path, user: Option<u32>, home: &Path) -> Result<(u16, Child), String> {
    let port = free_port().map_err(|error| format!("no free port: {error}"))?;
    let log = home.join("server.log");
    let output = File::create(&log).map_err(|error| error.to_string())?;
    let place = |option: &str, name: &str| format!("--{option}={}", home.join(name).display());
    let mut process = command(program, user)
        .args(["--no-defaults", &place("datadir", "data"), &place("socket", "socket"), &place("pid-file", "pid")])
        .args([&format!("--port={port}"), &place("init-file", "init.sql")])
        .args(SETTINGS)
        .current_dir(home)
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .map_err(|error| format!("could not run mariadbd: {error}"))?;
    let until = Instant::now() + START_LIMIT;
    while !greets(port) {
        let ended = process.try_wait().ok().flatten();
        if ended.is_some() || Instant::now() >= until {
            let _ = process.kill();
            let _ = process.wait();
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("mariadbd did not start: {}", said.lines().last().unwrap_or("it said nothing")));
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    Ok((port, process))
}

/// A server speaks first, and does so when it has read what it is to do at its start.
fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let limited = stream.set_read_timeout(Some(START_LIMIT)).is_ok();
    limited && stream.read_exact(&mut [0; 5]).is_ok()
}

fn command(program: &Path, user: Option<u32>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(id) = user {
        command.args([format!("--reuid={id}"), "--regid=mysql".to_owned(), "--clear-groups".to_owned()]);
    }
    command.arg(program).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
    command
}

/// The user to become, which is nobody else where this is not root.
fn unprivileged_user() -> Result<Option<u32>, String> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    match nix::unistd::User::from_name("mysql") {
        Ok(Some(user)) => Ok(Some(user.uid.as_raw())),
        _ => Err("there is no user `mysql` to run the server as: apt install mariadb-server".to_owned()),
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// On `PATH`, or in Debian's folder for servers, which is not on everybody's.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}
