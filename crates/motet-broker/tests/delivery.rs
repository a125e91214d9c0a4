//! Delivery by push: order, limits, failures, batches, filters.

use crate::script::{Script, World, event, spec, topic};
use motet_broker::{
    BatchRule, Config, Event, Filter, Keep, Outcome, Permanent, Position, Reason, Refusal, Retry, Start,
    SubscriptionSpec, TopicSpec, Which,
};
use motet_kernel::backoff::Backoff;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

fn retry(initial: Duration, attempts: u32) -> Retry {
    let backoff = Backoff { initial, max: Duration::from_secs(600), factor: 2.0 };
    Retry { backoff, attempts, max_age: None }
}

fn failing(attempts: u32) -> SubscriptionSpec {
    SubscriptionSpec { retry: retry(Duration::from_secs(10), attempts), ..spec("s", "t") }
}

#[tokio::test(start_paused = true)]
async fn every_subscription_sees_every_event() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("a", "t"), spec("b", "t")]).await;
    world.publish(&[("1", ""), ("2", "")]).await;
    world.script.saw("a", 2).await;
    world.script.saw("b", 2).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_key_is_retried_in_order_and_delays_no_other_key() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![failing(10)]).await;
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    world.script.answers("s", move |parcel| {
        let bad = parcel.event.partition_key() == Some("bad") && is_broken.load(Ordering::Relaxed);
        if bad { Outcome::retry("not now") } else { Outcome::Ack }
    });
    let begun = tokio::time::Instant::now();
    let events = [("b1", "bad"), ("g1", "good"), ("b2", "bad"), ("g2", "good"), ("b3", "bad"), ("n", "")];
    world.publish_all(events.iter().map(|(id, key)| event(id, key)).collect()).await;
    let seen = world.script.saw("s", 4).await;
    assert!(seen.iter().all(|seen| seen.at - begun < Duration::from_secs(1)), "{seen:?}");
    let status = world.until("s", "two parked", |status| status.counts.parked == 2).await;
    assert_eq!((status.counts.retrying, status.counts.depth), (1, 3));
    world.script.saw("s", 6).await;
    broken.store(false, Ordering::Relaxed);
    world.drained("s").await;
    let of_bad: Vec<_> = world.script.ids("s").into_iter().filter(|id| id.starts_with('b')).collect();
    let tries = of_bad.iter().filter(|id| *id == "b1").count();
    assert!(tries >= 3 && of_bad[tries..] == ["b2", "b3"], "{of_bad:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn waits_between_attempts_grow_and_attempts_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![failing(4)]).await;
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
async fn after_the_last_attempt_an_event_is_a_dead_letter_with_its_story_and_its_key_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![failing(3)]).await;
    world.script.answers("s", |parcel| match parcel.event.id() {
        "bad" => Permanent::default().outcome(503, "overloaded", None),
        _ => Outcome::Ack,
    });
    world.publish(&[("bad", "k"), ("next", "k")]).await;
    world.drained("s").await;
    assert_eq!(world.script.ids("s"), ["bad", "bad", "bad", "next"]);
    let (letters, next) = world.handle.dead_letters(&"s".parse().unwrap(), Which::default(), 10).await.unwrap();
    assert_eq!((letters.len(), next), (1, None));
    let letter = &letters[0];
    assert_eq!((letter.reason, letter.attempts.made, letter.position), (Reason::Attempts, 3, Some(Position(0))));
    assert_eq!(letter.attempts.last, Refusal { status: Some(503), detail: "overloaded".to_owned() });
    assert!(letter.attempts.first_at < letter.attempts.last_at && letter.event.id() == "bad");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_a_dead_letter_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![failing(9)]).await;
    world.script.answers("s", |_| Permanent::default().outcome(422, "no title", None));
    world.publish(&[("1", "")]).await;
    let status = world.drained("s").await;
    assert_eq!((status.dead_letters, status.counts.buried, world.script.seen("s").len()), (1, 1, 1));
    let (letters, _) = world.handle.dead_letters(&status.name, Which::default(), 10).await.unwrap();
    assert_eq!((letters[0].reason, letters[0].attempts.last.detail.as_str()), (Reason::Permanent, "no title"));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![failing(5)]).await;
    world.script.answers("s", |parcel| match parcel.attempt {
        1 => Permanent::default().outcome(429, "", Some(Duration::from_secs(120))),
        _ => Outcome::Ack,
    });
    world.publish(&[("1", "")]).await;
    let seen = world.script.saw("s", 2).await;
    let waited = seen[1].at - seen[0].at;
    assert!(waited >= Duration::from_secs(120) && waited < Duration::from_secs(122), "{waited:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_becomes_too_old_is_a_dead_letter_whatever_attempts_are_left() {
    let directory = tempfile::tempdir().unwrap();
    let mut young = failing(1000);
    young.retry.max_age = Some(Duration::from_secs(60));
    let world = World::open(directory.path(), vec![young]).await;
    world.script.answers("s", |_| Outcome::retry("no"));
    world.publish(&[("1", "")]).await;
    let status = world.drained("s").await;
    let (letters, _) = world.handle.dead_letters(&status.name, Which::default(), 10).await.unwrap();
    assert_eq!(letters[0].reason, Reason::Age);
    assert!((2..=7).contains(&letters[0].attempts.made), "{:?}", letters[0].attempts);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_than_in_flight_are_sent_at_once_and_all_of_them_are() {
    let directory = tempfile::tempdir().unwrap();
    let four = SubscriptionSpec { in_flight: 4, ..spec("s", "t") };
    let world = World::open(directory.path(), vec![four]).await;
    *world.script.takes.lock().unwrap() = Duration::from_secs(1);
    world.publish_all((0..40).map(|n| event(&n.to_string(), "")).collect()).await;
    world.script.saw("s", 40).await;
    world.drained("s").await;
    assert_eq!(world.script.most_at_once(), 4);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_one_key_never_two_are_in_flight() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    *world.script.takes.lock().unwrap() = Duration::from_secs(1);
    world.publish_all((0..10).map(|n| event(&n.to_string(), "only")).collect()).await;
    world.script.saw("s", 10).await;
    assert_eq!(world.script.most_at_once(), 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_hangs_is_given_up_after_the_timeout_and_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![failing(5)]).await;
    *world.script.takes.lock().unwrap() = Duration::from_secs(31);
    world.publish(&[("1", "")]).await;
    let seen = world.script.saw("s", 2).await;
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(35));
    let status = world.until("s", "a failure", |status| status.counts.failed >= 1).await;
    assert_eq!(status.counts.acknowledged, 0);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_accepted_is_acknowledged_later_by_its_token_and_only_once() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![failing(5)]).await;
    world.script.answers("s", |_| Outcome::Accepted);
    world.publish(&[("1", "k"), ("2", "k")]).await;
    let seen = world.script.saw("s", 1).await;
    let name = "s".parse().unwrap();
    world.until("s", "a lease", |status| status.counts.in_flight == 1).await;
    world.handle.extend(&name, &seen[0].token, Duration::from_secs(3600)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1800)).await;
    assert_eq!(world.script.seen("s").len(), 1, "the lease holds, and its key waits");
    world.handle.ack(&name, &seen[0].token).await.unwrap();
    assert!(world.handle.ack(&name, &seen[0].token).await.is_err());
    world.script.saw("s", 2).await;
    assert_eq!(world.script.ids("s"), ["1", "2"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_accepted_event_whose_lease_ends_is_delivered_again() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![failing(5)]).await;
    world.script.answers("s", |parcel| if parcel.attempt == 1 { Outcome::Accepted } else { Outcome::Ack });
    world.publish(&[("1", "")]).await;
    let seen = world.script.saw("s", 2).await;
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(65));
    assert_ne!(seen[0].token, seen[1].token);
    world.drained("s").await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_filter_settles_what_it_does_not_take() {
    let directory = tempfile::tempdir().unwrap();
    let odd = Filter::new(|event: &Event| event.id().ends_with(['1', '3']));
    let filtered = SubscriptionSpec { filter: Some(odd), ..spec("s", "t") };
    let world = World::open(directory.path(), vec![filtered]).await;
    world.publish(&[("0", ""), ("1", ""), ("2", ""), ("3", ""), ("4", "")]).await;
    world.script.saw("s", 2).await;
    let status = world.drained("s").await;
    assert_eq!((world.script.ids("s"), status.counts.filtered), (vec!["1".to_owned(), "3".to_owned()], 3));
    world.stop().await;
}

fn batched(items: usize, wait: Duration) -> SubscriptionSpec {
    SubscriptionSpec { batch: Some(BatchRule { items, wait, bytes: usize::MAX }), in_flight: 1, ..failing(5) }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_when_it_is_full_or_when_its_first_event_has_waited() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![batched(4, Duration::from_secs(5))]).await;
    world.publish_all((0..10).map(|n| event(&n.to_string(), "")).collect()).await;
    let seen = world.script.saw("s", 10).await;
    assert_eq!(world.script.batches(), [4, 4, 2]);
    let waited = seen[9].at - seen[7].at;
    assert!(waited >= Duration::from_secs(4) && waited <= Duration::from_secs(6), "{waited:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_large_enough_does_not_wait_and_one_event_may_be_larger_than_a_batch() {
    let directory = tempfile::tempdir().unwrap();
    let large = |id: &str, bytes: usize| Event::builder(id, "/test", "t").data("x".repeat(bytes)).build().unwrap();
    let rule = BatchRule { items: 100, wait: Duration::from_secs(5), bytes: 4000 };
    let spec = SubscriptionSpec { batch: Some(rule), ..failing(5) };
    let world = World::open(directory.path(), vec![spec]).await;
    let sizes = [("a", 1500), ("b", 1500), ("c", 1500), ("d", 9000), ("e", 3000), ("f", 1000)];
    world.publish_all(sizes.map(|(id, bytes)| large(id, bytes)).into()).await;
    world.script.saw("s", 6).await;
    assert_eq!(world.script.batches(), [2, 1, 1, 1, 1]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_order_events_of_a_key_do_not_wait_for_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![SubscriptionSpec { ordered: false, ..failing(5) }]).await;
    world.script.answers("s", |parcel| match (parcel.event.id(), parcel.attempt) {
        ("a1", 1) => Outcome::retry("later"),
        _ => Outcome::Ack,
    });
    world.publish_all([("a1", "a"), ("a2", "a"), ("a3", "a")].map(|(id, key)| event(id, key)).into()).await;
    world.script.saw("s", 4).await;
    assert_eq!(world.script.ids("s"), ["a1", "a2", "a3", "a1"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_batch_has_its_own_outcome_and_a_missing_one_is_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![batched(4, Duration::ZERO)]).await;
    world.script.answers("s", |parcel| match (parcel.event.id(), parcel.attempt) {
        ("1", 1) => Outcome::retry("later"),
        ("2", _) => Outcome::Permanent(Refusal::of("never")),
        _ => Outcome::Ack,
    });
    world.publish_all((0..4).map(|n| event(&n.to_string(), "")).collect()).await;
    let status = world.drained("s").await;
    assert_eq!(world.script.ids("s"), ["0", "1", "2", "3", "1"]);
    assert_eq!((status.counts.acknowledged, status.counts.buried, status.counts.failed), (3, 1, 1));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_one_event_per_key() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![batched(10, Duration::ZERO)]).await;
    world
        .publish_all([("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")].map(|(id, key)| event(id, key)).into())
        .await;
    world.drained("s").await;
    assert_eq!(world.script.batches(), [2, 1, 1]);
    assert_eq!(world.script.ids("s"), ["a1", "b1", "a2", "a3"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_subscription_begins_where_it_is_declared_to() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![]).await;
    world.publish(&[("0", ""), ("1", "")]).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let middle = world.handle.now();
    tokio::time::sleep(Duration::from_secs(100)).await;
    world.publish(&[("2", ""), ("3", "")]).await;
    let from = |name: &str, from: Start| SubscriptionSpec { from, ..spec(name, "t") };
    let specs = vec![
        from("all", Start::Earliest),
        from("new", Start::Latest),
        from("since", Start::Time(middle)),
        from("at", Start::Position(Position(3))),
    ];
    world.declare(vec![TopicSpec::new(topic("t"))], specs).await;
    world.publish(&[("4", "")]).await;
    for (name, expected) in [("all", "01234"), ("new", "4"), ("since", "234"), ("at", "34")] {
        world.script.saw(name, expected.len()).await;
        assert_eq!(world.script.ids(name).concat(), expected, "{name}");
    }
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_retention_takes_before_it_was_read_is_counted_as_missed() {
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

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_delivery_is_a_failure_like_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::new();
    script.answers("s", |parcel| if parcel.attempt == 1 { panic!("on purpose") } else { Outcome::Ack });
    let topics = vec![TopicSpec::new(topic("t"))];
    let world = World::open_to(directory.path(), topics, vec![failing(5)], Config::default(), script).await;
    world.publish(&[("1", "")]).await;
    let limit = world.until("s", "a failure", |status| status.counts.failed == 1).await;
    assert_eq!(limit.counts.retrying, 1);
    world.stop().await;
}
