//! A system in a folder of its own, with services that are a few lines of Python, and the ways to ask it things.

use serde_json::Value;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How long anything in these tests may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A service that answers with what it is: `GET /env` its environment, `GET /who` its process, `GET /healthz` 200, `GET /slow?ms=` late.
const SERVICE: &str = r#"
import http.server, json, os, sys, time, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/env": value = dict(os.environ)
        elif url.path == "/slow":
            time.sleep(int(urllib.parse.parse_qs(url.query)["ms"][0]) / 1000)
            value = {"pid": os.getpid()}
        else: value = {"pid": os.getpid(), "version": VERSION}
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
VERSION = 1
print("hello from", os.environ.get("OTEL_SERVICE_NAME"), flush=True)
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

pub(crate) struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    /// A system with this definition. `service.py` is there for its services.
    pub(crate) fn new(definition: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("service.py"), SERVICE).expect("written");
        let scratch = Self { dir };
        scratch.define(definition);
        scratch
    }

    pub(crate) fn define(&self, definition: &str) {
        fs::write(self.path().join("motet.yaml"), definition).expect("written");
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_motet"));
        command.arg("-C").arg(self.path()).args(arguments).env_remove("MOTET_FILE").env_remove("MOTET_STATE");
        command.env_remove("MOTET_PROFILE").env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    pub(crate) fn motet(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("motet runs")
    }

    /// Runs a command that must succeed.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let output = self.motet(arguments);
        assert!(output.status.success(), "motet {arguments:?} failed: {}", shown(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn up(&self) {
        self.done(&["up", "--detach", "--wait", "--wait-timeout", "60s"]);
    }

    pub(crate) fn ps(&self) -> Value {
        serde_json::from_str(&self.done(&["ps", "--json"])).expect("JSON")
    }

    pub(crate) fn service(&self, name: &str) -> Value {
        let system = self.ps();
        let services = system["services"].as_array().expect("services");
        services.iter().find(|service| service["name"] == name).cloned().expect("the service")
    }

    pub(crate) fn pids(&self, service: &str) -> Vec<u32> {
        let service = self.service(service);
        let instances = service["instances"].as_array().expect("instances").iter();
        instances
            .filter_map(|instance| instance["pid"].as_u64())
            .map(|pid| u32::try_from(pid).expect("a pid"))
            .collect()
    }

    pub(crate) fn gateway(&self) -> String {
        self.ps()["gateway"]["url"].as_str().expect("a gateway").trim_start_matches("http://").to_owned()
    }

    /// The process that runs the system.
    pub(crate) fn supervisor(&self) -> u32 {
        u32::try_from(self.ps()["pid"].as_u64().expect("a pid")).expect("a pid")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join(".motet")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.motet(&["down"]);
    }
}

pub(crate) fn shown(output: &Output) -> String {
    format!(
        "{}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// One GET on a connection of its own: the status, or why there is none, and the body.
pub(crate) fn get(address: &str, path: &str) -> Result<(u16, String), String> {
    let fail = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).map_err(fail)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(fail)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").map_err(fail)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(fail)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no head")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status")?;
    Ok((status, body.to_owned()))
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

pub(crate) fn is_running(pid: u32) -> bool {
    // A zombie has ended; only its parent has not looked yet.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

pub(crate) fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().expect("kill");
    assert!(status.success(), "kill -{signal} {pid}");
}

/// Waits for the end of a child, with a limit.
pub(crate) fn ended(child: &mut Child) -> std::process::ExitStatus {
    let mut status = None;
    until("the process has ended", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    status.expect("just seen")
}
