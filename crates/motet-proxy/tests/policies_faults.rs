//! Injected faults look to the policy and to the caller like real ones.

use crate::{
    load,
    moody::Moody,
    world::{Caller, Server, World, data, empty, eventually, full, problem, stepwise, text},
};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use motet_kernel::task::{Kind, TaskGroup};
use motet_proxy::{
    Config, Door, EdgePolicy, Protocol, Retry,
    fault::{Effect, Fault},
};
use std::time::Duration;
use tokio::time::Instant;

fn always(effect: Effect) -> Vec<Fault> {
    vec![Fault { effect, share: 1.0 }]
}

fn door(world: &World) -> Door {
    Door::Edge(world.edge.clone())
}

fn inject(world: &World, effect: Effect) {
    world.proxy.set_faults(&door(world), always(effect)).unwrap();
}

#[tokio::test]
async fn latency_is_added_and_taken_off_again() {
    let world = World::start(EdgePolicy::default()).await;
    let server = Moody::start("here").await;
    world.add(server.address());
    inject(&world, Effect::Latency(Duration::from_millis(300)));
    let began = Instant::now();
    assert_eq!(text(world.get("/").await.into_body()).await, "here");
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(world.proxy.faults().len(), 1);
    world.proxy.set_faults(&door(&world), vec![]).unwrap();
    assert!(world.proxy.faults().is_empty());
    let began = Instant::now();
    world.get("/").await;
    assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
    let unknown = Door::Edge("caller->nobody".parse().unwrap());
    assert!(world.proxy.set_faults(&unknown, vec![]).is_err());
}

#[tokio::test]
async fn aborts_are_retried_and_eject_like_the_instances_own() {
    let world = World::start(EdgePolicy::default()).await;
    let server = Moody::start("here").await;
    world.add(server.address());
    let fault = Fault { effect: Effect::Abort(StatusCode::SERVICE_UNAVAILABLE), share: 0.1 };
    world.proxy.set_faults(&door(&world), vec![fault]).unwrap();
    let report = load::get(world.address, "/", 100, Duration::from_secs(1)).await;
    assert!(report.count(StatusCode::OK) >= 97, "retries hide one in ten: {}", report.count(StatusCode::OK));
    inject(&world, Effect::Abort(StatusCode::SERVICE_UNAVAILABLE));
    let asked = server.asked();
    let mut answer = world.get("/").await;
    for _ in 0..5 {
        answer = world.get("/").await;
    }
    assert_eq!(problem(answer).await["code"], "MO-proxy-207", "the breaker has opened");
    assert_eq!(server.asked(), asked, "the instance was not asked");
    inject(&world, Effect::Abort(StatusCode::IM_A_TEAPOT));
}

/// A server that answers with a body of 1,000 bytes: with its length, in chunks, or as a gRPC message with trailers.
async fn thousand() -> Server {
    Server::start(|request: Request<_>| async move {
        if request.uri().path() == "/length" {
            return Response::new(full("x".repeat(1000)));
        }
        let is_grpc = request.uri().path() == "/grpc";
        let (parts, body) = stepwise();
        TaskGroup::new().spawn(Kind::Job, "answer", async move {
            let _ = parts.send(data("x".repeat(1000))).await;
            if is_grpc {
                let trailers: HeaderMap =
                    [("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect();
                let _ = parts.send(Frame::trailers(trailers)).await;
            }
        });
        Response::builder().header("content-type", "application/octet-stream").body(body).unwrap()
    })
    .await
}

#[tokio::test]
async fn a_cut_answer_never_looks_complete() {
    let world = World::start(EdgePolicy { breaker: None, ..EdgePolicy::default() }).await;
    world.add(thousand_kept(&world).await);
    for after in [0, 10, 999] {
        inject(&world, Effect::Cut { after });
        for path in ["/length", "/chunks"] {
            for mut caller in
                [Caller::http1(world.address, &world.group).await, Caller::http2(world.address, &world.group).await]
            {
                let answer = match caller.send(Request::get(path).body(empty()).unwrap()).await {
                    Ok(answer) => answer,
                    // The first bytes of HTTP/1 go out with the head, so a cut at once may cost both.
                    Err(_) => continue,
                };
                let mut body = answer.into_body();
                let mut came = 0;
                let broke = loop {
                    match body.frame().await {
                        None => break false,
                        Some(Err(_)) => break true,
                        Some(Ok(frame)) => came += frame.into_data().unwrap().len() as u64,
                    }
                };
                assert!(broke && came <= after, "{path} after {after}: {came} came, and it looks complete");
            }
        }
    }
    assert!(world.proxy.stats()[0].cut > 0);
}

async fn thousand_kept(world: &World) -> std::net::SocketAddr {
    let server = thousand().await;
    let address = server.address;
    world.group.spawn_dropping(Kind::Listener, "keeps the server", async move {
        std::future::pending::<()>().await;
        drop(server);
    });
    address
}

#[tokio::test]
async fn a_slow_answer_comes_at_its_rate_whole_and_with_its_trailers() {
    let world = World::with(EdgePolicy::default(), Protocol::H2c, Config::default()).await;
    world.add(thousand_kept(&world).await);
    inject(&world, Effect::Slow { rate: 2000 });
    for path in ["/length", "/chunks", "/grpc"] {
        let mut caller = Caller::http2(world.address, &world.group).await;
        let began = Instant::now();
        let answer = caller.send(Request::get(path).body(empty()).unwrap()).await.unwrap();
        let answer = answer.into_body().collect().await.unwrap();
        assert_eq!(answer.trailers().is_some(), path == "/grpc");
        assert_eq!(answer.to_bytes().len(), 1000);
        assert!(began.elapsed() >= Duration::from_millis(450), "{path}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_blackhole_costs_the_deadline_and_opens_the_breaker() {
    let retry = Retry { attempts: 1, ..Retry::default() };
    let world = World::start(EdgePolicy { timeout: Duration::from_millis(200), retry, ..EdgePolicy::default() }).await;
    let server = Moody::start("here").await;
    let instance = world.add(server.address());
    inject(&world, Effect::Blackhole);
    for _ in 0..5 {
        let answer = world.get("/").await;
        assert_eq!(problem(answer).await["code"], "MO-proxy-203");
    }
    assert_eq!(server.asked(), 0);
    assert_eq!(problem(world.get("/").await).await["code"], "MO-proxy-207");
    assert_eq!(world.proxy.in_flight(instance), 0);
    world.proxy.set_faults(&door(&world), vec![]).unwrap();
    let end = Instant::now() + crate::world::LIMIT;
    while world.get("/").await.status() != StatusCode::OK {
        assert!(Instant::now() < end, "a probe finds out that it works");
    }
    eventually("it is back", || world.proxy.stats()[0].out.is_empty()).await;
}
