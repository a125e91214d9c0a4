//! Servers that are killed, connections that break at the worst moment, disks that are full: nothing acknowledged is lost, each key stays in
//! order, and nothing is there twice that was not repeated.

use super::*;
use crate::rabbitmq::foreign::publish;
use lapin::{
    BasicProperties,
    options::QueueDeleteOptions,
    types::{AMQPValue, FieldTable},
};
use motet_testkit::relay::Relay;
use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};
use tokio::{io::AsyncReadExt, net::TcpStream};

const KEYS: usize = 8;

fn relay(server: &Server) -> Relay {
    Relay::start((std::net::Ipv4Addr::LOCALHOST, server.port()).into()).unwrap()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn until(what: &str, satisfied: impl Fn() -> bool) {
    let until = Instant::now() + LIMIT;
    while !satisfied() {
        assert!(Instant::now() < until, "not seen within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What publishers know when they are done.
#[derive(Default)]
struct Load {
    enough: AtomicBool,
    acknowledged: AtomicU64,
    /// By key: how many were acknowledged.
    promised: parking_lot::Mutex<HashMap<usize, u64>>,
    /// What was published again because nobody knew whether it was there.
    repeated: parking_lot::Mutex<HashSet<String>>,
}

impl Load {
    /// One publisher of each key; each publishes its next event when the last was acknowledged, and the last again when not.
    async fn run(&self, rig: &Rig, topic: &TopicName) {
        let publishers = (0..KEYS).map(|key| async move {
            let mut number = 0;
            while !self.enough.load(Relaxed) {
                let id = format!("{key}-{number}");
                match rig.rabbit.append(topic, vec![entry(&id, &format!("k{key}"))], None).await {
                    Ok(_) => {
                        number += 1;
                        self.promised.lock().insert(key, number);
                        self.acknowledged.fetch_add(1, Relaxed);
                    }
                    Err(TransportError::Unavailable { .. }) => drop(self.repeated.lock().insert(id)),
                    Err(error) => panic!("an outage is no reason to give up: {error}"),
                }
            }
        });
        futures_util::future::join_all(publishers).await;
    }

    fn check(&self, ids: &[String]) {
        let (promised, repeated) = (self.promised.lock(), self.repeated.lock());
        let mut seen = HashSet::new();
        let mut next: HashMap<usize, u64> = HashMap::new();
        for id in ids {
            if !seen.insert(id) {
                assert!(repeated.contains(id), "{id} is there twice, and was published once");
                continue;
            }
            let (key, number) = id.split_once('-').unwrap();
            let next = next.entry(key.parse().unwrap()).or_default();
            assert_eq!(number.parse::<u64>().unwrap(), *next, "{id} is out of order");
            *next += 1;
        }
        for (key, count) in promised.iter() {
            assert!(next.get(key).is_some_and(|found| found >= count), "of key {key} {count} were acknowledged");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_under_load_loses_nothing_and_keeps_order() {
    let Some(server) = blocking(Server::own).await.map(Arc::new) else { return };
    let rig = Rig::open(server.url(), "killed").await;
    let topic = rig.topic("orders").await;
    let load = Load::default();
    let trouble = async {
        for _ in 0..2 {
            let before = load.acknowledged.load(Relaxed);
            until("events are acknowledged", || load.acknowledged.load(Relaxed) > before + 200).await;
            let killed = Arc::clone(&server);
            blocking(move || killed.restart()).await;
        }
        let before = load.acknowledged.load(Relaxed);
        until("events are acknowledged after the last kill", || load.acknowledged.load(Relaxed) > before + 200).await;
        load.enough.store(true, Relaxed);
    };
    tokio::join!(load.run(&rig, &topic), trouble);
    // What nobody knew of may still come: a last one is behind it.
    let last = rig.append(&topic, &["9-0"]).await.unwrap()[0];
    let ids = rig.ids(&topic, usize::try_from(last.0).unwrap() + 1).await;
    println!(
        "{} events acknowledged over two kills, {} repeated",
        load.acknowledged.load(Relaxed),
        load.repeated.lock().len()
    );
    load.check(&ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_cut_costs_publishers_time_and_makes_no_duplicates() {
    let Some(server) = server() else { return };
    let relay = relay(&server);
    let rig = Rig::open(server.url_at(relay.address().port()), "cuts").await;
    let topic = rig.topic("orders").await;
    let load = Load::default();
    let trouble = async {
        for _ in 0..5 {
            let before = load.acknowledged.load(Relaxed);
            until("events are acknowledged", || load.acknowledged.load(Relaxed) > before + 100).await;
            let mut witness = TcpStream::connect(relay.address()).await.unwrap();
            relay.cut();
            let cut = timeout(LIMIT, witness.read(&mut [0])).await.expect("connections are closed");
            assert!(!matches!(cut, Ok(1..)));
            relay.heal();
        }
        load.enough.store(true, Relaxed);
    };
    tokio::join!(load.run(&rig, &topic), trouble);
    assert_eq!(load.repeated.lock().len(), 0, "each append outlived the cut");
    let last = rig.append(&topic, &["9-0"]).await.unwrap()[0];
    load.check(&rig.ids(&topic, usize::try_from(last.0).unwrap() + 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_the_log_when_its_acknowledgement_was_lost_is_not_there_twice() {
    let Some(server) = server() else { return };
    let relay = relay(&server);
    let rig = Rig::open(server.url_at(relay.address().port()), "unacked").await;
    let topic = rig.topic("orders").await;
    let (_connection, channel) = foreign(&server.url()).await;
    rig.append(&topic, &["first"]).await.unwrap();
    // From here on the server hears of no acknowledgement.
    relay.deafen();
    for number in 0..20 {
        let event = Event::builder(&number.to_string(), "/shop", "order.placed").build().unwrap();
        publish(&channel, "unacked.orders", b"", crate::rabbitmq::foreign::cloud_event(&event)).await;
        let named = BasicProperties::default().with_message_id(format!("m-{number}").into());
        publish(&channel, "unacked.orders", b"named", named).await;
        publish(&channel, "unacked.orders", b"", as_motet_writes(number)).await;
    }
    let before = rig.ids(&topic, 61).await;
    relay.cut();
    relay.heal();
    let rig = rig.again().await;
    rig.topic("orders").await;
    publish(&channel, "unacked.orders", b"", as_motet_writes(99)).await;
    let ids = rig.ids(&topic, 62).await;
    assert_eq!(ids.len(), 62);
    assert_eq!(ids[..61], before);
    assert_eq!(ids[61], "own-99");
}

/// As an append of another process of this system.
fn as_motet_writes(number: u128) -> BasicProperties {
    let mut headers = FieldTable::default();
    let id = format!("own-{number}");
    for (name, value) in [("specversion", "1.0"), ("id", &id), ("source", "/s"), ("type", "t")] {
        headers.insert(format!("cloudEvents:{name}").into(), AMQPValue::LongString(value.into()));
    }
    let properties = BasicProperties::default().with_app_id("motet".into()).with_headers(headers);
    properties.with_message_id(format!("{:032x}-0", number + (1 << 100)).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_during_an_outage_fail_in_time_and_work_again_after_it() {
    let Some(server) = server() else { return };
    let relay = relay(&server);
    let rig = Rig::open(server.url_at(relay.address().port()), "outage").await;
    let topic = rig.topic("orders").await;
    rig.append(&topic, &["1"]).await.unwrap();
    relay.cut();
    let began = Instant::now();
    let (append, ensure) = tokio::join!(rig.append(&topic, &["2"]), async {
        rig.rabbit.ensure(&TopicSpec::new("other".parse().unwrap())).await
    });
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    for error in [append.unwrap_err(), ensure.unwrap_err()] {
        let TransportError::Unavailable { engine, reason } = error else { panic!("{error}") };
        assert!(engine.starts_with("rabbitmq at amqp://127.0.0.1:"), "{engine}");
        assert!(reason.contains("nothing answers there") || reason.contains("connection"), "{reason}");
    }
    assert_eq!(
        rig.rabbit.read(&topic, Position(0), Limits::items(9)).await.unwrap().len(),
        1,
        "reading needs no server"
    );
    relay.heal();
    rig.append(&topic, &["3"]).await.unwrap();
    relay.hold();
    let error = rig.append(&topic, &["4"]).await.unwrap_err();
    assert!(error.to_string().contains("no answer within 10s"), "{error}");
    relay.heal();
    rig.append(&topic, &["5"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_somebody_deletes_is_made_again() {
    let Some(server) = server() else { return };
    let rig = Rig::open(server.url(), "deleted").await;
    let topic = rig.topic("orders").await;
    let (_connection, channel) = foreign(&server.url()).await;
    channel.queue_delete("deleted.orders".into(), QueueDeleteOptions::default()).await.unwrap();
    assert_eq!(rig.append(&topic, &["1"]).await.unwrap(), [Position(0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_motet_of_the_same_name_waits_and_takes_over() {
    let Some(server) = server() else { return };
    let first = Rig::open(server.url(), "pair").await;
    let topic = first.topic("orders").await;
    first.append(&topic, &["1"]).await.unwrap();
    let second = Rig::open(server.url(), "pair").await;
    second.topic("orders").await;
    let (_connection, channel) = foreign(&server.url()).await;
    publish(&channel, "pair.orders", b"2", BasicProperties::default()).await;
    first.all(&topic, 2).await;
    let error = second.append(&topic, &["3"]).await.unwrap_err();
    assert!(error.to_string().contains("not come back"), "{error}");
    first.all(&topic, 3).await;
    assert_eq!(second.rabbit.ends(&topic).await.unwrap().next, Position(0));
    first.group.cancel();
    first.group.wait().await;
    drop(first);
    assert_eq!(second.append(&topic, &["4"]).await.unwrap(), [Position(0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_wait_in_rabbitmq_while_the_store_has_no_space() {
    let Some(server) = server() else { return };
    let dir = Arc::new(motet_testkit::place::new("motet-adapters-").unwrap());
    let settings = Settings { url: server.url(), prefix: "full".to_owned(), replicas: None };
    let full = Options { reserve_bytes: u64::MAX, ..Options::default() };
    let store = Store::open(dir.path(), full).unwrap();
    let rig = Rig::on(store, settings.clone(), Arc::clone(&dir)).await;
    let spec = TopicSpec::new("orders".parse().unwrap());
    if let Err(error) = rig.rabbit.ensure(&spec).await {
        panic!("a full disk is no reason not to open a topic: {error}");
    }
    let error = rig.append(&spec.name, &["1", "2"]).await.unwrap_err();
    assert!(error.to_string().contains("Motet's store does not take events"), "{error}");
    rig.group.cancel();
    rig.group.wait().await;
    drop(rig);
    let rig = Rig::on(Store::open(dir.path(), Options::default()).unwrap(), settings, dir).await;
    rig.topic("orders").await;
    assert_eq!(rig.ids(&spec.name, 2).await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_memory_stops_publishers_with_a_reason_and_goes_on_being_read() {
    let Some(server) = blocking(Server::own).await.map(Arc::new) else { return };
    let rig = Rig::open(server.url(), "blocked").await;
    let topic = rig.topic("orders").await;
    rig.append(&topic, &["1"]).await.unwrap();
    let block = |is_blocked| {
        let server = Arc::clone(&server);
        blocking(move || server.block(is_blocked))
    };
    block(true).await;
    let error = rig.append(&topic, &["2"]).await.unwrap_err();
    assert!(error.to_string().contains("too little memory or disk"), "{error}");
    block(false).await;
    rig.append(&topic, &["3"]).await.unwrap();
    let ids = rig.ids(&topic, 2).await;
    assert_eq!((ids[0].as_str(), ids.last().unwrap().as_str()), ("1", "3"));
}
