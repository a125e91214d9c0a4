//! What happens when things are killed.

use crate::scratch::{Scratch, ended, get, is_running, kill, until};
use std::{
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

const TWINS: &str = "
motet: 1
system: twins
services:
  twin:
    path: .
    process: { command: python3 service.py }
    ready: { http: /healthz }
    scale: 2
gateway:
  listen: 127.0.0.1:0
  routes: { /: twin }
";

#[test]
fn a_killed_instance_is_replaced_within_a_second_and_ps_says_what_happened() {
    let system = Scratch::new(TWINS);
    system.up();
    let before = system.pids("twin");
    let address = system.gateway();
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let load = || {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                match get(&address, "/who") {
                    Ok((200, _)) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                    other => failures.push(format!("{other:?}")),
                }
            }
            failures
        };
        let clients = [scope.spawn(load), scope.spawn(load)];
        until("some requests", || answered.load(Ordering::Relaxed) > 20);
        kill(before[0], "KILL");
        let killed = Instant::now();
        until("another process is in its place", || {
            let now = system.pids("twin");
            now.len() == 2 && !now.contains(&before[0])
        });
        let took = killed.elapsed();
        until("both are ready", || system.service("twin")["ready"] == 2);
        stop.store(true, Ordering::Relaxed);
        let failures: Vec<String> = clients.into_iter().flat_map(|client| client.join().expect("a client")).collect();
        assert_eq!(failures, Vec::<String>::new(), "an edge with two instances loses no idempotent request");
        assert!(took < Duration::from_secs(1), "restarted after {took:?}");
    });
    let service = system.service("twin");
    assert_eq!(service["failure"]["reason"], "killed by SIGKILL");
    assert!(system.done(&["ps"]).contains("twin: killed by SIGKILL"), "{}", system.done(&["ps"]));
}

#[test]
fn when_motet_itself_is_killed_no_service_outlives_it_and_the_next_up_is_clean() {
    let system = Scratch::new(TWINS);
    system.up();
    let pids = system.pids("twin");
    kill(system.supervisor(), "KILL");
    until("the services have ended", || !pids.iter().any(|pid| is_running(*pid)));
    assert_eq!(system.motet(&["ps"]).status.code(), Some(4));
    system.up();
    assert_eq!(system.service("twin")["ready"], 2);
    assert!(pids.iter().all(|pid| !is_running(*pid)));
}

#[test]
fn when_the_guard_is_killed_too_the_next_up_ends_what_was_left() {
    let system = Scratch::new(TWINS);
    system.up();
    let (pids, supervisor) = (system.pids("twin"), system.supervisor());
    let guard = child_named(supervisor, "guard");
    // Stopped first, so that it cannot do its work in between.
    kill(guard, "STOP");
    kill(supervisor, "KILL");
    kill(guard, "KILL");
    until("motet has ended", || !is_running(supervisor));
    assert!(pids.iter().all(|pid| is_running(*pid)), "nobody was left to end them");
    system.up();
    assert!(!pids.iter().any(|pid| is_running(*pid)));
    assert_eq!(system.service("twin")["ready"], 2);
}

#[test]
fn when_a_foreground_up_is_killed_its_system_stops() {
    let system = Scratch::new(TWINS);
    let mut child = system.command(&["up"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("up");
    until("ready", || {
        let output = system.motet(&["ps", "--json"]);
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("\"phase\": \"ready\"")
    });
    assert_eq!(get(&system.gateway(), "/").expect("an answer").0, 200);
    let (pids, supervisor) = (system.pids("twin"), system.supervisor());
    child.kill().expect("killed");
    ended(&mut child);
    until("motet has ended", || !is_running(supervisor));
    assert!(!pids.iter().any(|pid| is_running(*pid)));
}

fn child_named(parent: u32, word: &str) -> u32 {
    let children = std::fs::read_dir("/proc").expect("proc").filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let ppid: u32 = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        (ppid == parent && line.contains(word)).then_some(pid)
    });
    children.last().expect("a child of that name")
}
