//! Catching up, and jumping about.

use super::{Port, entry, shared};
use motet_broker::{Limits, Position, Transport};
use std::time::Instant;

/// More than is kept in memory.
const EVENTS: u64 = 30_000;

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_events_are_caught_up_with_quickly() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open(&fixture).await;
    port.ensure().await;
    let began = Instant::now();
    for batch in 0..EVENTS / 1000 {
        port.append((batch * 1000..(batch + 1) * 1000).map(entry).collect()).await.unwrap();
    }
    let appended = began.elapsed();
    let port = port.again(&fixture).await;
    let began = Instant::now();
    let (mut at, mut count) = (Position(0), 0);
    loop {
        let found = port.kafka.read(&port.topic, at, Limits { items: 256, bytes: 1 << 20 }).await.unwrap();
        let Some(last) = found.last() else { break };
        for stored in &found {
            assert_eq!(stored.entry.event.id(), count.to_string());
            count += 1;
        }
        at = last.position.next();
    }
    let read = began.elapsed();
    assert_eq!(count, EVENTS);
    let per_second = |time: std::time::Duration| EVENTS as f64 / time.as_secs_f64();
    eprintln!("appended {:.0}/s in thousands, caught up {:.0}/s", per_second(appended), per_second(read));
    assert!(per_second(read) > 1_000.0, "{read:?}, even on a very busy machine and without optimization");

    let mut waits: Vec<_> = Vec::new();
    for n in 0..200 {
        let began = Instant::now();
        port.append(vec![entry(n)]).await.unwrap();
        waits.push(began.elapsed());
    }
    waits.sort();
    eprintln!("one append: median {:?}, p99 {:?}", waits[100], waits[198]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_at_any_position_give_what_stands_there() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open(&fixture).await;
    port.ensure().await;
    for batch in 0..20 {
        port.append((batch * 100..(batch + 1) * 100).map(entry).collect()).await.unwrap();
    }
    let port = port.again(&fixture).await;
    let random = fastrand::Rng::with_seed(7);
    let mut random = random;
    let mut waits = Vec::new();
    for _ in 0..200 {
        let (from, items) = (random.u64(0..2000), random.usize(1..50));
        let began = Instant::now();
        let found = port.kafka.read(&port.topic, Position(from), Limits::items(items)).await.unwrap();
        waits.push(began.elapsed());
        assert!(!found.is_empty(), "nothing at {from}");
        for (stored, n) in found.iter().zip(from..) {
            assert_eq!((stored.position, stored.entry.event.id()), (Position(n), n.to_string().as_str()));
        }
    }
    waits.sort();
    eprintln!("a read at a random old position: median {:?}, longest {:?}", waits[100], waits[199]);
}
