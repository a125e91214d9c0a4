//! haproxy with its defaults and two threads; connections to the upstream are shared by all callers (`http-reuse always`), as the
//! others share theirs, and a caller that has gone is noticed (`abortonclose`). Streams are passed
//! on as they come (`http-no-delay`), because its default waits for more to send.

use std::{fs, net::SocketAddr, process::Command};

use anyhow::Result;

use super::{Places, Program, WORKERS};

pub(super) fn start(http: SocketAddr, grpc: SocketAddr, upstream: SocketAddr, places: &Places) -> Result<Program> {
    let path = places.scratch.join("haproxy.cfg");
    fs::write(&path, configuration(http, grpc, upstream, places))?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&path);
    Program::start(&mut command, &places.scratch, "haproxy")
}

fn configuration(http: SocketAddr, grpc: SocketAddr, upstream: SocketAddr, places: &Places) -> String {
    let connections = places.streams.max(1_000) + 50;
    format!(
        "global
  nbthread {WORKERS}
  maxconn {connections}
defaults
  mode http
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  option http-keep-alive
  http-reuse always
  option abortonclose
frontend http
  bind {http} backlog 4096
  use_backend streams if {{ path_beg /stream }}
  default_backend plain
backend plain
  server upstream {upstream}
backend streams
  option http-no-delay
  server upstream {upstream}
frontend grpc
  bind {grpc} proto h2
  default_backend calls
backend calls
  server upstream {upstream} proto h2
"
    )
}
