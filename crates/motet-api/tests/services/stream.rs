//! Publishing over one connection.

use super::{Wire, line, open, open_with};
use motet_api::services::Options;
use std::time::Duration;

const HEAD: &str = "POST /topics/parsed/stream HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";

/// What ends a body, and an answer, in chunks.
const END: &str = "0\r\n\r\n";

async fn begin(wire: &mut Wire, head: &str) {
    wire.send(head).await;
    assert!(wire.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn lines_are_answered_while_more_are_sent() {
    let address = open().await;
    let mut wire = address.connect().await;
    begin(&mut wire, HEAD).await;
    wire.send_chunk(&(line(0) + &line(1))).await;
    wire.until("{\"durable\":2}\n").await;
    let third = line(2);
    wire.send_chunk(&third[..10]).await;
    wire.send_chunk(&third[10..]).await;
    wire.until("{\"durable\":3}\n").await;
    wire.send_chunk(line(3).trim_end()).await;
    wire.send(END).await;
    wire.until("{\"durable\":4}\n").await;
    wire.until(END).await;
    assert_eq!(address.double.ids(), ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn lines_are_read_while_others_are_being_written() {
    let address = open().await;
    address.double.gate.forget_permits(1_000_000);
    let mut wire = address.connect().await;
    begin(&mut wire, HEAD).await;
    for id in 0..5 {
        wire.send_chunk(&line(id)).await;
    }
    wire.send(END).await;
    address.double.gate.add_permits(1000);
    wire.until("{\"durable\":5}\n").await;
    assert_eq!(address.double.ids(), ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_line_that_is_refused_is_named_and_the_others_go_on() {
    let address = open().await;
    let mut wire = address.connect().await;
    begin(&mut wire, HEAD).await;
    wire.send_chunk(&format!("{}{{\n\n{}{}", line(0), line(0), line(1))).await;
    wire.send(END).await;
    let answers = wire.until("{\"durable\":5}\n").await;
    assert!(answers.contains("{\"line\":1,\"problem\":{\"type\":\"urn:motet:error:MO-cloudevents-103\""), "{answers}");
    assert!(answers.contains("{\"line\":3,\"id\":\"0\",\"duplicate\":true}"), "{answers}");
    assert_eq!(address.double.ids(), ["0", "1"]);
}

#[tokio::test]
async fn every_line_is_answered_when_that_is_asked_for() {
    let address = open().await;
    let mut wire = address.connect().await;
    begin(&mut wire, &HEAD.replace("/stream", "/stream?receipts=each")).await;
    wire.send_chunk(&(line(7) + &line(8))).await;
    wire.until("{\"line\":0,\"id\":\"7\",\"position\":0}\n{\"line\":1,\"id\":\"8\",\"position\":1}\n").await;
}

#[tokio::test]
async fn a_line_without_end_ends_the_stream() {
    let address = open().await;
    let mut wire = address.connect().await;
    begin(&mut wire, HEAD).await;
    wire.send_chunk(&line(0)).await;
    wire.until("{\"durable\":1}\n").await;
    wire.send_chunk(&"x".repeat(30_000)).await;
    wire.until("{\"line\":1,\"problem\":{\"type\":\"urn:motet:error:MO-api-205\"").await;
    wire.until(END).await;
}

#[tokio::test]
async fn a_stream_on_which_nothing_happens_ends() {
    let address = open_with(Options { stream_idle: Duration::from_millis(50), ..Options::default() }).await;
    let mut wire = address.connect().await;
    begin(&mut wire, HEAD).await;
    wire.until(END).await;
}

#[tokio::test]
async fn a_stream_ends_in_good_order_when_the_process_stops() {
    let address = open().await;
    let mut wire = address.connect().await;
    begin(&mut wire, HEAD).await;
    wire.send_chunk(&line(0)).await;
    wire.until("{\"durable\":1}\n").await;
    address.group.cancel();
    wire.until(END).await;
    super::within(address.group.wait()).await;
}

#[tokio::test]
async fn thousands_of_lines_are_answered_in_sums() {
    let address = open().await;
    let mut wire = address.connect().await;
    begin(&mut wire, HEAD).await;
    for id in 0..3000 {
        wire.send_chunk(&line(id)).await;
    }
    wire.send(END).await;
    wire.until("{\"durable\":3000}\n").await;
    assert_eq!(address.double.ids().len(), 3000);
}
