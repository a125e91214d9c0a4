//! Fetching and settling.

use super::{open, problem};
use bytes::Bytes;
use motet_api::services::port::Settle;
use motet_cloudevents::{Value, http::Limits, json, media};
use reqwest::Client;
use serde_json::{Value as Json, json};
use std::time::Duration;

#[tokio::test]
async fn fetched_events_are_cloudevents_with_a_token() {
    let address = open().await;
    address.double.offer(0..3);
    let answer = Client::new().get(address.at("/subscriptions/index/next?max=2")).send().await.expect("answered");
    assert_eq!(answer.headers()["content-type"], media::BATCH);
    let events = json::read_batch(&answer.bytes().await.expect("a body"), &Limits::default()).expect("events");
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].extension("motettoken"), Some(Value::Text("t1")));
    assert_eq!(events[1].extension("motetattempt"), Some(Value::Integer(2)));
    assert_eq!(events[1].extension("motetposition"), Some(Value::Text("18446744073709551615")));
    assert_eq!(events[1].data(), Some(&Bytes::from_static(b"{\"a\":\n1}")));
}

#[tokio::test]
async fn fetching_waits_as_long_as_it_is_told() {
    let address = open().await;
    let nothing = Client::new().get(address.at("/subscriptions/index/next")).send().await.expect("answered");
    assert_eq!(nothing.status(), 204);
    let (waited, ()) =
        tokio::join!(Client::new().get(address.at("/subscriptions/index/next?wait=20s")).send(), async {
            // Offers until somebody has taken it: whether the request is there already cannot be seen from here.
            for id in 0..200 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if !address.double.leased.lock().expect("sound").is_empty() {
                    return;
                }
                address.double.waiting.lock().expect("sound").clear();
                address.double.offer([id]);
            }
        });
    assert_eq!(waited.expect("answered").status(), 200);
}

#[tokio::test]
async fn what_was_fetched_is_settled() {
    let address = open().await;
    address.double.offer(0..4);
    let client = Client::new();
    client.get(address.at("/subscriptions/index/next?max=4")).send().await.expect("answered");
    let settle = async |path: &str, body: Json| {
        let path = address.at(&format!("/subscriptions/index/{path}"));
        client.post(path).json(&body).send().await.expect("answered")
    };
    let acked = settle("ack", json!({"tokens": ["t0", "gone"]})).await;
    assert_eq!(acked.json::<Json>().await.expect("JSON"), json!({"done": 1, "over": ["gone"]}));
    settle("nack", json!({"tokens": ["t1"], "reason": "no pages", "delay": "5s"})).await;
    settle("nack", json!({"tokens": ["t2"], "permanent": true})).await;
    settle("extend", json!({"tokens": ["t3"], "by": "2m"})).await;
    let empty = client.post(address.at("/subscriptions/index/ack?token=t3")).send().await.expect("answered");
    assert_eq!(empty.status(), 200);
    let nack = |reason: &str, after, permanent| Settle::Nack { reason: reason.into(), after, permanent };
    let expected = [
        ("t0".to_owned(), Settle::Ack),
        ("t1".to_owned(), nack("no pages", Some(Duration::from_secs(5)), false)),
        ("t2".to_owned(), nack("", None, true)),
        ("t3".to_owned(), Settle::Extend(Duration::from_secs(120))),
        ("t3".to_owned(), Settle::Ack),
    ];
    assert_eq!(*address.double.settled.lock().expect("sound"), expected);
    problem(settle("ack", json!({"tokens": ["t0"]})).await, 409, "MO-api-208").await;
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let address = open().await;
    let client = Client::new();
    for query in ["max=0", "max=many", "wait=5", "wait=soon"] {
        let refused =
            client.get(address.at(&format!("/subscriptions/index/next?{query}"))).send().await.expect("answered");
        problem(refused, 400, "MO-api-204").await;
    }
    let unknown = client.get(address.at("/subscriptions/idnex/next")).send().await.expect("answered");
    assert!(problem(unknown, 404, "MO-api-202").await.contains("did you mean `index`?"));
    for (verb, body) in [
        ("ack", "{}"),
        ("ack", "{\"tokens\":[]}"),
        ("ack", "nonsense"),
        ("ack", "{\"tokens\":[\"a\"],\"unknown\":1}"),
        ("ack", "{\"tokens\":[\"a\"],\"delay\":\"1s\"}"),
        ("nack", "{\"tokens\":[\"a\"],\"by\":\"1s\"}"),
        ("extend", "{\"tokens\":[\"a\"]}"),
        ("extend", "{\"tokens\":[\"a\"],\"by\":\"1s\",\"permanent\":true}"),
    ] {
        let path = address.at(&format!("/subscriptions/index/{verb}"));
        problem(client.post(path).body(body).send().await.expect("answered"), 400, "MO-api-204").await;
    }
}
