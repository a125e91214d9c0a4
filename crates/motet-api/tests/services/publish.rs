//! Publishing by one request.

use super::{Address, EVENT, Wire, line, open, open_with, problem, within};
use motet_api::services::Options;
use motet_cloudevents::{Value, media};
use reqwest::{Client, Response};
use serde_json::{Value as Json, json};
use std::time::Duration;

async fn post(address: &Address, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Response {
    let mut request = Client::new().post(address.at(path)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("answered")
}

async fn receipts(response: Response) -> Json {
    assert_eq!(response.status(), 202);
    response.json::<Json>().await.expect("JSON")["receipts"].clone()
}

#[tokio::test]
async fn an_event_is_published_in_every_mode() {
    let address = open().await;
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "b"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("content-type", "text/plain"),
    ];
    assert_eq!(
        receipts(post(&address, "/topics/parsed", &binary, "text").await).await,
        json!([{"id": "b", "position": 0}])
    );
    let structured = [("content-type", "application/cloudevents+json; charset=utf-8")];
    assert_eq!(
        receipts(post(&address, "/topics/parsed", &structured, EVENT).await).await,
        json!([{"id": "1", "position": 1}])
    );
    let batch = format!("[{},{}]", line(1), line(2));
    let answer = receipts(post(&address, "/topics/parsed", &[("content-type", media::BATCH)], batch).await).await;
    assert_eq!(answer, json!([{"id": "1", "duplicate": true}, {"id": "2", "position": 2}]));
    assert_eq!(
        receipts(post(&address, "/topics/parsed", &[("content-type", media::BATCH)], "[]").await).await,
        json!([])
    );
    assert_eq!(address.double.ids(), ["b", "1", "2"]);
    let published = address.double.published.lock().expect("sound");
    assert_eq!(published[0].data().map(|data| &data[..]), Some(&b"text"[..]));
    assert_eq!(published[1].data().map(|data| &data[..]), Some(&b"{\"a\": 1}"[..]));
}

#[tokio::test]
async fn json_without_an_event_around_it_becomes_one() {
    let address = open().await;
    let headers = [("content-type", "application/json"), ("ce-partitionkey", "k"), ("traceparent", "00-1-2-01")];
    let answer = receipts(post(&address, "/topics/parsed", &headers, "{\"pages\": 3}").await).await;
    let published = address.double.published.lock().expect("sound");
    let event = &published[0];
    assert_eq!(answer[0]["id"], event.id());
    assert_eq!(event.id().len(), 36);
    assert_eq!((event.source(), event.ty(), event.partition_key()), ("/parser", "parsed", Some("k")));
    assert_eq!(event.extension("traceparent"), Some(Value::Text("00-1-2-01")));
    assert!(event.time().is_some());
}

#[tokio::test]
async fn events_can_be_published_later() {
    let address = open().await;
    let answer = receipts(post(&address, "/topics/parsed?deliverat=2030-01-31T12%3A00%3A00Z", &[], "x").await).await;
    assert_eq!(answer[0]["deliverat"], "2030-01-31T12:00:00Z");
    post(&address, "/topics/parsed?delay=10m", &[("ce-a", "b")], "x").await;
    let published = address.double.published.lock().expect("sound").clone();
    assert_eq!(published[0].extension("deliverat"), Some(Value::Text("2030-01-31T12:00:00Z")));
    assert_eq!(published[1].extension("delay"), Some(Value::Text("10m")));
    assert_eq!(published[1].extension("a"), Some(Value::Text("b")));
    for query in ["delay=soon", "delay=10", "deliverat=tomorrow", "delay=%ff"] {
        let refused = post(&address, &format!("/topics/parsed?{query}"), &[], "x").await;
        problem(refused, 400, "MO-api-204").await;
    }
}

#[tokio::test]
async fn what_is_refused_is_told_as_a_problem() {
    let address = open().await;
    let unknown = post(&address, "/topics/prased", &[], "x").await;
    assert!(problem(unknown, 404, "MO-api-201").await.contains("(did you mean `parsed`?)"));
    problem(post(&address, "/topics/secret", &[], "x").await, 403, "MO-api-203").await;
    problem(post(&address, "/topics/parsed", &[("origin", "https://page.example")], "x").await, 403, "MO-api-203")
        .await;
    problem(
        post(&address, "/topics/parsed", &[("content-type", "application/cloudevents+xml")], "x").await,
        415,
        "MO-cloudevents-102",
    )
    .await;
    problem(post(&address, "/topics/parsed", &[("content-encoding", "gzip")], "x").await, 415, "MO-cloudevents-102")
        .await;
    let bad_json = post(&address, "/topics/parsed", &[("content-type", media::EVENT)], "{").await;
    assert!(problem(bad_json, 400, "MO-cloudevents-103").await.contains("line 1, column 1"));
    let no_id =
        post(&address, "/topics/parsed", &[("ce-specversion", "1.0"), ("ce-type", "t"), ("ce-source", "/s")], "x")
            .await;
    problem(no_id, 400, "MO-cloudevents-001").await;
    let schema = [("ce-specversion", "1.0"), ("ce-id", "b"), ("ce-source", "/s"), ("ce-type", "bad")];
    assert_eq!(
        problem(post(&address, "/topics/parsed", &schema, "x").await, 422, "MO-api-204").await,
        "at /pages: it has to be a number"
    );
    let get = Client::new().get(address.at("/topics/parsed")).send().await.expect("answered");
    assert_eq!(get.headers()["allow"], "POST");
    problem(get, 405, "MO-api-209").await;
    problem(post(&address, "/topic/parsed", &[], "x").await, 404, "MO-api-209").await;
    assert!(address.double.ids().is_empty());
}

#[tokio::test]
async fn what_is_too_large_is_refused_whether_its_length_is_said_or_not() {
    let address = open().await;
    problem(post(&address, "/topics/parsed", &[], "x".repeat(4097)).await, 413, "MO-api-205").await;
    let unknown_length =
        reqwest::Body::wrap_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(1000))));
    // The answer may come, or the connection may end while the rest is still being sent: in both cases nothing was taken.
    let sent = Client::new().post(address.at("/topics/parsed")).body(unknown_length).send();
    if let Ok(refused) = within(sent).await {
        problem(refused, 413, "MO-api-205").await;
    }
    assert!(address.double.ids().is_empty());
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let address = open_with(Options { body_deadline: Duration::from_millis(50), ..Options::default() }).await;
    let mut wire: Wire = address.connect().await;
    wire.send("POST /topics/parsed HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc").await;
    assert!(wire.until("\r\n").await.starts_with("HTTP/1.1 408 "));
    wire.until("urn:motet:error:MO-api-206").await;
}

#[tokio::test]
async fn more_than_fits_is_told_to_come_back() {
    let address = open_with(Options { waiting_bytes: 3000, ..Options::default() }).await;
    address.double.gate.forget_permits(1_000_000);
    let mut first = address.connect().await;
    let body = "x".repeat(2000);
    first.send(&format!("POST /topics/parsed HTTP/1.1\r\nhost: x\r\ncontent-length: 2000\r\n\r\n{body}")).await;
    // The first is in the broker's hands when the second one is refused, or nothing would be.
    let refused = within(async {
        loop {
            let response = post(&address, "/topics/parsed", &[], "y".repeat(2000));
            match tokio::time::timeout(Duration::from_millis(200), response).await {
                Ok(response) if response.status() == 429 => return response,
                _ => address.double.gate.add_permits(1),
            }
        }
    })
    .await;
    assert_eq!(refused.headers()["retry-after"], "1");
    problem(refused, 429, "MO-api-207").await;
    address.double.gate.add_permits(1000);
    assert!(first.until("\r\n").await.starts_with("HTTP/1.1 202 "));
    assert_eq!(post(&address, "/topics/parsed", &[], "y".repeat(2000)).await.status(), 202);
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_their_order() {
    let address = open().await;
    let mut wire = address.connect().await;
    for id in 0..3 {
        wire.send(&format!(
            "POST /topics/parsed HTTP/1.1\r\nhost: x\r\nidempotency-key: {id}\r\ncontent-length: 1\r\n\r\nx"
        ))
        .await;
    }
    for id in 0..3 {
        wire.until(&format!("{{\"receipts\":[{{\"id\":\"{id}\",\"position\":{id}}}]}}")).await;
    }
}
