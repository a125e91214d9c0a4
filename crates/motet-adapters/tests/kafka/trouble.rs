//! What is not Kafka, what dies, what hangs.

use super::{LIMIT, Port, entry, own, proxied, with};
use motet_adapters::kafka::{Kafka, Settings};
use motet_broker::{Position, Transport};
use motet_kernel::task::TaskGroup;
use motet_store::{Options, Store};
use std::{
    collections::HashSet,
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

async fn refused(address: String) -> String {
    let place = motet_testkit::place::new("motet-adapters-").unwrap();
    let store = Store::open(place.path(), Options { reserve_bytes: 0, ..Options::default() }).unwrap();
    let settings =
        Settings { brokers: vec![address.clone()], prefix: "suite".to_owned(), partitions: 1, replicas: None };
    let began = Instant::now();
    let refused = Kafka::connect(settings, &store, &TaskGroup::new()).await.err().expect("no cluster").to_string();
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    assert!(refused.contains(&address) && refused.contains("engines.events.kafka.brokers"), "{refused}");
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_where_nobody_listens_is_named_with_the_reason() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = refused(free.to_string()).await;
    assert!(refused.contains("Connection refused"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_kafka_is_named_with_the_reason() {
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = web.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in web.incoming().take(100) {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 100]);
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
        }
    });
    let refused = refused(address.to_string()).await;
    assert!(!refused.contains("nothing answered"), "{refused}");
    eprintln!("{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = refused(silent.local_addr().unwrap().to_string()).await;
    eprintln!("{refused}");
}

/// Appends from several sides until told to stop; what was acknowledged, of each side, in its order.
async fn load(port: &Arc<Port>, stop: &Arc<AtomicBool>) -> Vec<(u64, Vec<(String, Position)>)> {
    let group = TaskGroup::new();
    let sides = (0..8u64).map(|side| {
        let (port, stop) = (Arc::clone(port), Arc::clone(stop));
        group.spawn(motet_kernel::task::Kind::Job, "load", async move {
            let (mut acknowledged, mut n) = (Vec::new(), 0u64);
            while !stop.load(Ordering::Relaxed) {
                let ids: Vec<_> = (n..n + 1 + side * 3).map(|n| format!("{side}-{n:08}")).collect();
                // A publisher that hears of a failure tries again, and goes on when it hears yes.
                if let Ok(positions) = port.append(ids.iter().map(entry).collect()).await {
                    n += ids.len() as u64;
                    acknowledged.extend(ids.into_iter().zip(positions));
                }
            }
            (side, acknowledged)
        })
    });
    let mut all = Vec::new();
    for side in sides.collect::<Vec<_>>() {
        all.push(side.await.unwrap().unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_under_load_loses_and_reorders_nothing_that_was_acknowledged() {
    let Some(fixture) = own().await else { return };
    let port = Arc::new(Port::open(&fixture).await);
    port.ensure().await;
    let stop = Arc::new(AtomicBool::new(false));
    let (loading, stopping) = (load(&port, &stop), Arc::clone(&stop));
    let disturbing = async {
        for round in 0..3 {
            let before = *port.kafka.head(&port.topic).unwrap().borrow();
            let mut head = port.kafka.head(&port.topic).unwrap();
            tokio::time::timeout(LIMIT * 2, head.wait_for(|head| head.0 > before.0 + 500)).await.unwrap().unwrap();
            if round == 1 {
                fixture.relay().cut();
                fixture.relay().heal();
            } else {
                with(&fixture, |fixture| {
                    fixture.kill();
                    fixture.resume().unwrap();
                })
                .await;
            }
        }
        stopping.store(true, Ordering::Relaxed);
    };
    let (acknowledged, ()) = tokio::join!(loading, disturbing);
    let total: usize = acknowledged.iter().map(|(_, of_side)| of_side.len()).sum();
    assert!(total > 1000, "{total}");

    let port = Arc::into_inner(port).unwrap().again(&fixture).await;
    let found = port.read(0).await;
    assert!(found.windows(2).all(|pair| pair[0].position < pair[1].position));
    let at: std::collections::HashMap<_, _> =
        found.iter().map(|stored| (stored.position, stored.entry.event.id().to_owned())).collect();
    let mut first_seen = HashSet::new();
    let firsts: Vec<_> =
        found.iter().map(|stored| stored.entry.event.id()).filter(|id| first_seen.insert(*id)).collect();
    for (side, of_side) in acknowledged {
        for (id, position) in &of_side {
            assert_eq!(at.get(position), Some(id), "what was acknowledged stands where it was said to stand");
        }
        assert!(of_side.windows(2).all(|pair| pair[0].1 < pair[1].1));
        let prefix = format!("{side}-");
        let of_side: Vec<_> = firsts.iter().filter(|id| id.starts_with(&prefix)).collect();
        assert!(of_side.is_sorted(), "side {side} is out of order");
    }
    eprintln!("{total} acknowledged, {} in the topic", found.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_fails_calls_in_time_and_serves_again_when_it_is_back() {
    let Some(fixture) = proxied().await else { return };
    let port = Port::open(&fixture).await;
    port.ensure().await;
    port.append(vec![entry("before")]).await.unwrap();
    fixture.relay().hold();
    let began = Instant::now();
    let (append, ends) = tokio::join!(port.append(vec![entry("during")]), port.kafka.ends(&port.topic));
    let refused = append.unwrap_err().to_string();
    assert!(ends.is_err() && refused.contains(&fixture.address()), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(13), "{:?}", began.elapsed());
    assert_eq!(port.read(0).await.len(), 1, "what is in memory is read all the same");
    fixture.relay().heal();
    let until = Instant::now() + LIMIT;
    while port.append(vec![entry("after")]).await.is_err() {
        assert!(Instant::now() < until, "it does not recover");
    }
    let found = port.read_until(0, |found| found.iter().any(|stored| stored.entry.event.id() == "after")).await;
    assert_eq!(found[0].entry.event.id(), "before");
}
