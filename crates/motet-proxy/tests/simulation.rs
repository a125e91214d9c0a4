//! The data plane in a simulated network: partitions, held messages, slow links, instances that crash and come back, retry storms.
//!
//! `cargo test -p motet-proxy --features simulation --test simulation`. The feature puts turmoil's sockets in the place of the operating
//! system's, so it cannot be on for the other tests. Minutes of simulated time take a second; what happens follows from the seed.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{body::Incoming, client, server, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use motet_kernel::{
    backoff::Backoff,
    endpoint::{Endpoint, EndpointSet, State},
    id::InstanceId,
    task::TaskGroup,
};
use motet_proxy::{Config, EdgePolicy, EdgeSpec, Protocol, Proxy, policy::Breaker};
use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    num::NonZeroUsize,
    rc::Rc,
    time::Duration,
};
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_local},
    time::{Instant, sleep, sleep_until, timeout},
};
use turmoil::{
    Sim,
    net::{TcpListener, TcpStream},
};

const PORT: u16 = 8000;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    n: u32,
    due: Duration,
    took: Duration,
    /// The status and who answered, or why nobody did.
    answer: Result<(StatusCode, String), String>,
    attempts: u32,
}

/// What instances saw, and how they behave.
#[derive(Debug, Default)]
struct Callees {
    asked: Cell<u32>,
    failing: Cell<bool>,
    hanging: Cell<bool>,
}

/// A caller, the data plane with one edge, and instances behind it.
struct Simulation {
    sim: Sim<'static>,
    callees: Rc<Callees>,
    outcomes: Rc<RefCell<Vec<Outcome>>>,
}

impl Simulation {
    fn new(seed: u64, policy: EdgePolicy, names: &'static [&'static str]) -> Self {
        // Chance within the data plane: whom to choose, how long to wait.
        fastrand::seed(seed);
        let mut sim = turmoil::Builder::new()
            .rng_seed(seed)
            .tick_duration(Duration::from_millis(4))
            .simulation_duration(Duration::from_secs(600))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(5))
            .tcp_capacity(4096)
            .build();
        let callees = Rc::<Callees>::default();
        for name in names {
            let callees = Rc::clone(&callees);
            sim.host(*name, move || instance(name, Rc::clone(&callees)));
        }
        sim.host("proxy", move || data_plane(policy.clone(), names));
        Self { sim, callees, outcomes: Rc::default() }
    }

    /// Sends requests at a steady pace, each on a connection of its own, while `events` happen.
    fn calls(&mut self, per_second: u32, lasting: Duration) {
        let outcomes = Rc::clone(&self.outcomes);
        self.sim.client("caller", async move {
            // The data plane listens by then.
            sleep(Duration::from_secs(1)).await;
            let began = Instant::now();
            let mut under_way = JoinSet::new();
            for n in 0..(lasting.as_secs_f64() * f64::from(per_second)) as u32 {
                let due = Duration::from_secs(1) / per_second * n;
                sleep_until(began + due).await;
                let outcomes = Rc::clone(&outcomes);
                under_way.spawn_local(async move {
                    let sent = Instant::now();
                    let answer = timeout(Duration::from_secs(60), call(n)).await;
                    let (answer, attempts) = answer.unwrap_or_else(|_| (Err("no answer in time".to_owned()), 0));
                    outcomes.borrow_mut().push(Outcome { n, due, took: sent.elapsed(), answer, attempts });
                });
            }
            while let Some(ended) = under_way.join_next().await {
                ended?;
            }
            Ok(())
        });
    }

    fn run(mut self) -> (Vec<Outcome>, u32) {
        self.sim.run().unwrap();
        let asked = self.callees.asked.get();
        (self.outcomes.take(), asked)
    }
}

/// Says its name and the number that it was asked for.
async fn instance(name: &'static str, callees: Rc<Callees>) -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let callees = Rc::clone(&callees);
        let service = service_fn(move |request: Request<Incoming>| {
            let callees = Rc::clone(&callees);
            async move {
                callees.asked.set(callees.asked.get() + 1);
                sleep(Duration::from_millis(if callees.hanging.get() { 60_000 } else { 5 })).await;
                let mut answer = Response::new(Full::new(Bytes::from(format!("{name} {}", request.uri().path()))));
                if callees.failing.get() {
                    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                }
                Ok::<_, Infallible>(answer)
            }
        });
        spawn_local(async move {
            let _ = server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn data_plane(policy: EdgePolicy, names: &[&str]) -> turmoil::Result {
    let endpoint = |name: &&str| Endpoint {
        instance: InstanceId::new(),
        label: (*name).into(),
        address: motet_kernel::endpoint::Authority { host: turmoil::lookup(*name).to_string().into(), port: PORT },
        state: State::Ready,
    };
    let endpoints = names.iter().map(endpoint).collect::<Vec<_>>().into();
    let (_set, endpoints) = watch::channel(EndpointSet { version: 1, endpoints });
    let group = TaskGroup::new();
    let proxy = Proxy::start(Config { workers: NonZeroUsize::MIN, ..Config::default() }, &group)?;
    let listen = Some(([0, 0, 0, 0], PORT).into());
    let edge = EdgeSpec { policy, protocol: Protocol::Http1, listen, ..EdgeSpec::new("a->b".parse()?, endpoints) };
    proxy.apply(vec![edge], None).await?;
    std::future::pending().await
}

async fn call(n: u32) -> (Result<(StatusCode, String), String>, u32) {
    let answer = async {
        let stream = TcpStream::connect(("proxy", PORT)).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        spawn_local(connection);
        let request = Request::get(format!("/{n}")).header("host", "proxy").body(Empty::<Bytes>::new()).unwrap();
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let attempts = answer.headers().get("x-motet-attempts").map_or("1", |n| n.to_str().unwrap()).parse().unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok::<_, String>((status, String::from_utf8(body.to_vec()).unwrap(), attempts))
    };
    match answer.await {
        Ok((status, text, attempts)) => (Ok((status, text)), attempts),
        Err(error) => (Err(error), 0),
    }
}

/// The default, with shorter times.
fn policy() -> EdgePolicy {
    let open = Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(2), factor: 2.0 };
    EdgePolicy {
        timeout: Duration::from_secs(5),
        first_byte: Some(Duration::from_millis(200)),
        connect_timeout: Duration::from_millis(200),
        breaker: Some(Breaker { open, ..Breaker::default() }),
        ..EdgePolicy::default()
    }
}

/// Every request was answered with 200 by somebody, and with the answer to its own question.
fn assert_all_good(seed: u64, outcomes: &[Outcome]) {
    for outcome in outcomes {
        let good = matches!(&outcome.answer, Ok((StatusCode::OK, text)) if text.split_once(" /").unwrap().1 == outcome.n.to_string());
        assert!(good, "seed {seed}: {outcome:?}");
    }
}

fn answered_by<'a>(outcomes: &'a [Outcome], name: &'a str) -> impl Iterator<Item = &'a Outcome> {
    outcomes.iter().filter(move |outcome| matches!(&outcome.answer, Ok((_, text)) if text.starts_with(name)))
}

/// 65 s of requests; between 3 s and 9 s nothing passes between the data plane and one of two instances.
fn partitioned(seed: u64, cut: fn(&str, &str), mend: fn(&str, &str)) -> Vec<Outcome> {
    let mut simulation = Simulation::new(seed, policy(), &["first", "second"]);
    simulation.calls(20, Duration::from_secs(65));
    simulation.sim.client("fate", async move {
        sleep(Duration::from_secs(4)).await;
        cut("proxy", "first");
        sleep(Duration::from_secs(6)).await;
        mend("proxy", "first");
        Ok(())
    });
    simulation.run().0
}

fn assert_survived(seed: u64, outcomes: &[Outcome]) {
    assert_eq!(outcomes.len(), 1300);
    assert_all_good(seed, outcomes);
    let during = |outcome: &&Outcome| (4..9).contains(&outcome.due.as_secs());
    assert_eq!(answered_by(outcomes, "first").filter(during).count(), 0, "seed {seed}");
    // The probes cost one try each, everybody else nothing.
    let slow = outcomes.iter().filter(during).filter(|outcome| outcome.took > Duration::from_millis(150)).count();
    assert!(slow <= 8, "seed {seed}: {slow} of 100 waited");
    // With so little to do there is no hurry: what it was seen to take is forgotten within a minute.
    let back = answered_by(outcomes, "first").filter(|outcome| outcome.due > Duration::from_secs(9)).count();
    assert!(back > 20, "seed {seed}: it is asked {back} times only");
}

#[test]
fn a_partition_from_one_instance_costs_a_few_tries_and_it_is_asked_again_when_it_is_over() {
    for seed in SEEDS {
        let outcomes = partitioned(seed, |a, b| turmoil::partition(a, b), |a, b| turmoil::repair(a, b));
        assert_survived(seed, &outcomes);
    }
}

#[test]
fn messages_that_are_held_up_and_come_late_answer_nobody_elses_request() {
    for seed in SEEDS {
        let outcomes = partitioned(seed, |a, b| turmoil::hold(a, b), |a, b| turmoil::release(a, b));
        assert_survived(seed, &outcomes);
    }
}

#[test]
fn a_slow_link_to_one_instance_does_not_show_in_the_tail() {
    for seed in SEEDS {
        let mut simulation = Simulation::new(seed, EdgePolicy::default(), &["first", "second", "third"]);
        simulation.calls(50, Duration::from_secs(12));
        simulation.sim.set_link_latency("proxy", "first", Duration::from_millis(200));
        let (outcomes, _) = simulation.run();
        assert_all_good(seed, &outcomes);
        let mut took: Vec<_> = outcomes
            .iter()
            .filter(|outcome| outcome.due > Duration::from_secs(2))
            .map(|outcome| outcome.took)
            .collect();
        took.sort_unstable();
        let p99 = took[took.len() * 99 / 100];
        assert!(p99 < Duration::from_millis(100), "seed {seed}: {p99:?}");
    }
}

#[test]
fn instances_that_flap_fail_no_request() {
    for seed in SEEDS {
        let mut simulation = Simulation::new(seed, policy(), &["first", "second"]);
        simulation.calls(50, Duration::from_secs(10));
        let mut turn = 0;
        let mut is_done = false;
        while !is_done {
            for _ in 0..175 {
                is_done |= simulation.sim.step().unwrap();
            }
            let name = ["first", "second"][turn / 2 % 2];
            if turn % 2 == 0 {
                simulation.sim.crash(name);
            } else {
                simulation.sim.bounce(name);
            }
            turn += 1;
        }
        let outcomes = simulation.outcomes.take();
        assert_eq!(outcomes.len(), 500);
        assert_all_good(seed, &outcomes);
    }
}

/// 10 s of requests to instances none of which works. The breaker would spare them, so there is none.
fn storm(seed: u64, breaker: Option<Breaker>, trouble: fn(&Simulation)) -> (Vec<Outcome>, u32) {
    let mut simulation = Simulation::new(seed, EdgePolicy { breaker, ..policy() }, &["first", "second", "third"]);
    simulation.calls(100, Duration::from_secs(10));
    trouble(&simulation);
    simulation.run()
}

#[test]
fn a_retry_storm_keeps_to_the_budget() {
    for seed in SEEDS {
        let (outcomes, asked) = storm(seed, None, |simulation| simulation.callees.failing.set(true));
        assert_eq!(outcomes.len(), 1000);
        assert!((1150..=1210).contains(&asked), "seed {seed}: {asked} for 1,000, of which 1.2 times and ten may be");
        // Tries that are given up are a storm too.
        let (outcomes, asked) = storm(seed, None, |simulation| simulation.callees.hanging.set(true));
        assert!(outcomes.iter().all(|outcome| matches!(outcome.answer, Ok((StatusCode::GATEWAY_TIMEOUT, _)))));
        assert!((1150..=1210).contains(&asked), "seed {seed}: {asked}");
    }
}

#[test]
fn with_a_breaker_a_storm_hardly_reaches_the_instances() {
    let open = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(30), factor: 2.0 };
    for seed in SEEDS {
        let breaker = Some(Breaker { open, ..Breaker::default() });
        let (outcomes, asked) = storm(seed, breaker, |simulation| simulation.callees.failing.set(true));
        assert_eq!(outcomes.len(), 1000);
        assert!(asked < 200, "seed {seed}: {asked}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_gives_another() {
    let trace = |seed| partitioned(seed, |a, b| turmoil::partition(a, b), |a, b| turmoil::repair(a, b));
    let (first, again, other) = (trace(42), trace(42), trace(43));
    let differs = first.iter().zip(&again).position(|(a, b)| a != b);
    assert_eq!(differs.map(|n| (&first[n], &again[n])), None);
    assert!(first == again && first != other);
}
