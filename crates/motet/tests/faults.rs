//! Faults that people put on a running system, and what its callers see of them.

use crate::scratch::{Scratch, get, shown, until};
use serde_json::Value;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

const THREE: &str = "
motet: 1
system: trio
services:
  front:
    path: .
    process: { command: python3 service.py }
    ready: { http: /healthz }
    uses: { back: { timeout: 5s, retry: { attempts: 6 } }, side: { timeout: 5s }, fragile: { timeout: 300ms } }
  back:
    path: .
    process: { command: python3 service.py }
    ready: { http: /healthz }
    scale: 2
  side:
    path: .
    process: { command: python3 service.py }
    ready: { http: /healthz }
  fragile:
    path: .
    process: { command: python3 service.py }
    ready: { http: /healthz }
gateway:
  listen: 127.0.0.1:0
  routes: { /: front }
";

/// The address that the front was given for a callee.
fn edge(system: &Scratch, callee: &str) -> String {
    edge_of(system, callee)["url"].as_str().expect("an address").trim_start_matches("http://").to_owned()
}

fn edge_of(system: &Scratch, callee: &str) -> Value {
    let ps = system.ps();
    let edges = ps["edges"].as_array().expect("edges");
    edges.iter().find(|edge| edge["callee"] == callee).cloned().expect("the edge")
}

fn code(body: &str) -> String {
    serde_json::from_str::<Value>(body)
        .map(|problem| problem["code"].as_str().unwrap_or_default().to_owned())
        .unwrap_or_default()
}

/// One call: its status, Motet's code if the answer is Motet's own, and how long it took.
fn timed(address: &str) -> (u16, String, Duration) {
    let begun = Instant::now();
    let (status, body) = get(address, "/who").expect("an answer");
    (status, code(&body), begun.elapsed())
}

fn quantile(mut times: Vec<Duration>, share: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize]
}

#[test]
fn latency_on_one_edge_is_seen_by_its_caller_and_other_edges_do_not_notice() {
    let system = Scratch::new(THREE);
    system.up();
    let (back, side) = (edge(&system, "back"), edge(&system, "side"));
    system.done(&["fault", "add", "--edge", "front->back", "--latency", "1s"]);
    let (status, _, time) = timed(&back);
    assert!(status == 200 && time >= Duration::from_secs(1), "{status} after {time:?}");
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| (0..3).map(|_| timed(&back).2).collect::<Vec<_>>());
        let others: Vec<_> = (0..50).map(|_| timed(&side)).collect();
        assert!(others.iter().all(|(status, ..)| *status == 200));
        let median = quantile(others.into_iter().map(|(.., time)| time).collect(), 0.5);
        assert!(median < Duration::from_millis(500), "{median:?}");
        assert!(slow.join().expect("calls").into_iter().all(|time| time >= Duration::from_secs(1)));
    });
    system.done(&["fault", "remove", "--edge", "front→back"]);
    let times = (0..20).map(|_| timed(&back).2).collect();
    assert!(quantile(times, 0.5) < Duration::from_millis(500));
}

#[test]
fn retries_hide_aborts_that_are_worth_another_try_and_others_are_seen_as_often_as_was_asked_for() {
    let system = Scratch::new(THREE);
    system.up();
    let back = edge(&system, "back");
    system.done(&["fault", "add", "--edge", "front->back", "--abort", "503:10%"]);
    let seen: Vec<u16> = (0..200).map(|_| timed(&back).0).collect();
    assert!(seen.iter().all(|status| *status == 200), "{seen:?}");
    let retries = edge_of(&system, "back")["traffic"]["retries"].as_u64().expect("a number");
    assert!((5..=60).contains(&retries), "a tenth of 200 calls was tried again: {retries}");
    system.done(&["fault", "remove", "--all"]);
    system.done(&["fault", "add", "--edge", "front->back", "--abort", "500:20%"]);
    let failed = (0..200).filter(|_| timed(&back).0 == 500).count();
    assert!((15..=75).contains(&failed), "a fifth of 200 calls: {failed}");
}

#[test]
fn an_edge_to_a_hanging_service_fails_by_its_deadline_then_its_breaker_opens_and_removing_the_fault_heals_it() {
    let system = Scratch::new(THREE);
    system.up();
    let (fragile, side) = (edge(&system, "fragile"), edge(&system, "side"));
    system.done(&["fault", "add", "--edge", "front->fragile", "--blackhole"]);
    let first = timed(&fragile);
    assert_eq!((first.0, first.1.as_str()), (504, "MO-proxy-203"));
    assert!(first.2 >= Duration::from_millis(300), "{first:?}");
    until("the breaker has opened", || timed(&fragile).1 == "MO-proxy-207");
    assert_eq!(edge_of(&system, "fragile")["traffic"]["ejected"], serde_json::json!(["fragile-1"]));

    let stop = AtomicBool::new(false);
    let (hanging, others) = std::thread::scope(|scope| {
        let load = |address: String| {
            let stop = &stop;
            move || {
                let mut seen = Vec::new();
                while !stop.load(Ordering::Relaxed) && seen.len() < 20_000 {
                    seen.push(timed(&address));
                    std::thread::park_timeout(Duration::from_millis(2));
                }
                seen
            }
        };
        let (hanging, others) = (scope.spawn(load(fragile.clone())), scope.spawn(load(side)));
        let begun = Instant::now();
        until("a few probes have failed", || begun.elapsed() > Duration::from_secs(4));
        stop.store(true, Ordering::Relaxed);
        (hanging.join().expect("calls"), others.join().expect("calls"))
    });
    let quick = hanging.iter().filter(|(_, code, _)| code == "MO-proxy-207").count();
    assert!(
        hanging.iter().all(|(status, ..)| *status != 200) && quick * 10 > hanging.len() * 9,
        "{quick} of {}",
        hanging.len()
    );
    let p99 = quantile(hanging.iter().map(|it| it.2).collect(), 0.99);
    let worst = quantile(hanging.iter().map(|it| it.2).collect(), 1.0);
    assert!(p99 < Duration::from_millis(600) && worst < Duration::from_secs(2), "p99 {p99:?}, worst {worst:?}");
    assert!(others.iter().all(|(status, ..)| *status == 200));
    let p99 = quantile(others.iter().map(|it| it.2).collect(), 0.99);
    assert!(p99 < Duration::from_millis(500), "{p99:?} on the other edge");

    system.done(&["fault", "remove", "--edge", "front->fragile"]);
    until("the edge is well again", || timed(&fragile).0 == 200);
    assert_eq!(edge_of(&system, "fragile")["traffic"]["ejected"], serde_json::json!([]));
}

#[test]
fn an_answer_can_be_cut_and_slowed() {
    let system = Scratch::new(THREE);
    system.up();
    let side = edge(&system, "side");
    let whole = get(&side, "/env").expect("an answer").1.len();
    assert!(whole > 600, "{whole}");
    system.done(&["fault", "add", "--edge", "front->side", "--cut", "100B"]);
    let cut = get(&side, "/env").map_or(0, |(_, body)| body.len());
    assert!(cut <= 100, "{cut} of {whole} bytes");
    system.done(&["fault", "remove", "--all"]);
    let rate = whole / 2;
    system.done(&["fault", "add", "--edge", "front->side", "--slow", &format!("{rate}B/s")]);
    let begun = Instant::now();
    assert_eq!(get(&side, "/env").expect("an answer").1.len(), whole);
    assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[test]
fn a_fault_on_a_route_is_seen_from_outside_and_not_on_the_edges() {
    let system = Scratch::new(THREE);
    system.up();
    system.done(&["fault", "add", "--route", "/", "--abort", "500"]);
    assert_eq!(get(&system.gateway(), "/who").expect("an answer").0, 500);
    assert!(system.done(&["call", "front", "/who"]).contains("version"));
    system.done(&["fault", "remove", "--route", "/"]);
    assert_eq!(get(&system.gateway(), "/who").expect("an answer").0, 200);
}

#[test]
fn faults_are_shown_until_they_end_by_themselves_or_with_the_system() {
    let system = Scratch::new(THREE);
    system.up();
    assert!(!system.done(&["ps"]).contains("by hand"));
    let said = system.motet(&["fault", "add", "--edge", "front->back", "--latency", "50ms:25%"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("stays until `motet fault remove"), "{}", shown(&said));
    let said = system.motet(&["fault", "add", "--edge", "front->side", "--blackhole=0.5", "--for", "2s"]);
    assert!(said.stderr.is_empty() && String::from_utf8_lossy(&said.stdout).contains("ends in"), "{}", shown(&said));
    let text = system.done(&["ps"]);
    assert!(
        text.contains("2 faults are on by hand:") && text.contains("front→back: latency 50ms for 25% of tries"),
        "{text}"
    );
    until("the shorter one has ended", || system.ps()["faults"].as_array().is_some_and(|faults| faults.len() == 1));
    let listed: Value = serde_json::from_str(&system.done(&["fault", "list", "--json"])).expect("JSON");
    assert_eq!((&listed[0]["door"]["edge"], &listed[0]["effect"]["latency_ms"]), (&"front→back".into(), &50.into()));
    assert_eq!(listed[0]["until"], Value::Null);

    // A new definition that keeps the edge keeps its fault; one without it forgets it.
    system.define(&THREE.replace("/: front", "/: front, /back: back"));
    system.done(&["up", "--detach", "--wait"]);
    assert_eq!(system.ps()["faults"].as_array().map(Vec::len), Some(1));
    system.done(&["down"]);
    system.up();
    assert_eq!(system.done(&["fault", "list", "--json"]).trim(), "[]");
}

#[test]
fn a_mistyped_edge_or_route_is_answered_with_the_nearest_and_with_all_that_there_are() {
    let system = Scratch::new(THREE);
    system.up();
    let refused = |arguments: &[&str], parts: &[&str]| {
        let output = system.motet(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    };
    refused(
        &["fault", "add", "--edge", "front->bakc", "--blackhole"],
        &["There is no edge front→bakc", "did you mean `front->back`?", "front->side"],
    );
    refused(&["fault", "remove", "--edge", "back->front"], &["There is no edge back→front", "front->fragile"]);
    refused(&["fault", "add", "--route", "/nowhere", "--blackhole"], &["There is no route /nowhere", "there are: /"]);
    refused(&["fault", "add", "--edge", "front->back"], &["Which fault?"]);
    refused(&["fault", "add", "--edge", "front->back", "--latency", "2"], &["not a duration"]);
    refused(&["fault", "add", "--edge", "front->back", "--latency", "2h"], &["at most an hour"]);
    refused(&["fault", "remove"], &["--all"]);
    assert_eq!(system.ps()["faults"], serde_json::json!([]));
}
