//! Publishing: durable, known or new, at once or later.

use super::{
    bench::{Bench, answered, event, ids},
    script::Script,
    world::World,
};
use futures_util::{FutureExt, future::join_all};
use motet_broker::{Config, Event, Limits, Position, PublishError, Receipt, TopicSpec};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

async fn refused(world: &World<'_>, events: Vec<Event>) -> PublishError {
    let topic = world.bench.topic("t");
    answered(world.handle.publish(&topic, events)).await.expect_err("it is refused")
}

async fn is_duplicate(world: &World<'_>, event: Event) -> bool {
    world.publish_all(vec![event]).await[0].duplicate
}

pub(super) async fn events_get_rising_positions_and_reach_a_subscriber_in_order(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    let receipts = world.publish_all((0..50).map(|n| event(&n.to_string(), "k")).collect()).await;
    let positions: Vec<_> = receipts.iter().map(|receipt| receipt.position.expect("published at once")).collect();
    assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
    world.saw("s", 50).await;
    assert_eq!(world.ids("s"), (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    world.stop().await;
}

pub(super) async fn an_undeclared_topic_is_refused_and_the_error_says_which_there_are(bench: Bench) {
    let world = bench.broker(vec![]).await;
    let published = world.handle.publish(&bench.topic("other"), vec![event("1", "")]).await;
    let error = published.expect_err("nobody declared it");
    let known = bench.topic("t").to_string();
    assert!(matches!(&error, PublishError::UnknownTopic(unknown) if unknown.known == [known]), "{error}");
    assert_eq!(error.code().to_string(), "MO-broker-101");
    world.stop().await;
}

pub(super) async fn an_event_larger_than_its_topic_takes_is_refused_and_nothing_of_the_request_is_published(
    bench: Bench,
) {
    let small = TopicSpec { event_max_bytes: 300, ..bench.t() };
    let world = bench.broker_with(vec![small], vec![], Config::default()).await;
    let large = Event::builder("2", "/test", "x").data(vec![0_u8; 400]).build().expect("an event");
    let error = refused(&world, vec![event("1", ""), large]).await;
    assert!(matches!(&error, PublishError::TooLarge(too) if too.index == 1), "{error}");
    assert_eq!(world.t().await.published, 0);
    assert!(!is_duplicate(&world, event("1", "")).await, "the refused request left nothing behind");
    world.stop().await;
}

pub(super) async fn a_second_event_with_the_same_source_and_id_is_a_duplicate_within_the_window_only(bench: Bench) {
    let window = Duration::from_secs(1);
    let short = TopicSpec { dedup: window, ..bench.t() };
    let world = bench.broker_with(vec![short], vec![bench.spec("s")], Config::default()).await;
    let begun = Instant::now();
    let first = world.publish_all(vec![event("1", ""), event("1", "")]).await;
    assert_eq!((first[0].duplicate, first[1].duplicate, first[1].position), (false, true, None));
    let other = Event::builder("1", "/another", "x").build().expect("an event");
    assert!(!is_duplicate(&world, other).await, "another source is another event");
    while is_duplicate(&world, event("1", "")).await {
        assert!(begun.elapsed() < 20 * window, "the window never ends");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(begun.elapsed() >= window, "after {:?} it was published again", begun.elapsed());
    world.saw("s", 3).await;
    world.drained("s").await;
    assert_eq!(world.seen("s").len(), 3);
    world.stop().await;
}

pub(super) async fn without_a_window_nothing_is_a_duplicate(bench: Bench) {
    let all = TopicSpec { dedup: Duration::ZERO, ..bench.t() };
    let world = bench.broker_with(vec![all], vec![bench.spec("s")], Config::default()).await;
    let receipts = world.publish_all(vec![event("1", ""), event("1", "")]).await;
    assert!(receipts.iter().all(|receipt| !receipt.duplicate && receipt.position.is_some()), "{receipts:?}");
    assert!(!is_duplicate(&world, event("1", "")).await);
    world.drained("s").await;
    assert_eq!(world.ids("s"), ["1", "1", "1"]);
    world.stop().await;
}

pub(super) async fn the_window_survives_a_restart_pages_and_tail_alike(bench: Bench) {
    let world = bench.broker(vec![]).await;
    for group in 0..30 {
        world.publish_all((0..100).map(|n| event(&format!("{group}-{n}"), "")).collect()).await;
    }
    world.stop().await;
    let world = bench.broker(vec![]).await;
    assert_eq!(world.t().await.remembered, 3000);
    for group in [0, 9, 10, 11, 29] {
        let receipts = world.publish_all((0..100).map(|n| event(&format!("{group}-{n}"), "")).collect()).await;
        assert!(receipts.iter().all(|receipt| receipt.duplicate), "group {group}");
    }
    assert!(!is_duplicate(&world, event("new", "")).await);
    world.stop().await;
}

pub(super) async fn of_many_who_publish_the_same_event_at_once_one_is_first_and_all_are_durable(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    let tries = join_all((0..50).map(|_| world.publish_all(vec![event("same", "")]))).await;
    assert_eq!(tries.iter().filter(|receipts| !receipts[0].duplicate).count(), 1);
    world.drained("s").await;
    assert_eq!(world.ids("s"), ["same"]);
    world.stop().await;
}

pub(super) async fn a_publisher_that_goes_away_leaves_nothing_undecided(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    let topic = bench.topic("t");
    for n in 0..20 {
        let one = || vec![event(&n.to_string(), "")];
        let _ = world.handle.publish(&topic, one()).now_or_never();
        let again: Vec<Receipt> = world.publish_all(one()).await;
        assert!(again[0].duplicate, "event {n} was handed in before its publisher went away");
    }
    world.saw("s", 20).await;
    world.drained("s").await;
    assert_eq!(world.seen("s").len(), 20);
    world.stop().await;
}

fn late(delay: &str) -> Event {
    Event::builder("late", "/test", "x").extension("delay", delay).build().expect("an event")
}

pub(super) async fn a_delayed_event_is_delivered_when_it_is_due_and_not_before(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    let begun = Instant::now();
    let receipts = world.publish_all(vec![late("600ms"), event("now", "")]).await;
    assert!(receipts[0].position.is_none() && receipts[0].deliver_at.is_some());
    assert!(is_duplicate(&world, late("600ms")).await, "a delayed event is known too");
    let mut seen = world.saw("s", 2).await;
    // The other one comes first, except where the engine took longer than the delay to take it.
    seen.sort_by_key(|seen| seen.id == "late");
    assert_eq!(seen.iter().map(|seen| seen.id.as_str()).collect::<Vec<_>>(), ["now", "late"]);
    // Times of day are kept in milliseconds.
    assert!(seen[1].at - begun >= Duration::from_millis(599), "it came after {:?}", seen[1].at - begun);
    world.stop().await;
}

pub(super) async fn a_delayed_event_survives_a_restart_and_is_published_once(bench: Bench) {
    // One subscriber for both: where the disk takes longer than the delay, the event is due before the first broker has stopped.
    let script = Arc::new(Script::default());
    let begin = || bench.broker_to(script.clone(), vec![bench.t()], vec![bench.spec("s")], Config::default());
    let world = begin().await;
    world.publish_all(vec![late("500ms")]).await;
    world.stop().await;
    let world = begin().await;
    assert!(is_duplicate(&world, late("500ms")).await);
    let seen = world.saw("s", 1).await;
    assert_eq!(seen[0].event, late("500ms"));
    world.publish(&[("last", "")]).await;
    world.drained("s").await;
    assert_eq!(world.ids("s"), ["late", "last"]);
    world.stop().await;
}

pub(super) async fn a_wish_for_a_time_that_is_none_is_refused_with_what_it_should_be(bench: Bench) {
    let world = bench.broker(vec![]).await;
    for (attribute, value) in [("deliverat", "tomorrow"), ("delay", "5")] {
        let event = Event::builder("1", "/test", "x").extension(attribute, value).build().expect("an event");
        let error = refused(&world, vec![event]).await;
        assert_eq!(error.code().to_string(), "MO-broker-103", "{error}");
        assert!(error.to_string().contains(value), "{error}");
    }
    let past = Event::builder("1", "/test", "x").extension("deliverat", "2001-01-01T00:00:00Z");
    let receipts = world.publish_all(vec![past.build().expect("an event")]).await;
    assert!(receipts[0].position.is_some(), "a time that has passed is now");
    world.stop().await;
}

pub(super) async fn a_topic_can_be_followed_without_a_subscription(bench: Bench) {
    let world = bench.broker(vec![]).await;
    let topic = bench.topic("t");
    let mut head = world.handle.head(&topic).expect("a head");
    let (mut at, mut seen) = (Position(0), Vec::new());
    for round in ["1", "2", "3"] {
        world.publish(&[(round, "")]).await;
        let there = tokio::time::timeout(super::LIMIT, head.wait_for(|head| *head > at)).await;
        there.expect("the head moves").expect("the head lives as long as the broker");
        let found = answered(world.handle.read(&topic, at, Limits::items(10))).await;
        let found = found.unwrap_or_else(|error| panic!("read: {error}"));
        seen.extend(ids(&found).into_iter().map(str::to_owned));
        at = found.last().expect("the head says that there is more").position.next();
    }
    assert_eq!(seen, ["1", "2", "3"]);
    world.stop().await;
}
