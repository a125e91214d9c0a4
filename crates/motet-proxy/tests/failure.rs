//! What the caller sees when instances fail.

use crate::world::{Caller, Server, World, data, empty, full, nobody, problem, stepwise, tcp, text};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use motet_kernel::task::{Kind, TaskGroup};
use motet_proxy::{
    EdgePolicy, Retry,
    policy::{Concurrency, Limit},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

/// Reads some of the request, says the beginning of an answer's head, and breaks off.
async fn breaks_off(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 1024]).await;
    let _ = stream.write_all(b"HTTP/1.1 200 O").await;
}

/// Echoes the request's body.
async fn echo() -> Server {
    Server::start(|request: Request<hyper::body::Incoming>| async {
        Response::new(request.into_body().map_err(std::io::Error::other).boxed_unsync())
    })
    .await
}

#[tokio::test]
async fn a_request_whose_instance_is_gone_goes_to_another_with_its_body() {
    let world = World::start(EdgePolicy::default()).await;
    let alive = echo().await;
    world.add(nobody().await);
    world.add(alive.address);
    let mut retried = 0;
    for _ in 0..20 {
        let started = Instant::now();
        let answer = world.send(Request::post("/").body(full("a question")).unwrap()).await;
        retried += usize::from(answer.headers().contains_key("x-motet-attempts"));
        assert_eq!(text(answer.into_body()).await, "a question");
        assert!(started.elapsed() < Duration::from_secs(2), "another instance is tried at once");
    }
    assert!((1..20).contains(&retried), "{retried}: the dead one is tried, and then avoided");
}

#[tokio::test]
async fn an_idempotent_request_that_broke_off_is_repeated_and_another_is_not() {
    let world = World::start(EdgePolicy::default()).await;
    let broken = tcp(&world.group, breaks_off).await;
    world.add(broken);
    let answer = world.get("/").await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(answer.headers()["x-motet-attempts"], "3");

    let answer = world.send(Request::post("/").body(full("pay")).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert!(!answer.headers().contains_key("retry-after"), "repeating it may not be safe");
    let problem = problem(answer).await;
    assert_eq!(problem["type"], "urn:motet:error:MO-proxy-205");
    assert_eq!(problem["edge"], "caller→callee");
    assert_eq!(problem["instance_label"], "callee-1");
    assert_eq!(problem["attempts"], 1);

    let answer = world.send(Request::post("/").body(empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert!(!answer.headers().contains_key("x-motet-attempts"), "having no body makes it no safer");

    let alive = Server::named("alive").await;
    world.add(alive.address);
    for _ in 0..10 {
        assert_eq!(world.get("/").await.status(), StatusCode::OK, "another instance answers");
    }
}

#[tokio::test]
async fn a_body_is_sent_again_whole_while_it_is_small_enough_to_keep() {
    let retry = Retry { replay_max: 1000, ..Retry::default() };
    let world = World::start(EdgePolicy { retry, ..EdgePolicy::default() }).await;
    let failures = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&failures);
    let server = Server::start(move |request: Request<hyper::body::Incoming>| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let mut answer = Response::new(full(body));
            if first {
                *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            answer
        }
    })
    .await;
    world.add(server.address);

    let send = async |request: http::request::Builder, size: usize| {
        failures.store(0, Ordering::SeqCst);
        let (parts, body) = stepwise();
        let steps = async {
            parts.send(data(vec![b'x'; size / 2])).await.unwrap();
            parts.send(data(vec![b'y'; size / 2])).await.unwrap();
            drop(parts);
        };
        let (answer, ()) = tokio::join!(world.send(request.body(body).unwrap()), steps);
        let status = answer.status();
        assert_eq!(text(answer.into_body()).await.len(), size);
        status
    };
    assert_eq!(send(Request::put("/"), 600).await, StatusCode::OK, "kept and sent again");
    assert_eq!(send(Request::put("/"), 4000).await, StatusCode::SERVICE_UNAVAILABLE, "too long to keep");
    assert_eq!(send(Request::post("/"), 600).await, StatusCode::SERVICE_UNAVAILABLE, "not idempotent");
    let promised = Request::post("/").header("idempotency-key", "7");
    assert_eq!(send(promised, 600).await, StatusCode::OK, "the caller promised that it is");
}

#[tokio::test]
async fn a_failure_that_lasts_reaches_the_caller_as_the_instance_said_it() {
    let world = World::start(EdgePolicy::default()).await;
    let server = Server::start(|_| async {
        Response::builder().status(503).header("retry-after", "7").body(full("busy")).unwrap()
    })
    .await;
    world.add(server.address);
    let answer = world.get("/").await;
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].as_bytes()), (503, &b"7"[..]));
    assert_eq!(answer.headers()["x-motet-attempts"], "3");
    assert_eq!(text(answer.into_body()).await, "busy");
    assert_eq!(world.proxy.stats()[0].retries, 2);
}

#[tokio::test]
async fn a_hanging_instance_costs_the_deadline_and_no_more() {
    let timeout = Duration::from_millis(200);
    let world = World::start(EdgePolicy { timeout, ..EdgePolicy::default() }).await;
    let server = Server::start(|_| std::future::pending()).await;
    let instance = world.add(server.address);
    let started = Instant::now();
    let answer = world.get("/").await;
    assert!((150..5000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    let problem = problem(answer).await;
    assert_eq!(problem["type"], "urn:motet:error:MO-proxy-203");
    assert_eq!(problem["policy"], "timeout: 200ms");
    assert_eq!(problem["instance_label"], "callee-1");
    assert!(problem["elapsed_ms"].as_u64().unwrap() >= 190);
    crate::world::eventually("the call is cancelled", || world.proxy.in_flight(instance) == 0).await;
}

#[tokio::test]
async fn a_callers_own_deadline_shortens_the_policys_and_is_passed_on() {
    let world = World::start(EdgePolicy::default()).await;
    let server = Server::start(|request: Request<_>| async move {
        if request.uri().path() == "/hang" {
            std::future::pending::<()>().await;
        }
        Response::new(full(request.headers()["x-motet-deadline-ms"].to_str().unwrap().to_owned()))
    })
    .await;
    world.add(server.address);
    let within = |path| Request::get(path).header("x-motet-deadline-ms", "150").body(empty()).unwrap();
    let left: u64 = text(world.send(within("/")).await.into_body()).await.parse().unwrap();
    assert!((50..=150).contains(&left), "{left}");
    assert_eq!(world.send(within("/hang")).await.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_request_is_held_until_an_instance_is_ready() {
    let world = World::start(EdgePolicy::default()).await;
    let server = Server::named("here").await;
    let late = async {
        crate::world::eventually("it is held", || world.proxy.stats()[0].in_flight == 1).await;
        world.add(server.address);
    };
    let (answer, ()) = tokio::join!(world.get("/"), late);
    assert_eq!(text(answer.into_body()).await, "here");
}

#[tokio::test]
async fn a_request_without_an_instance_is_refused_when_its_wait_is_over() {
    let ready_wait = Duration::from_millis(100);
    let world = World::start(EdgePolicy { ready_wait, ..EdgePolicy::default() }).await;
    let started = Instant::now();
    let answer = world.get("/").await;
    assert!(started.elapsed() >= Duration::from_millis(90));
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "1");
    let problem = problem(answer).await;
    assert_eq!(problem["type"], "urn:motet:error:MO-proxy-201");
    assert_eq!(problem["attempts"], 0);
}

fn one_at_a_time() -> EdgePolicy {
    let concurrency = Concurrency { limit: Limit::Fixed(1), queue_max: 0, ..Concurrency::default() };
    EdgePolicy { concurrency, ..EdgePolicy::default() }
}

#[tokio::test]
async fn one_request_too_many_is_refused_at_once() {
    let world = World::start(one_at_a_time()).await;
    let first = TaskGroup::new();
    let mut caller = Caller::http1(world.address, &first).await;
    first.spawn_dropping(Kind::Job, "held", async move {
        let _ = caller.send(Request::get("/").body(empty()).unwrap()).await;
    });
    crate::world::eventually("it is held", || world.proxy.stats()[0].in_flight == 1).await;
    let answer = world.get("/").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem(answer).await["policy"], "concurrency: 1");
    first.cancel();
    crate::world::eventually("the first is gone", || world.proxy.stats()[0].in_flight == 0).await;
}

#[tokio::test]
async fn a_kept_connection_that_the_instance_closed_fails_no_request() {
    let world = World::start(EdgePolicy::default()).await;
    // Answers once per connection, without saying that it will close it.
    let address = tcp(&world.group, |mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await;
    world.add(address);
    let mut caller = Caller::http1(world.address, &world.group).await;
    for _ in 0..50 {
        let answer = caller.send(Request::post("/").body(empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(!answer.headers().contains_key("x-motet-attempts"));
        assert_eq!(text(answer.into_body()).await, "ok");
        // The instance's end must have arrived; a request that crosses it on the way may fail, as it may with any proxy.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn killing_an_instance_under_load_fails_no_idempotent_request() {
    let world = World::start(EdgePolicy::default()).await;
    let slow = |_| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Response::new(full("done"))
    };
    let servers = [Server::start(slow).await, Server::start(slow).await];
    let doomed = world.add(servers[0].address);
    world.add(servers[1].address);
    let kill = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        servers[0].kill().await;
        // As long as it takes the supervisor to see it.
        tokio::time::sleep(Duration::from_millis(20)).await;
        world.remove(doomed);
    };
    let load = async {
        let calls = (0..8).map(|_| async {
            let mut caller = Caller::http1(world.address, &world.group).await;
            for _ in 0..100 {
                let answer = caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
                text(answer.into_body()).await;
            }
        });
        futures_util::future::join_all(calls).await;
    };
    tokio::join!(kill, load);
    let stats = &world.proxy.stats()[0];
    assert_eq!(stats.responses, [0, 800, 0, 0, 0]);
    assert!(stats.retries > 0, "the kill hit something");
}

#[tokio::test]
async fn a_request_is_held_while_a_listed_instance_accepts_no_connection() {
    let retry = Retry { attempts: 1, ..Retry::default() };
    let world = World::start(EdgePolicy { retry, ..EdgePolicy::default() }).await;
    let address = nobody().await;
    world.add(address);
    let restarts = async {
        crate::world::eventually("it was tried", || world.proxy.stats()[0].retries > 3).await;
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = vec![0; 4096];
        let n = stream.read(&mut seen).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nback").await.unwrap();
        String::from_utf8_lossy(&seen[..n]).into_owned()
    };
    let request = Request::post("/pay").body(full("ten")).unwrap();
    let (answer, seen) = tokio::join!(world.send(request), restarts);
    assert_eq!(text(answer.into_body()).await, "back");
    assert!(seen.starts_with("POST /pay HTTP/1.1\r\n") && seen.contains("x-motet-caller: caller"), "{seen}");
}

#[tokio::test]
async fn a_listed_instance_that_never_accepts_is_given_up_when_the_wait_is_over() {
    let ready_wait = Duration::from_millis(200);
    let world = World::start(EdgePolicy { ready_wait, ..EdgePolicy::default() }).await;
    world.add(nobody().await);
    let started = Instant::now();
    let answer = world.get("/").await;
    assert!((190..5000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(problem(answer).await["code"], "MO-proxy-204");
}
