//! Fetching and settling over one connection.

use super::{Address, Wire, open, within};
use motet_api::services::port::Settle;
use std::time::Duration;

async fn begin(address: &Address, query: &str) -> Wire {
    let mut wire = address.connect().await;
    wire.send(&format!(
        "POST /subscriptions/index/stream{query} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    ))
    .await;
    assert!(wire.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
    wire
}

async fn settled(address: &Address, count: usize) -> Vec<(String, Settle)> {
    within(async {
        loop {
            let settled = address.double.settled.lock().expect("sound").clone();
            if settled.len() >= count {
                return settled;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}

#[tokio::test]
async fn events_come_one_by_line_and_are_settled_one_by_line() {
    let address = open().await;
    address.double.offer(0..3);
    let mut wire = begin(&address, "").await;
    let lines = wire.until("\"motettoken\":\"t2\"").await + &wire.until("\n").await;
    assert!(
        lines.contains("\"motetattempt\":2,\"motetposition\":\"18446744073709551615\",\"data\":{\"a\": 1}}\n"),
        "{lines}"
    );
    wire.send_chunk("{\"ack\":[\"t0\"]}\n{\"nack\":[\"t1\"],\"reason\":\"no\"}\n").await;
    wire.send_chunk("{\"extend\":[\"t2\"],\"by\":\"1m\"}\n").await;
    let settled = settled(&address, 3).await;
    assert!(settled.contains(&("t0".to_owned(), Settle::Ack)));
    assert!(settled.contains(&("t2".to_owned(), Settle::Extend(Duration::from_secs(60)))));
    address.double.offer([9]);
    wire.until("\"motettoken\":\"t9\"").await;
}

#[tokio::test]
async fn a_consumer_gets_no_more_than_it_asked_for_until_it_settles_some() {
    let address = open().await;
    address.double.offer(0..5);
    let mut wire = begin(&address, "?max=2").await;
    wire.until("\"motettoken\":\"t1\"").await;
    assert_eq!(address.double.leased.lock().expect("sound").len(), 2);
    wire.send_chunk("{\"ack\":[\"t0\"]}\n").await;
    wire.until("\"motettoken\":\"t2\"").await;
    assert_eq!(address.double.leased.lock().expect("sound").len(), 2);
    wire.send_chunk("{\"ack\":[\"t1\",\"t2\"]}\n").await;
    wire.until("\"motettoken\":\"t4\"").await;
}

#[tokio::test]
async fn what_is_wrong_is_said_on_a_line() {
    let address = open().await;
    let mut wire = begin(&address, "").await;
    wire.send_chunk("{\"ack\":[\"gone\"]}\n").await;
    wire.until("{\"over\":[\"gone\"]}\n").await;
    for bad in ["nonsense", "{}", "{\"ack\":[],\"nack\":[]}", "{\"extend\":[\"a\"]}"] {
        wire.send_chunk(&format!("{bad}\n")).await;
        wire.until("\"problem\":{").await;
        wire.until("MO-api-204").await;
        wire.until("\n").await;
    }
}

#[tokio::test]
async fn it_ends_when_the_consumer_or_the_process_does() {
    let address = open().await;
    let mut wire = begin(&address, "").await;
    wire.send("0\r\n\r\n").await;
    wire.until("0\r\n\r\n").await;
    let mut other = begin(&address, "").await;
    address.group.cancel();
    other.until("0\r\n\r\n").await;
    within(address.group.wait()).await;
}

#[tokio::test]
async fn an_unknown_subscription_is_said_on_the_first_line() {
    let address = open().await;
    let mut wire = address.connect().await;
    wire.send("POST /subscriptions/other/stream HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await;
    wire.until("MO-api-202").await;
}
