//! How many at once, how many over time, and who goes first.

use crate::{
    load,
    moody::Moody,
    world::{Caller, Server, World, empty, eventually, full, problem, text},
};
use http::{Request, Response, StatusCode};
use motet_proxy::{
    Config, EdgePolicy, EdgeSpec, PathPolicy, Protocol,
    policy::{Concurrency, Limit, Rate, RateBy},
};
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinSet};

fn two_workers() -> Config {
    Config { workers: NonZeroUsize::new(2).unwrap(), ..Config::default() }
}

/// A server that answers each request when it is let, and remembers in which order they came.
async fn held() -> (Server, Arc<Semaphore>, Arc<Mutex<Vec<String>>>) {
    let (gate, order) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (let_go, seen) = (Arc::clone(&gate), Arc::clone(&order));
    let server = Server::start(move |request: Request<_>| {
        seen.lock().unwrap().push(request.uri().path().to_owned());
        let let_go = Arc::clone(&let_go);
        async move {
            let_go.acquire().await.unwrap().forget();
            Response::new(full("done"))
        }
    })
    .await;
    (server, gate, order)
}

#[tokio::test]
async fn no_more_than_the_limit_are_under_way_and_no_more_than_the_queue_wait_over_all_workers() {
    let concurrency = Concurrency { limit: Limit::Fixed(4), queue_max: 4, ..Concurrency::default() };
    let policy = EdgePolicy { concurrency, ..EdgePolicy::default() };
    let world = World::with(policy, Protocol::Http1, two_workers()).await;
    let (server, gate, order) = held().await;
    world.add(server.address);
    let mut calls = JoinSet::new();
    for _ in 0..12 {
        // A connection each, so that the kernel spreads them over the workers.
        let mut caller = Caller::http1(world.address, &world.group).await;
        calls.spawn(async move { caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap() });
    }
    for _ in 0..4 {
        let refused = calls.join_next().await.unwrap().unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key("retry-after"));
        assert_eq!(problem(refused).await["code"], "MO-proxy-202");
    }
    eventually("four are queued", || world.proxy.stats()[0].queued == 4).await;
    eventually("four have reached the instance", || order.lock().unwrap().len() == 4).await;
    for served in 1..=8 {
        gate.add_permits(1);
        assert_eq!(calls.join_next().await.unwrap().unwrap().status(), StatusCode::OK);
        eventually("the next has its turn", || order.lock().unwrap().len() == (4 + served).min(8)).await;
    }
    eventually("nothing is left", || world.proxy.stats()[0].in_flight == 0).await;
    assert_eq!(world.proxy.stats()[0].queued, 0);
}

#[tokio::test]
async fn the_urgent_go_first_and_take_the_place_of_the_least_urgent_in_a_full_queue() {
    let concurrency = Concurrency { limit: Limit::Fixed(1), queue_max: 3, ..Concurrency::default() };
    let policy = EdgePolicy { concurrency, ..EdgePolicy::default() };
    let world = World::with(policy, Protocol::Http1, two_workers()).await;
    let (server, gate, order) = held().await;
    world.add(server.address);
    let mut calls = JoinSet::new();
    let mut ask = async |path: &'static str, priority: &'static str| {
        let mut caller = Caller::http1(world.address, &world.group).await;
        let before = world.proxy.stats()[0].requests;
        let request = Request::get(path).header("priority", priority).body(empty()).unwrap();
        calls.spawn(async move { (path, caller.send(request).await.unwrap().status()) });
        eventually("it has come", || world.proxy.stats()[0].requests == before + 1).await;
        let settled = || world.proxy.stats()[0].queued + order.lock().unwrap().len() >= (before as usize + 1).min(4);
        eventually("it waits", settled).await;
    };
    ask("/first", "u=3").await;
    ask("/lazy", "u=7, i").await;
    ask("/usual", "").await;
    ask("/soon", "i, u=1").await;
    ask("/now", "u=0").await;
    let (path, status) = calls.join_next().await.unwrap().unwrap();
    assert_eq!((path, status), ("/lazy", StatusCode::SERVICE_UNAVAILABLE), "it made room");
    gate.add_permits(4);
    while let Some(ended) = calls.join_next().await {
        assert_eq!(ended.unwrap().1, StatusCode::OK);
    }
    assert_eq!(*order.lock().unwrap(), ["/first", "/now", "/soon", "/usual"]);
}

#[tokio::test]
async fn a_place_that_never_comes_free_is_waited_for_as_long_as_the_policy_says() {
    let queue_wait = Duration::from_millis(100);
    let concurrency = Concurrency { limit: Limit::Fixed(1), queue_wait, ..Concurrency::default() };
    let world = World::start(EdgePolicy { concurrency, ..EdgePolicy::default() }).await;
    let (server, gate, order) = held().await;
    world.add(server.address);
    let first = world.get("/");
    let second = async {
        eventually("the first is under way", || order.lock().unwrap().len() == 1).await;
        let answer = world.get("/").await;
        gate.add_permits(1);
        problem(answer).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!((&second["code"], &second["policy"]), (&"MO-proxy-202".into(), &"concurrency.queue_wait: 100ms".into()));
}

#[tokio::test]
async fn an_adaptive_limit_keeps_a_crowd_away_from_a_callee_that_slows_down_under_it() {
    let concurrency = Concurrency {
        limit: Limit::Adaptive { min: 1, max: 1000 },
        queue_wait: Duration::from_secs(20),
        ..Concurrency::default()
    };
    let world = World::start(EdgePolicy { concurrency, ..EdgePolicy::default() }).await;
    let working = crate::world::Census::default();
    let (census, most) = (working.clone(), Arc::new(Mutex::new(0)));
    let seen = Arc::clone(&most);
    let server = Server::start(move |_| {
        let work = census.enter();
        let at_once = census.alive();
        let mut most = seen.lock().unwrap();
        *most = at_once.max(*most);
        async move {
            // Eight at once take 20 ms each, more take longer in proportion.
            tokio::time::sleep(Duration::from_millis(20 * at_once.max(8) as u64 / 8)).await;
            drop(work);
            Response::new(full("done"))
        }
    })
    .await;
    world.add(server.address);
    let callers = (0..150).map(|_| async {
        let mut caller = Caller::http2(world.address, &world.group).await;
        for n in 0..10 {
            let answer = caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            if n == 4 {
                *most.lock().unwrap() = 0;
            }
        }
    });
    futures_util::future::join_all(callers).await;
    let most = *most.lock().unwrap();
    assert!((2..=75).contains(&most), "{most} at once, of 150 that wanted to");
}

#[tokio::test]
async fn what_comes_too_fast_is_told_when_to_come_again() {
    let rate = Rate { requests: 2, per: Duration::from_secs(10), burst: 3, by: RateBy::All };
    let world =
        World::with(EdgePolicy { rate: Some(rate), ..EdgePolicy::default() }, Protocol::Http1, two_workers()).await;
    let server = Moody::start("here").await;
    world.add(server.address());
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let answer = world.get("/").await;
        statuses.push(answer.status());
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            let again: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=5).contains(&again), "{again}");
            let problem = problem(answer).await;
            assert_eq!((&problem["code"], &problem["policy"]), (&"MO-proxy-206".into(), &"rate: 2/10s".into()));
        }
    }
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::OK).count(), 3);
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn the_longest_prefix_decides_and_limits_are_shared_unless_they_are_a_paths_own() {
    let strict = |requests| {
        let rate = Rate { requests, per: Duration::from_secs(3600), burst: requests, by: RateBy::All };
        EdgePolicy { rate: Some(rate), ..EdgePolicy::default() }
    };
    let world = World::start(EdgePolicy::default()).await;
    let server = Moody::start("here").await;
    world.add(server.address());
    let path = |prefix: &str, policy: EdgePolicy| PathPolicy { prefix: prefix.to_owned(), policy };
    let same_rate = EdgePolicy { timeout: Duration::from_secs(7), ..strict(4) };
    let paths = vec![path("/own", strict(1)), path("/own/deeper", strict(2)), path("/shared", same_rate)];
    world.proxy.apply(vec![EdgeSpec { paths, ..world.spec(strict(4)) }], None).await.unwrap();
    let admitted = async |path: &str, times: usize| {
        let mut admitted = 0;
        for _ in 0..times {
            admitted += usize::from(world.get(path).await.status() == StatusCode::OK);
        }
        admitted
    };
    assert_eq!(admitted("/own", 3).await, 1);
    assert_eq!(admitted("/own/deeper/still?x", 4).await, 2);
    assert_eq!(admitted("/owner", 1).await, 1, "half a segment is no prefix");
    assert_eq!(admitted("/shared/x", 2).await, 2);
    assert_eq!(admitted("/other", 3).await, 1, "what the shared path used is gone");
    assert_eq!(admitted("/shared", 1).await, 0);
}

#[tokio::test]
async fn policies_change_under_load_without_a_dropped_connection_or_a_forgotten_limit() {
    let concurrency = |limit| Concurrency { limit: Limit::Fixed(limit), ..Concurrency::default() };
    let policy = |limit| EdgePolicy { concurrency: concurrency(limit), ..EdgePolicy::default() };
    let world = World::start(policy(50)).await;
    let server = Moody::slow("here", Duration::from_millis(5)).await;
    world.add(server.address());
    let mut kept = Caller::http1(world.address, &world.group).await;
    let mut kept_http2 = Caller::http2(world.address, &world.group).await;
    let changes = async {
        for n in 0..100 {
            let paths = vec![PathPolicy { prefix: format!("/{}", n % 3), policy: policy(5 + n % 7) }];
            world.proxy.apply(vec![EdgeSpec { paths, ..world.spec(policy(10 + n)) }], None).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
            for caller in [&mut kept, &mut kept_http2] {
                let answer = caller.send(Request::get("/0").body(empty()).unwrap()).await.expect("it stays open");
                assert_eq!(text(answer.into_body()).await, "here");
            }
        }
    };
    let load = load::get(world.address, "/1", 200, Duration::from_secs(2));
    let (report, ()) = tokio::join!(load, changes);
    report.assert_all_good();
    let stats = &world.proxy.stats()[0];
    assert_eq!((stats.requests, stats.in_flight, stats.queued), (600, 0, 0));
    // A place that was taken under the old policy counts under the new one.
    server.take(Duration::from_millis(500));
    let held = kept.begin(Request::get("/").body(empty()).unwrap()).await;
    let refused = async {
        eventually("it is under way", || server.working.alive() == 1).await;
        let concurrency = Concurrency { queue_max: 0, ..concurrency(1) };
        world.proxy.apply(vec![world.spec(EdgePolicy { concurrency, ..EdgePolicy::default() })], None).await.unwrap();
        kept_http2.send(Request::get("/").body(empty()).unwrap()).await.unwrap().status()
    };
    let (held, refused) = tokio::join!(held, refused);
    assert_eq!((held.unwrap().status(), refused), (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
}
