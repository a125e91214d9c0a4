//! Pulling, pausing, replaying, dead letters by hand, restarts.

use crate::script::{World, event, spec, sub, topic};
use motet_broker::{
    Filter, Mode, Outcome, Refusal, Retry, Start, SubscriptionError, SubscriptionSpec, TopicSpec, Which,
};
use std::time::Duration;

fn pulled() -> SubscriptionSpec {
    SubscriptionSpec { mode: Mode::Pull, in_flight: 100, ..spec("s", "t") }
}

async fn next(world: &World, max: usize) -> Vec<motet_broker::Parcel> {
    world.handle.next(&sub("s"), max, Duration::from_secs(5)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn workers_share_what_they_fetch_and_get_nothing_twice_while_they_hold_it() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![pulled()]).await;
    world.publish_all((0..6).map(|n| event(&n.to_string(), "")).collect()).await;
    let (one, other) = tokio::join!(next(&world, 3), next(&world, 3));
    let mut ids: Vec<_> = one.iter().chain(&other).map(|parcel| parcel.event.id().to_owned()).collect();
    ids.sort();
    assert_eq!(ids.concat(), "012345");
    for parcel in one.iter().chain(&other) {
        world.handle.ack(&sub("s"), &parcel.token).await.unwrap();
    }
    world.drained("s").await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_events_gets_the_first_one_and_nothing_when_the_wait_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![pulled()]).await;
    let begun = tokio::time::Instant::now();
    assert!(next(&world, 1).await.is_empty());
    assert!(begun.elapsed() >= Duration::from_secs(5));
    let (found, ()) = tokio::join!(next(&world, 1), world.publish(&[("1", "")]));
    assert_eq!(found.len(), 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_over_or_refused_gives_the_event_to_the_next_worker() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![pulled()]).await;
    world.publish(&[("1", "")]).await;
    let first = next(&world, 1).await.remove(0);
    tokio::time::sleep(Duration::from_secs(61)).await;
    let gone = world.handle.ack(&sub("s"), &first.token).await.unwrap_err();
    assert!(matches!(gone, SubscriptionError::LeaseGone) && gone.code().to_string() == "MO-broker-203");
    let second = next(&world, 1).await.remove(0);
    assert_eq!((first.attempt, second.attempt), (1, 2));
    let after = Some(Duration::ZERO);
    let refused = Outcome::Retry { refusal: Refusal::of("not mine"), after };
    world.handle.settle(&sub("s"), &second.token, refused).await.unwrap();
    let third = next(&world, 1).await.remove(0);
    world.handle.settle(&sub("s"), &third.token, Outcome::Permanent(Refusal::of("no"))).await.unwrap();
    assert_eq!(world.drained("s").await.counts.buried, 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_gets_the_next_event_of_a_key_only_after_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![pulled()]).await;
    world.publish(&[("1", "k"), ("2", "k")]).await;
    let first = next(&world, 10).await;
    assert_eq!(first.len(), 1);
    assert!(next(&world, 10).await.is_empty());
    world.handle.ack(&sub("s"), &first[0].token).await.unwrap();
    assert_eq!(next(&world, 10).await[0].event.id(), "2");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pushed_subscription_cannot_be_fetched_from_and_an_unknown_one_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    let error = world.handle.next(&sub("s"), 1, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.code().to_string(), "MO-broker-202");
    let error = world.handle.pause(&sub("x")).await.unwrap_err();
    assert!(error.to_string().contains("there are s"), "{error}");
    assert!(world.handle.ack(&sub("s"), "garbage").await.is_err());
    world.stop().await;
}

#[tokio::test]
async fn a_paused_subscription_stays_so_across_a_restart_until_it_is_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    world.handle.pause(&sub("s")).await.unwrap();
    world.publish(&[("1", "")]).await;
    world.stop().await;
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    let status = world.until("s", "the head", |status| status.counts.depth == 1).await;
    assert!(status.counts.paused && world.script.seen("s").is_empty());
    world.handle.resume(&sub("s")).await.unwrap();
    world.script.saw("s", 1).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_replay_delivers_again_from_where_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    world.publish(&[("0", "a"), ("1", "a"), ("2", "b")]).await;
    world.drained("s").await;
    world.handle.replay(&sub("s"), Start::Position(motet_broker::Position(1))).await.unwrap();
    world.script.saw("s", 5).await;
    world.drained("s").await;
    assert_eq!(world.script.ids("s").concat(), "01212");
    world.handle.replay(&sub("s"), Start::Earliest).await.unwrap();
    world.script.saw("s", 8).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_replay_forward_skips_what_is_retried_and_what_waits_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    world.script.answers("s", |parcel| if parcel.event.id() == "0" { Outcome::retry("no") } else { Outcome::Ack });
    world.publish(&[("0", "k"), ("1", "k"), ("2", "k")]).await;
    world.until("s", "a retry and two parked", |status| status.counts.retrying == 1 && status.counts.parked == 2).await;
    world.handle.replay(&sub("s"), Start::Latest).await.unwrap();
    let status = world.drained("s").await;
    assert_eq!((status.counts.retrying, status.counts.parked), (0, 0));
    world.publish(&[("3", "k")]).await;
    world.drained("s").await;
    assert_eq!(world.script.ids("s").last().unwrap(), "3");
    world.stop().await;
}

fn once() -> SubscriptionSpec {
    SubscriptionSpec { retry: Retry { attempts: 1, ..Retry::default() }, ..spec("s", "t") }
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_listed_in_pages_redriven_dropped_and_redriven_edited() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![once()]).await;
    world.script.answers("s", |_| Outcome::retry("no"));
    world.publish_all((0..7).map(|n| event(&n.to_string(), "")).collect()).await;
    world.until("s", "seven dead letters", |status| status.dead_letters == 7).await;
    let (page, more) = world.handle.dead_letters(&sub("s"), Which::default(), 4).await.unwrap();
    let rest = Which { from: more.unwrap(), ..Which::default() };
    let (tail, end) = world.handle.dead_letters(&sub("s"), rest, 4).await.unwrap();
    assert_eq!((page.len(), tail.len(), end), (4, 3, None));

    world.script.answers("s", |_| Outcome::Ack);
    assert_eq!(world.handle.redrive(&sub("s"), Which::one(page[0].number), 10).await.unwrap(), 1);
    let by_id = Filter::new(|event: &motet_broker::Event| event.id() == "5");
    let which = Which { filter: Some(by_id), ..Which::default() };
    assert_eq!(world.handle.drop_dead_letters(&sub("s"), which, 10).await.unwrap(), 1);
    assert!(world.handle.redrive_edited(&sub("s"), page[1].number, event("mended", "")).await.unwrap());
    assert!(!world.handle.redrive_edited(&sub("s"), page[1].number, event("again", "")).await.unwrap());
    assert_eq!(world.handle.redrive(&sub("s"), Which::default(), 100).await.unwrap(), 4);
    world.script.saw("s", 7 + 6).await;
    let mut redriven = world.script.ids("s").split_off(7);
    redriven.sort();
    let first = page[0].event.id().to_owned();
    assert!(
        redriven.contains(&"mended".to_owned()) && redriven.contains(&first) && !redriven.contains(&"5".to_owned())
    );
    let status = world.until("s", "none left", |status| status.counts.acknowledged == 6).await;
    assert_eq!((status.dead_letters, status.counts.retrying), (0, 0));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_redriven_event_that_fails_again_is_a_dead_letter_again_and_keeps_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![once()]).await;
    world.script.answers("s", |_| Outcome::retry("no"));
    world.publish(&[("1", "k")]).await;
    world.until("s", "a dead letter", |status| status.dead_letters == 1).await;
    assert_eq!(world.handle.redrive(&sub("s"), Which::default(), 10).await.unwrap(), 1);
    world.until("s", "another one", |status| status.counts.buried == 2).await;
    let (letters, _) = world.handle.dead_letters(&sub("s"), Which::default(), 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].position, letters[0].event.partition_key()), (1, None, Some("k")));
    world.stop().await;
}

#[tokio::test]
async fn retries_dead_letters_redriven_events_and_the_position_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    world.script.answers("s", |parcel| match parcel.event.id() {
        "dead" | "again" => Outcome::Permanent(Refusal::of("no")),
        "stuck" => Outcome::Retry { refusal: Refusal::of("later"), after: Some(Duration::from_secs(3600)) },
        _ => Outcome::Ack,
    });
    world.publish(&[("dead", ""), ("stuck", "k"), ("behind", "k"), ("again", ""), ("fine", "x")]).await;
    let settled = |status: &motet_broker::SubscriptionStatus| {
        (status.counts.retrying, status.counts.parked, status.dead_letters, status.counts.depth) == (1, 1, 2, 2)
    };
    world.until("s", "all in place", settled).await;
    world.stop().await;

    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    world.until("s", "all in place after the restart", settled).await;
    assert!(world.script.seen("s").is_empty(), "nothing is due: {:?}", world.script.ids("s"));
    let (letters, _) = world.handle.dead_letters(&sub("s"), Which::default(), 10).await.unwrap();
    world
        .script
        .answers("s", |_| Outcome::Retry { refusal: Refusal::of("later"), after: Some(Duration::from_secs(3600)) });
    world.handle.redrive(&sub("s"), Which::one(letters[1].number), 1).await.unwrap();
    world.until("s", "the redriven one waits", |status| status.counts.retrying == 2).await;
    world.stop().await;

    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    let status = world.until("s", "it still does", |status| status.counts.retrying == 2).await;
    assert_eq!(status.dead_letters, 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_not_declared_any_more_is_let_go_and_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    world.publish(&[("1", "")]).await;
    world.drained("s").await;
    let topics = vec![TopicSpec::new(topic("t"))];
    world.declare(topics.clone(), vec![]).await;
    world.publish(&[("2", "")]).await;
    assert!(world.handle.pause(&sub("s")).await.is_err());
    world.declare(topics.clone(), vec![spec("s", "t")]).await;
    world.script.saw("s", 2).await;
    assert_eq!(world.script.ids("s"), ["1", "2"]);
    let other = TopicSpec::new(topic("other"));
    let declaration =
        motet_broker::Declaration { topics: [topics, vec![other]].concat(), subscriptions: vec![spec("s", "other")] };
    let error = crate::script::real_time(world.handle.declare(declaration)).await.unwrap_err();
    assert_eq!(error.code().to_string(), "MO-broker-402");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_what_is_under_way_end_and_delivers_nothing_twice() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    *world.script.takes.lock().unwrap() = Duration::from_secs(3);
    world.publish(&[("1", "")]).await;
    world.script.saw("s", 1).await;
    world.handle.stop().await;
    let script = world.script.clone();
    drop(world);
    assert_eq!(script.seen("s").len(), 1);
    let world = World::open(directory.path(), vec![spec("s", "t")]).await;
    let status = world.until("s", "the head", |status| status.counts.cursor == 1).await;
    assert_eq!((status.counts.depth, world.script.seen("s").len()), (0, 0));
    world.stop().await;
}
