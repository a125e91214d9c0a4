//! WebSockets with a real library on both sides.

use crate::world::{LIMIT, World, eventually, tcp};
use futures_util::{SinkExt, StreamExt};
use motet_kernel::task::TaskGroup;
use motet_proxy::{Config, EdgePolicy, Protocol};
use std::time::Duration;
use tokio::{net::TcpStream, time::Instant};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{Bytes, Message, Utf8Bytes},
};

/// Says everything back.
async fn echo(stream: TcpStream) {
    let Ok(socket) = accept_async(stream).await else { return };
    let (mut to, mut from) = socket.split();
    while let Some(Ok(message)) = from.next().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && to.send(message).await.is_err() {
            return;
        }
    }
}

async fn connect(world: &World) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(world.address).await.unwrap();
    client_async(format!("ws://{}/chat", world.address), stream).await.expect("the handshake passes").0
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Message> {
    tokio::time::timeout(LIMIT, socket.next()).await.expect("in time")?.ok()
}

#[tokio::test]
async fn messages_of_any_size_pass_both_ways_and_so_does_the_closing() {
    let world = World::start(EdgePolicy::default()).await;
    let instance = world.add(tcp(&world.group, echo).await);
    let mut socket = connect(&world).await;
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let message = Message::Binary(Bytes::from(vec![7; size]));
        socket.send(message.clone()).await.unwrap();
        assert_eq!(next(&mut socket).await, Some(message));
    }
    socket.send(Message::Ping(Bytes::from_static(b"?"))).await.unwrap();
    assert_eq!(next(&mut socket).await, Some(Message::Pong(Bytes::from_static(b"?"))));
    assert_eq!(world.proxy.in_flight(instance), 1);
    socket.close(None).await.unwrap();
    while next(&mut socket).await.is_some() {}
    eventually("it has ended", || world.proxy.in_flight(instance) == 0 && world.proxy.stats()[0].in_flight == 0).await;
    assert_eq!((world.proxy.stats()[0].cut, world.proxy.stats()[0].cancelled), (0, 0));
}

#[tokio::test]
async fn one_that_speaks_outlives_the_idle_limit_and_the_deadline_and_a_silent_one_does_not() {
    let idle = Duration::from_millis(400);
    let policy = EdgePolicy { idle, timeout: Duration::from_millis(300), ..EdgePolicy::default() };
    let world = World::start(policy).await;
    world.add(tcp(&world.group, echo).await);
    let mut socket = connect(&world).await;
    for n in 0..10 {
        socket.send(Message::Text(Utf8Bytes::from(n.to_string()))).await.unwrap();
        assert_eq!(next(&mut socket).await, Some(Message::Text(n.to_string().into())));
        tokio::time::sleep(idle / 4).await;
    }
    let silent = Instant::now();
    assert_eq!(next(&mut socket).await, None);
    assert!(silent.elapsed() < idle * 5, "{:?}", silent.elapsed());
}

#[tokio::test]
async fn when_its_listener_closes_it_has_the_grace_to_end_and_then_is_cut() {
    let grace = Duration::from_millis(500);
    let config = Config { stop_grace: grace, ..Config::default() };
    let world = World::with(EdgePolicy::default(), Protocol::Http1, config).await;
    let outside = TaskGroup::new();
    world.add(tcp(&outside, echo).await);
    let mut socket = connect(&world).await;
    socket.send(Message::Text("before".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Some(Message::Text("before".into())));
    world.proxy.apply(vec![], None).await.unwrap();
    let closed = Instant::now();
    socket.send(Message::Text("after".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Some(Message::Text("after".into())), "it still passes");
    assert_eq!(next(&mut socket).await, None);
    let held = closed.elapsed();
    assert!(held >= grace / 2 && held < grace * 10, "{held:?}");
}

#[tokio::test]
async fn a_killed_instance_ends_it() {
    let world = World::start(EdgePolicy::default()).await;
    let group = TaskGroup::new();
    let instance = world.add(tcp(&group, echo).await);
    let mut socket = connect(&world).await;
    socket.send(Message::Text("x".into())).await.unwrap();
    assert!(next(&mut socket).await.is_some());
    group.cancel();
    assert_eq!(next(&mut socket).await, None);
    eventually("it has ended", || world.proxy.in_flight(instance) == 0).await;
}
