//! What other programs publish, and what else they do to a stream.

use super::*;
use async_nats::HeaderMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    pairs.iter().for_each(|(name, value)| headers.insert(*name, *value));
    headers
}

/// A message whose header is not UTF-8, which no Rust client would send and any other may.
async fn publish_garbage(server: &Server, subject: &str) {
    let url = server.url();
    let (user, password) = url.trim_start_matches("nats://").split_once('@').unwrap().0.split_once(':').unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let connect = json!({ "verbose": false, "headers": true, "user": user, "pass": password });
    let block = b"NATS/1.0\r\nce-id: \xff\xfe\r\nX-Odd name: \xf0\r\n\r\n";
    let mut bytes = format!("CONNECT {connect}\r\nHPUB {subject} {} {}\r\n", block.len(), block.len() + 4).into_bytes();
    bytes.extend_from_slice(block);
    bytes.extend_from_slice(b"data\r\nPING\r\n");
    stream.write_all(&bytes).await.unwrap();
    let mut said = Vec::new();
    while !said.windows(4).any(|word| word == b"PONG") {
        assert!(stream.read_buf(&mut said).await.unwrap() > 0, "{}", String::from_utf8_lossy(&said));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_publish_is_noticed_and_becomes_events_in_its_place() {
    let Some(server) = server() else { return };
    let rig = Rig::open(&server.url(), "mixed").await;
    let mut spec = TopicSpec::new("orders".parse().unwrap());
    spec.key = Some("/order".parse().unwrap());
    rig.nats.ensure(&spec).await.unwrap();
    let topic = spec.name;
    let mut head = rig.nats.head(&topic).unwrap();
    let client = foreign(&server.url()).await;
    rig.append(&topic, &["own-1"]).await.unwrap();
    let binary = [("ce-specversion", "1.0"), ("ce-id", "a%201"), ("ce-source", "/other"), ("ce-type", "order.placed")];
    let half = [("ce-specversion", "1.0"), ("ce-id", "no source")];
    let structured = r#"{"specversion":"1.0","id":"s-1","source":"/other","type":"t","data":{"order":"7"}}"#;
    let send = |pairs: &[(&str, &str)], data: &'static str| {
        client.publish_with_headers("mixed.orders", headers(pairs), data.into())
    };
    send(&binary, r#"{"order":"7"}"#).await.unwrap();
    send(&[("content-type", "application/cloudevents+json")], structured).await.unwrap();
    send(&half, "half").await.unwrap();
    send(&[("content-type", "text/csv")], "a,b").await.unwrap();
    client.publish("mixed.orders", "".into()).await.unwrap();
    client.flush().await.unwrap();
    // What is waited for holds the head as long as it lives.
    let is_noticed = timeout(LIMIT, head.wait_for(|head| *head >= Position(7))).await.is_ok();
    assert!(is_noticed, "the head stays at {:?}", rig.nats.head(&topic).unwrap().borrow());
    rig.append(&topic, &["own-2"]).await.unwrap();

    let all = rig.all(&topic).await;
    let ids: Vec<_> = all.iter().map(|stored| stored.entry.event.id()).collect();
    assert_eq!(ids, ["own-1", "a 1", "s-1", "orders/0/4", "orders/0/5", "orders/0/6", "own-2"]);
    assert_eq!(all[1].entry.event.ty(), "order.placed");
    assert_eq!(all[1].entry.key, all[2].entry.key, "the key is found in the data");
    assert!(all[1].entry.key.is_some());
    let plain = &all[4].entry;
    assert_eq!((plain.event.source(), plain.event.ty()), ("mixed.orders", "motet.message"));
    assert_eq!(
        (plain.event.content_type(), plain.event.data().map(|data| &data[..])),
        (Some("text/csv"), Some(&b"a,b"[..]))
    );
    assert_eq!(all[5].entry.event.data(), None);
    assert!(now().since(plain.published_at) < LIMIT, "the server says when it was published");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_breaks_connections_blocks_neither_readers_nor_publishers() {
    let Some(server) = server() else { return };
    let rig = Rig::open(&server.url(), "garbage").await;
    let topic = rig.topic("t").await;
    rig.append(&topic, &["1"]).await.unwrap();
    publish_garbage(&server, "garbage.t").await;
    publish_garbage(&server, "garbage.t").await;
    rig.append(&topic, &["2", "3"]).await.unwrap();
    let read = timeout(LIMIT, rig.ids(&topic)).await.expect("reading comes to an end");
    assert_eq!(read, ["1", "t/0/2", "t/0/3", "2", "3"]);
    let found = rig.nats.read(&topic, Position(2), Limits::items(1)).await.unwrap();
    assert_eq!(found[0].entry.event.data().map(|data| &data[..]), Some(&b"data"[..]));
    let mut head = rig.nats.head(&topic).unwrap();
    let client = foreign(&server.url()).await;
    client.publish("garbage.t", "x".into()).await.unwrap();
    client.flush().await.unwrap();
    timeout(LIMIT, head.wait_for(|head| *head >= Position(7))).await.expect("what comes behind is noticed").unwrap();
    let at = rig.nats.at_time(&topic, Time(0)).await.unwrap();
    assert_eq!(at, Position(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_stay_in_order_between_the_messages_of_a_busy_stranger() {
    let Some(server) = server() else { return };
    let rig = Rig::open(&server.url(), "busy").await;
    let topic = rig.topic("t").await;
    let client = foreign(&server.url()).await;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let stranger = async {
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            client.publish("busy.t", "noise".into()).await.unwrap();
            client.flush().await.unwrap();
        }
    };
    let own = async {
        let batch = |round: usize| (0..200).map(move |at| entry(&format!("{round}-{at:03}"))).collect::<Vec<_>>();
        let one = async {
            let mut positions = Vec::new();
            for round in 0..3 {
                positions.push(rig.nats.append(&topic, batch(round), None).await.unwrap());
            }
            positions
        };
        let other = async { rig.nats.append(&topic, batch(3), None).await.unwrap() };
        let (mut positions, last) = tokio::join!(one, other);
        positions.push(last);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        positions
    };
    let (positions, ()) = tokio::join!(own, stranger);
    let all = rig.all(&topic).await;
    let noise = all.iter().filter(|stored| stored.entry.event.ty() == "motet.message").count();
    assert!(noise > 0 && all.len() == 800 + noise, "{noise} of {}", all.len());
    for (round, positions) in positions.iter().enumerate() {
        let stands: Vec<_> = all
            .iter()
            .filter(|stored| stored.entry.event.id().starts_with(&format!("{round}-")))
            .map(|stored| (stored.position, stored.entry.event.id().to_owned()))
            .collect();
        let wanted = (0..200).map(|at| format!("{round}-{at:03}"));
        let wanted: Vec<_> = positions.iter().copied().zip(wanted).collect();
        assert_eq!(stands, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_messages_are_gaps_and_forgotten_consumers_are_made_again() {
    let Some(server) = server() else { return };
    let rig = Rig::open(&server.url(), "gaps").await;
    let topic = rig.topic("t").await;
    let client = foreign(&server.url()).await;
    let ids: Vec<_> = (1..=10).map(|at| at.to_string()).collect();
    rig.append(&topic, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    for sequence in [1, 4, 5, 10] {
        ask(&client, "STREAM.MSG.DELETE.gaps_t", json!({ "seq": sequence })).await;
    }
    assert_eq!(rig.ids(&topic).await, ["2", "3", "6", "7", "8", "9"]);
    let few = rig.nats.read(&topic, Position(3), Limits::items(2)).await.unwrap();
    assert_eq!(few.iter().map(|stored| stored.position.0).collect::<Vec<_>>(), [3, 6]);
    let consumers = ask(&client, "CONSUMER.NAMES.gaps_t", json!({})).await;
    let consumers = consumers["consumers"].as_array().unwrap();
    assert!(!consumers.is_empty(), "readers stay for the next read");
    for name in consumers {
        ask(&client, &format!("CONSUMER.DELETE.gaps_t.{}", name.as_str().unwrap()), Value::Null).await;
    }
    let rest = rig.nats.read(&topic, Position(7), Limits::items(10)).await.unwrap();
    assert_eq!(rest.iter().map(|stored| stored.position.0).collect::<Vec<_>>(), [7, 8, 9]);
    let mut head = rig.nats.head(&topic).unwrap();
    client.publish("gaps.t", "x".into()).await.unwrap();
    timeout(LIMIT, head.wait_for(|head| *head >= Position(12))).await.expect("strangers are noticed again").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_a_stream_is_read_by_any_program() {
    let Some(server) = server() else { return };
    let rig = Rig::open(&server.url(), "open").await;
    let topic = rig.topic("orders.placed").await;
    let client = foreign(&server.url()).await;
    let mut messages = client.subscribe("open.orders.placed").await.unwrap();
    // `flush` does not wait for the server. What it takes from one connection it takes in order: with the echo it has the subscription.
    let mut echo = client.subscribe("echo").await.unwrap();
    client.publish("echo", "".into()).await.unwrap();
    timeout(LIMIT, futures_util::StreamExt::next(&mut echo)).await.unwrap().unwrap();
    let event = Event::builder("1", "/s", "order.placed").subject("ü").content_type("application/json").data("{}");
    let entry = Entry::new(event.build().unwrap(), Some(5), now());
    rig.nats.append(&topic, vec![entry], None).await.unwrap();
    let message = timeout(LIMIT, futures_util::StreamExt::next(&mut messages)).await.unwrap().unwrap();
    let headers = message.headers.unwrap();
    let value = |name: &str| headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default();
    let seen = ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "content-type"].map(value);
    assert_eq!(seen, ["1.0", "1", "/s", "order.placed", "%C3%BC", "application/json"]);
    assert_eq!(&message.payload[..], b"{}");
}
