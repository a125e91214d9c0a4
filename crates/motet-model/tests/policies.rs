//! Which policy is in force: whose word wins, and that each value knows its place.

use super::support::{codes, load, load_with};
use motet_model::{
    in_force::{InForce, Origin, Subject},
    system::policy::{Fallback, Limit, PathPolicy, Policy, Rate},
};
use std::time::Duration;

/// A system of a caller, a callee with a policy, and a route to it.
fn system(policy: &str, edge: &str, route: &str) -> String {
    format!(
        "motet: 1\nsystem: s\nservices:\n  a:\n    process: {{ command: ./a }}\n    uses:\n      b: {edge}\n  b:\n    process: {{ command: ./b }}\n    policy: {policy}\n  c: {{ process: {{ command: ./c }} }}\ngateway:\n  routes:\n    /: {route}\nprofiles:\n  busy: {{ services: {{ b: {{ policy: {{ timeout: 8s }} }} }} }}\n"
    )
}

/// What is in force on the edge, and on those of its paths that have words of their own.
fn edge(policy: &str, edge: &str) -> (Policy, Vec<PathPolicy>) {
    let loaded = load(&system(policy, edge, "a")).unwrap_or_else(|problems| panic!("{problems}"));
    let edge = loaded.system.services["a"].uses["b"].clone();
    (edge.policy, edge.paths)
}

fn seconds(policy: &Policy) -> u64 {
    policy.timeout.as_secs()
}

#[test]
fn an_edge_begins_with_what_its_callee_says_and_has_the_last_word() {
    let callee = "{ timeout: 7s, retry: { attempts: 5, on: [500] }, concurrency: { queue: 9, limit: 2 }, rate: 60/m }";
    let (plain, _) = edge(callee, "{}");
    assert_eq!((seconds(&plain), plain.retry.attempts, plain.retry.on.as_slice()), (7, 5, &[500][..]));
    let (own, _) = edge(callee, "{ timeout: 2s, retry: { on: [503] }, concurrency: 64, rate: { requests: 5 } }");
    assert_eq!((seconds(&own), own.retry.attempts, own.retry.on.as_slice()), (2, 5, &[503][..]));
    assert_eq!((own.concurrency.limit, own.concurrency.queue), (Limit::Fixed(64), 9), "the short form leaves the rest");
    let rate = Rate { requests: 5, per: Duration::from_secs(60), burst: 5, by_client: false };
    assert_eq!(own.rate, Some(rate));
}

#[test]
fn a_word_turns_off_what_the_callee_says_and_a_map_turns_it_on_again() {
    let callee =
        "{ retry: { attempts: 5 }, breaker: { failures: 2 }, hedge: { after: 1s }, rate: 5/s, fallback: { to: c } }";
    let (off, paths) = edge(
        callee,
        "{ retry: never, breaker: never, hedge: never, rate: none, fallback: none, paths: { /x: { retry: { on: [500] }, breaker: {} } } }",
    );
    assert_eq!((off.retry.attempts, off.breaker, off.hedge, off.rate, &off.fallback), (1, None, None, None, &None));
    let [path] = paths.as_slice() else { panic!("{paths:?}") };
    assert_eq!((path.policy.retry.attempts, path.policy.breaker.map(|breaker| breaker.failures)), (3, Some(5)));
    assert_eq!(path.policy.fallback, None);
}

#[test]
fn a_path_has_what_it_does_not_say_from_the_longest_shorter_one_and_then_from_around_it() {
    let callee = "{ timeout: 10s, idle: 1m, paths: { /v1: { timeout: 11s, priority: 1 }, /v1/embed: { idle: 2m } } }";
    let (whole, paths) = edge(callee, "{ paths: { /v1/embed/: { timeout: 3s }, /v10: { priority: 6 } } }");
    assert_eq!((seconds(&whole), whole.priority, whole.idle.as_secs()), (10, 3, 60));
    let seen: Vec<_> = paths
        .iter()
        .map(|path| (path.prefix.as_str(), seconds(&path.policy), path.policy.priority, path.policy.idle.as_secs()))
        .collect();
    assert_eq!(seen, [("/v1", 11, 1, 60), ("/v1/embed", 3, 1, 120), ("/v10", 10, 6, 60)]);
}

#[test]
fn the_caller_wins_over_a_path_of_the_callee() {
    let callee = "{ timeout: 10s, paths: { /slow: { timeout: 20s, priority: 1 } } }";
    let (_, paths) = edge(callee, "{ timeout: 2s }");
    assert_eq!((seconds(&paths[0].policy), paths[0].policy.priority), (2, 1));
}

#[test]
fn a_route_and_a_caller_without_words_have_the_callees_policy_too() {
    let callee = "{ timeout: 7s, fallback: { answer: { text: later } }, paths: { /x: { timeout: 9s } } }";
    let text = system(callee, "{ timeout: 2s }", "{ to: b, fallback: { to: c } }");
    let system = load(&text).unwrap_or_else(|problems| panic!("{problems}")).system;
    let gateway = system.gateway.expect("written");
    let route = &gateway.routes["/"];
    assert_eq!((seconds(&route.policy), seconds(&route.paths[0].policy)), (7, 9));
    assert_eq!(route.policy.fallback, Some(Fallback::Service("c".parse().expect("name"))), "one replaces the other");
    assert_eq!(seconds(&system.services["b"].policy), 7);
    assert_eq!(system.services["b"].paths.len(), 1);
}

fn in_force(text: &str, profiles: &[&str], subject: &Subject) -> InForce {
    let loaded = load_with(&[("/motet.yaml", text)], profiles, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    loaded.in_force(subject).expect("it exists")
}

/// `value, origin` of a key.
fn row(in_force: &InForce, key: &str) -> String {
    let row = in_force.rows.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("{key}: {in_force:#?}"));
    format!("{}, {}", row.value, row.origin)
}

#[test]
fn each_value_knows_who_wrote_it_and_where() {
    let callee = "{ timeout: 7s, concurrency: 64, rate: 60/m, breaker: never, paths: { /x: { idle: 1m } } }";
    let text = system(
        callee,
        "{ try_timeout: 1s, retry: { attempts: 2 }, paths: { /x: { timeout: 9s } } }",
        "{ to: b, hedge: { after: 1s } }",
    );
    let edge = Subject::Edge { caller: "a".parse().expect("name"), callee: "b".parse().expect("name") };
    let seen = in_force(&text, &[], &edge);
    for (key, expected) in [
        ("timeout", "7s, service `b`, motet.yaml:10"),
        ("try_timeout", "1s, edge, motet.yaml:7"),
        ("first_byte", "as long as `try_timeout`, default"),
        ("concurrency.limit", "64, service `b`, motet.yaml:10"),
        ("concurrency.queue", "1024, default"),
        ("rate.per", "1m, service `b`, motet.yaml:10"),
        ("rate.burst", "60, default"),
        ("retry.attempts", "2, edge, motet.yaml:7"),
        ("retry.on", "502, 503, 504, default"),
        ("breaker", "never, service `b`, motet.yaml:10"),
        ("wait", "ready, default"),
        ("protocol", "http1, default"),
    ] {
        assert_eq!(row(&seen, key), expected, "{key}");
    }
    let [(prefix, rows)] = seen.paths.as_slice() else { panic!("{:#?}", seen.paths) };
    let rows: Vec<_> = rows.iter().map(|row| format!("{} {}, {}", row.key, row.value, row.origin)).collect();
    assert_eq!(prefix, "/x");
    assert_eq!(rows, ["timeout 9s, path `/x`, motet.yaml:7", "idle 1m, service `b`, path `/x`, motet.yaml:10"]);

    let busy = in_force(&text, &["busy"], &edge);
    assert_eq!(row(&busy, "timeout"), "8s, service `b`, motet.yaml:16 (profile busy)");
    assert_eq!(row(&busy, "concurrency.limit"), "64, service `b`, motet.yaml:10");
    let route = in_force(&text, &[], &Subject::Route("/".into()));
    assert_eq!(row(&route, "hedge.after"), "1s, route, motet.yaml:14");
    let operator = in_force(&text, &[], &Subject::Service("b".parse().expect("name")));
    assert_eq!(
        (row(&operator, "retry.attempts"), row(&operator, "timeout")),
        ("3, default".into(), "7s, service `b`, motet.yaml:10".into())
    );
}

#[test]
fn what_is_shown_is_what_is_in_force_for_every_key() {
    let loaded = load(super::support::FULL).unwrap_or_else(|problems| panic!("{problems}"));
    for (caller, service) in &loaded.system.services {
        for (callee, edge) in &service.uses {
            let subject = Subject::Edge { caller: caller.clone(), callee: callee.clone() };
            let seen = loaded.in_force(&subject).expect("it exists");
            let timeout = motet_kernel::quantity::show_duration(edge.policy.timeout);
            assert_eq!(seen.rows[0].value, timeout, "{caller}→{callee}");
            assert!(seen.rows.len() >= 20);
            assert!(seen.rows.iter().all(|row| !row.value.is_empty()));
        }
    }
    let nobody = Subject::Edge { caller: "embedder".parse().expect("name"), callee: "web".parse().expect("name") };
    assert_eq!(loaded.in_force(&nobody), None);
    assert_eq!(loaded.in_force(&Subject::Route("/nowhere".into())), None);
}

#[test]
fn a_value_that_an_anchor_brings_to_two_places_belongs_to_the_more_specific_one() {
    let text = system("&p { timeout: 7s }", "{}", "a").replace("b: {}", "b: *q");
    let text = text
        .replace("system: s\n", "system: s\nx-p: &q { timeout: 7s }\n")
        .replace("policy: &p { timeout: 7s }", "policy: *q");
    let edge = Subject::Edge { caller: "a".parse().expect("name"), callee: "b".parse().expect("name") };
    let seen = in_force(&text, &[], &edge);
    assert!(matches!(&seen.rows[0].origin, Origin::Written { by, line: 3, .. } if by == "edge"), "{:?}", seen.rows[0]);
}

#[test]
fn more_policies_of_paths_than_anybody_writes_are_refused_before_they_are_made() {
    let paths: String = (0..200).map(|n| format!("/p{n}: {{}}, ")).collect();
    let callers: String =
        (0..200).map(|n| format!("  c{n}: {{ process: {{ command: ./c }}, uses: {{ b: }} }}\n")).collect();
    let text = format!(
        "motet: 1\nsystem: s\nservices:\n  b: {{ process: {{ command: ./b }}, policy: {{ paths: {{ {paths} }} }} }}\n{callers}"
    );
    assert_eq!(codes(&text), ["MO-model-131"]);
}
