//! What takes minutes, with the clock stopped. Everything else that the broker promises is in the conformance suite of the engines
//! (`motet_testkit::events`), which runs here over the embedded one.

use crate::script::{World, spec, topic};
use motet_broker::{Config, Keep, Outcome, Retry, SubscriptionSpec, TopicSpec};
use motet_kernel::backoff::Backoff;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn waits_between_attempts_grow_and_attempts_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let backoff = Backoff { initial: Duration::from_secs(10), max: Duration::from_secs(600), factor: 2.0 };
    let retry = Retry { backoff, attempts: 4, max_age: None };
    let failing = SubscriptionSpec { retry, ..spec("s", "t") };
    let world = World::open(directory.path(), vec![failing]).await;
    world.script.answers("s", |_| Outcome::retry("no"));
    world.publish(&[("1", "")]).await;
    let seen = world.script.saw("s", 4).await;
    assert_eq!(seen.iter().map(|seen| seen.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for (pair, whole) in seen.windows(2).zip([10.0, 20.0, 40.0]) {
        let waited = (pair[1].at - pair[0].at).as_secs_f64();
        assert!(waited >= whole * 0.5 && waited <= whole + 1.0, "{waited} for {whole}");
    }
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn retention_is_looked_at_without_being_asked() {
    let directory = tempfile::tempdir().unwrap();
    let keep = Keep { time: Some(Duration::from_secs(60)), bytes: None };
    let short = TopicSpec { keep, ..TopicSpec::new(topic("t")) };
    let world = World::open_with(directory.path(), vec![short.clone()], vec![spec("s", "t")], Config::default()).await;
    world.handle.pause(&"s".parse().unwrap()).await.unwrap();
    world.publish(&[("0", ""), ("1", "")]).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    world.publish(&[("2", "")]).await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    world.handle.resume(&"s".parse().unwrap()).await.unwrap();
    world.script.saw("s", 1).await;
    let status = world.drained("s").await;
    assert_eq!((world.script.ids("s").concat(), status.counts.missed), ("2".to_owned(), 2));
    world.stop().await;
}
