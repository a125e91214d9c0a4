//! Everything has an end: what waits, what is kept, what is sent.

use crate::world::{World, config, order, spec, until};
use motet_jobs::{Config, JobError, Keep, Order, Spec, State};
use std::time::Duration;

#[tokio::test]
async fn more_jobs_than_may_wait_are_refused_until_some_are_over() {
    let world = World::with(Config { open_max: 2, ..config() }, spec());
    let first = world.submit("").await;
    world.submit("").await;
    assert!(matches!(world.jobs.submit(order("")).await, Err(JobError::Full { .. })));
    world.jobs.cancel(first).await.unwrap();
    world.submit("").await;
    let world = World::with(Config { open_max_bytes: 10_000, ..config() }, spec());
    world.submit(&"x".repeat(8000)).await;
    assert!(matches!(world.jobs.submit(order(&"x".repeat(8000))).await, Err(JobError::Full { .. })));
}

#[tokio::test]
async fn what_is_too_large_or_has_a_bad_key_is_refused() {
    let world = World::with(config(), Spec { body_max_bytes: 10, ..spec() });
    assert!(matches!(world.jobs.submit(order("eleven byte")).await, Err(JobError::TooLarge { most: 10, .. })));
    for key in ["", &"k".repeat(256)] {
        let order = Order { idempotency_key: Some(key.to_owned()), ..order("") };
        assert!(matches!(world.jobs.submit(order).await, Err(JobError::Unfit(_))));
    }
    let id = world.submit("").await;
    let long = serde_json::Value::String("x".repeat(5000));
    assert!(matches!(world.jobs.progress(id, long).await, Err(JobError::Unfit(_))));
    let nobody = Order { target: motet_jobs::Target { service: "nobody".into(), path: "/".into() }, ..order("") };
    assert!(matches!(world.jobs.submit(nobody).await, Err(JobError::NoJobs(_))));
    assert_eq!(world.jobs.counts()["parser"].open, 1);
}

#[tokio::test]
async fn one_key_is_one_job_however_many_ask_at_once() {
    let world = World::new();
    let with = |body: &str| Order { idempotency_key: Some("k".to_owned()), ..order(body) };
    let (a, b) = tokio::join!(world.jobs.submit(with("same")), world.jobs.submit(with("same")));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!((a.job.id, a.is_known != b.is_known), (b.job.id, true));
    assert!(matches!(world.jobs.submit(with("other")).await, Err(JobError::KeyReused { .. })));
    let other = Order { caller: "another".to_owned(), ..with("other") };
    assert!(!world.jobs.submit(other).await.unwrap().is_known, "keys are the caller's own");
}

#[tokio::test]
async fn results_go_when_they_are_too_old_too_many_or_too_large() {
    let by_time = (config(), Keep { time: Some(Duration::ZERO), bytes: None });
    let by_number = (Config { kept_max: 0, ..config() }, Keep { time: None, bytes: None });
    let by_bytes = (config(), Keep { time: None, bytes: Some(100) });
    for (config, keep) in [by_time, by_number, by_bytes] {
        let world = World::with(config, Spec { keep, ..spec() });
        let order = Order { idempotency_key: Some("k".to_owned()), ..order("x") };
        let id = world.jobs.submit(order.clone()).await.unwrap().job.id;
        let ticket = world.ticket().await;
        world.deliver(&ticket).await;
        until("it is gone", || matches!(world.jobs.job(id), Err(JobError::Unknown(_)))).await;
        assert_eq!(world.jobs.result(id).unwrap(), None);
        until("it is not counted", || world.jobs.counts()["parser"].kept_bytes == 0).await;
        assert!(!world.jobs.submit(order).await.unwrap().is_known, "its key is free");
    }
}

#[tokio::test]
async fn a_job_whose_ticket_never_comes_is_given_up_with_its_age() {
    let world = World::with(config(), Spec { max_age: Duration::ZERO, ..spec() });
    let id = world.submit("").await;
    let ticket = world.ticket().await;
    world.deliver(&ticket).await;
    let job = world.jobs.job(id).unwrap();
    assert_eq!(job.state, State::Failed);
    assert!(job.failure.unwrap().detail.contains("too old"));
    assert!(world.outside.calls.lock().is_empty());
}
