//! Edges and the gateway change while traffic flows.

use crate::world::{Caller, Server, World, data, empty, eventually, next, stepwise, text};
use http::{Request, Response, StatusCode};
use motet_proxy::{ApplyError, EdgePolicy, GatewaySpec};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_changed_policy_is_in_force_on_connections_that_stay_open() {
    let world = World::start(EdgePolicy::default()).await;
    let server = Server::start(|request: Request<_>| async move {
        if request.uri().path() == "/hang" {
            std::future::pending::<()>().await;
        }
        Response::new(empty())
    })
    .await;
    world.add(server.address);
    let mut caller = Caller::http1(world.address, &world.group).await;
    let mut get = async |path: &str| caller.send(Request::get(path).body(empty()).unwrap()).await.unwrap().status();
    assert_eq!(get("/").await, StatusCode::OK);
    let stricter = EdgePolicy { timeout: Duration::from_millis(50), ..EdgePolicy::default() };
    let addresses = world.proxy.apply(vec![world.spec(stricter)], None).await.unwrap();
    assert_eq!(addresses.edges[&world.edge], world.address);
    assert_eq!(get("/hang").await, StatusCode::GATEWAY_TIMEOUT, "on the same connection");
    assert_eq!(world.proxy.stats()[0].requests, 2, "counters outlive the change");
}

#[tokio::test]
async fn a_removed_edge_lets_its_requests_end_and_takes_no_more() {
    let (parts, body) = stepwise();
    let body = Arc::new(Mutex::new(Some(body)));
    let server = Server::start(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async { Response::new(body) }
    })
    .await;
    let world = World::start(EdgePolicy::default()).await;
    world.add(server.address);
    let mut answer = world.get("/").await.into_body();
    world.proxy.apply(vec![], None).await.unwrap();
    assert_eq!(world.proxy.address(&world.edge), None);
    parts.send(data("the end")).await.unwrap();
    drop(parts);
    assert_eq!(next(&mut answer).await.unwrap().unwrap().into_data().unwrap(), "the end");
    assert!(next(&mut answer).await.is_none());
    for _ in 0..100 {
        if TcpStream::connect(world.address).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the address still accepts");
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_names_who_holds_it_and_changes_nothing() {
    let world = World::start(EdgePolicy::default()).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let gateway = GatewaySpec::new(listen, vec![]);
    let error = world.proxy.apply(vec![], Some(gateway)).await.unwrap_err();
    let ApplyError::AddressTaken(taken) = &error else { panic!("{error}") };
    assert_eq!(taken.holder.as_ref().unwrap().pid, std::process::id());
    assert!(error.to_string().contains(&format!("cannot listen on {listen} for the gateway: process")), "{error}");
    assert_eq!(error.code().to_string(), "MO-proxy-001");
    assert_eq!(world.proxy.address(&world.edge), Some(world.address), "the edge is still there");
    TcpStream::connect(world.address).await.unwrap();
}

#[tokio::test]
async fn two_data_planes_cannot_share_an_address() {
    let (first, second) = (World::start(EdgePolicy::default()).await, World::start(EdgePolicy::default()).await);
    let gateway = GatewaySpec::new(first.address, vec![]);
    let error = second.proxy.apply(vec![], Some(gateway)).await.unwrap_err();
    assert!(matches!(error, ApplyError::AddressTaken(_)), "{error}");
}

#[tokio::test]
async fn stopping_lets_a_request_end_and_ends_the_threads() {
    let (parts, body) = stepwise();
    let body = Arc::new(Mutex::new(Some(body)));
    let server = Server::start(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async { Response::new(body) }
    })
    .await;
    let world = World::start(EdgePolicy::default()).await;
    world.add(server.address);
    // Not of the world's group, which is about to end.
    let mut caller = Caller::http1(world.address, &motet_kernel::task::TaskGroup::new()).await;
    let mut answer = caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap().into_body();
    world.group.cancel();
    parts.send(data("the end")).await.unwrap();
    drop(parts);
    assert_eq!(next(&mut answer).await.unwrap().unwrap().into_data().unwrap(), "the end");
    assert!(next(&mut answer).await.is_none());
    tokio::time::timeout(crate::world::LIMIT, world.group.wait()).await.expect("the workers end");
    assert!(matches!(world.proxy.apply(vec![], None).await, Err(ApplyError::Stopping(_))));
}

#[tokio::test]
async fn changes_under_load_fail_no_request() {
    let world = World::start(EdgePolicy::default()).await;
    let server = Server::named("here").await;
    world.add(server.address);
    let done = Arc::new(());
    let change = async {
        for n in 0..100_u64 {
            let policy = EdgePolicy { timeout: Duration::from_secs(10 + n), ..EdgePolicy::default() };
            world.proxy.apply(vec![world.spec(policy)], None).await.unwrap();
        }
    };
    let load = async {
        let mut caller = Caller::http1(world.address, &world.group).await;
        for _ in 0..500 {
            let answer = caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
            assert_eq!(text(answer.into_body()).await, "here");
        }
    };
    tokio::join!(change, load);
    eventually("nothing is left", || world.proxy.stats()[0].in_flight == 0).await;
    drop(done);
}

#[tokio::test]
async fn connections_without_a_request_do_not_hold_up_the_end() {
    let world = World::start(EdgePolicy::default()).await;
    let server = Server::named("here").await;
    world.add(server.address);
    let outside = motet_kernel::task::TaskGroup::new();
    let _in_advance = TcpStream::connect(world.address).await.unwrap();
    let mut kept = Caller::http1(world.address, &outside).await;
    text(kept.send(Request::get("/").body(empty()).unwrap()).await.unwrap().into_body()).await;
    let mut kept2 = Caller::http2(world.address, &outside).await;
    text(kept2.send(Request::get("/").body(empty()).unwrap()).await.unwrap().into_body()).await;
    let started = tokio::time::Instant::now();
    world.group.cancel();
    world.group.wait().await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}, with a grace of 10 s", started.elapsed());
}
