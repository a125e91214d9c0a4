//! Policies of the definition on a system that runs: in force, and changed without anybody noticing but those who call.

use crate::scratch::{PATIENCE, Scratch, get, shown, until};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::Instant,
};

const SLOW: &str = "
motet: 1
system: slow
services:
  back:
    path: .
    process: { command: python3 service.py }
    ready: { http: /healthz }
    policy: { timeout: 20s }
gateway:
  listen: 127.0.0.1:0
  routes: { /: back }
";

/// One connection that is kept open.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        Self(BufReader::new(stream))
    }

    fn send(&mut self, path: &str) {
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nHost: slow\r\n\r\n").expect("the connection takes a request");
    }

    /// Status and body of the next answer.
    fn receive(&mut self) -> (u16, String) {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).expect("an answer") > 0, "the connection was closed: {head}");
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a length");
            }
            head += &line;
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, String::from_utf8(body).expect("text"))
    }
}

#[test]
fn a_policy_that_is_changed_by_a_second_up_holds_at_once_on_connections_that_stay_open() {
    let system = Scratch::new(SLOW);
    system.up();
    let pids = system.pids("back");
    let address = system.gateway();
    let (mut busy, mut idle) = (Connection::new(&address), Connection::new(&address));
    idle.send("/who");
    assert_eq!(idle.receive().0, 200);
    busy.send("/slow?ms=3000");
    system.define(&SLOW.replace("/: back", "/: { to: back, timeout: 400ms }"));
    let said = system.motet(&["up", "--detach"]);
    assert!(shown(&said).contains("runs already: changed the gateway."), "{}", shown(&said));
    let begun = Instant::now();
    idle.send("/slow?ms=9000");
    let (status, problem) = idle.receive();
    assert_eq!(status, 504, "{problem}");
    assert!(problem.contains("MO-proxy-203"), "{problem}");
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    let (status, body) = busy.receive();
    assert_eq!(status, 200, "what was under way ends as it began: {body}");
    busy.send("/who");
    assert_eq!(busy.receive().0, 200, "the connection is as before");
    assert_eq!(system.pids("back"), pids, "no service was touched");
}

#[test]
fn a_policy_that_is_changed_in_the_file_holds_when_watching() {
    let system = Scratch::new(SLOW);
    system.done(&["up", "--detach", "--wait", "--watch"]);
    let pids = system.pids("back");
    let mut connection = Connection::new(&system.gateway());
    connection.send("/slow?ms=300");
    assert_eq!(connection.receive().0, 200);
    system.define(&SLOW.replace("timeout: 20s", "timeout: 100ms"));
    until("the timeout has become shorter", || {
        connection.send("/slow?ms=300");
        connection.receive().0 == 504
    });
    system.define(SLOW);
    until("the timeout has become longer again", || {
        connection.send("/slow?ms=300");
        connection.receive().0 == 200
    });
    assert_eq!(system.pids("back"), pids, "no service was touched");
}

#[test]
fn a_service_that_runs_elsewhere_has_its_policy_too() {
    // It accepts connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let system = Scratch::new(&format!(
        "motet: 1\nsystem: far\nservices:\n  far:\n    external: {{ url: \"http://127.0.0.1:{port}\" }}\n    policy: {{ timeout: 300ms }}\n"
    ));
    system.up();
    let begun = Instant::now();
    let output = system.motet(&["call", "far", "/"]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(shown(&output).contains("MO-proxy-203"), "{}", shown(&output));
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[test]
fn paths_rates_and_fallbacks_of_the_definition_are_in_force() {
    // Bound and dropped: nobody listens there.
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let system = Scratch::new(&format!(
        "motet: 1
system: layered
services:
  back:
    path: .
    process: {{ command: python3 service.py }}
    ready: {{ http: /healthz }}
    policy: {{ paths: {{ /slow: {{ timeout: 300ms, retry: never }} }} }}
  gone:
    external: {{ url: \"http://{nobody}\" }}
    policy:
      ready_wait: 0s
      fallback: {{ to: back }}
      paths: {{ /fixed: {{ fallback: {{ answer: {{ json: {{ found: [] }} }} }} }} }}
gateway:
  listen: 127.0.0.1:0
  routes:
    /: back
    /few: {{ to: back, strip_prefix: true, rate: {{ requests: 3, per: 1h }} }}
    /gone: {{ to: gone, strip_prefix: true }}
"
    ));
    system.up();
    let address = system.gateway();
    let ask = |path: &str| get(&address, path).expect("an answer");
    assert_eq!(ask("/slow?ms=9000").0, 504);
    assert_eq!(ask("/few/slow?ms=9000").0, 504, "a path is what the service sees");
    assert_eq!(ask("/slower?ms=0").0, 200);
    let back = system.pids("back")[0];
    let (status, stand_in) = ask("/gone/who");
    assert!(status == 200 && stand_in.contains(&back.to_string()), "{status} {stand_in}");
    assert_eq!(ask("/gone/fixed/x"), (200, r#"{"found":[]}"#.to_owned()));
    let statuses: Vec<u16> = (0..6).map(|_| ask("/few/who").0).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 6 - 2, "{statuses:?}");
}
