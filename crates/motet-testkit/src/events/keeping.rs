//! Times, and what is kept how long.

use super::bench::{Bench, Port, answered, entries, entry, event, ids, now};
use motet_broker::{Keep, Position, Time};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

async fn at(port: &Port, time: Time) -> Position {
    let found = answered(port.transport.at_time(&port.topic, time)).await;
    found.unwrap_or_else(|error| panic!("at_time: {error}"))
}

async fn trim(port: &Port, keep: Keep, now: Time) {
    let trimmed = answered(port.transport.trim(&port.topic, &keep, now)).await;
    trimmed.unwrap_or_else(|error| panic!("trim: {error}"));
}

/// Lets the clock of events go on: what was published before this and what is published after it has not the same time.
async fn later(duration: Duration) -> Time {
    tokio::time::sleep(duration).await;
    now()
}

pub(super) async fn a_time_leads_to_the_first_event_of_then_or_later(bench: Bench) {
    let port = bench.port().await;
    let mut groups = Vec::new();
    for group in 0..4 {
        let since = later(Duration::from_millis(30)).await;
        groups.push((since, port.append(entries((0..5).map(|n| format!("{group}-{n}")))).await));
        later(Duration::from_millis(30)).await;
    }
    for (since, positions) in &groups {
        assert_eq!(at(&port, *since).await, positions[0], "{groups:?}");
    }
    port.close().await;
}

pub(super) async fn a_time_before_everything_leads_to_the_beginning_and_one_after_it_to_the_end(bench: Bench) {
    let port = bench.port().await;
    let empty = port.ends().await;
    assert_eq!(at(&port, now()).await, empty.next);
    let positions = port.append(entries(0..3)).await;
    let ends = port.until("the end", |ends| ends.next > positions[2]).await;
    for before in [Time(0), now().before(HOUR)] {
        let found = at(&port, before).await;
        assert!(found <= positions[0], "{found:?} and not {:?}", positions[0]);
    }
    for after in [now().after(HOUR), now().after(1000 * HOUR)] {
        assert_eq!(at(&port, after).await, ends.next);
    }
    port.close().await;
}

pub(super) async fn what_is_to_be_kept_is_never_given_back(bench: Bench) {
    let port = bench.port().await;
    let positions = port.append(entries(0..20)).await;
    for keep in [
        Keep { time: None, bytes: None },
        Keep { time: Some(HOUR), bytes: None },
        Keep { time: None, bytes: Some(1 << 30) },
        Keep { time: Some(HOUR), bytes: Some(1 << 30) },
    ] {
        trim(&port, keep, now()).await;
        assert!(port.ends().await.first <= positions[0], "{keep:?}");
    }
    assert_eq!(port.all().await.iter().map(|stored| stored.position).collect::<Vec<_>>(), positions);
    port.close().await;
}

pub(super) async fn what_one_subscription_has_settled_can_be_read_by_others(bench: Bench) {
    let port = bench.port().await;
    let positions = port.append(entries(0..10)).await;
    let sub = bench.sub("s");
    for below in [positions[4], positions[9].next()] {
        answered(port.transport.settled(&port.topic, &sub, below))
            .await
            .unwrap_or_else(|error| panic!("settled: {error}"));
        assert_eq!(port.all().await.len(), 10);
    }
    port.close().await;
}

pub(super) async fn what_is_too_old_is_given_back_and_what_is_younger_stays(bench: Bench) {
    let port = bench.port().await;
    let old = port.append(entries(["o1", "o2", "o3"])).await;
    // Engines may be two seconds late: they note times now and then, and not with each event.
    later(Duration::from_millis(2300)).await;
    let begun = now();
    let young = port.append(entries(["y1", "y2"])).await;
    trim(&port, Keep { time: Some(HOUR), bytes: None }, begun.after(HOUR)).await;
    let ends = port.until("the old ones gone", |ends| ends.first > old[2]).await;
    assert!(ends.first <= young[0], "{ends:?}, and the young ones begin at {:?}", young[0]);
    assert_eq!(ids(&port.all().await), ["y1", "y2"]);
    port.close().await;
}

pub(super) async fn a_topic_that_gave_everything_back_goes_on_with_higher_positions(bench: Bench) {
    let port = bench.port().await;
    let gone = port.append(entries(0..5)).await;
    trim(&port, Keep { time: Some(HOUR), bytes: None }, now().after(2 * HOUR)).await;
    let ends = port.until("everything gone", |ends| ends.first > gone[4]).await;
    assert!(ends.next >= ends.first && port.all().await.is_empty(), "{ends:?}");
    port.close().await;
    let port = bench.port().await;
    let reopened = port.ends().await;
    assert!(reopened.first > gone[4] && reopened.next >= ends.next, "{reopened:?} after {ends:?}");
    let position = port.append(entries(["new"])).await[0];
    assert!(position > gone[4], "{position:?} comes after {:?}", gone[4]);
    assert_eq!(ids(&port.all().await), ["new"]);
    assert_eq!(at(&port, Time(0)).await.max(port.ends().await.first), position);
    port.close().await;
}

pub(super) async fn the_oldest_is_given_back_when_there_are_too_many_bytes(bench: Bench) {
    const EVENT: usize = 500_000;
    const KEPT: usize = 6 << 20;
    /// Engines give back in pieces of up to this size.
    const PIECE: usize = 5 << 20;
    let port = bench.port().await;
    let mut positions = Vec::new();
    for round in 0..8 {
        let large = (0..5).map(|n| {
            let event = event(&format!("{round}-{n}"), "");
            entry(event.edit().data(vec![b'x'; EVENT]).build().expect("an event"))
        });
        positions.extend(port.append(large.collect()).await);
    }
    trim(&port, Keep { time: None, bytes: Some(KEPT as u64) }, now()).await;
    port.until("the oldest gone", |ends| ends.first > positions[0]).await;
    let found = port.all().await;
    let bytes = found.iter().map(|stored| stored.entry.event.size()).sum::<usize>();
    assert!(bytes <= KEPT + PIECE, "{bytes} bytes are left of {}, and {KEPT} are to be kept", 40 * EVENT);
    assert_eq!(found.last().map(|stored| stored.position), positions.last().copied(), "the newest stays");
    port.close().await;
}
