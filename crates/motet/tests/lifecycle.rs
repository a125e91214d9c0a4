//! Up, look, change, down.

use crate::scratch::{PATIENCE, Scratch, ended, get, is_running, shown, until};
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

const TWO: &str = "
motet: 1
system: pair
services:
  front:
    path: .
    process: { command: python3 service.py }
    ready: { http: /healthz }
    uses: { back: { timeout: 5s } }
    env: { GREETING: hello }
  back:
    path: .
    process: { command: python3 service.py }
    ready: { http: /healthz }
gateway:
  listen: 127.0.0.1:0
  routes: { /: front, /back: { to: back, strip_prefix: true } }
";

#[test]
fn a_system_comes_up_in_order_is_seen_and_goes_down() {
    let system = Scratch::new(TWO);
    system.up();
    let state = system.ps();
    assert_eq!(state["phase"], "ready");
    assert_eq!(state["services"][0]["name"], "back");
    let (status, body) = get(&system.gateway(), "/env").expect("an answer");
    assert_eq!(status, 200);
    let env: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let edge = env["BACK_URL"].as_str().expect("the edge's address").trim_start_matches("http://").to_owned();
    assert_eq!(env["services__back__http__0"], env["BACK_URL"]);
    assert_eq!((&env["GREETING"], &env["OTEL_SERVICE_NAME"]), (&"hello".into(), &"front".into()));
    assert_eq!(get(&edge, "/who").expect("an answer").0, 200);
    let ps = system.ps();
    assert_eq!((&ps["edges"][0]["caller"], &ps["edges"][0]["traffic"]["requests"]), (&"front".into(), &1.into()));
    let pids: Vec<u32> = ["front", "back"].iter().flat_map(|name| system.pids(name)).collect();
    system.done(&["down"]);
    assert!(!pids.into_iter().any(is_running));
    assert_eq!(system.motet(&["ps"]).status.code(), Some(4));
    assert_eq!(system.motet(&["down"]).status.code(), Some(0), "what is down already is down");
}

#[test]
fn a_second_up_finds_the_running_system_and_makes_it_match_the_definition() {
    let system = Scratch::new(TWO);
    system.up();
    let (supervisor, back) = (system.supervisor(), system.pids("back"));
    let said = system.motet(&["up", "--detach"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("runs already: nothing changed"), "{}", shown(&said));
    system.define(&TWO.replace("GREETING: hello", "GREETING: goodbye"));
    let said = system.motet(&["up", "--detach", "--wait"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("changed front"), "{}", shown(&said));
    until("the changed service has its new environment", || {
        get(&system.gateway(), "/env").is_ok_and(|(_, body)| body.contains("goodbye"))
    });
    assert_eq!((system.supervisor(), system.pids("back")), (supervisor, back), "what did not change was left alone");
    system.define("motet: 1\nsystem: pair\nservices: { front: { procces: x } }\n");
    let refused = system.motet(&["up", "--detach"]);
    assert_eq!(refused.status.code(), Some(3), "{}", shown(&refused));
    assert_eq!(get(&system.gateway(), "/").expect("still there").0, 200);
}

#[test]
fn scaling_and_restarting_under_load_fail_no_request() {
    let system = Scratch::new(TWO);
    system.up();
    let address = system.gateway();
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let load = || {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                match get(&address, "/back/slow?ms=5") {
                    Ok((200, _)) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                    other => failures.push(format!("{other:?}")),
                }
            }
            failures
        };
        let clients = [scope.spawn(load), scope.spawn(load), scope.spawn(load)];
        system.done(&["scale", "back=3"]);
        assert_eq!(system.pids("back").len(), 3);
        let seen: BTreeSet<u32> = system.pids("back").into_iter().collect();
        system.done(&["restart", "back"]);
        assert!(system.pids("back").iter().all(|pid| !seen.contains(pid)), "every instance was replaced");
        system.done(&["scale", "back=1"]);
        until("enough requests", || answered.load(Ordering::Relaxed) > 100);
        stop.store(true, Ordering::Relaxed);
        let failures: Vec<String> = clients.into_iter().flat_map(|client| client.join().expect("a client")).collect();
        assert_eq!(failures, Vec::<String>::new());
    });
}

#[test]
fn up_in_the_foreground_prints_logs_and_stops_everything_when_interrupted() {
    let system = Scratch::new(TWO);
    let mut up = system.command(&["up"]);
    let mut child = up.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("up");
    let mut said = BufReader::new(child.stderr.take().expect("piped")).lines();
    assert!(said.by_ref().any(|line| line.expect("a line").contains("pair is ready")));
    let pids: Vec<u32> = ["front", "back"].iter().flat_map(|name| system.pids(name)).collect();
    crate::scratch::kill(child.id(), "INT");
    assert!(ended(&mut child).success());
    assert!(!pids.into_iter().any(is_running));
}

#[test]
fn logs_come_from_the_files_and_only_of_the_services_asked_for() {
    let system = Scratch::new(TWO);
    system.up();
    let text = system.done(&["logs", "back", "-n", "5"]);
    assert!(text.contains("back-1 │ hello from back"), "{text}");
    assert!(!text.contains("front"), "{text}");
    let line = system.done(&["--json", "logs", "front"]);
    let event: serde_json::Value = serde_json::from_str(line.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&event["line"]["service"], &event["line"]["stream"]), (&"front".into(), &"out".into()));
    let unknown = system.motet(&["logs", "bakc"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", shown(&unknown));
}

#[test]
fn call_goes_over_the_rules_of_an_edge_and_its_exit_code_says_how_it_went() {
    let system = Scratch::new(TWO);
    system.up();
    assert!(system.done(&["call", "back", "/who"]).contains("\"version\": 1"));
    assert!(system.done(&["call", "front->back", "/who"]).contains("\"version\": 1"));
    assert_eq!(system.ps()["edges"][0]["traffic"]["requests"], 1);
    let post = system.motet(&["call", "back", "/who", "-d", "{}"]);
    assert_eq!(post.status.code(), Some(1), "the service knows no POST: {}", shown(&post));
}

#[test]
fn a_service_that_cannot_start_says_why_and_up_ends_with_its_code() {
    let system = Scratch::new(
        "motet: 1\nsystem: broken\nservices:\n  bad:\n    path: .\n    process: { command: \"echo no such model >&2; exit 3\" }\n",
    );
    let output = system.motet(&["up", "--detach", "--wait", "--wait-timeout", "50s"]);
    assert_eq!(output.status.code(), Some(6), "{}", shown(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("exited with 3") && said.contains("no such model"), "{said}");
}

#[test]
fn a_changed_file_replaces_its_service_without_a_failed_request_when_watching() {
    let system = Scratch::new(TWO);
    system.done(&["up", "--detach", "--wait", "--watch"]);
    let address = system.gateway();
    let code = fs::read_to_string(system.path().join("service.py")).expect("read");
    fs::write(system.path().join("service.py"), code.replace("VERSION = 1", "VERSION = 2")).expect("written");
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let (status, body) = get(&address, "/back/who").expect("never a failed request");
        assert_eq!(status, 200);
        if body.contains("\"version\": 2") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "not replaced");
    }
}
