//! Delivery by push: who gets what, how many at once, in which order; batches, filters, where a subscription begins.

use super::bench::{Bench, event};
use motet_broker::{
    BatchRule, Config, Event, Filter, Keep, Outcome, Position, Refusal, Start, SubscriptionSpec, SubscriptionStatus,
};
use std::{collections::HashMap, time::Duration};

pub(super) async fn every_subscription_sees_every_event(bench: Bench) {
    let world = bench.broker(vec![bench.spec("a"), bench.spec("b")]).await;
    world.publish(&[("1", "k"), ("2", "k")]).await;
    for subscription in ["a", "b"] {
        world.saw(subscription, 2).await;
        assert_eq!(world.ids(subscription), ["1", "2"]);
    }
    world.stop().await;
}

pub(super) async fn what_is_delivered_is_what_was_published(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    let event = Event::builder("ä 1", "/test", "test.happened")
        .subject("subject")
        .time("2026-01-31T09:00:00Z")
        .content_type("application/octet-stream")
        .extension("partitionkey", "ключ")
        .data(vec![0, 255, 13, 10])
        .build()
        .expect("an event");
    world.publish_all(vec![event.clone()]).await;
    let seen = world.saw("s", 1).await.remove(0);
    assert_eq!((seen.event, seen.attempt), (event, 1));
    world.stop().await;
}

pub(super) async fn no_more_than_in_flight_are_sent_at_once_and_all_of_them_are(bench: Bench) {
    let four = SubscriptionSpec { in_flight: 4, ..bench.spec("s") };
    let world = bench.broker(vec![four]).await;
    world.script.takes(Duration::from_millis(50));
    world.publish_all((0..40).map(|n| event(&n.to_string(), "")).collect()).await;
    world.saw("s", 40).await;
    world.drained("s").await;
    assert_eq!(world.script.most_at_once(), 4);
    world.stop().await;
}

pub(super) async fn of_one_key_never_two_are_in_flight(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    world.script.takes(Duration::from_millis(20));
    world.publish_all((0..10).map(|n| event(&n.to_string(), "only")).collect()).await;
    world.saw("s", 10).await;
    assert_eq!(world.script.most_at_once(), 1);
    assert_eq!(world.ids("s").concat(), "0123456789");
    world.stop().await;
}

pub(super) async fn thousands_of_events_reach_a_subscriber_that_often_fails_in_the_order_of_their_keys(bench: Bench) {
    const KEYS: usize = 40;
    const EVENTS: usize = 3000;
    let world = bench.broker(vec![SubscriptionSpec { in_flight: 64, ..bench.spec("s") }]).await;
    world.answers("s", |parcel| match parcel.attempt {
        1 if fastrand::u8(..) < 20 => Outcome::retry("now and then"),
        _ => Outcome::Ack,
    });
    for from in (0..EVENTS).step_by(300) {
        let events = (from..from + 300).map(|n| event(&n.to_string(), &format!("k{}", n % KEYS)));
        world.publish_all(events.collect()).await;
    }
    let status = world.drained("s").await;
    assert_eq!((status.counts.acknowledged, status.dead_letters, status.counts.missed), (EVENTS as u64, 0, 0));
    let mut last: HashMap<usize, (usize, u32)> = HashMap::new();
    for seen in world.seen("s") {
        let number: usize = seen.id.parse().expect("a number");
        let before = last.insert(number % KEYS, (number, seen.attempt));
        let follows = before.is_none_or(|(before, attempt)| {
            (number == before + KEYS && seen.attempt == 1) || (number == before && seen.attempt == attempt + 1)
        });
        assert!(follows, "{number}, attempt {}, came after {before:?}", seen.attempt);
    }
    world.stop().await;
}

pub(super) async fn a_filter_settles_what_it_does_not_take(bench: Bench) {
    let odd = Filter::new(|event: &Event| event.id().ends_with(['1', '3']));
    let filtered = SubscriptionSpec { filter: Some(odd), ..bench.spec("s") };
    let world = bench.broker(vec![filtered]).await;
    world.publish(&[("0", ""), ("1", ""), ("2", ""), ("3", ""), ("4", "")]).await;
    world.saw("s", 2).await;
    let status = world.drained("s").await;
    assert_eq!((world.ids("s"), status.counts.filtered), (vec!["1".to_owned(), "3".to_owned()], 3));
    world.stop().await;
}

/// One delivery at a time; the wait is long enough for an engine to hand over what was published together.
fn batched(bench: &Bench, items: usize) -> SubscriptionSpec {
    let rule = BatchRule { items, wait: Duration::from_millis(400), bytes: usize::MAX };
    SubscriptionSpec { batch: Some(rule), in_flight: 1, ..bench.spec("s") }
}

pub(super) async fn a_batch_is_sent_when_it_is_full_or_when_its_first_event_has_waited(bench: Bench) {
    let world = bench.broker(vec![batched(&bench, 4)]).await;
    world.publish_all((0..10).map(|n| event(&n.to_string(), "")).collect()).await;
    let seen = world.saw("s", 10).await;
    assert_eq!(world.script.batches(), [4, 4, 2]);
    let waited = seen[9].at - seen[0].at;
    assert!(waited >= Duration::from_millis(200), "the last two were sent after {waited:?}");
    world.stop().await;
}

pub(super) async fn each_item_of_a_batch_has_its_own_outcome_and_a_missing_one_is_a_failure(bench: Bench) {
    let world = bench.broker(vec![batched(&bench, 4)]).await;
    world.answers("s", |parcel| match (parcel.event.id(), parcel.attempt) {
        ("1", 1) => Outcome::retry("later"),
        ("2", _) => Outcome::Permanent(Refusal::of("never")),
        _ => Outcome::Ack,
    });
    world.script.forgets("3");
    world.publish_all((0..4).map(|n| event(&n.to_string(), "")).collect()).await;
    let status = world.drained("s").await;
    let mut again = world.ids("s").split_off(4);
    again.sort();
    assert_eq!((world.script.batches()[0], again), (4, vec!["1".to_owned(), "3".to_owned()]));
    assert_eq!((status.counts.acknowledged, status.counts.buried, status.counts.failed), (3, 1, 2));
    world.stop().await;
}

pub(super) async fn a_batch_holds_one_event_per_key(bench: Bench) {
    let world = bench.broker(vec![batched(&bench, 10)]).await;
    let events = [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")];
    world.publish_all(events.map(|(id, key)| event(id, key)).into()).await;
    world.drained("s").await;
    assert_eq!(world.script.batches(), [2, 1, 1]);
    assert_eq!(world.ids("s"), ["a1", "b1", "a2", "a3"]);
    world.stop().await;
}

pub(super) async fn a_batch_that_is_large_enough_does_not_wait_and_one_event_may_be_larger_than_a_batch(bench: Bench) {
    let mut spec = batched(&bench, 100);
    spec.batch = spec.batch.map(|rule| BatchRule { bytes: 4000, ..rule });
    let world = bench.broker(vec![spec]).await;
    let large = |(id, bytes): (&str, usize)| {
        let event = Event::builder(id, "/test", "t").data("x".repeat(bytes));
        event.build().expect("an event")
    };
    let sizes = [("a", 1500), ("b", 1500), ("c", 1500), ("d", 9000), ("e", 3000), ("f", 1000)];
    world.publish_all(sizes.map(large).into()).await;
    world.saw("s", 6).await;
    assert_eq!((world.script.batches(), world.ids("s").concat()), (vec![2, 1, 1, 1, 1], "abcdef".to_owned()));
    world.stop().await;
}

pub(super) async fn without_order_events_of_a_key_do_not_wait_for_each_other(bench: Bench) {
    let world = bench.broker(vec![SubscriptionSpec { ordered: false, ..bench.spec("s") }]).await;
    let after = Some(Duration::from_secs(3600));
    world.answers("s", move |parcel| match parcel.event.id() {
        "a1" => Outcome::Retry { refusal: Refusal::of("later"), after },
        _ => Outcome::Ack,
    });
    world.publish_all([("a1", "a"), ("a2", "a"), ("a3", "a")].map(|(id, key)| event(id, key)).into()).await;
    let behind = |s: &SubscriptionStatus| (s.counts.retrying, s.counts.acknowledged) == (1, 2);
    world.until("s", "the first one waits, and the others are done with", behind).await;
    assert_eq!(world.ids("s"), ["a1", "a2", "a3"]);
    world.stop().await;
}

pub(super) async fn an_event_that_was_accepted_is_acknowledged_later_by_its_token_and_only_once(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    world.answers("s", |_| Outcome::Accepted);
    world.publish(&[("1", "k"), ("2", "k")]).await;
    let seen = world.saw("s", 1).await;
    let name = bench.sub("s");
    world.until("s", "a lease, and one behind it", |s| (s.counts.in_flight, s.counts.parked) == (1, 1)).await;
    world.handle.ack(&name, &seen[0].token).await.expect("the lease holds");
    assert!(world.handle.ack(&name, &seen[0].token).await.is_err());
    world.saw("s", 2).await;
    assert_eq!(world.ids("s"), ["1", "2"]);
    world.stop().await;
}

pub(super) async fn an_accepted_event_whose_lease_ends_is_delivered_again(bench: Bench) {
    let lease = Duration::from_millis(300);
    let world = bench.broker(vec![SubscriptionSpec { lease, ..bench.spec("s") }]).await;
    world.answers("s", |parcel| if parcel.attempt == 1 { Outcome::Accepted } else { Outcome::Ack });
    world.publish(&[("1", "")]).await;
    let seen = world.saw("s", 2).await;
    assert!(seen[1].at - seen[0].at >= lease, "after {:?}", seen[1].at - seen[0].at);
    assert_ne!(seen[0].token, seen[1].token);
    world.drained("s").await;
    world.stop().await;
}

fn from(bench: &Bench, name: &str, from: Start) -> SubscriptionSpec {
    SubscriptionSpec { from, ..bench.spec(name) }
}

pub(super) async fn a_new_subscription_begins_with_the_oldest_or_with_the_next_event(bench: Bench) {
    let world = bench.broker(vec![]).await;
    world.publish(&[("0", "k"), ("1", "k")]).await;
    // Where the next event stands is known when what stands before it can be read.
    world.readable().await;
    let specs = vec![from(&bench, "all", Start::Earliest), from(&bench, "new", Start::Latest)];
    world.declare(vec![bench.t()], specs).await;
    world.publish(&[("2", "k"), ("3", "k")]).await;
    for (name, expected) in [("all", "0123"), ("new", "23")] {
        world.saw(name, expected.len()).await;
        assert_eq!(world.ids(name).concat(), expected, "{name}");
    }
    world.stop().await;
}

pub(super) async fn a_new_subscription_begins_at_the_position_it_is_declared_to(bench: Bench) {
    let world = bench.broker(vec![]).await;
    let receipts = world.publish_all((0..4).map(|n| event(&n.to_string(), "k")).collect()).await;
    world.readable().await;
    let position = receipts[2].position.expect("published at once");
    let beyond = Position(position.0 + 1_000_000);
    let specs = vec![from(&bench, "at", Start::Position(position)), from(&bench, "end", Start::Position(beyond))];
    world.declare(vec![bench.t()], specs).await;
    world.publish(&[("4", "k")]).await;
    for (name, expected) in [("at", "234"), ("end", "4")] {
        world.saw(name, expected.len()).await;
        assert_eq!(world.ids(name).concat(), expected, "{name}");
    }
    world.stop().await;
}

pub(super) async fn a_new_subscription_begins_at_the_time_it_is_declared_to(bench: Bench) {
    let world = bench.broker(vec![]).await;
    world.publish(&[("0", "k"), ("1", "k")]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let middle = world.handle.now();
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.publish(&[("2", "k"), ("3", "k")]).await;
    world.declare(vec![bench.t()], vec![from(&bench, "since", Start::Time(middle))]).await;
    world.saw("since", 2).await;
    world.drained("since").await;
    assert_eq!(world.ids("since").concat(), "23");
    world.stop().await;
}

pub(super) async fn what_retention_takes_before_it_was_read_is_counted_as_missed(bench: Bench) {
    let world = bench.broker_with(vec![bench.t()], vec![bench.spec("s")], Config::default()).await;
    world.handle.pause(&bench.sub("s")).await.expect("paused");
    let receipts = world.publish_all(vec![event("0", ""), event("1", "")]).await;
    let last = receipts[1].position.expect("published at once");
    world.readable().await;
    let hour = Duration::from_secs(3600);
    let keep = Keep { time: Some(hour), bytes: None };
    let trimmed = world.transport.trim(&bench.topic("t"), &keep, world.handle.now().after(2 * hour)).await;
    trimmed.unwrap_or_else(|error| panic!("trim: {error}"));
    world.until_ends("both gone", |ends| ends.first > last).await;
    world.publish(&[("2", "")]).await;
    world.handle.resume(&bench.sub("s")).await.expect("resumed");
    world.saw("s", 1).await;
    let status = world.drained("s").await;
    assert_eq!((world.ids("s").concat(), status.counts.missed), ("2".to_owned(), 2));
    world.stop().await;
}
