//! A whole system whose events are kept by a real server: what its users see is the same on each of them, also when Motet or the server is
//! killed on the way. What an engine itself does is tested by the suite in `motet-testkit`.

use crate::{
    events::{DEFINITION, SHOP, publish, seen, subscription, told},
    scratch::{PATIENCE, Scratch, kill, until},
};
use motet_testkit::{kafka::Kafka, nats::Nats, rabbitmq::RabbitMq};
use serde_json::json;
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// Publishes until it is acknowledged, as a publisher does that got no answer: with the same id.
fn publish_surely(gateway: &str, order: &str, n: i64) {
    let begun = Instant::now();
    let id = format!("{order}-{n}");
    loop {
        let (status, answer) = publish(gateway, "order.placed", Some(&id), &json!({ "orderId": order, "n": n }));
        if status == 202 {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{id} is not taken: {status} {answer}");
        thread::park_timeout(Duration::from_millis(50));
    }
}

/// The numbers of an order in the sequence in which they came first.
fn first_times(system: &Scratch, order: &str) -> Vec<i64> {
    let mut numbers = Vec::new();
    for taken in seen(system).iter().filter(|taken| taken["order"] == order) {
        let number = taken["n"].as_i64().expect("a number");
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

fn until_taken(system: &Scratch, order: &str, count: i64) {
    let all: Vec<i64> = (0..count).collect();
    until(&format!("all of {order} have come"), || first_times(system, order).len() >= all.len());
    assert_eq!(first_times(system, order), all, "{order}: in the order of publishing");
}

/// The same story on every engine. `restart` ends the server as `kill -9` does and starts it again.
fn a_system_on(engine: &str, options: &str, secret: &str, restart: impl FnOnce()) {
    let system = Scratch::new(&format!("{DEFINITION}engines: {{ events: {{ {engine}: {options} }} }}\n"));
    fs::write(system.path().join("shop.py"), SHOP).expect("written");
    fs::write(system.path().join("order.schema.json"), r#"{ "type": "object" }"#).expect("written");
    // A password belongs beside the definition and not into it.
    fs::write(system.path().join(".env"), format!("EVENTS_URL={secret}\n")).expect("written");
    system.done(&["check"]);
    system.up();
    let gateway = system.gateway();

    // What is published comes, in its order.
    for n in 0..10 {
        publish_surely(&gateway, "a", n);
        publish_surely(&gateway, "b", n);
    }
    until_taken(&system, "a", 10);
    until_taken(&system, "b", 10);
    until("all is acknowledged", || subscription(&system, "mail.order.placed")["waiting"] == 0);
    let topics = told(&system, &["topics", "--json"]);
    assert_eq!(topics["engine"]["name"], engine, "{topics}");
    let topic = topics["topics"].as_array().expect("topics").iter().find(|topic| topic["name"] == "order.placed");
    assert_eq!(topic.expect("the topic")["published"], 20);
    assert!(system.done(&["topics"]).contains(&format!("engine {engine}")));
    let one = told(&system, &["tail", "order.placed", "--from", "earliest", "-n", "1", "--json"]);
    assert_eq!(one["event"]["id"], "a-0", "{one}");

    // Motet dies with events that nobody has taken.
    fs::write(system.path().join("failing"), "kept").expect("written");
    for n in 0..10 {
        publish_surely(&gateway, "kept", n);
    }
    kill(system.supervisor(), "KILL");
    fs::remove_file(system.path().join("failing")).expect("removed");
    system.up();
    until_taken(&system, "kept", 10);

    // The server dies while events are published.
    let gateway = system.gateway();
    let publishers = ["x", "y"].map(|order| {
        let gateway = gateway.clone();
        thread::spawn(move || (0..40).for_each(|n| publish_surely(&gateway, order, n)))
    });
    until("some have come", || first_times(&system, "x").len() > 5);
    restart();
    for publisher in publishers {
        publisher.join().expect("everything was taken");
    }
    until_taken(&system, "x", 40);
    until_taken(&system, "y", 40);
    until("all is acknowledged", || subscription(&system, "mail.order.placed")["waiting"] == 0);
    assert_eq!(told(&system, &["dead-letters", "list", "--json"]), json!([]));
}

#[test]
fn a_system_on_nats_loses_nothing_when_motet_or_nats_is_killed() {
    let Some(server) = Nats::own() else { return };
    a_system_on("nats", r#"{ url: "${EVENTS_URL}" }"#, &server.url(), || server.restart());
}

#[test]
fn a_system_on_rabbitmq_loses_nothing_when_motet_or_rabbitmq_is_killed() {
    let Some(server) = RabbitMq::own() else { return };
    a_system_on("rabbitmq", r#"{ url: "${EVENTS_URL}" }"#, &server.url(), || server.restart());
}

#[test]
fn a_system_on_kafka_loses_nothing_when_motet_or_kafka_is_killed() {
    let Some(server) = Kafka::own() else { return };
    a_system_on("kafka", r#"{ brokers: ["${EVENTS_URL}"] }"#, &server.address(), || {
        server.kill();
        server.resume().expect("Kafka again");
    });
}
