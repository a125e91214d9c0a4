//! nginx as somebody would set it up who wants it to be fast: a socket per worker (`reuseport`), connections kept and never
//! closed for their number of requests, no log. Streams are passed on as they come (`proxy_buffering off`), because its default
//! would hold events back; ordinary calls keep the default.

use std::{fs, net::SocketAddr, process::Command};

use anyhow::Result;

use super::{Places, Program, WORKERS};

pub(super) fn start(http: SocketAddr, grpc: SocketAddr, upstream: SocketAddr, places: &Places) -> Result<Program> {
    let path = places.scratch.join("nginx.conf");
    fs::write(&path, configuration(http, grpc, upstream, places))?;
    let mut command = Command::new("nginx");
    command.arg("-e").arg("stderr").arg("-c").arg(&path);
    Program::start(&mut command, &places.scratch, "nginx")
}

fn configuration(http: SocketAddr, grpc: SocketAddr, upstream: SocketAddr, places: &Places) -> String {
    let scratch = places.scratch.display();
    // Two connections per stream, and the workers do not share them evenly.
    let connections = 2 * places.streams + 1_000;
    format!(
        "daemon off;
worker_processes {WORKERS};
pid {scratch}/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile {connections};
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/fastcgi;
  uwsgi_temp_path {scratch}/uwsgi; scgi_temp_path {scratch}/scgi;
  proxy_http_version 1.1;
  proxy_set_header Connection '';
  upstream plain {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; }}
  upstream calls {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen {http} reuseport backlog=4096;
    location / {{ proxy_pass http://plain; }}
    location /stream {{ proxy_pass http://plain; proxy_buffering off; proxy_read_timeout 1h; }}
  }}
  server {{
    listen {grpc} http2 reuseport;
    http2_max_concurrent_streams 1024;
    location / {{ grpc_pass grpc://calls; }}
  }}
}}
"
    )
}
