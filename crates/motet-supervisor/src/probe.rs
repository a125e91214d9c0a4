//! Asks an instance whether it is ready, or still alive.
//!
//! The HTTP question is written by hand over a plain connection: only the status line matters, a probe must never keep a connection or read
//! a body, and a client with pools, redirects and proxies from the environment would do what no probe should. It speaks HTTP/1.1 (RFC 9112)
//! to a port of this machine, reads at most 512 bytes, and hangs up.

use crate::{
    port::Launch,
    spec::{Check, Probe},
};
use motet_kernel::{id::InstanceId, quantity};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};

/// The first wait between two questions while an instance starts; each is half as long again as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(20);
/// A status line is longer than this only from something that is no HTTP server.
const STATUS_LINE_MAX: usize = 512;

/// Whom to ask.
pub(crate) struct Target {
    pub(crate) instance: InstanceId,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) launch: Arc<dyn Launch>,
    /// Whether the line that a probe waits for has been seen.
    pub(crate) line: Option<watch::Receiver<bool>>,
}

impl Target {
    pub(crate) fn address(host: IpAddr, port: Option<u16>) -> Option<SocketAddr> {
        port.map(|port| SocketAddr::new(host, port))
    }

    /// Waits until the instance is ready; says why it is not when the grace is over.
    pub(crate) async fn until_ready(&mut self, probe: &Probe) -> Result<(), String> {
        let deadline = Instant::now() + probe.grace;
        let mut wait = FIRST_WAIT;
        let mut problem = "no answer yet".to_owned();
        if let (Check::Log { pattern }, Some(mut seen)) = (&probe.check, self.line.take()) {
            problem = format!("no line matched `{pattern}`");
            match timeout_at(deadline, seen.wait_for(|seen| *seen)).await {
                Ok(Ok(_)) => return Ok(()),
                _ => return Err(late(probe, &problem)),
            }
        }
        while Instant::now() < deadline {
            match timeout_at(deadline, self.ask(probe)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(new)) => problem = new,
                Err(_) => break,
            }
            sleep(wait).await;
            wait = (wait * 3 / 2).min(probe.interval.max(FIRST_WAIT));
        }
        Err(late(probe, &problem))
    }

    /// Asks for as long as the instance answers; returns why it counts as dead.
    pub(crate) async fn until_dead(&mut self, probe: &Probe) -> String {
        sleep(probe.grace).await;
        let mut failures = 0;
        loop {
            sleep(probe.interval).await;
            match self.ask(probe).await {
                Ok(()) => failures = 0,
                Err(problem) => {
                    failures += 1;
                    if failures >= probe.failures_max.max(1) {
                        return format!("liveness failed {failures} times in a row: {problem}");
                    }
                }
            }
        }
    }

    async fn ask(&self, probe: &Probe) -> Result<(), String> {
        if let Check::Command(command) = &probe.check {
            return self.launch.check(self.instance, command, probe.timeout).await;
        }
        let Some(address) = self.address else { return Err("the service has no port".to_owned()) };
        let answer = async {
            let stream = connect(address).await?;
            match &probe.check {
                Check::Http { path } => get(stream, address, path).await,
                _ => Ok(()),
            }
        };
        let late = || Err(format!("no answer within {}", quantity::show_duration(probe.timeout)));
        timeout(probe.timeout, answer).await.unwrap_or_else(|_| late())
    }
}

fn late(probe: &Probe, problem: &str) -> String {
    format!("not ready within {}: {problem}", quantity::show_duration(probe.grace))
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let stream =
        TcpStream::connect(address).await.map_err(|error| format!("port {}: {}", address.port(), in_words(&error)))?;
    // Where nobody listens, the kernel may pick the very port as the caller's own and connect the socket with itself.
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(own), Ok(peer)) if own == peer => Err(format!("port {}: nobody listens", address.port())),
        _ => Ok(stream),
    }
}

fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => error.to_string(),
    }
}

async fn get(mut stream: TcpStream, address: SocketAddr, path: &str) -> Result<(), String> {
    let question = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: motet-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let failed = |error: std::io::Error| format!("GET {path}: {}", in_words(&error));
    stream.write_all(question.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::with_capacity(STATUS_LINE_MAX);
    while answer.len() < STATUS_LINE_MAX && !answer.contains(&b'\n') {
        if stream.read_buf(&mut answer).await.map_err(failed)? == 0 {
            break;
        }
    }
    match status(&answer) {
        Some(200..=399) => Ok(()),
        Some(code) => Err(format!("GET {path} answered {code}")),
        None => Err(format!("GET {path}: the answer is not HTTP")),
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next().filter(|code| code.len() == 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_http_and_from_nothing_else() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\nA: b\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 503\r\n"), Some(503));
        for other in
            [&b""[..], b"HTTP/1.1\r\n", b"SSH-2.0-OpenSSH 200\r\n", b"HTTP/1.1 20\xff OK\r\n", b"HTTP/1.1 2000 x"]
        {
            assert_eq!(status(other), None);
        }
    }
}
