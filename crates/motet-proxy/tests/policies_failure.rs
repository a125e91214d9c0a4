//! Retry budgets, breakers, copies and fallbacks, with instances that fail.

use crate::{
    load,
    moody::Moody,
    world::{Server, World, empty, eventually, full, problem, text},
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use motet_kernel::{backoff::Backoff, endpoint::EndpointSet};
use motet_proxy::{
    Callee, EdgePolicy, EdgeSpec, Protocol, Retry,
    policy::{Breaker, Concurrency, Fallback, Hedge, Limit, StaticAnswer},
};
use std::time::Duration;
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(3600);

fn once() -> Retry {
    Retry { attempts: 1, ..Retry::default() }
}

fn ejecting_for(time: Duration) -> Option<Breaker> {
    Some(Breaker { open: Backoff { initial: time, max: time, factor: 1.0 }, ..Breaker::default() })
}

#[tokio::test]
async fn with_every_instance_failing_the_load_on_them_keeps_to_the_retry_budget() {
    let world = World::start(EdgePolicy { breaker: None, ..EdgePolicy::default() }).await;
    let servers = [Moody::failing("a").await, Moody::failing("b").await];
    for server in &servers {
        world.add(server.address());
    }
    let report = load::get(world.address, "/", 300, Duration::from_secs(2)).await;
    assert_eq!(report.count(StatusCode::SERVICE_UNAVAILABLE), 600, "{:?}", report.broken);
    let asked = servers[0].asked() + servers[1].asked();
    let most = 600.0 * 1.2 + 10.0;
    assert!((660..=most as usize).contains(&asked), "{asked} requests reached them, at most {most} may");
    let stats = &world.proxy.stats()[0];
    assert_eq!(asked as u64, 600 + stats.retries);
    assert!(stats.over_budget > 0);
}

#[tokio::test]
async fn five_failures_eject_an_instance_and_a_probe_brings_it_back() {
    let breaker = ejecting_for(Duration::from_millis(500));
    let world = World::start(EdgePolicy { breaker, retry: once(), ..EdgePolicy::default() }).await;
    let (good, bad) = (Moody::start("good").await, Moody::failing("bad").await);
    world.add(good.address());
    let ejected = world.add(bad.address());
    let failed = async |wanted: usize| {
        let mut failed = 0;
        for _ in 0..wanted {
            failed += usize::from(world.get("/").await.status() == StatusCode::SERVICE_UNAVAILABLE);
        }
        failed
    };
    while bad.asked() < 5 {
        failed(1).await;
    }
    assert_eq!(world.proxy.stats()[0].out, [ejected]);
    assert_eq!(failed(30).await + bad.asked(), 5, "it is left alone");
    // While it fails, only probes reach it.
    let began = Instant::now();
    let probes =
        load::get(world.address, "/", 100, Duration::from_secs(2)).await.count(StatusCode::SERVICE_UNAVAILABLE);
    let most = began.elapsed().as_millis() / 250 + 1;
    assert!(probes >= 1 && probes as u128 <= most, "{probes} probes");
    bad.answer(200);
    let before = bad.asked();
    load::get(world.address, "/", 100, Duration::from_secs(1)).await;
    assert!(bad.asked() > before, "it is asked again");
    assert_eq!(world.proxy.stats()[0].out, []);
}

#[tokio::test]
async fn when_all_are_ejected_the_answer_says_so_and_when_to_come_back() {
    let world =
        World::start(EdgePolicy { breaker: ejecting_for(Duration::from_secs(3)), ..EdgePolicy::default() }).await;
    let servers = [Moody::failing("a").await, Moody::failing("b").await];
    for server in &servers {
        world.add(server.address());
    }
    load::get(world.address, "/", 100, Duration::from_millis(300)).await;
    assert_eq!(world.proxy.stats()[0].out.len(), 2);
    let asked = servers[0].asked() + servers[1].asked();
    let answer = world.get("/").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let again: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3).contains(&again), "{again}");
    assert_eq!(problem(answer).await["code"], "MO-proxy-207");
    assert_eq!(servers[0].asked() + servers[1].asked(), asked, "nothing was sent");
}

#[tokio::test]
async fn when_most_are_ejected_all_get_requests_again() {
    let policy = EdgePolicy { breaker: ejecting_for(LONG), retry: once(), ..EdgePolicy::default() };
    let world = World::start(policy).await;
    let (good, bad) = (Moody::start("good").await, [Moody::failing("a").await, Moody::failing("b").await]);
    world.add(good.address());
    for server in &bad {
        world.add(server.address());
    }
    eventually_asking(&world, || world.proxy.stats()[0].out.len() == 2).await;
    let before = bad[0].asked() + bad[1].asked();
    load::get(world.address, "/", 100, Duration::from_millis(500)).await;
    assert!(bad[0].asked() + bad[1].asked() > before + 5, "the one that works is not left alone with the load");
    assert_eq!(world.proxy.stats()[0].out.len(), 2, "they are still ejected");
}

/// Sends requests until a condition holds.
async fn eventually_asking(world: &World, condition: impl Fn() -> bool) {
    let end = Instant::now() + crate::world::LIMIT;
    while !condition() {
        assert!(Instant::now() < end);
        world.get("/").await;
    }
}

async fn hedging(budget: f64) -> (World, [Moody; 2]) {
    let policy = EdgePolicy {
        hedge: Some(Hedge { after: Duration::from_millis(50) }),
        retry: Retry { budget, ..Retry::default() },
        ..EdgePolicy::default()
    };
    let world = World::start(policy).await;
    let servers = [Moody::slow("slow", Duration::from_secs(2)).await, Moody::start("quick").await];
    for server in &servers {
        world.add(server.address());
    }
    (world, servers)
}

#[tokio::test]
async fn a_copy_of_a_slow_request_answers_and_the_slower_one_is_cancelled() {
    let (world, [slow, _quick]) = hedging(1.0).await;
    for _ in 0..10 {
        let began = Instant::now();
        assert_eq!(text(world.get("/").await.into_body()).await, "quick");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        eventually("the loser is cancelled", || slow.working.alive() == 0).await;
    }
    let copies = world.proxy.stats()[0].hedges;
    assert!(copies > 0 && copies as usize == slow.asked(), "{copies} copies, {} slow", slow.asked());
    let promised = Request::post("/").header("idempotency-key", "1").body(full("pay")).unwrap();
    assert_eq!(text(world.send(promised).await.into_body()).await, "quick");
}

#[tokio::test]
async fn what_may_not_be_done_twice_gets_no_copy() {
    let (world, servers) = hedging(1.0).await;
    for _ in 0..4 {
        world.send(Request::post("/").body(full("pay")).unwrap()).await;
    }
    assert_eq!(world.proxy.stats()[0].hedges, 0);
    assert_eq!(servers[0].asked() + servers[1].asked(), 4);
}

#[tokio::test]
async fn copies_keep_to_the_retry_budget() {
    let (world, [slow, quick]) = hedging(0.2).await;
    quick.take(Duration::from_millis(200));
    slow.take(Duration::from_millis(200));
    load::get(world.address, "/", 150, Duration::from_secs(2)).await.assert_all_good();
    let asked = slow.asked() + quick.asked();
    assert!((310..=370).contains(&asked), "{asked} for 300 requests");
}

/// An edge whose fallback is a service that says what it was asked.
async fn with_stand_in(policy: EdgePolicy, protocol: Protocol) -> (World, Server) {
    let world = World::start(EdgePolicy::default()).await;
    let stand_in = Server::start(|request: Request<Incoming>| async {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let seen = format!(
            "{} {} {:?} {} {}",
            head.method,
            head.uri.path(),
            head.version,
            head.headers.get("x-own").map_or("", |value| value.to_str().unwrap()),
            String::from_utf8_lossy(&body)
        );
        Response::new(full(seen))
    })
    .await;
    let endpoint = motet_kernel::endpoint::Endpoint {
        instance: motet_kernel::id::InstanceId::new(),
        label: "spare-1".into(),
        address: stand_in.address.into(),
        state: motet_kernel::endpoint::State::Ready,
    };
    let (_, endpoints) = tokio::sync::watch::channel(EndpointSet { version: 1, endpoints: vec![endpoint].into() });
    let fallback = Some(Fallback::Service("spare".parse().unwrap()));
    let fallbacks = [("spare".parse().unwrap(), Callee { protocol, endpoints })].into();
    let policy = EdgePolicy { fallback, ..policy };
    world.proxy.apply(vec![EdgeSpec { fallbacks, ..world.spec(policy) }], None).await.unwrap();
    (world, stand_in)
}

#[tokio::test]
async fn another_service_answers_the_same_request_with_its_head_and_body() {
    for (protocol, version) in [(Protocol::Http1, "HTTP/1.1"), (Protocol::H2c, "HTTP/2.0")] {
        let (world, _stand_in) = with_stand_in(EdgePolicy { breaker: None, ..EdgePolicy::default() }, protocol).await;
        let bad = Moody::failing("bad").await;
        world.add(bad.address());
        for method in [Method::GET, Method::PUT, Method::POST] {
            let body = if method == Method::GET { empty() } else { full("content") };
            let expected = if method == Method::GET { "" } else { "content" };
            let request = Request::builder().method(&method).uri("/x").header("x-own", "kept").body(body).unwrap();
            let answer = world.send(request).await;
            assert_eq!(answer.headers()["x-motet-fallback"], "spare");
            assert_eq!(text(answer.into_body()).await, format!("{method} /x {version} kept {expected}"));
        }
        assert_eq!(world.proxy.stats()[0].fallbacks, 3);
        bad.answer(500);
        let answer = world.get("/").await;
        assert_eq!(
            (answer.status(), answer.headers().get("x-motet-fallback")),
            (StatusCode::INTERNAL_SERVER_ERROR, None)
        );
    }
}

#[tokio::test]
async fn a_fallback_answers_for_a_deadline_an_open_breaker_and_a_full_edge_too() {
    let timeout = Duration::from_millis(200);
    let breaker = Some(Breaker { failures: 1, ..ejecting_for(LONG).unwrap() });
    let concurrency = Concurrency { limit: Limit::Fixed(1), queue_max: 0, ..Concurrency::default() };
    let fixed = StaticAnswer {
        status: StatusCode::OK,
        headers: vec![("x-canned".parse().unwrap(), "1".parse().unwrap())],
        body: "sorry".into(),
    };
    for fallback in [Some(Fallback::Static(fixed)), None] {
        let policy = EdgePolicy {
            timeout,
            breaker,
            concurrency: concurrency.clone(),
            fallback: fallback.clone(),
            ..EdgePolicy::default()
        };
        let (world, _stand_in) = match &fallback {
            Some(_) => {
                let world = World::start(policy).await;
                (world, None)
            }
            None => {
                let (world, stand_in) = with_stand_in(policy, Protocol::Http1).await;
                (world, Some(stand_in))
            }
        };
        let said = if fallback.is_some() { "sorry" } else { "POST /x HTTP/1.1  late" };
        let who = if fallback.is_some() { "static" } else { "spare" };
        let hanging = Moody::slow("hanging", LONG).await;
        world.add(hanging.address());
        let ask = async || {
            let answer = world.send(Request::post("/x").body(full("late")).unwrap()).await;
            assert_eq!(
                (answer.status(), &answer.headers()["x-motet-fallback"]),
                (StatusCode::OK, &who.parse().unwrap())
            );
            assert_eq!(answer.headers().contains_key("x-canned"), fallback.is_some());
            assert_eq!(text(answer.into_body()).await, said);
        };
        let full_meanwhile = async {
            eventually("the first is under way", || hanging.asked() == 1).await;
            ask().await;
            assert_eq!(hanging.asked(), 1, "there is no place for a second");
        };
        // The first ends with the deadline, and opens the breaker.
        tokio::join!(ask(), full_meanwhile);
        assert_eq!(world.proxy.stats()[0].out.len(), 1);
        ask().await;
        assert_eq!(hanging.asked(), 1);
    }
}
