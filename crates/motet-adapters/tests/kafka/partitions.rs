//! Topics of several partitions: one order over all of them.

use super::{Port, client, entry, make, settings, shared, with};
use motet_adapters::kafka::Settings;
use motet_broker::{Entry, Keep, Limits, Position, Stored, Time, Transport, key};
use motet_testkit::kafka::Kafka as Fixture;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

fn three(fixture: &Fixture) -> Settings {
    Settings { partitions: 3, ..settings(fixture) }
}

fn keyed(id: impl ToString, key: &str) -> Entry {
    let plain = entry(id);
    let event = plain.event.edit().extension("partitionkey", key).build().unwrap();
    Entry { key: key::of(&event, None), event, ..plain }
}

/// `count` messages of another program, in turn with one of ten keys.
async fn foreign(fixture: &Arc<Fixture>, topic: String, from: usize, count: usize) {
    with(fixture, move |fixture| {
        let producer: BaseProducer = client(fixture).create().unwrap();
        for n in from..from + count {
            let (key, value) = (format!("f{}", n % 10), format!("{n:08}"));
            producer.send(BaseRecord::to(&topic).key(&key).payload(&value)).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(super::LIMIT).unwrap();
    })
    .await;
}

/// Events by key, in the order of their positions; each must be there once.
fn by_key(found: &[Stored]) -> HashMap<String, Vec<String>> {
    let mut keys: HashMap<String, Vec<String>> = HashMap::new();
    let mut ids = HashSet::new();
    assert!(found.windows(2).all(|pair| pair[0].position < pair[1].position));
    for stored in found {
        let event = &stored.entry.event;
        assert!(ids.insert(event.id()), "{} comes twice", event.id());
        let value = match event.ty() {
            "motet.message" => String::from_utf8(event.data().unwrap().to_vec()).unwrap(),
            _ => event.id().to_owned(),
        };
        keys.entry(event.partition_key().unwrap_or_default().to_owned()).or_default().push(value);
    }
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_has_one_position_that_stays_and_keys_are_in_order() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open_with(three(&fixture)).await;
    port.ensure().await;
    let mut given = HashMap::new();
    for round in 0..50 {
        let entries: Vec<_> = (0..7).map(|key| keyed(format!("{key}-{round:08}"), &format!("k{key}"))).collect();
        let ids: Vec<_> = entries.iter().map(|entry| entry.event.id().to_owned()).collect();
        given.extend(port.append(entries).await.unwrap().into_iter().zip(ids));
        if round % 10 == 0 {
            foreign(&fixture, port.name(), round * 10, 100).await;
        }
    }
    let found = port.read_until(0, |found| found.len() == 350 + 500).await;
    let keys = by_key(&found);
    assert_eq!(keys.len(), 17);
    assert!(keys.values().all(|of_key| of_key.is_sorted()), "{keys:?}");
    let at: HashMap<_, _> = found.iter().map(|stored| (stored.position, stored.entry.event.id().to_owned())).collect();
    assert!(given.iter().all(|(position, id)| at.get(position) == Some(id)), "what was answered is where it stands");

    let again = port.again_with(three(&fixture)).await;
    assert_eq!(again.read(0).await, found, "from Kafka, after a start, as it was in memory");
    assert_eq!(again.kafka.ends(&again.topic).await.unwrap().next, found.last().unwrap().position.next());
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..100 {
        let at = random.usize(0..found.len());
        let items = random.usize(1..40);
        let read = again.kafka.read(&again.topic, found[at].position, Limits::items(items)).await.unwrap();
        assert!(!read.is_empty() && read == found[at..at + read.len()], "from {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_and_what_comes_while_motet_is_away_is_counted_too() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open(&fixture).await;
    make(&fixture, &port.topic, 4, &[]).await;
    foreign(&fixture, port.name(), 0, 1000).await;
    port.ensure().await;
    let before = port.read(0).await;
    assert_eq!(before.len(), 1000);
    foreign(&fixture, port.name(), 1000, 100).await;
    let found = port.read_until(0, |found| found.len() == 1100).await;
    assert_eq!(found[..1000], before);

    let Port { kafka, store, group, topic, _place } = port;
    drop(kafka);
    let name = format!("suite.{topic}");
    foreign(&fixture, name, 1100, 500).await;
    let kafka = motet_adapters::kafka::Kafka::connect(settings(&fixture), &store, &group).await.unwrap();
    let port = Port { kafka, store, group, topic, _place };
    port.ensure().await;
    let all = port.read_until(0, |found| found.len() == 1600).await;
    assert_eq!(all[..1100], found, "positions stay");
    let keys = by_key(&all);
    assert_eq!(keys.len(), 10);
    for (key, of_key) in keys {
        assert!(of_key.len() == 160 && of_key.is_sorted(), "{key}: {of_key:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_count_is_lost_everything_is_counted_again_once_and_in_order() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open_with(three(&fixture)).await;
    port.ensure().await;
    for round in 0..30 {
        port.append((0..7).map(|key| keyed(format!("{key}-{round:08}"), &format!("k{key}"))).collect()).await.unwrap();
    }
    // As with a new directory of events, or a crash that took what the store had not written yet.
    let anew = Port { topic: port.topic.clone(), ..Port::open_with(three(&fixture)).await };
    anew.ensure().await;
    let found = anew.read(0).await;
    let keys = by_key(&found);
    assert_eq!((found.len(), keys.len()), (210, 7));
    assert!(keys.values().all(|of_key| of_key.len() == 30 && of_key.is_sorted()), "{keys:?}");
    let next = anew.append(vec![keyed("more", "k0")]).await.unwrap()[0];
    assert!(next > found.last().unwrap().position);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_gets_more_partitions_keeps_its_positions() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open(&fixture).await;
    port.ensure().await;
    port.append((0..100).map(entry).collect()).await.unwrap();
    let before = port.read(0).await;
    let admin: rdkafka::admin::AdminClient<rdkafka::client::DefaultClientContext> = client(&fixture).create().unwrap();
    let (name, options) = (port.name(), rdkafka::admin::AdminOptions::new());
    let more = rdkafka::admin::NewPartitions::new(&name, 3);
    admin.create_partitions([&more], &options).await.unwrap()[0].as_ref().unwrap();
    let until = Instant::now() + super::LIMIT;
    let refused = loop {
        if let Err(refused) = port.kafka.ensure(&port.spec()).await {
            break refused.to_string();
        }
        assert!(Instant::now() < until);
    };
    assert!(refused.contains("has 3 partitions now and had 1"), "{refused}");
    let port = port.again(&fixture).await;
    assert_eq!(port.read(0).await, before);
    foreign(&fixture, port.name(), 0, 300).await;
    let found = port.read_until(0, |found| found.len() == 400).await;
    assert_eq!(found[..100], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_found_in_all_partitions_and_what_is_old_is_removed_from_all() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open_with(three(&fixture)).await;
    port.ensure().await;
    let now = entry(0).published_at;
    let at = |n: u64| Time(now.0 - 100_000 + n * 1000);
    for n in 0..60 {
        let entry = Entry { published_at: at(n), ..keyed(n, &format!("k{}", n % 9)) };
        port.append(vec![entry]).await.unwrap();
    }
    let found = port.read(0).await;
    for n in [0, 1, 17, 42, 59] {
        let from = port.kafka.at_time(&port.topic, at(n)).await.unwrap();
        let is_missed = |stored: &&Stored| stored.entry.published_at >= at(n) && stored.position < from;
        assert_eq!(found.iter().filter(is_missed).count(), 0, "none of that time is before it");
    }
    let end = found.last().unwrap().position.next();
    assert_eq!(port.kafka.at_time(&port.topic, at(60)).await.unwrap(), end);
    let keep = Keep { time: Some(Duration::from_secs(10)), bytes: None };
    port.kafka.trim(&port.topic, &keep, at(50)).await.unwrap();
    let port = port.again_with(three(&fixture)).await;
    let left = port.read(0).await;
    assert!(left.iter().all(|stored| stored.entry.published_at >= at(40)) && left.len() == 20, "{}", left.len());
    assert_eq!(port.kafka.ends(&port.topic).await.unwrap().first, left[0].position);
    let later = Keep { time: Some(Duration::ZERO), bytes: None };
    port.kafka.trim(&port.topic, &later, Time(now.0 + 1000)).await.unwrap();
    assert_eq!(port.read(0).await, []);
    port.append(vec![keyed("memory", "k")]).await.unwrap();
    assert_eq!(port.read(0).await.len(), 1);
    port.kafka.trim(&port.topic, &later, Time(now.0 + 60_000)).await.unwrap();
    assert_eq!(port.read(0).await, [], "what is removed is not read from memory either");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_events_in_several_partitions_are_caught_up_with_quickly() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open_with(three(&fixture)).await;
    port.ensure().await;
    let began = Instant::now();
    for batch in 0..30u64 {
        let entries = (batch * 1000..(batch + 1) * 1000).map(|n| keyed(n, &format!("k{}", n % 97)));
        port.append(entries.collect()).await.unwrap();
    }
    let appended = began.elapsed();
    let port = port.again_with(three(&fixture)).await;
    let began = Instant::now();
    let (mut at, mut found) = (Position(0), Vec::new());
    loop {
        let more = port.kafka.read(&port.topic, at, Limits { items: 256, bytes: 1 << 20 }).await.unwrap();
        let Some(last) = more.last() else { break };
        at = last.position.next();
        found.extend(more);
    }
    let read = began.elapsed();
    assert_eq!(found.len(), 30_000);
    assert_eq!(by_key(&found).len(), 97);
    let per_second = |time: Duration| 30_000.0 / time.as_secs_f64();
    eprintln!("three partitions: appended {:.0}/s, caught up {:.0}/s", per_second(appended), per_second(read));
    assert!(per_second(read) > 1_000.0, "{read:?}, even on a very busy machine and without optimization");
}
