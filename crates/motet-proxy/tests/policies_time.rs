//! Limits on time: of a try, of its first byte, of silence, and of the whole.

use crate::{
    moody::Moody,
    world::{Caller, Server, World, data, empty, eventually, full, next, problem, stepwise, text},
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use motet_kernel::task::{Kind, TaskGroup};
use motet_proxy::{EdgePolicy, Retry};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{io::AsyncReadExt, time::Instant};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(3600);

fn generous() -> Retry {
    Retry { budget: 1.0, ..Retry::default() }
}

async fn a_slow_try_goes_elsewhere(policy: EdgePolicy, key: &str) {
    let policy = EdgePolicy { retry: generous(), breaker: None, ..policy };
    let world = World::start(policy).await;
    let (hanging, quick) = (Moody::slow("hanging", LONG).await, Moody::start("quick").await);
    world.add(hanging.address());
    let answer = world.get("/").await;
    assert_eq!(
        (answer.status(), &answer.headers()["x-motet-attempts"]),
        (StatusCode::GATEWAY_TIMEOUT, &"3".parse().unwrap())
    );
    let problem = problem(answer).await;
    assert_eq!((&problem["code"], &problem["policy"]), (&"MO-proxy-208".into(), &format!("{key}: 100ms").into()));
    world.add(quick.address());
    let before = hanging.asked();
    for _ in 0..20 {
        let answer = world.get("/").await;
        assert_eq!(text(answer.into_body()).await, "quick");
    }
    assert!(hanging.asked() > before, "it was tried first at least once");
    eventually("the tries that were given up are over", || hanging.working.alive() == 0).await;
    let answer = world.send(Request::post("/").body(full("pay")).unwrap()).await;
    if answer.status() != StatusCode::OK {
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT, "a POST that was sent is not sent again");
        assert!(!answer.headers().contains_key("x-motet-attempts"));
    }
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_made_with_another_instance() {
    a_slow_try_goes_elsewhere(EdgePolicy { try_timeout: Some(SHORT), ..EdgePolicy::default() }, "try_timeout").await;
}

#[tokio::test]
async fn a_first_byte_that_takes_too_long_is_waited_for_at_another_instance() {
    a_slow_try_goes_elsewhere(EdgePolicy { first_byte: Some(SHORT), ..EdgePolicy::default() }, "first_byte").await;
}

/// A server that answers with a head at once and with a body when told.
async fn slow_body(kind: &'static str) -> (Server, tokio::sync::mpsc::Sender<http_body::Frame<bytes::Bytes>>) {
    let (parts, body) = stepwise();
    let body = Arc::new(Mutex::new(Some(body)));
    let server = Server::start(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Response::builder().header("content-type", kind).body(body).unwrap() }
    })
    .await;
    (server, parts)
}

#[tokio::test]
async fn the_first_byte_bounds_the_head_and_the_try_the_body_too() {
    for (first_byte, try_timeout, survives) in [(Some(SHORT), None, true), (None, Some(SHORT), false)] {
        let (server, parts) = slow_body("text/plain").await;
        let world = World::start(EdgePolicy { first_byte, try_timeout, ..EdgePolicy::default() }).await;
        world.add(server.address);
        let mut answer = world.get("/").await.into_body();
        tokio::time::sleep(SHORT * 3).await;
        let _ = parts.send(data("late")).await;
        drop(parts);
        assert_eq!(next(&mut answer).await.unwrap().is_ok(), survives);
    }
}

#[tokio::test]
async fn a_silent_stream_is_cut_and_one_that_speaks_is_not() {
    let (server, parts) = slow_body("text/event-stream").await;
    let idle = Duration::from_millis(300);
    let world = World::start(EdgePolicy { idle, ..EdgePolicy::default() }).await;
    let instance = world.add(server.address);
    let mut answer = world.get("/").await.into_body();
    for _ in 0..10 {
        parts.send(data("data: x\n\n")).await.unwrap();
        assert!(next(&mut answer).await.unwrap().is_ok());
        tokio::time::sleep(idle / 4).await;
    }
    let silent = Instant::now();
    assert!(next(&mut answer).await.unwrap().is_err(), "a cut stream must not look complete");
    assert!(silent.elapsed() < idle * 4, "{:?}", silent.elapsed());
    eventually("the instance has nothing", || world.proxy.in_flight(instance) == 0).await;
    assert_eq!(world.proxy.stats()[0].cut, 1);
}

#[tokio::test]
async fn a_silent_websocket_is_cut() {
    let idle = Duration::from_millis(200);
    let world = World::start(EdgePolicy { idle, ..EdgePolicy::default() }).await;
    let group = TaskGroup::new();
    let tasks = group.clone();
    let server = Server::start(move |mut request: Request<Incoming>| {
        let upgraded = hyper::upgrade::on(&mut request);
        tasks.spawn_dropping(Kind::Connection, "silent", async move {
            let mut io = TokioIo::new(upgraded.await.unwrap());
            let _ = io.read_to_end(&mut Vec::new()).await;
        });
        async {
            let answer = Response::builder().status(101).header("connection", "upgrade");
            answer.header("upgrade", "websocket").body(empty()).unwrap()
        }
    })
    .await;
    let instance = world.add(server.address);
    let request =
        Request::get("/").header("connection", "upgrade").header("upgrade", "websocket").body(empty()).unwrap();
    let answer = world.send(request).await;
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut io = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(idle * 10, io.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() && rest.is_empty(), "it is still open");
    eventually("the instance has nothing", || world.proxy.in_flight(instance) == 0).await;
    assert_eq!(world.proxy.stats()[0].cut, 1);
}

/// Answers 503 after a while at first, and says what it was told about time.
async fn told(header: &'static str) -> Server {
    let asked = Arc::new(Mutex::new(0));
    Server::start(move |request: Request<Incoming>| {
        let first = std::mem::replace(&mut *asked.lock().unwrap(), 1) == 0;
        let value = request.headers().get(header).cloned();
        async move {
            let mut answer = Response::new(empty());
            if first {
                tokio::time::sleep(SHORT).await;
                *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            answer.headers_mut().extend(value.map(|value| (http::HeaderName::from_static("x-told"), value)));
            answer
        }
    })
    .await
}

#[tokio::test]
async fn the_deadline_that_is_passed_on_has_shrunk_by_what_was_used() {
    let server = told("x-motet-deadline-ms").await;
    let world = World::start(EdgePolicy::default()).await;
    world.add(server.address);
    let request = Request::get("/").header("x-motet-deadline-ms", "5000").body(empty()).unwrap();
    let answer = world.send(request).await;
    assert_eq!(answer.headers()["x-motet-attempts"], "2");
    let told: u64 = answer.headers()["x-told"].to_str().unwrap().parse().unwrap();
    assert!((1..=4900).contains(&told), "{told}");
}

#[tokio::test]
async fn a_grpc_deadline_is_written_anew_for_each_try() {
    let server = told("grpc-timeout").await;
    let retry = Retry { methods: vec![http::Method::POST], ..Retry::default() };
    let world = World::start(EdgePolicy { retry, ..EdgePolicy::default() }).await;
    world.add(server.address);
    let mut caller = Caller::http2(world.address, &world.group).await;
    let request = Request::post("/a.B/C").header("content-type", "application/grpc").header("grpc-timeout", "5S");
    let answer = caller.send(request.body(empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let told = answer.headers()["x-told"].to_str().unwrap().strip_suffix('m').unwrap().parse::<u64>().unwrap();
    assert!((1..=4900).contains(&told), "{told}");
}

#[tokio::test]
async fn an_absurd_retry_after_is_no_reason_to_fall_over() {
    for absurd in ["18446744073709551615", "9223372036854775807", "99999999999999999999", "-1", "soon"] {
        let server = Server::start(move |_| async move {
            Response::builder().status(503).header("retry-after", absurd).body(full("busy")).unwrap()
        })
        .await;
        let world = World::start(EdgePolicy { timeout: SHORT * 5, ..EdgePolicy::default() }).await;
        world.add(server.address);
        let answer = world.get("/").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{absurd}");
        assert_eq!(text(answer.into_body()).await, "busy");
    }
}
