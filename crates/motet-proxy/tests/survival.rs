//! One failure stays one failure: instances are killed, hang and slow down under load, and callers do not notice.

use crate::{
    children::Process,
    load,
    world::{Server, World, full, nobody},
};
use http::{Response, StatusCode};
use motet_kernel::{
    backoff::Backoff,
    endpoint::{Endpoint, EndpointSet, State},
    id::InstanceId,
};
use motet_proxy::{EdgePolicy, EdgeSpec, policy::Breaker};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

const PER_SECOND: u32 = 200;

/// Instances are killed one after the other and replaced, while requests come. `told` says how long after a death the endpoint set loses
/// the dead; `None`: never.
async fn kill_under_load(told: Option<Duration>) {
    const KILLS: u32 = 4;
    let world = World::start(EdgePolicy::default()).await;
    let mut alive = Vec::new();
    for _ in 0..2 {
        let process = Process::start("server 20").await;
        alive.push((world.add(process.address), process));
    }
    let kills = async {
        for _ in 0..KILLS {
            sleep(Duration::from_millis(400)).await;
            let (instance, process) = alive.remove(0);
            process.kill();
            if let Some(told) = told {
                sleep(told).await;
                world.remove(instance);
            }
            let process = Process::start("server 20").await;
            alive.push((world.add(process.address), process));
        }
    };
    let (report, ()) = tokio::join!(load::get(world.address, "/", PER_SECOND, Duration::from_secs(4)), kills);
    report.assert_all_good();
    assert!(world.proxy.stats()[0].retries > 0, "the kills hit something");
}

#[tokio::test]
async fn kill_minus_nine_under_load_fails_no_request() {
    kill_under_load(Some(Duration::from_millis(30))).await;
}

#[tokio::test]
async fn kill_minus_nine_under_load_fails_no_request_even_if_nobody_ever_notices() {
    kill_under_load(None).await;
}

#[tokio::test]
async fn a_hanging_service_costs_its_deadline_until_its_breaker_opens_and_its_neighbour_nothing() {
    let timeout = Duration::from_secs(1);
    let open = Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(5), factor: 2.0 };
    let breaker = Some(Breaker { open, ..Breaker::default() });
    let world = World::start(EdgePolicy::default()).await;
    let (hanging, asked) = (Process::start("hang").await, Server::named("here").await);
    world.add(asked.address);
    let endpoint = Endpoint {
        instance: InstanceId::new(),
        label: "hanging-1".into(),
        address: hanging.address.into(),
        state: State::Ready,
    };
    let (_set, endpoints) = watch::channel(EndpointSet { version: 1, endpoints: vec![endpoint].into() });
    let bad = EdgeSpec {
        policy: EdgePolicy { timeout, breaker, ..EdgePolicy::default() },
        ..EdgeSpec::new("caller->hanging".parse().unwrap(), endpoints)
    };
    let edges = vec![world.spec(EdgePolicy::default()), bad.clone()];
    let hanging_address = world.proxy.apply(edges, None).await.unwrap().edges[&bad.name];
    let lasting = Duration::from_secs(4);
    let (good, bad) =
        tokio::join!(load::get(world.address, "/", 100, lasting), load::get(hanging_address, "/", 100, lasting));
    good.assert_all_good();
    assert!(bad.broken.is_empty(), "{:?}", bad.broken);
    let hung = bad.count(StatusCode::GATEWAY_TIMEOUT);
    let refused = bad.count(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(hung + refused, 400);
    // Those that were under way when the first five had failed, a second's worth, and the probes.
    assert!((5..=200).contains(&hung), "{hung} waited for the deadline");
    assert!(bad.quantile(1.0) < 2 * timeout, "{:?}", bad.quantile(1.0));
    // Had it noticed anything, it would have waited for that deadline too. A busy machine delays everybody somewhat.
    assert!(good.quantile(0.99) < timeout * 3 / 4, "the neighbour: {:?}", good.quantile(0.99));
}

#[tokio::test]
async fn a_probe_that_hangs_makes_the_next_wait_longer() {
    let breaker = Breaker {
        failures: 1,
        open: Backoff { initial: Duration::from_millis(200), max: Duration::from_secs(60), factor: 8.0 },
        ..Breaker::default()
    };
    let policy = EdgePolicy { timeout: Duration::from_millis(50), breaker: Some(breaker), ..EdgePolicy::default() };
    let world = World::start(policy).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = Server::start(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::pending()
    })
    .await;
    world.add(server.address);
    let report = load::get(world.address, "/", 20, Duration::from_secs(2)).await;
    // The first ejects, perhaps with a second under way; one probe after 0.1 to 0.2 s; the next after another 0.8 to 1.6 s.
    let asked = asked.load(Ordering::SeqCst);
    assert!((2..=5).contains(&asked), "{asked} requests reached it");
    assert_eq!(report.count(StatusCode::GATEWAY_TIMEOUT), asked);
}

#[tokio::test]
async fn one_of_three_instances_ten_times_slower_does_not_show_in_the_tail() {
    const NORMAL: Duration = Duration::from_millis(100);
    let world = World::start(EdgePolicy::default()).await;
    let slowness = Arc::new(AtomicUsize::new(1));
    let mut servers = Vec::new();
    for n in 0..3 {
        let slowness = Arc::clone(&slowness);
        let server = Server::start(move |_| {
            let factor = if n == 0 { slowness.load(Ordering::SeqCst) as u32 } else { 1 };
            async move {
                sleep(NORMAL * factor).await;
                Response::new(full("done"))
            }
        })
        .await;
        world.add(server.address);
        servers.push(server);
    }
    let normal = load::get(world.address, "/", PER_SECOND, Duration::from_secs(2)).await;
    slowness.store(10, Ordering::SeqCst);
    // Until its slowness has been seen: its first slow answers come after a second.
    load::get(world.address, "/", PER_SECOND, Duration::from_millis(1500)).await;
    let slow = load::get(world.address, "/", PER_SECOND, Duration::from_secs(4)).await;
    slow.assert_all_good();
    let (normal, slow) = (normal.quantile(0.99), slow.quantile(0.99));
    assert!(slow < normal.mul_f64(1.5), "p99 was {normal:?} and is {slow:?}");
}

#[tokio::test]
async fn instances_that_come_and_go_fail_no_request() {
    let world = World::start(EdgePolicy::default()).await;
    let steady = Server::named("steady").await;
    world.add(steady.address);
    let flapping = async {
        for n in 0..30 {
            // Every third is listed without being there.
            let server = Server::named("flapping").await;
            let address = if n % 3 == 0 { nobody().await } else { server.address };
            let instance = world.add(address);
            sleep(Duration::from_millis(30)).await;
            server.kill().await;
            sleep(Duration::from_millis(10)).await;
            world.remove(instance);
        }
    };
    let (report, ()) = tokio::join!(load::get(world.address, "/", PER_SECOND, Duration::from_secs(2)), flapping);
    report.assert_all_good();
}
