//! Streams pass both ways as they come, and end when either side ends.

use crate::world::{Caller, Census, Server, World, data, empty, eventually, full, next, stepwise, text};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use motet_proxy::{Config, EdgePolicy, Protocol};
use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

#[tokio::test]
async fn an_event_reaches_the_caller_before_the_next_one_is_sent() {
    let (events, body) = stepwise();
    let body = Arc::new(Mutex::new(Some(body)));
    let server = Server::start(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async { Response::builder().header("content-type", "text/event-stream").body(body).unwrap() }
    })
    .await;
    let world = World::start(EdgePolicy { timeout: Duration::from_millis(300), ..EdgePolicy::default() }).await;
    world.add(server.address);
    let mut answer = world.get("/").await.into_body();
    for n in 0..5 {
        events.send(data(format!("data: {n}\n\n"))).await.unwrap();
        let event = next(&mut answer).await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(event, format!("data: {n}\n\n"));
        // Longer than the deadline in total, which bounds only the head of a stream.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(events);
    assert!(next(&mut answer).await.is_none());
}

#[tokio::test]
async fn the_first_part_of_an_upload_arrives_before_the_second_is_sent() {
    let (arrived, mut arrivals) = mpsc::channel(1);
    let server = Server::start(move |mut request: Request<_>| {
        let arrived = arrived.clone();
        async move {
            while let Some(Ok(frame)) = request.body_mut().frame().await {
                arrived.send(frame.into_data().unwrap()).await.unwrap();
            }
            Response::new(full("thanks"))
        }
    })
    .await;
    let world = World::start(EdgePolicy::default()).await;
    world.add(server.address);
    let (parts, body) = stepwise();
    let steps = async {
        for part in ["one", "two", "three"] {
            parts.send(data(part)).await.unwrap();
            assert_eq!(arrivals.recv().await.unwrap(), part);
        }
        drop(parts);
    };
    let (answer, ()) = tokio::join!(world.send(Request::post("/").body(body).unwrap()), steps);
    assert_eq!(text(answer.into_body()).await, "thanks");
}

#[tokio::test]
async fn large_bodies_pass_both_ways_in_flat_memory() {
    const PIECES: usize = 1024;
    const PIECE: usize = 128 * 1024;
    let pieces = || {
        let piece = Bytes::from(vec![7_u8; PIECE]);
        StreamBody::new(futures_util::stream::iter((0..PIECES).map(move |_| Ok(data(piece.clone()))))).boxed_unsync()
    };
    let server = Server::start(move |mut request: Request<_>| async move {
        let mut taken = 0;
        while let Some(Ok(frame)) = request.body_mut().frame().await {
            taken += frame.into_data().unwrap().len();
        }
        let mut answer = Response::new(pieces());
        answer.headers_mut().insert("x-taken", taken.into());
        answer
    })
    .await;
    let world = World::start(EdgePolicy::default()).await;
    world.add(server.address);
    let before = resident();
    let mut answer = world.send(Request::put("/").body(pieces()).unwrap()).await;
    assert_eq!(answer.headers()["x-taken"], (PIECES * PIECE).to_string());
    let mut given = 0;
    let mut most = resident();
    while let Some(frame) = next(answer.body_mut()).await {
        given += frame.unwrap().into_data().unwrap().len();
        most = most.max(resident());
    }
    assert_eq!(given, PIECES * PIECE);
    let grown = most.saturating_sub(before) >> 20;
    assert!(grown < 32, "{grown} MiB for bodies of 128 MiB");
}

pub(crate) fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A caller goes away before the answer's head, and after a part of the answer: both times the instance's work is dropped.
async fn hanging_up_ends_the_work(protocol: Protocol, http2_caller: bool) {
    let working = Census::default();
    let census = working.clone();
    let (events, body) = stepwise();
    let body = Arc::new(Mutex::new(Some(body)));
    let server = Server::start(move |request: Request<_>| {
        let (census, body) = (census.clone(), Arc::clone(&body));
        async move {
            if request.uri().path() == "/hang" {
                let _work = census.enter();
                std::future::pending::<()>().await;
            }
            let body = body.lock().unwrap().take().unwrap();
            Response::new(body)
        }
    })
    .await;
    let world = World::with(EdgePolicy::default(), protocol, Config::default()).await;
    let instance = world.add(server.address);
    let caller = async || {
        if http2_caller {
            Caller::http2(world.address, &world.group).await
        } else {
            Caller::http1(world.address, &world.group).await
        }
    };

    let mut hanging = caller().await;
    let (gone, left) = oneshot::channel();
    let sending = async {
        tokio::select! {
            _ = hanging.send(Request::get("/hang").body(empty()).unwrap()) => panic!("it hangs"),
            _ = left => {}
        }
        hanging.hang_up();
    };
    let leaving = async {
        eventually("the work begins", || working.alive() == 1).await;
        assert_eq!(world.proxy.in_flight(instance), 1);
        gone.send(()).unwrap();
    };
    tokio::join!(sending, leaving);
    eventually("the work is dropped", || working.alive() == 0).await;
    eventually("the instance has nothing", || world.proxy.in_flight(instance) == 0).await;

    let mut leaving = caller().await;
    let mut answer = leaving.send(Request::get("/stream").body(empty()).unwrap()).await.unwrap().into_body();
    events.send(data("first")).await.unwrap();
    next(&mut answer).await.unwrap().unwrap();
    drop(answer);
    leaving.hang_up();
    tokio::time::timeout(crate::world::LIMIT, events.closed()).await.expect("the stream is dropped at the instance");
    eventually("the instance has nothing", || world.proxy.in_flight(instance) == 0).await;
    eventually("both are counted", || world.proxy.stats()[0].cancelled == 2).await;
}

#[tokio::test]
async fn hanging_up_ends_the_work_of_an_http1_instance() {
    hanging_up_ends_the_work(Protocol::Http1, false).await;
}

#[tokio::test]
async fn hanging_up_ends_the_work_of_an_http2_instance() {
    hanging_up_ends_the_work(Protocol::H2c, false).await;
}

#[tokio::test]
async fn resetting_a_stream_ends_the_work_of_an_http1_instance() {
    hanging_up_ends_the_work(Protocol::Http1, true).await;
}

#[tokio::test]
async fn resetting_a_stream_ends_the_work_of_an_http2_instance() {
    hanging_up_ends_the_work(Protocol::H2c, true).await;
}

#[tokio::test]
async fn an_answer_that_is_not_a_stream_is_cut_at_the_deadline() {
    let (parts, body) = stepwise();
    let body = Arc::new(Mutex::new(Some(body)));
    let server = Server::start(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async { Response::new(body) }
    })
    .await;
    let world = World::start(EdgePolicy { timeout: Duration::from_millis(200), ..EdgePolicy::default() }).await;
    let instance = world.add(server.address);
    let mut answer = world.get("/").await.into_body();
    parts.send(data("first")).await.unwrap();
    assert!(next(&mut answer).await.unwrap().is_ok());
    assert!(next(&mut answer).await.unwrap().is_err(), "a cut answer must not look complete");
    eventually("the instance has nothing", || world.proxy.in_flight(instance) == 0).await;
    assert_eq!(world.proxy.stats()[0].cut, 1);
}

#[tokio::test]
async fn many_cancelled_requests_leave_nothing_running() {
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
    let world = World::start(EdgePolicy::default()).await;
    let instance = world.add(server.address);
    for _ in 0..20 {
        let mut callers = Vec::new();
        for n in 0..50 {
            let mut caller = match n % 2 {
                0 => Caller::http1(world.address, &world.group).await,
                _ => Caller::http2(world.address, &world.group).await,
            };
            let sent =
                tokio::time::timeout(Duration::from_millis(1), caller.send(Request::get("/").body(empty()).unwrap()));
            assert!(sent.await.is_err());
            callers.push(caller);
        }
        callers.into_iter().for_each(Caller::hang_up);
    }
    eventually("nothing works any more", || working.alive() == 0 && world.proxy.in_flight(instance) == 0).await;
    eventually("nothing is under way", || world.proxy.stats()[0].in_flight == 0).await;
}
