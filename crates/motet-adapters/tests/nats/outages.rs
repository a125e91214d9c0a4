//! Servers that die, hang, lose what they had, and connections that break in the middle.

use super::*;
use motet_testkit::relay::Relay;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long publishers go on while the server is killed again and again.
const ROUNDS: usize = 4;
const PUBLISHERS: usize = 8;
const TOGETHER: usize = 20;

/// Publishes numbered events, many in one append, until told to stop; each append again until it succeeds. What was acknowledged, and where.
async fn publish(rig: &Rig, topic: &TopicName, publisher: usize, stop: &AtomicBool) -> Vec<(Position, String)> {
    let mut acknowledged = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let ids: Vec<_> = (0..TOGETHER).map(|at| format!("{publisher}-{:06}", number + at)).collect();
        number += TOGETHER;
        loop {
            let entries = ids.iter().map(|id| entry(id)).collect();
            match rig.nats.append(topic, entries, None).await {
                Ok(positions) => {
                    acknowledged.extend(positions.into_iter().zip(ids));
                    break;
                }
                Err(TransportError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        }
    }
    acknowledged
}

/// Everything acknowledged stands where it was said; and whoever leaves out what he has seen before sees each publisher's events in order.
async fn check(rig: &Rig, topic: &TopicName, acknowledged: Vec<(Position, String)>) {
    let all = rig.all(topic).await;
    let stands: std::collections::HashMap<_, _> =
        all.iter().map(|stored| (stored.position, stored.entry.event.id().to_owned())).collect();
    assert!(acknowledged.len() > PUBLISHERS * TOGETHER, "only {} were acknowledged", acknowledged.len());
    for (position, id) in &acknowledged {
        assert_eq!(stands.get(position), Some(id), "{position:?}");
    }
    let mut seen = [0; PUBLISHERS];
    for stored in &all {
        let (publisher, number) = stored.entry.event.id().split_once('-').unwrap();
        let (publisher, number): (usize, usize) = (publisher.parse().unwrap(), number.parse().unwrap());
        assert!(number <= seen[publisher], "{number} of {publisher} came before {}", seen[publisher]);
        seen[publisher] = seen[publisher].max(number + 1);
    }
}

async fn publish_while(rig: &Rig, topic: &TopicName, disturb: impl Future<Output = ()>) -> Vec<(Position, String)> {
    let stop = AtomicBool::new(false);
    let publishers = (0..PUBLISHERS).map(|publisher| publish(rig, topic, publisher, &stop));
    let publishing = futures_util::future::join_all(publishers);
    let disturbing = async {
        disturb.await;
        stop.store(true, Ordering::Relaxed);
    };
    let (acknowledged, ()) = tokio::join!(publishing, disturbing);
    acknowledged.into_iter().flatten().collect()
}

/// Waits until the topic has grown.
async fn grow(rig: &Rig, topic: &TopicName) {
    let mut head = rig.nats.head(topic).unwrap();
    let more = head.borrow().0 + 500;
    let grown = timeout(LIMIT, head.wait_for(|head| head.0 >= more)).await;
    assert!(grown.is_ok(), "nothing is published any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_under_load_loses_nothing_acknowledged_and_turns_nothing_round() {
    let Some(server) = Server::own().map(Arc::new) else { return };
    let rig = Rig::open(&server.url(), "dies").await;
    let topic = rig.topic("t").await;
    let acknowledged = publish_while(&rig, &topic, async {
        for _ in 0..ROUNDS {
            grow(&rig, &topic).await;
            let server = Arc::clone(&server);
            tokio::task::spawn_blocking(move || server.restart()).await.unwrap();
        }
        grow(&rig, &topic).await;
    });
    let acknowledged = acknowledged.await;
    check(&rig, &topic, acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_in_the_middle_of_appends_turn_nothing_round() {
    let Some(server) = server() else { return };
    let relay = Relay::start(server.address()).unwrap();
    let rig = Rig::open(&Server::url_at(relay.address()), "breaks").await;
    let topic = rig.topic("t").await;
    let acknowledged = publish_while(&rig, &topic, async {
        for _ in 0..ROUNDS * 3 {
            grow(&rig, &topic).await;
            relay.cut();
            relay.heal();
        }
        grow(&rig, &topic).await;
    });
    let acknowledged = acknowledged.await;
    check(&rig, &topic, acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_fails_calls_in_time_and_is_found_again() {
    let Some(server) = server() else { return };
    let relay = Relay::start(server.address()).unwrap();
    let rig = Rig::open(&Server::url_at(relay.address()), "hangs").await;
    let topic = rig.topic("t").await;
    rig.append(&topic, &["1"]).await.unwrap();
    relay.hold();
    let began = Instant::now();
    let calls = async {
        let (append, read, ends) = tokio::join!(
            rig.append(&topic, &["2"]),
            rig.nats.read(&topic, Position(0), Limits::items(1)),
            rig.nats.ends(&topic)
        );
        [append.err(), read.err(), ends.err()]
    };
    let errors = timeout(Duration::from_secs(14), calls).await.expect("each call ends");
    for error in errors {
        assert!(matches!(error, Some(TransportError::Unavailable { .. })), "{error:?}");
    }
    println!("calls failed after {:?}", began.elapsed());
    relay.heal();
    let again = async {
        while rig.append(&topic, &["3"]).await.is_err() {}
        rig.ids(&topic).await
    };
    let ids = timeout(LIMIT, again).await.expect("it comes back");
    assert!(ids.first().is_some_and(|id| id == "1") && ids.last().is_some_and(|id| id == "3"), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_deleted_is_a_clear_error_until_it_is_ensured_and_positions_go_on() {
    let Some(server) = server() else { return };
    let rig = Rig::open(&server.url(), "deleted").await;
    let topic = rig.topic("t").await;
    let before = rig.append(&topic, &["1", "2"]).await.unwrap();
    let client = foreign(&server.url()).await;
    ask(&client, "STREAM.DELETE.deleted_t", Value::Null).await;
    let said = rig.nats.read(&topic, Position(0), Limits::items(1)).await.expect_err("it is gone").to_string();
    assert!(said.contains("deleted_t") && said.contains("was deleted"), "{said}");
    assert!(rig.append(&topic, &["3"]).await.is_err());
    rig.topic("t").await;
    let after = rig.append(&topic, &["4"]).await.unwrap();
    assert!(after[0] > before[1], "{after:?} after {before:?}");
    let found = rig.nats.read(&topic, before[1].next(), Limits::items(10)).await.unwrap();
    assert_eq!(found.iter().map(|stored| stored.position).collect::<Vec<_>>(), after);
    let rig = rig.again().await;
    rig.topic("t").await;
    assert_eq!(rig.append(&topic, &["5"]).await.unwrap()[0], after[0].next(), "that is remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_empty_is_noticed_by_itself() {
    let Some(server) = Server::own().map(Arc::new) else { return };
    let rig = Rig::open(&server.url(), "empty").await;
    let topic = rig.topic("t").await;
    let before = rig.append(&topic, &["1", "2", "3"]).await.unwrap();
    let emptied = Arc::clone(&server);
    tokio::task::spawn_blocking(move || {
        emptied.kill();
        emptied.forget();
        emptied.revive();
    });
    let lost = async {
        loop {
            match rig.nats.ends(&topic).await {
                Err(error) if error.to_string().contains("was deleted") => return,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    timeout(LIMIT, lost).await.expect("it says that the stream is gone");
    let rig = rig.again().await;
    rig.topic("t").await;
    assert!(rig.append(&topic, &["4"]).await.unwrap()[0] > before[2]);
}
