//! Appending: order, wholeness, many at once, topics.

use super::{
    LIMIT,
    bench::{Bench, answered, entries, ids},
};
use futures_util::{FutureExt, future::join_all};
use motet_broker::{Keep, Limits, Position, TopicSpec, port::TransportError};
use motet_store::Batch;
use std::{collections::HashSet, time::Duration};
use tokio::time::timeout;

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
        let appended = port.try_append(&port.topic, entries([round])).await;
        let position = appended.unwrap_or_else(|error| panic!("append: {error}"))[0];
        assert!(position >= before, "{position:?} was given, and the end was {before:?}");
        let woken = timeout(LIMIT, head.wait_for(|head| *head > position)).await;
        woken.expect("the head moves behind what was appended").expect("the head lives as long as the transport");
        assert_eq!(ids(&port.read(position, Limits::items(10)).await), [round.to_string()]);
    }
    port.close().await;
}

pub(super) async fn an_append_of_many_stands_together_and_in_order(bench: Bench) {
    let port = bench.port().await;
    let appends = (0..4).map(|writer| {
        let port = &port;
        async move { port.append(entries((0..500).map(|n| format!("{writer}-{n}")))).await }
    });
    let positions = join_all(appends).await;
    let found = port.all().await;
    assert_eq!(found.len(), 2000);
    for (writer, own) in positions.iter().enumerate() {
        assert!(own.windows(2).all(|pair| pair[0] < pair[1]), "positions of one append rise");
        for (n, position) in own.iter().enumerate() {
            let at = found.binary_search_by_key(position, |stored| stored.position).expect("its position is there");
            assert_eq!(found[at].entry.event.id(), format!("{writer}-{n}"), "at {position:?}");
        }
    }
    port.close().await;
}

pub(super) async fn thousands_of_events_stand_in_the_order_of_their_appends(bench: Bench) {
    let port = bench.port().await;
    for round in 0..20 {
        port.append(entries((0..250).map(|n| round * 250 + n))).await;
    }
    let found = port.all().await;
    assert_eq!(found.len(), 5000);
    let wrong = found.iter().enumerate().find(|(n, stored)| stored.entry.event.id() != n.to_string());
    assert!(wrong.is_none(), "{wrong:?}");
    port.close().await;
}

pub(super) async fn of_many_who_append_at_once_each_one_is_in_order_and_nothing_is_lost(bench: Bench) {
    const WRITERS: usize = 32;
    const EACH: usize = 15;
    let port = bench.port().await;
    let writers = (0..WRITERS).map(|writer| {
        let port = &port;
        async move {
            let mut positions = Vec::with_capacity(EACH);
            for n in 0..EACH {
                positions.extend(port.append(entries([format!("{writer}-{n}")])).await);
            }
            positions
        }
    });
    let positions = join_all(writers).await;
    let found = port.all().await;
    assert_eq!(found.len(), WRITERS * EACH);
    assert!(found.windows(2).all(|pair| pair[0].position < pair[1].position), "each position is given once");
    for (writer, own) in positions.iter().enumerate() {
        assert!(own.windows(2).all(|pair| pair[0] < pair[1]), "of writer {writer}: {own:?}");
        let prefix = format!("{writer}-");
        let numbers = found.iter().filter_map(|stored| stored.entry.event.id().strip_prefix(&prefix));
        assert!(numbers.eq((0..EACH).map(|n| n.to_string())), "the events of writer {writer} stand in order");
    }
    port.close().await;
}

pub(super) async fn an_append_of_nothing_is_nothing(bench: Bench) {
    let port = bench.port().await;
    assert!(port.append(Vec::new()).await.is_empty());
    let position = port.append(entries([1])).await[0];
    assert!(port.append(Vec::new()).await.is_empty());
    assert_eq!(port.all().await.iter().map(|stored| stored.position).collect::<Vec<_>>(), [position]);
    port.close().await;
}

pub(super) async fn whoever_goes_away_in_the_middle_of_an_append_harms_nobody(bench: Bench) {
    let port = bench.port().await;
    for n in 0..40 {
        let append = port.transport.append(&port.topic, entries([format!("gone-{n}")]), None);
        if n % 2 == 0 {
            // Asked once and never again: its bytes may be on their way.
            let _ = append.now_or_never();
        } else {
            let _ = timeout(Duration::from_micros(200 * n), append).await;
        }
    }
    let positions = port.append(entries(0..10)).await;
    let found = port.all().await;
    let (gone, stay): (Vec<_>, Vec<_>) = found.iter().partition(|stored| stored.entry.event.id().starts_with("gone"));
    assert_eq!(stay.iter().map(|stored| stored.position).collect::<Vec<_>>(), positions);
    let once: HashSet<_> = gone.iter().map(|stored| stored.entry.event.id()).collect();
    assert_eq!(once.len(), gone.len(), "what one append wrote stands once");
    port.close().await;
}

pub(super) async fn the_note_of_an_append_is_written_when_it_answers(bench: Bench) {
    let port = bench.port().await;
    let notes = port.keyspace("suite.notes");
    for n in 0..5 {
        let name = n.to_string();
        let mut batch = Batch::new();
        batch.insert(&notes, name.clone(), "noted");
        let appended = port.append_noting(entries([n]), batch).await;
        appended.unwrap_or_else(|error| panic!("append: {error}"));
        assert_eq!(notes.get(&name).expect("readable").as_deref(), Some(&b"noted"[..]));
    }
    port.close().await;
}

pub(super) async fn topics_do_not_mix_even_if_their_names_are_alike(bench: Bench) {
    let port = bench.bare_port().await;
    let topics = ["a", "a.b", "a-b", "ab", "a.b.c", "b"].map(|name| bench.topic(name));
    for topic in &topics {
        port.ensure(&TopicSpec::new(topic.clone())).await;
    }
    for round in 0..3 {
        for topic in &topics {
            port.append_to(topic, entries([format!("{topic} {round}")])).await;
        }
    }
    for topic in &topics {
        let found = port.read_from(topic, Position(0)).await;
        assert_eq!(ids(&found), (0..3).map(|round| format!("{topic} {round}")).collect::<Vec<_>>());
    }
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

pub(super) async fn ensuring_again_changes_nothing_that_is_there(bench: Bench) {
    let port = bench.port().await;
    let positions = port.append(entries(0..5)).await;
    port.ensure(&bench.t()).await;
    let keep = Keep { time: Some(Duration::from_secs(3600)), bytes: Some(64 << 20) };
    port.ensure(&TopicSpec { keep, ..bench.t() }).await;
    port.ensure(&TopicSpec { event_max_bytes: 64 << 10, ..bench.t() }).await;
    port.ensure(&bench.t()).await;
    assert_eq!(port.all().await.iter().map(|stored| stored.position).collect::<Vec<_>>(), positions);
    assert!(port.append(entries([5])).await[0] > positions[4]);
    port.close().await;
}

pub(super) async fn many_who_ensure_the_same_topic_at_once_get_one(bench: Bench) {
    let port = bench.bare_port().await;
    let spec = bench.t();
    join_all((0..8).map(|_| port.ensure(&spec))).await;
    let appends = (0..8).map(|n| {
        let port = &port;
        async move { port.append(entries([n])).await }
    });
    join_all(appends).await;
    assert_eq!(port.all().await.len(), 8);
    port.close().await;
}
