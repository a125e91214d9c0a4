//! Events of other programs.

use super::{LIMIT, Port, client, ids, shared, with};
use motet_broker::{Position, Transport};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::time::Instant;

type Sent = (OwnedHeaders, Option<&'static str>, Option<&'static str>);

fn header(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

fn binary(id: &str) -> OwnedHeaders {
    let pairs = [("ce_specversion", "1.0"), ("ce_id", id), ("ce_source", "/other"), ("ce_type", "other.t")];
    pairs.into_iter().fold(OwnedHeaders::new(), |headers, (key, value)| header(headers, key, value))
}

async fn send(
    fixture: &std::sync::Arc<motet_testkit::kafka::Kafka>,
    topic: String,
    codec: &'static str,
    sent: Vec<Sent>,
) {
    with(fixture, move |fixture| {
        let producer: BaseProducer = client(fixture).set("compression.type", codec).create().unwrap();
        for (headers, key, value) in sent {
            let mut record = BaseRecord::<str, str>::to(&topic).headers(headers);
            record.key = key;
            record.payload = value;
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(LIMIT).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_messages_of_other_programs_arrive_whatever_they_look_like() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open(&fixture).await;
    port.ensure().await;
    let structured = r#"{"specversion":"1.0","id":"structured","source":"/other","type":"other.t","data":1}"#;
    let sent = vec![
        (binary("binary"), Some("k"), Some("data")),
        (header(OwnedHeaders::new(), "content-type", "application/cloudevents+json"), None, Some(structured)),
        (OwnedHeaders::new(), Some("k"), Some("plain")),
        (header(OwnedHeaders::new(), "ce_specversion", "1.0"), None, Some("no event")),
        (OwnedHeaders::new(), None, None),
    ];
    send(&fixture, port.name(), "none", sent).await;
    let found = port.read_until(0, |found| found.len() == 5).await;
    let name = port.name();
    let made = |offset: u32| format!("{name}/0/{offset}");
    assert_eq!(ids(&found), ["binary", "structured", &made(2), &made(3), &made(4)]);
    assert_eq!(found[2].entry.event.ty(), "motet.message");
    assert_eq!(found[0].entry.key, found[2].entry.key, "one key of Kafka is one key of Motet");
    assert!(found[0].entry.key.is_some() && found[1].entry.key.is_none());
    assert!(found.iter().all(|stored| stored.entry.published_at.0 > 1_600_000_000_000));
    let again = port.again(&fixture).await;
    assert_eq!(again.read(0).await, found, "from Kafka as from memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_messages_are_understood() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open(&fixture).await;
    port.ensure().await;
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let sent = (0..20).map(|_| (binary(codec), None, Some("data data data data data"))).collect();
        send(&fixture, port.name(), codec, sent).await;
    }
    let found = port.read_until(0, |found| found.len() == 80).await;
    assert_eq!((found[0].entry.event.id(), found[79].entry.event.id()), ("gzip", "zstd"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_publish_wakes_who_waits_at_the_end_at_once() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open(&fixture).await;
    port.ensure().await;
    let mut head = port.kafka.head(&port.topic).unwrap();
    let mut waits = Vec::new();
    for round in 0..20 {
        send(&fixture, port.name(), "none", vec![(binary("x"), None, Some("d"))]).await;
        let sent = Instant::now();
        let woken = head.wait_for(|head| *head > Position(round));
        tokio::time::timeout(LIMIT, woken).await.unwrap().unwrap();
        waits.push(sent.elapsed());
        assert_eq!(port.read(round).await.len(), 1);
    }
    waits.sort();
    eprintln!("from acknowledged at another client to the head here: median {:?}, longest {:?}", waits[10], waits[19]);
    assert!(waits[10].as_millis() < 400, "{waits:?}");
}
