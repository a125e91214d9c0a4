//! Watching a topic.

use super::{Wire, open, problem};
use reqwest::Client;

async fn begin(wire: &mut Wire, query: &str, header: &str) {
    wire.send(&format!("GET /topics/parsed/watch{query} HTTP/1.1\r\nhost: x\r\n{header}\r\n")).await;
    let head = wire.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/event-stream"), "{head}");
}

#[tokio::test]
async fn events_are_shown_as_they_are_published() {
    let address = open().await;
    let mut wire = address.connect().await;
    begin(&mut wire, "?from=earliest", "").await;
    wire.until(
        "id: 0\ndata: {\"specversion\":\"1.0\",\"id\":\"0\",\"source\":\"/s\",\"type\":\"even\",\"data\":[1, 2]}\n\n",
    )
    .await;
    wire.until("id: 3\n").await;
}

#[tokio::test]
async fn watching_goes_on_behind_the_last_event_that_was_seen() {
    let address = open().await;
    for (query, header, first) in [("", "", 100), ("?from=42", "", 42), ("?from=earliest", "last-event-id: 6\r\n", 7)] {
        let mut wire = address.connect().await;
        begin(&mut wire, query, header).await;
        let shown = wire.until("\ndata:").await;
        assert!(shown.ends_with(&format!("id: {first}\ndata:")), "{shown}");
    }
}

#[tokio::test]
async fn only_what_is_asked_for_is_shown() {
    let address = open().await;
    let mut wire = address.connect().await;
    begin(&mut wire, "?from=earliest&filter=type%20=%20'odd'", "").await;
    let shown = wire.until("id: 3\n").await;
    assert!(shown.contains("id: 1\n") && !shown.contains("id: 0\n") && !shown.contains("id: 2\n"), "{shown}");
    let refused = Client::new().get(address.at("/topics/parsed/watch?filter=type%20=")).send().await.expect("answered");
    problem(refused, 422, "MO-cloudevents-202").await;
    let unknown = Client::new().get(address.at("/topics/other/watch")).send().await.expect("answered");
    problem(unknown, 404, "MO-api-201").await;
}
