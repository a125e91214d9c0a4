//! Instances come and go without a request being lost.

use crate::world::{Caller, Census, Server, World, data, empty, next, stepwise, text};
use http::{Request, Response};
use motet_proxy::EdgePolicy;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

#[tokio::test]
async fn a_draining_instance_finishes_what_it_has_and_gets_nothing_new() {
    let (parts, body) = stepwise();
    let body = Arc::new(Mutex::new(Some(body)));
    let old = Server::start(move |_| {
        let body = body.lock().unwrap().take().expect("only one request");
        async { Response::new(body) }
    })
    .await;
    let new = Server::named("new").await;
    let world = World::start(EdgePolicy::default()).await;
    let instance = world.add(old.address);
    let mut answer = world.get("/").await.into_body();
    world.add(new.address);
    world.drain(instance);
    for _ in 0..20 {
        assert_eq!(text(world.get("/").await.into_body()).await, "new");
    }
    let busy = world.proxy.drained(instance, Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(busy.in_flight, 1);
    let finish = async {
        parts.send(data("old")).await.unwrap();
        drop(parts);
        assert_eq!(next(&mut answer).await.unwrap().unwrap().into_data().unwrap(), "old");
        assert!(next(&mut answer).await.is_none());
    };
    let (drained, ()) = tokio::join!(world.proxy.drained(instance, crate::world::LIMIT), finish);
    assert_eq!(drained, Ok(()));
}

#[tokio::test]
async fn a_new_set_is_in_force_with_the_next_request() {
    let (a, b) = (Server::named("a").await, Server::named("b").await);
    let world = World::start(EdgePolicy::default()).await;
    let mut caller = Caller::http1(world.address, &world.group).await;
    let mut longest = Duration::ZERO;
    let mut listed = world.add(a.address);
    for round in 0..50 {
        let (address, name) = if round % 2 == 0 { (b.address, "b") } else { (a.address, "a") };
        let changed = Instant::now();
        let next = world.add(address);
        world.remove(listed);
        listed = next;
        let answer = caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
        assert_eq!(text(answer.into_body()).await, name, "round {round}");
        longest = longest.max(changed.elapsed());
    }
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[tokio::test]
async fn an_instance_that_has_left_keeps_no_connection() {
    let open = Census::default();
    let census = open.clone();
    let world = World::start(EdgePolicy::default()).await;
    let address = crate::world::tcp(&world.group, move |mut stream| {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let census = census.clone();
        async move {
            let _open = census.enter();
            while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    let instance = world.add(address);
    text(world.get("/").await.into_body()).await;
    assert_eq!(open.alive(), 1, "kept for the next request");
    let changed = Instant::now();
    world.remove(instance);
    crate::world::eventually("the connection is closed", || open.alive() == 0).await;
    assert!(changed.elapsed() < Duration::from_secs(2), "by the change, not by idleness");
}

#[tokio::test]
async fn an_unused_connection_is_closed_before_the_instance_would() {
    let open = Census::default();
    let census = open.clone();
    let config = motet_proxy::Config { upstream_idle: Duration::from_millis(100), ..Default::default() };
    let world = World::with(EdgePolicy::default(), motet_proxy::Protocol::Http1, config).await;
    let address = crate::world::tcp(&world.group, move |mut stream| {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let census = census.clone();
        async move {
            let _open = census.enter();
            while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    world.add(address);
    text(world.get("/").await.into_body()).await;
    crate::world::eventually("the connection is closed", || open.alive() == 0).await;
}
