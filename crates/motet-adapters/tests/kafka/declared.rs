//! Topics and their declaration.

use super::{LIMIT, Port, client, entry, make, shared};
use motet_broker::{Keep, Time, Transport};
use motet_testkit::kafka::Kafka as Fixture;
use rdkafka::{
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
};
use std::{collections::HashMap, time::Duration};

async fn config(fixture: &Fixture, name: &str) -> HashMap<String, String> {
    let admin: AdminClient<DefaultClientContext> = client(fixture).create().unwrap();
    let options = AdminOptions::new().request_timeout(Some(LIMIT));
    let found = admin.describe_configs([&ResourceSpecifier::Topic(name)], &options).await.unwrap();
    let found = found.into_iter().next().unwrap().unwrap();
    found.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_follows_its_declaration() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open(&fixture).await;
    let mut spec = port.spec();
    spec.keep = Keep { time: Some(Duration::from_secs(3600)), bytes: Some(64 << 20) };
    port.kafka.ensure(&spec).await.unwrap();
    let has = config(&fixture, &port.name()).await;
    let of = |key: &str| has[key].as_str();
    assert_eq!((of("retention.ms"), of("retention.bytes"), of("segment.bytes")), ("3600000", "67108864", "8388608"));
    assert_eq!(of("flush.messages"), "1", "a single replica writes to disk before it acknowledges");

    spec.keep = Keep { time: None, bytes: None };
    spec.event_max_bytes = 4 << 20;
    port.kafka.ensure(&spec).await.unwrap();
    let has = config(&fixture, &port.name()).await;
    let of = |key: &str| has[key].as_str();
    assert_eq!((of("retention.ms"), of("retention.bytes")), ("-1", "-1"));
    assert_eq!((of("flush.messages"), of("segment.bytes")), ("1", "8388608"), "what is not changed stays");
    let large = entry("large").event.edit().data(vec![b'x'; 4 << 20]).build().unwrap();
    let large = motet_broker::Entry { event: large, ..entry("large") };
    port.append(vec![large.clone()]).await.unwrap();
    assert_eq!(port.again(&fixture).await.read(0).await[0].entry, large);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_takes_less_than_is_declared_is_made_to_take_it() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open(&fixture).await;
    make(&fixture, &port.topic, 1, &[("max.message.bytes", "1000"), ("segment.ms", "12345678")]).await;
    port.ensure().await;
    let has = config(&fixture, &port.name()).await;
    assert!(has["max.message.bytes"].parse::<usize>().unwrap() > port.spec().event_max_bytes);
    assert_eq!(has["segment.ms"], "12345678");
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_found_by_time_and_what_is_old_is_removed() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open(&fixture).await;
    port.ensure().await;
    let now = entry(0).published_at;
    let at = |seconds: u64| Time(now.0 - 100_000 + seconds * 1000);
    let entries = (0..10).map(|n| motet_broker::Entry { published_at: at(n), ..entry(n) }).collect();
    let positions = port.append(entries).await.unwrap();
    for (position, n) in positions.iter().zip(0..) {
        assert_eq!(port.kafka.at_time(&port.topic, at(n)).await.unwrap(), *position);
    }
    assert_eq!(port.kafka.at_time(&port.topic, Time(at(3).0 + 1)).await.unwrap(), positions[4]);
    assert_eq!(port.kafka.at_time(&port.topic, at(10)).await.unwrap(), positions[9].next());
    assert_eq!(port.kafka.at_time(&port.topic, Time(0)).await.unwrap(), positions[0]);
    let keep = Keep { time: Some(Duration::from_secs(50)), bytes: None };
    port.kafka.trim(&port.topic, &keep, Time(at(6).0 + 50_000)).await.unwrap();
    assert_eq!(port.kafka.ends(&port.topic).await.unwrap().first, positions[6]);
    let again = port.again(&fixture).await;
    assert_eq!(super::ids(&again.read(0).await), ["6", "7", "8", "9"]);
    let keep = Keep { time: Some(Duration::ZERO), bytes: None };
    again.kafka.trim(&again.topic, &keep, Time(now.0 + 1000)).await.unwrap();
    assert_eq!(again.read(0).await, []);
    let more = again.append(vec![entry("more")]).await.unwrap();
    assert_eq!(more, [positions[9].next()]);
}
