//! Topics whose offsets have gaps: transactions and compaction.

use super::{LIMIT, Port, client, entry, ids, make, shared, with};
use motet_broker::{Limits, Position, Transport};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

fn send(producer: &BaseProducer, topic: &str, key: &str, value: &str) {
    producer.send(BaseRecord::to(topic).key(key).payload(value)).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_took_back_is_never_seen_and_what_it_has_open_is_waited_for() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open(&fixture).await;
    port.ensure().await;
    port.append(vec![entry("own-1")]).await.unwrap();
    let (name, id) = (port.name(), format!("tx-{}", port.topic));
    let open = with(&fixture, move |fixture| {
        let producer: BaseProducer = client(fixture).set("transactional.id", id).create().unwrap();
        producer.init_transactions(LIMIT).unwrap();
        for (key, commits) in [("aborted", false), ("committed", true), ("aborted", false)] {
            producer.begin_transaction().unwrap();
            send(&producer, &name, key, key);
            if commits {
                producer.commit_transaction(LIMIT).unwrap();
            } else {
                producer.abort_transaction(LIMIT).unwrap();
            }
        }
        producer.begin_transaction().unwrap();
        send(&producer, &name, "open", "open");
        producer
    })
    .await;
    // 0 own, 1 aborted, 2 its mark, 3 committed, 4 its mark, 5 aborted, 6 its mark, 7 open, 8 own
    port.append(vec![entry("own-2")]).await.unwrap();
    let seen = |found: &[motet_broker::Stored]| found.iter().map(|stored| stored.position.0).collect::<Vec<_>>();
    let found = port.read_until(0, |found| found.len() >= 2).await;
    assert_eq!(seen(&found), [0, 3], "nothing behind what is undecided");
    assert_eq!(port.kafka.ends(&port.topic).await.unwrap().next, Position(7));
    with(&fixture, move |_| open.commit_transaction(LIMIT).unwrap()).await;
    let found = port.read_until(0, |found| found.len() >= 4).await;
    assert_eq!(seen(&found), [0, 3, 7, 8]);
    port.append(vec![entry("own-3")]).await.unwrap();

    let again = port.again(&fixture).await;
    for from in 0..=10 {
        let expected: Vec<u64> = [0, 3, 7, 8, 10].into_iter().filter(|at| *at >= from).collect();
        assert_eq!(seen(&again.read(from).await), expected, "from {from}, from Kafka");
        let one = again.kafka.read(&again.topic, Position(from), Limits::items(1)).await.unwrap();
        assert_eq!(seen(&one), expected[..1], "one from {from}");
    }
    assert_eq!(again.read(11).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_is_read_over_its_gaps() {
    let Some(fixture) = shared().await else { return };
    let port = Port::open(&fixture).await;
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "300"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "100"),
    ];
    make(&fixture, &port.topic, 1, &settings).await;
    port.ensure().await;
    let write = |port: &Port, round: u32| {
        let name = port.name();
        with(&fixture, move |fixture| {
            let producer: BaseProducer = client(fixture).create().unwrap();
            (0..10).for_each(|n| send(&producer, &name, &format!("k{}", n % 5), &format!("{round}-{n}")));
        })
    };
    let until = std::time::Instant::now() + LIMIT;
    let mut round = 0;
    let again = loop {
        write(&port, round).await;
        round += 1;
        // Only a process that has nothing in memory sees what Kafka has left.
        let fresh = Port { topic: port.topic.clone(), ..Port::open(&fixture).await };
        fresh.ensure().await;
        if fresh.read(0).await.len() < (round * 10) as usize {
            break fresh;
        }
        assert!(std::time::Instant::now() < until, "Kafka compacted nothing in {LIMIT:?}");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    };
    let found = again.read(0).await;
    assert!(found.windows(2).all(|pair| pair[0].position < pair[1].position));
    let last = found.last().unwrap();
    let name = port.name();
    assert_eq!(ids(std::slice::from_ref(last)), [format!("{name}/0/{}", round * 10 - 1)]);
    let gap = found.windows(2).find(|pair| pair[1].position.0 > pair[0].position.0 + 1);
    let into = gap.map_or(Position(0), |pair| pair[0].position.next());
    let behind = again.kafka.read(&again.topic, into, Limits::items(1)).await.unwrap();
    assert!(behind[0].position >= into, "a read into a gap begins behind it");
}
