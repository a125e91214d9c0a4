//! Views as services meet them: a table that is there when they start, follows a topic, and is exact after whatever is killed.

use crate::{
    book::{blocks, commands},
    scratch::{PATIENCE, Scratch, get, kill, shown, until},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
};

const DEFINITION: &str = "
motet: 1
system: shop
topics:
  customer.changed: { key: /customerId, allow: [{ lint: MO-model-217, because: it is a test }] }
services:
  crm: { path: ., process: { command: python3 service.py }, ready: { http: /healthz }, publishes: [customer.changed] }
  orders:
    path: .
    process: { command: python3 service.py }
    store: { sqlite: {} }
    subscribes: { customer.changed: { view: { table: customers, delete: [customer.removed] } } }
gateway: { listen: 127.0.0.1:0, routes: { /crm: { to: crm, strip_prefix: true } } }
";

const VIEW: &str = "orders.customer.changed";

/// What a service would do with its store: statements, and the rows of the last one.
const ASK: &str = "
import json, sqlite3, sys
store = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
*first, last = sys.argv[2:]
for statement in first: store.execute(statement)
print(json.dumps(store.execute(last).fetchall()))
";

fn ask(system: &Scratch, statements: &[&str]) -> Vec<Vec<Value>> {
    let file = system.state().join("stores/orders/orders.db");
    let output = Command::new("python3").arg("-c").arg(ASK).arg(file).args(statements).output().expect("python");
    assert!(output.status.success(), "{statements:?}: {}", shown(&output));
    serde_json::from_slice(&output.stdout).expect("rows")
}

fn rows(system: &Scratch) -> Vec<(String, i64)> {
    let rows = ask(system, &["SELECT key, json_extract(value, '$.n') FROM customers ORDER BY key"]);
    let pair = |row: &Vec<Value>| (row[0].as_str().expect("a key").to_owned(), row[1].as_i64().expect("a number"));
    rows.iter().map(pair).collect()
}

fn told(system: &Scratch, arguments: &[&str]) -> Value {
    serde_json::from_str(&system.done(arguments)).expect("JSON")
}

fn view(system: &Scratch) -> Value {
    let events = told(system, &["topics", "--json"]);
    let all = events["subscriptions"].as_array().expect("subscriptions");
    all.iter().find(|it| it["name"] == VIEW).cloned().expect("the subscription")
}

fn is_through(system: &Scratch) -> bool {
    let view = view(system);
    [&view["waiting"], &view["in_flight"], &view["retrying"]].iter().all(|count| **count == 0)
}

fn publish(system: &Scratch, data: &Value, more: &[&str]) {
    let data = data.to_string();
    system.done(&[&["publish", "customer.changed", &data], more].concat());
}

/// Publishes events in one request, where the service would.
fn publish_many(url: &str, events: &[Value]) {
    let (address, body) = (url.trim_start_matches("http://"), json!(events).to_string());
    let mut stream = TcpStream::connect(address).expect("an address for events");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let kind = "application/cloudevents-batch+json";
    write!(
        stream,
        "POST /topics/customer.changed HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}

#[test]
fn a_service_reads_what_another_one_published_in_its_own_table() {
    let system = Scratch::new(DEFINITION);
    system.up();
    assert_eq!(rows(&system), [], "it is there before anything was published");
    for (key, n) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
        publish(&system, &json!({ "customerId": key, "n": n }), &[]);
    }
    publish(&system, &json!({ "customerId": "b" }), &["--type", "customer.removed"]);
    let pair = |key: &str, n: i64| (key.to_owned(), n);
    until("it is as was published", || rows(&system) == [pair("a", 3), pair("c", 4)]);
    assert_eq!((&view(&system)["mode"], &view(&system)["topic"]), (&json!("view"), &json!("customer.changed")));
    let explained = system.done(&["explain", "topic", "customer.changed"]);
    assert!(explained.contains("view.table") && explained.contains("customers"), "{explained}");

    // What cannot be a row is given up with its reason, and can be repaired.
    publish(&system, &json!({ "n": 5 }), &[]);
    until("it is a dead letter", || view(&system)["dead_letters"] == 1);
    let letters = system.done(&["dead-letters", "list", VIEW]);
    assert!(letters.contains("no key"), "{letters}");
    publish(&system, &json!({ "customerId": "d", "n": 7 }), &[]);
    system.done(&["dead-letters", "redrive", VIEW, "1", "--data", r#"{ "customerId": "d", "n": 6 }"#]);
    until("it is delivered", || view(&system)["dead_letters"] == 0 && is_through(&system));
    until("the newer one counts", || rows(&system) == [pair("a", 3), pair("c", 4), pair("d", 7)]);

    // What is lost comes back: rows by a replay, a whole table by itself.
    ask(
        &system,
        &[
            "DELETE FROM customers WHERE key = 'c'",
            "UPDATE customers SET value = '{\"n\":0}' WHERE key = 'a'",
            "SELECT 1",
        ],
    );
    system.done(&["replay", VIEW, "--from", "earliest"]);
    until("it is repaired", || rows(&system) == [pair("a", 3), pair("c", 4), pair("d", 7)]);
    ask(&system, &["DROP TABLE customers", "SELECT 1"]);
    publish(&system, &json!({ "customerId": "e", "n": 8 }), &[]);
    let there = || !ask(&system, &["SELECT 1 FROM sqlite_master WHERE name = 'customers'"]).is_empty();
    until("it is filled again", || there() && rows(&system).len() == 4);
    system.define(&DEFINITION.replace("table: customers", "table: clients"));
    system.up();
    let clients = || ask(&system, &["SELECT key FROM clients ORDER BY key"]).len();
    publish(&system, &json!({ "customerId": "f", "n": 9 }), &[]);
    until("the new table is filled", || clients() == 5);
}

#[test]
fn a_table_that_is_something_else_is_an_error_and_nothing_starts() {
    let system = Scratch::new(&DEFINITION.replace("subscribes: {", "subscribes: {} #"));
    system.up();
    ask(&system, &["CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)", "SELECT 1"]);
    system.define(DEFINITION);
    let refused = system.motet(&["up", "--detach"]);
    assert!(!refused.status.success());
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains("MO-relay-201") && text.contains("no column key"), "{}", shown(&refused));
    assert_eq!(ask(&system, &["SELECT count(*) FROM customers"]), [[json!(0)]]);
}

#[test]
fn the_table_is_exact_although_motet_is_killed_in_the_middle_of_five_thousand_events() {
    const EVENTS: i64 = 5000;
    let system = Scratch::new(DEFINITION);
    system.up();
    // Each application of an event takes a moment and is noted, in its transaction.
    let slow =
        "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT count(*) FROM n)";
    let trigger = |when: &str| {
        format!(
            "CREATE TRIGGER log_{when} AFTER {when} ON customers BEGIN INSERT INTO log VALUES (NEW.event_id, {slow}); END"
        )
    };
    ask(&system, &["CREATE TABLE log (id TEXT, n INTEGER)", &trigger("INSERT"), &trigger("UPDATE"), "SELECT 1"]);
    system.done(&["pause", VIEW]);
    let (_, environment) = get(&system.gateway(), "/crm/env").expect("the publisher's environment");
    let environment: Value = serde_json::from_str(&environment).expect("JSON");
    let url = environment["MOTET_URL"].as_str().expect("an address for events");
    let mut wanted = BTreeMap::new();
    for from in (0..EVENTS).step_by(250) {
        let event = |n: i64| {
            let key = format!("c-{:03}", n * 7919 % 997);
            let is_end = n % 13 == 5;
            if is_end {
                wanted.remove(&key)
            } else {
                wanted.insert(key.clone(), n)
            };
            let kind = if is_end { "customer.removed" } else { "customer.changed" };
            let data = json!({ "customerId": key, "n": n });
            json!({ "specversion": "1.0", "id": n.to_string(), "source": "/crm", "type": kind, "datacontenttype": "application/json", "data": data })
        };
        publish_many(url, &(from..from + 250).map(event).collect::<Vec<_>>());
    }
    system.done(&["resume", VIEW]);
    let place = || {
        let found = ask(&system, &["SELECT position FROM motet_views"]);
        found.first().and_then(|row| row[0].as_i64()).unwrap_or(-1)
    };
    let mut kills = Vec::new();
    for beyond in [0, 2500] {
        until("it is on its way", || place() > beyond);
        kill(system.supervisor(), "KILL");
        kills.push(place());
        system.up();
    }
    assert!(kills[0] < EVENTS - 1, "killed in the middle: {kills:?}");
    until("all of them are in", || is_through(&system));
    println!("killed at {kills:?} of {EVENTS}");
    assert_eq!(rows(&system), wanted.into_iter().collect::<Vec<_>>());
    assert_eq!((place(), &view(&system)["dead_letters"]), (EVENTS - 1, &json!(0)));
    let twice = ask(&system, &["SELECT id, count(*) FROM log GROUP BY id HAVING count(*) > 1"]);
    assert_eq!(twice, Vec::<Vec<Value>>::new(), "none was applied twice");
}

#[test]
fn every_command_on_the_page_on_views_works() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/views.md");
    let page = fs::read_to_string(page).expect("the page");
    let definition = blocks(&page, "yaml")[0].replace("gateway:\n", "gateway:\n  listen: 127.0.0.1:0\n");
    let system = Scratch::new("motet: 1\nsystem: empty\nservices: {}\n");
    let path = system.path();
    for service in ["crm", "orders"] {
        fs::create_dir_all(path.join("services").join(service)).expect("a folder");
    }
    fs::copy(path.join("service.py"), path.join("services/crm/crm.py")).expect("a publisher");
    fs::write(path.join("services/orders/orders.py"), blocks(&page, "python")[0]).expect("a reader");
    system.define(&definition);
    system.up();
    let binary = Path::new(env!("CARGO_BIN_EXE_motet")).parent().expect("a folder");
    let search = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let commands = commands(&page);
    assert!(commands.len() > 5, "{commands:?}");
    for command in &commands {
        let run = || {
            let mut shell = Command::new("sh");
            shell.args(["-c", command]).current_dir(path).env("PATH", &search).env("NO_COLOR", "1");
            shell.output().expect("a shell")
        };
        let mut output = run();
        // A person is slower than a table; a test is not.
        until(command, || {
            let done = output.status.success();
            if !done {
                output = run();
            }
            done
        });
        if command.starts_with("motet call") {
            assert!(String::from_utf8_lossy(&output.stdout).contains("Ada"), "{}", shown(&output));
        }
    }
    ask(&system, &[blocks(&page, "sql")[0].trim().trim_end_matches(';'), "SELECT 1"]);
    // What was repaired by hand is no event of the topic: the replay at the end of the page gives it up again.
    until("it is as the topic says", || rows_of(&system) == ["c-7"] && view(&system)["dead_letters"] == 1);
}

fn rows_of(system: &Scratch) -> Vec<String> {
    let rows = ask(system, &["SELECT key FROM customers ORDER BY key"]);
    rows.iter().filter_map(|row| row[0].as_str().map(str::to_owned)).collect()
}
