//! Appending and reading, at the bare port.

use super::{
    LIMIT,
    bench::{Bench, answered, entries, entry, event, ids},
};
use motet_broker::{Event, Limits, Position, port::TransportError};
use tokio::time::timeout;

pub(super) async fn what_was_appended_is_read_in_order_with_everything_it_had(bench: Bench) {
    let port = bench.port().await;
    let event = Event::builder("id-1", "https://example.org/source?q=1#f", "org.example.happened")
        .subject("a subject, \"quoted\" and 100 %")
        .time("2026-01-31T09:00:00.123Z")
        .content_type("application/json; charset=utf-8")
        .schema("https://example.org/schema.json")
        .extension("partitionkey", "key")
        .extension("text", "a: b; c=d, e\\f")
        .data(r#"{"a":1}"#)
        .build()
        .expect("an event");
    let appended = vec![entry(event), entry(super::bench::event("2", "")), entry(super::bench::event("3", "k"))];
    let positions = port.append(appended.clone()).await;
    let found = port.all().await;
    assert_eq!(found.iter().map(|stored| stored.position).collect::<Vec<_>>(), positions);
    assert_eq!(found.into_iter().map(|stored| stored.entry).collect::<Vec<_>>(), appended);
    port.close().await;
}

pub(super) async fn positions_rise_and_never_come_twice(bench: Bench) {
    let port = bench.port().await;
    let mut positions = Vec::new();
    for round in 0..10 {
        positions.extend(port.append(entries((0..5).map(|n| round * 5 + n))).await);
    }
    assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
    let found = port.all().await;
    assert_eq!(ids(&found), (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(found.iter().map(|stored| stored.position).collect::<Vec<_>>(), positions);
    port.close().await;
}

pub(super) async fn the_head_wakes_whoever_waits_for_more(bench: Bench) {
    let port = bench.port().await;
    let mut head = port.transport.head(&port.topic).expect("a head");
    for round in 0..5 {
        let before = *head.borrow_and_update();
        let position = port.append(entries([round])).await[0];
        assert!(position >= before, "{position:?} was given, and the end was {before:?}");
        let woken = timeout(LIMIT, head.wait_for(|head| *head > position)).await;
        woken.expect("the head moves behind what was appended").expect("the head lives as long as the transport");
        assert_eq!(ids(&port.read(position, Limits::items(10)).await), [round.to_string()]);
    }
    port.close().await;
}

pub(super) async fn a_read_stops_at_its_limit_of_events(bench: Bench) {
    let port = bench.port().await;
    let positions = port.append(entries(0..20)).await;
    assert_eq!(ids(&port.read(positions[0], Limits::items(7)).await), ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!(ids(&port.read(positions[7], Limits::items(1)).await), ["7"]);
    assert_eq!(port.read(positions[18], Limits::items(7)).await.len(), 2);
    port.close().await;
}

pub(super) async fn a_read_stops_at_its_limit_of_bytes(bench: Bench) {
    let port = bench.port().await;
    let data = vec![b'x'; 10_000];
    let large = |n: u32| {
        let event = event(&n.to_string(), "");
        entry(event.edit().data(data.clone()).build().expect("an event"))
    };
    let positions = port.append((0..20).map(large).collect()).await;
    let found = port.read(positions[0], Limits { items: 1000, bytes: 45_000 }).await;
    assert!((1..=5).contains(&found.len()), "{} events of 10 kB for a limit of 45 kB", found.len());
    let found = port.read(positions[3], Limits { items: 1000, bytes: 1 }).await;
    assert_eq!(ids(&found), ["3"], "one event is given, however small the limit");
    port.close().await;
}

pub(super) async fn a_topic_that_was_never_ensured_is_refused(bench: Bench) {
    let port = bench.port().await;
    let unknown = bench.topic("unknown");
    let is_refused = |error: Option<TransportError>| {
        assert!(matches!(&error, Some(TransportError::NoTopic(name)) if *name == unknown), "{error:?}");
    };
    is_refused(port.try_append(&unknown, entries([1])).await.err());
    is_refused(answered(port.transport.read(&unknown, Position(0), Limits::items(1))).await.err());
    is_refused(answered(port.transport.ends(&unknown)).await.err());
    is_refused(port.transport.head(&unknown).err());
    port.close().await;
}
