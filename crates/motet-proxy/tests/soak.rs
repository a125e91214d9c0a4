//! What must hold for long and for much: large bodies, long streams, many cancelled requests.
//!
//! In an ordinary run each is as long as a minute's test run bears. `MOTET_SOAK=1 cargo test --release -p motet-proxy --test main soak`
//! runs them at full length, which takes half an hour.

use crate::{
    children::{Process, pieces},
    world::{Caller, Census, LIMIT, Server, World, empty, next},
};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use motet_proxy::{Config, EdgePolicy, Protocol};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const GIB: u64 = 1 << 30;

fn full_length<T>(ordinary: T, soak: T) -> T {
    if std::env::var_os("MOTET_SOAK").is_some() { soak } else { ordinary }
}

/// Sends many requests and gives each up after it has reached the instance. Nothing may go on working.
async fn cancel_many(protocol: Protocol, http2_caller: bool) {
    const AT_ONCE: usize = 50;
    let requests = full_length(2_500, 25_000);
    let working = Census::default();
    let census = working.clone();
    let server = Server::start(move |_| {
        let work = census.enter();
        async move {
            let _work = work;
            std::future::pending().await
        }
    })
    .await;
    let world = World::with(EdgePolicy { breaker: None, ..EdgePolicy::default() }, protocol, Config::default()).await;
    let instance = world.add(server.address);
    let mut caller = Caller::http2(world.address, &world.group).await;
    for _ in 0..requests / AT_ONCE {
        let mut callers = Vec::new();
        let mut calls = Vec::new();
        for _ in 0..AT_ONCE {
            let request = Request::get("/").body(empty()).unwrap();
            if http2_caller {
                calls.push(caller.begin(request).await);
            } else {
                let mut own = Caller::http1(world.address, &world.group).await;
                calls.push(own.begin(request).await);
                callers.push(own);
            }
        }
        // Each has reached the instance.
        let mut calls = futures_util::future::join_all(calls);
        let reached = async {
            while working.alive() < AT_ONCE {
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = &mut calls => panic!("there is no answer"),
            reached = timeout(LIMIT, reached) => reached.expect("they reach the instance"),
        }
        drop(calls);
        callers.into_iter().for_each(Caller::hang_up);
        crate::world::eventually("nothing works any more", || working.alive() == 0).await;
    }
    crate::world::eventually("nothing is under way", || world.proxy.stats()[0].in_flight == 0).await;
    assert_eq!(world.proxy.in_flight(instance), 0);
    assert_eq!(world.proxy.stats()[0].cancelled, requests as u64);
}

#[tokio::test]
async fn cancelled_http1_requests_leave_nothing_running_in_an_http1_instance() {
    cancel_many(Protocol::Http1, false).await;
}

#[tokio::test]
async fn cancelled_http1_requests_leave_nothing_running_in_an_http2_instance() {
    cancel_many(Protocol::H2c, false).await;
}

#[tokio::test]
async fn cancelled_http2_requests_leave_nothing_running_in_an_http1_instance() {
    cancel_many(Protocol::Http1, true).await;
}

#[tokio::test]
async fn cancelled_http2_requests_leave_nothing_running_in_an_http2_instance() {
    cancel_many(Protocol::H2c, true).await;
}

#[tokio::test]
async fn two_gigabytes_pass_each_way_in_flat_memory() {
    let size = full_length(2 * GIB, 8 * GIB);
    let store = Process::start("store").await;
    let edge = Process::start(&format!("edge {}", store.address)).await;
    let group = motet_kernel::task::TaskGroup::new();
    let mut caller = Caller::http1(edge.address, &group).await;
    let answer = caller.send(Request::get("/1000").body(empty()).unwrap()).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let before = edge.peak_memory();

    let request = Request::put("/").body(pieces(size)).unwrap();
    let answer = timeout(LIMIT * 10, caller.begin(request).await).await.expect("it goes on").unwrap();
    assert_eq!(answer.headers()["x-taken"], size.to_string());
    answer.into_body().collect().await.unwrap();

    let mut answer = caller.send(Request::get(format!("/{size}")).body(empty()).unwrap()).await.unwrap();
    let mut given = 0;
    while let Some(frame) = next(answer.body_mut()).await {
        given += frame.unwrap().into_data().unwrap().len() as u64;
    }
    assert_eq!(given, size);
    let grown = edge.peak_memory().saturating_sub(before) >> 20;
    assert!(grown < 24, "{grown} MiB more for bodies of {} GiB", size / GIB);
    group.cancel();
}

#[tokio::test]
async fn an_event_stream_outlives_the_deadline_many_times_over_in_flat_memory() {
    let lasting = full_length(Duration::from_secs(4), Duration::from_secs(1800));
    let deadline = full_length(Duration::from_millis(100), Duration::from_secs(30));
    let idle = full_length(Duration::from_secs(1), Duration::from_secs(60));
    let every = full_length(Duration::from_millis(2), Duration::from_millis(20));
    let server = Server::start(move |_| async move {
        let events = stream::unfold((0_u64, Instant::now()), move |(n, began)| async move {
            sleep(every).await;
            let event = Bytes::from(format!("id: {n}\ndata: {}\n\n", "x".repeat(1000)));
            (began.elapsed() < lasting).then(|| (Ok(Frame::data(event)), (n + 1, began)))
        });
        Response::builder()
            .header("content-type", "text/event-stream")
            .body(StreamBody::new(events).boxed_unsync())
            .unwrap()
    })
    .await;
    let world = World::start(EdgePolicy { timeout: deadline, idle, ..EdgePolicy::default() }).await;
    world.add(server.address);
    let mut answer = world.get("/events").await;
    let mut events = 0;
    let mut before = None;
    let mut most = 0;
    let mut text = String::new();
    while let Some(frame) = next(answer.body_mut()).await {
        text += std::str::from_utf8(&frame.expect("it does not break off").into_data().unwrap()).unwrap();
        // One that comes late may come together with the next.
        while let Some((event, rest)) = text.split_once("\n\n") {
            assert!(event.starts_with(&format!("id: {events}\n")), "each event comes, in order: {event}");
            events += 1;
            text = rest.to_owned();
        }
        if events >= 100 && before.is_none() {
            before = Some(crate::streaming::resident());
        }
        most = most.max(crate::streaming::resident());
    }
    assert!(events > 200, "{events}");
    // The tests that run beside this one have memory of their own.
    let grown = most.saturating_sub(before.unwrap()) >> 20;
    assert!(grown < 200, "{grown} MiB");
    assert_eq!(world.proxy.stats()[0].cut, 0);
}
