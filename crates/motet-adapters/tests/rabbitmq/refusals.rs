//! What is wrong from the start is said at once, with what to do, and without the password.

use super::*;
use lapin::{
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable},
};
use motet_kernel::task::Kind;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// What connecting there fails with.
async fn refusal(url: String) -> String {
    let dir = motet_testkit::place::new("motet-adapters-").unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let settings = Settings { url, prefix: "refused".to_owned(), replicas: None };
    let group = TaskGroup::new();
    let connecting = Rabbit::connect(settings, &store, &group);
    let error = timeout(Duration::from_secs(15), connecting).await.expect("connecting gives up").err();
    let error = error.expect("connecting fails").to_string();
    assert!(!error.contains("hunter2"), "{error}");
    error
}

/// A server that answers the first words with others, or with nothing.
async fn impostor(answer: Option<&'static [u8]>) -> (SocketAddr, TaskGroup) {
    let group = TaskGroup::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = group.clone();
    group.spawn_dropping(Kind::Listener, "impostor", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn_dropping(Kind::Connection, "impostor", async move {
                let _ = stream.read(&mut [0; 64]).await;
                if let Some(answer) = answer {
                    let _ = stream.write_all(answer).await;
                } else {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (address, group)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_at_once() {
    let Some(server) = server() else { return };
    let began = Instant::now();
    let error = refusal(format!("amqp://motet:hunter2@127.0.0.1:{}", server.port())).await;
    assert!(error.contains("user `motet` is refused: check user and password"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_host_that_is_not_there_is_named() {
    let Some(server) = server() else { return };
    let error = refusal(server.url().replace("%2f", "nowhere")).await;
    assert!(error.contains("virtual host `nowhere` is not there"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_the_address_is_said_within_ten_seconds() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let began = Instant::now();
    let error = refusal(format!("amqp://motet:hunter2@{free}")).await;
    assert!(error.contains("nothing answers there") && error.contains("start RabbitMQ"), "{error}");
    assert!(error.contains(&free.to_string()), "{error}");
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_rabbitmq_is_called_so() {
    let answers: [&[u8]; 3] = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\0\x01\0\0", &[0xff; 64]];
    for answer in answers {
        let (address, group) = impostor(Some(answer)).await;
        let error = refusal(format!("amqp://motet:hunter2@{address}")).await;
        assert!(error.contains("it does not answer like RabbitMQ") && error.contains("5672"), "{error}");
        group.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_a_port_without_it_is_said_at_once() {
    let Some(server) = server() else { return };
    let error = refusal(format!("amqps://motet:hunter2@127.0.0.1:{}", server.port())).await;
    assert!(error.contains("TLS with it fails") && error.contains("5671"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_given_up() {
    let (address, group) = impostor(None).await;
    let began = Instant::now();
    let error = refusal(format!("amqp://motet:hunter2@{address}")).await;
    assert!(error.contains("said nothing"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    group.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_is_not_repeated() {
    for url in ["", "http://motet:hunter2@127.0.0.1", "amqp://motet:hunter2@127.0.0.1:port"] {
        let error = refusal(url.to_owned()).await;
        assert!(error.contains("write amqp://user:password@host:5672/vhost"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_made_otherwise_is_refused_and_left_alone() {
    let Some(server) = server() else { return };
    let (_connection, channel) = foreign(&server.url()).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("other.orders".into(), options, arguments).await.unwrap();
    let rig = Rig::open(server.url(), "other").await;
    let error = rig.rabbit.ensure(&TopicSpec::new("orders".parse().unwrap())).await.unwrap_err().to_string();
    assert!(error.contains("`queue other.orders` exists with other properties than Motet's"), "{error}");
    assert!(error.contains("inequivalent arg"), "{error}");
    // Other topics are not concerned.
    let topic = rig.topic("fine").await;
    rig.append(&topic, &["1"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_made_with_as_many_copies_as_are_asked_for_and_keeps_them() {
    let Some(server) = server() else { return };
    let copies = |replicas| Settings { url: server.url(), prefix: "copies".to_owned(), replicas };
    let dir = Arc::new(motet_testkit::place::new("motet-adapters-").unwrap());
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let mut rig = Rig::on(store, copies(Some(3)), dir).await;
    let topic = rig.topic("orders").await;
    rig.append(&topic, &["1"]).await.unwrap();

    // What the server says to whoever declares it otherwise.
    let (_connection, channel) = foreign(&server.url()).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let said = channel.queue_declare("copies:rejected".into(), options, arguments).await.unwrap_err().to_string();
    assert!(said.contains("'x-quorum-initial-group-size'") && said.contains("'3'"), "{said}");

    for (replicas, id) in [(None, "2"), (Some(5), "3")] {
        rig.settings = copies(replicas);
        rig = rig.again().await;
        rig.topic("orders").await;
        rig.append(&topic, &[id]).await.unwrap();
    }
    assert_eq!(rig.ids(&topic, 3).await, ["1", "2", "3"]);
}
