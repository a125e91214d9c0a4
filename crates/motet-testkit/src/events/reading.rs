//! Reading: from anywhere, up to limits, without waiting, while others write.

use super::bench::{Bench, entries, entry, event, ids};
use futures_util::future::join_all;
use motet_broker::{Limits, Position, port::Ends};
use std::time::{Duration, Instant};

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

pub(super) async fn a_read_from_anywhere_gives_what_stands_there_and_behind(bench: Bench) {
    let port = bench.port().await;
    let positions = port.append(entries(0..10)).await;
    for (n, position) in positions.iter().enumerate() {
        let found = port.read(*position, Limits::items(1)).await;
        assert_eq!((ids(&found), found[0].position), (vec![n.to_string().as_str()], *position));
        let behind = port.read_from(&port.topic, position.next()).await;
        assert_eq!(ids(&behind), (n + 1..10).map(|n| n.to_string()).collect::<Vec<_>>());
    }
    // Backwards and across: a read depends on nothing that was read before.
    for n in [9, 0, 5, 1, 9] {
        assert_eq!(ids(&port.read(positions[n], Limits::items(1)).await), [n.to_string()]);
    }
    port.close().await;
}

pub(super) async fn a_read_behind_the_end_is_empty_and_does_not_wait(bench: Bench) {
    let port = bench.port().await;
    let last = port.append(entries(0..3)).await[2];
    let end = port.until("the end", |ends| ends.next > last).await.next;
    let begun = Instant::now();
    for from in [end, end.next(), Position(end.0 + 1_000_000), Position(u64::MAX)] {
        let found = port.read(from, Limits::items(10)).await;
        assert!(found.is_empty(), "from {from:?}: {:?}", ids(&found));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "four empty reads took {:?}", begun.elapsed());
    port.close().await;
}

pub(super) async fn a_topic_without_events_ends_where_it_begins(bench: Bench) {
    let port = bench.port().await;
    let Ends { first, next } = port.ends().await;
    assert_eq!(first, next);
    assert_eq!(*port.transport.head(&port.topic).expect("a head").borrow(), next);
    assert!(port.read(Position(0), Limits::items(10)).await.is_empty());
    assert!(port.append(entries([1])).await[0] >= next);
    port.close().await;
}

pub(super) async fn the_ends_hold_everything_that_was_appended(bench: Bench) {
    let port = bench.port().await;
    let positions = port.append(entries(0..10)).await;
    let ends = port.until("the end behind the last event", |ends| ends.next > positions[9]).await;
    assert!(ends.first <= positions[0], "{ends:?} for {positions:?}");
    assert_eq!(*port.transport.head(&port.topic).expect("a head").borrow(), ends.next);
    assert!(port.read(ends.next, Limits::items(1)).await.is_empty(), "nothing stands at the end");
    port.close().await;
}

pub(super) async fn whoever_reads_while_others_append_misses_nothing(bench: Bench) {
    const EVENTS: usize = 600;
    let port = bench.port().await;
    let write = async {
        for n in (0..EVENTS).step_by(20) {
            port.append(entries(n..n + 20)).await;
        }
    };
    let read = async {
        let mut head = port.transport.head(&port.topic).expect("a head");
        let (mut at, mut seen) = (Position(0), 0);
        while seen < EVENTS {
            let end = *head.wait_for(|head| *head > at).await.expect("the head lives as long as the transport");
            let found = port.read(at, Limits::items(50)).await;
            for stored in &found {
                assert_eq!(stored.entry.event.id(), seen.to_string(), "at {:?}", stored.position);
                seen += 1;
                at = stored.position.next();
            }
            assert!(!found.is_empty(), "the head said {end:?}, and from {at:?} nothing is read");
        }
    };
    tokio::join!(write, read);
    port.close().await;
}

pub(super) async fn many_may_read_at_once(bench: Bench) {
    let port = bench.port().await;
    let positions = port.append(entries(0..200)).await;
    let reads = (0..32).map(|reader| {
        let (port, from) = (&port, positions[reader * 5]);
        async move { (reader * 5, port.read_from(&port.topic, from).await) }
    });
    for (first, found) in join_all(reads).await {
        assert_eq!(ids(&found), (first..200).map(|n| n.to_string()).collect::<Vec<_>>());
    }
    port.close().await;
}
