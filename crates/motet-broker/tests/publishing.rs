//! Publishing: durable, known or new, at once or later.

use crate::script::{World, event, real_time, spec, topic};
use motet_broker::{Config, Event, Position, PublishError, TopicSpec};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn events_get_rising_positions_and_reach_a_subscriber_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    let receipts = world.publish_all((0..50).map(|n| event(&n.to_string(), "k")).collect()).await;
    assert_eq!(
        receipts.iter().map(|receipt| receipt.position).collect::<Vec<_>>(),
        (0..50).map(|n| Some(Position(n))).collect::<Vec<_>>()
    );
    world.script.saw("s", 50).await;
    assert_eq!(world.script.ids("s"), (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_undeclared_topic_is_refused_and_the_error_says_which_there_are() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![]).await;
    let error = world.handle.publish(&topic("other"), vec![event("1", "")]).await.unwrap_err();
    assert!(matches!(&error, PublishError::UnknownTopic(unknown) if unknown.known == ["t"]), "{error}");
    assert_eq!(error.code().to_string(), "MO-broker-101");
}

#[tokio::test(start_paused = true)]
async fn an_event_larger_than_its_topic_takes_is_refused_and_nothing_of_the_request_is_published() {
    let directory = tempfile::tempdir().unwrap();
    let small = TopicSpec { event_max_bytes: 300, ..TopicSpec::new(topic("t")) };
    let world = World::open_with(directory.path(), vec![small], vec![], Config::default()).await;
    let large = Event::builder("2", "/test", "x").data(vec![0_u8; 400]).build().unwrap();
    let error = world.handle.publish(&topic("t"), vec![event("1", ""), large]).await.unwrap_err();
    assert!(matches!(&error, PublishError::TooLarge(too) if too.index == 1), "{error}");
    assert_eq!(world.handle.describe().await.topics[0].published, 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_event_with_the_same_source_and_id_is_a_duplicate_within_the_window_only() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    let first = world.publish_all(vec![event("1", ""), event("1", "")]).await;
    assert_eq!((first[0].duplicate, first[1].duplicate, first[1].position), (false, true, None));
    assert!(world.publish_all(vec![event("1", "")]).await[0].duplicate);
    let other = Event::builder("1", "/another", "x").build().unwrap();
    assert!(!world.publish_all(vec![other]).await[0].duplicate, "another source is another event");
    tokio::time::advance(Duration::from_secs(700)).await;
    assert!(!world.publish_all(vec![event("1", "")]).await[0].duplicate);
    world.script.saw("s", 3).await;
    world.stop().await;
}

#[tokio::test]
async fn the_window_survives_a_restart_pages_and_tail_alike() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![]).await;
    for group in 0..30 {
        world.publish_all((0..100).map(|n| event(&format!("{group}-{n}"), "")).collect()).await;
    }
    world.stop().await;
    let world = World::open(directory.path(), vec![]).await;
    assert_eq!(world.handle.describe().await.topics[0].remembered, 3000);
    for group in [0, 9, 10, 11, 29] {
        let receipts = world.publish_all((0..100).map(|n| event(&format!("{group}-{n}"), "")).collect()).await;
        assert!(receipts.iter().all(|receipt| receipt.duplicate), "group {group}");
    }
    assert!(!world.publish_all(vec![event("new", "")]).await[0].duplicate);
    world.stop().await;
}

#[tokio::test]
async fn of_many_who_publish_the_same_event_at_once_one_is_first_and_all_are_durable() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![]).await;
    let tries = (0..50).map(|_| world.handle.publish(&TOPIC, vec![event("same", "")]));
    let receipts = futures_util::future::join_all(tries).await;
    let firsts = receipts.into_iter().filter(|receipt| !receipt.as_ref().unwrap()[0].duplicate).count();
    assert_eq!(firsts, 1);
    assert_eq!(world.handle.describe().await.topics[0].ends.unwrap().next, Position(1));
    world.stop().await;
}

static TOPIC: std::sync::LazyLock<motet_broker::TopicName> = std::sync::LazyLock::new(|| topic("t"));

#[tokio::test]
async fn a_publisher_that_goes_away_leaves_nothing_undecided() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![]).await;
    for n in 0..20 {
        let id = n.to_string();
        let publish = world.handle.publish(&TOPIC, vec![event(&id, "")]);
        tokio::select! { biased; _ = publish => {}, () = tokio::task::yield_now() => {} }
        let again = tokio::time::timeout(Duration::from_secs(10), world.handle.publish(&TOPIC, vec![event(&id, "")]));
        assert!(
            again.await.expect("decided").unwrap()[0].duplicate,
            "event {n} was handed in before its publisher went away"
        );
    }
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_event_is_delivered_when_it_is_due_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    let begun = tokio::time::Instant::now();
    let late = Event::builder("late", "/test", "x").extension("delay", "90s").build().unwrap();
    let receipts = world.publish_all(vec![late.clone(), event("now", "")]).await;
    assert!(receipts[0].position.is_none() && receipts[0].deliver_at.is_some());
    assert!(world.publish_all(vec![late]).await[0].duplicate, "a delayed event is known too");
    let seen = world.script.saw("s", 2).await;
    assert_eq!(world.script.ids("s"), ["now", "late"]);
    let waited = seen[1].at - begun;
    assert!(waited >= Duration::from_secs(90) && waited < Duration::from_secs(92), "{waited:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_delayed_event_survives_a_restart_and_is_published_once() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    let late = Event::builder("late", "/test", "x").extension("delay", "300ms").build().unwrap();
    world.publish_all(vec![late.clone()]).await;
    world.stop().await;
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    assert!(world.publish_all(vec![late]).await[0].duplicate);
    world.script.saw("s", 1).await;
    world.drained("s").await;
    assert_eq!(world.handle.describe().await.topics[0].ends.unwrap().next, Position(1));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_wish_for_a_time_that_is_none_is_refused_with_what_it_should_be() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![]).await;
    for (attribute, value) in [("deliverat", "tomorrow"), ("delay", "5")] {
        let event = Event::builder("1", "/test", "x").extension(attribute, value).build().unwrap();
        let error = real_time(world.handle.publish(&TOPIC, vec![event])).await.unwrap_err();
        assert_eq!(error.code().to_string(), "MO-broker-103", "{error}");
        assert!(error.to_string().contains(value), "{error}");
    }
    let past = Event::builder("1", "/test", "x").extension("deliverat", "2001-01-01T00:00:00Z").build().unwrap();
    assert!(world.publish_all(vec![past]).await[0].position.is_some(), "a time that has passed is now");
    world.stop().await;
}
