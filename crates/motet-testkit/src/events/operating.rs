//! Orders of people: pause, resume, replay; declarations that change; stopping; looking.

use super::bench::{Bench, event};
use motet_broker::{Declaration, Outcome, Start, TopicSpec};
use std::time::Duration;

pub(super) async fn a_paused_subscription_stays_so_across_a_restart_until_it_is_resumed(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    world.handle.pause(&bench.sub("s")).await.expect("paused");
    world.publish(&[("1", "")]).await;
    world.stop().await;
    let world = bench.broker(vec![bench.spec("s")]).await;
    let status = world.until("s", "the head", |status| status.counts.depth == 1).await;
    assert!(status.counts.paused && world.seen("s").is_empty());
    world.handle.resume(&bench.sub("s")).await.expect("resumed");
    world.saw("s", 1).await;
    world.stop().await;
}

pub(super) async fn a_replay_delivers_again_from_where_it_is_told(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    let receipts = world.publish_all((0..3).map(|n| event(&n.to_string(), "k")).collect()).await;
    world.drained("s").await;
    let second = Start::Position(receipts[1].position.expect("published at once"));
    assert_eq!(world.handle.replay(&bench.sub("s"), second).await.ok(), receipts[1].position);
    world.saw("s", 5).await;
    world.drained("s").await;
    assert_eq!(world.ids("s").concat(), "01212");
    world.handle.replay(&bench.sub("s"), Start::Earliest).await.expect("replayed");
    world.saw("s", 8).await;
    world.drained("s").await;
    assert_eq!(world.ids("s").concat(), "01212012");
    world.stop().await;
}

pub(super) async fn a_replay_from_a_time_delivers_what_was_published_since(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    world.publish(&[("0", "k")]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let since = world.handle.now();
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.publish(&[("1", "k"), ("2", "k")]).await;
    world.drained("s").await;
    world.handle.replay(&bench.sub("s"), Start::Time(since)).await.expect("replayed");
    world.saw("s", 5).await;
    world.drained("s").await;
    assert_eq!(world.ids("s").concat(), "01212");
    world.stop().await;
}

pub(super) async fn a_replay_forward_skips_what_is_retried_and_what_waits_behind_it(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    world.answers("s", |parcel| if parcel.event.id() == "0" { Outcome::retry("no") } else { Outcome::Ack });
    world.publish(&[("0", "k"), ("1", "k"), ("2", "k")]).await;
    world.until("s", "two parked behind a retry", |s| s.counts.parked == 2 && s.counts.failed > 0).await;
    world.handle.replay(&bench.sub("s"), Start::Latest).await.expect("replayed");
    let status = world.drained("s").await;
    assert_eq!((status.counts.retrying, status.counts.parked), (0, 0));
    world.publish(&[("3", "k")]).await;
    world.drained("s").await;
    let ids = world.ids("s");
    assert!(ids.last().is_some_and(|id| id == "3") && ids.iter().all(|id| id == "0" || id == "3"), "{ids:?}");
    world.stop().await;
}

pub(super) async fn a_subscription_that_is_not_declared_any_more_is_let_go_and_goes_on_where_it_was(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    world.publish(&[("1", "")]).await;
    world.drained("s").await;
    world.declare(vec![bench.t()], vec![]).await;
    world.publish(&[("2", "")]).await;
    assert!(world.handle.pause(&bench.sub("s")).await.is_err());
    world.declare(vec![bench.t()], vec![bench.spec("s")]).await;
    world.saw("s", 2).await;
    assert_eq!(world.ids("s"), ["1", "2"]);
    let mut elsewhere = bench.spec("s");
    elsewhere.topic = bench.topic("other");
    let topics = vec![bench.t(), TopicSpec::new(bench.topic("other"))];
    let declared = world.handle.declare(Declaration { topics, subscriptions: vec![elsewhere] }).await;
    assert_eq!(declared.expect_err("its place means nothing there").code().to_string(), "MO-broker-402");
    world.stop().await;
}

pub(super) async fn a_stop_lets_what_is_under_way_end_and_delivers_nothing_twice(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    world.script.takes(Duration::from_millis(400));
    let receipts = world.publish_all(vec![event("1", "")]).await;
    world.saw("s", 1).await;
    world.stop().await;
    let behind = receipts[0].position.expect("published at once").next();
    let world = bench.broker(vec![bench.spec("s")]).await;
    world.until("s", "what was taken is settled", |status| status.counts.cursor >= behind.0).await;
    world.publish(&[("2", "")]).await;
    world.drained("s").await;
    assert_eq!(world.ids("s"), ["2"]);
    world.stop().await;
}

pub(super) async fn the_description_says_what_there_is(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    world.publish(&[("1", ""), ("2", ""), ("2", "")]).await;
    world.drained("s").await;
    let description = world.handle.describe().await;
    assert_eq!(description.engine, world.transport.engine());
    assert!(!description.engine.name.is_empty() && !description.engine.detail.is_empty(), "{:?}", description.engine);
    let (t, s) = (world.t().await, world.status("s").await);
    assert_eq!((t.published, t.duplicates, t.remembered, t.window_shortened), (2, 1, 2, false));
    assert_eq!((s.counts.acknowledged, s.counts.depth, s.dead_letters, s.topic), (2, 0, 0, t.name));
    let ends = t.ends.expect("the engine answers");
    assert!(ends.first < ends.next, "{ends:?}");
    world.stop().await;
}
