//! What is not taken: tried again, given up, looked at, tried again by hand.

use super::{
    bench::{Bench, event},
    script::Script,
};
use motet_broker::{
    Config, DeadLetter, Event, Filter, Outcome, Permanent, Reason, Refusal, Retry, SubscriptionSpec,
    SubscriptionStatus, Which,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The subscription `s`, which gives up after so many attempts.
fn giving_up(bench: &Bench, attempts: u32) -> SubscriptionSpec {
    let spec = bench.spec("s");
    SubscriptionSpec { retry: Retry { attempts, ..spec.retry.clone() }, ..spec }
}

impl super::world::World<'_> {
    /// All dead letters of `s`.
    async fn letters(&self) -> Vec<DeadLetter> {
        let found = self.handle.dead_letters(&self.bench.sub("s"), Which::default(), 100).await;
        found.unwrap_or_else(|error| panic!("dead letters: {error}")).0
    }

    async fn redrive(&self, which: Which) -> usize {
        let done = self.handle.redrive(&self.bench.sub("s"), which, 100).await;
        done.unwrap_or_else(|error| panic!("redrive: {error}"))
    }
}

pub(super) async fn a_failing_key_is_retried_in_order_and_delays_no_other_key(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    world.answers("s", move |parcel| {
        let bad = parcel.event.partition_key() == Some("bad") && is_broken.load(Ordering::Relaxed);
        if bad { Outcome::retry("not now") } else { Outcome::Ack }
    });
    let events = [("b1", "bad"), ("g1", "good"), ("b2", "bad"), ("g2", "good"), ("b3", "bad"), ("n", "")];
    world.publish_all(events.iter().map(|(id, key)| event(id, key)).collect()).await;
    let others_done = |status: &SubscriptionStatus| {
        (status.counts.acknowledged, status.counts.parked, status.counts.depth) == (3, 2, 3)
    };
    world.until("s", "the others taken, two parked", others_done).await;
    world.until("s", "tried again and again", |status| status.counts.failed >= 3).await;
    broken.store(false, Ordering::Relaxed);
    world.drained("s").await;
    let of_bad: Vec<_> = world.ids("s").into_iter().filter(|id| id.starts_with('b')).collect();
    let tries = of_bad.iter().filter(|id| *id == "b1").count();
    assert!(tries >= 4 && of_bad[tries..] == ["b2", "b3"], "{of_bad:?}");
    world.stop().await;
}

pub(super) async fn after_the_last_attempt_an_event_is_a_dead_letter_with_its_story_and_its_key_goes_on(bench: Bench) {
    let world = bench.broker(vec![giving_up(&bench, 3)]).await;
    world.answers("s", |parcel| match parcel.event.id() {
        "bad" => Permanent::default().outcome(503, "overloaded", None),
        _ => Outcome::Ack,
    });
    let receipts = world.publish_all(vec![event("bad", "k"), event("next", "k")]).await;
    world.drained("s").await;
    assert_eq!(world.ids("s"), ["bad", "bad", "bad", "next"]);
    let letters = world.letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = &letters[0];
    assert_eq!((letter.reason, letter.attempts.made, letter.position), (Reason::Attempts, 3, receipts[0].position));
    assert_eq!(letter.attempts.last, Refusal { status: Some(503), detail: "overloaded".to_owned() });
    assert!(letter.attempts.first_at < letter.attempts.last_at && letter.event.id() == "bad");
    world.stop().await;
}

pub(super) async fn a_permanent_failure_is_a_dead_letter_at_once(bench: Bench) {
    let world = bench.broker(vec![giving_up(&bench, 9)]).await;
    world.answers("s", |_| Permanent::default().outcome(422, "no title", None));
    world.publish(&[("1", "")]).await;
    let status = world.drained("s").await;
    assert_eq!((status.dead_letters, status.counts.buried, world.seen("s").len()), (1, 1, 1));
    let letters = world.letters().await;
    assert_eq!((letters[0].reason, letters[0].attempts.last.detail.as_str()), (Reason::Permanent, "no title"));
    world.stop().await;
}

pub(super) async fn retry_after_is_obeyed(bench: Bench) {
    let world = bench.broker(vec![giving_up(&bench, 5)]).await;
    let after = Duration::from_millis(700);
    world.answers("s", move |parcel| match parcel.attempt {
        1 => Permanent::default().outcome(429, "", Some(after)),
        _ => Outcome::Ack,
    });
    world.publish(&[("1", "")]).await;
    let seen = world.saw("s", 2).await;
    let waited = seen[1].at - seen[0].at;
    assert!(waited >= after - Duration::from_millis(1), "{waited:?}");
    world.stop().await;
}

pub(super) async fn an_event_that_becomes_too_old_is_a_dead_letter_whatever_attempts_are_left(bench: Bench) {
    let mut young = giving_up(&bench, 1_000_000);
    young.retry.max_age = Some(Duration::from_millis(400));
    let world = bench.broker(vec![young]).await;
    world.answers("s", |_| Outcome::retry("no"));
    world.publish(&[("1", "")]).await;
    world.drained("s").await;
    let letters = world.letters().await;
    assert_eq!((letters.len(), letters[0].reason), (1, Reason::Age));
    world.stop().await;
}

pub(super) async fn a_subscriber_that_hangs_is_given_up_after_the_timeout_and_tried_again(bench: Bench) {
    let timeout = Duration::from_millis(200);
    let world = bench.broker(vec![SubscriptionSpec { timeout, ..bench.spec("s") }]).await;
    world.script.takes(Duration::from_secs(3600));
    world.publish(&[("1", "")]).await;
    let seen = world.saw("s", 2).await;
    assert!(seen[1].at - seen[0].at >= timeout, "after {:?}", seen[1].at - seen[0].at);
    let status = world.until("s", "a failure", |status| status.counts.failed >= 1).await;
    assert_eq!(status.counts.acknowledged, 0);
    world.script.takes(Duration::ZERO);
    world.drained("s").await;
    world.stop().await;
}

pub(super) async fn a_panic_in_the_delivery_is_a_failure_like_any_other(bench: Bench) {
    let script = Arc::new(Script::default());
    script.answers(&bench.sub("s"), |parcel| if parcel.attempt == 1 { panic!("on purpose") } else { Outcome::Ack });
    let world = bench.broker_to(script, vec![bench.t()], vec![bench.spec("s")], Config::default()).await;
    world.publish(&[("1", "")]).await;
    let status = world.drained("s").await;
    assert_eq!((status.counts.failed, status.counts.acknowledged), (1, 1));
    world.stop().await;
}

pub(super) async fn dead_letters_are_listed_in_pages_redriven_dropped_and_redriven_edited(bench: Bench) {
    let world = bench.broker(vec![giving_up(&bench, 1)]).await;
    let sub = bench.sub("s");
    world.answers("s", |_| Outcome::retry("no"));
    world.publish_all((0..7).map(|n| event(&n.to_string(), "")).collect()).await;
    world.until("s", "seven dead letters", |status| status.dead_letters == 7).await;
    let (page, more) = world.handle.dead_letters(&sub, Which::default(), 4).await.expect("a page");
    let rest = Which { from: more.expect("more than a page"), ..Which::default() };
    let (tail, end) = world.handle.dead_letters(&sub, rest, 4).await.expect("a page");
    assert_eq!((page.len(), tail.len(), end), (4, 3, None));

    world.answers("s", |_| Outcome::Ack);
    assert_eq!(world.redrive(Which::one(page[0].number)).await, 1);
    let (dropped, by_id) = (page[1].event.id().to_owned(), page[1].event.id().to_owned());
    let filter = Filter::new(move |event: &Event| event.id() == by_id);
    let which = Which { filter: Some(filter), ..Which::default() };
    assert_eq!(world.handle.drop_dead_letters(&sub, which, 10).await.expect("dropped"), 1);
    let edited = |id| world.handle.redrive_edited(&sub, page[2].number, event(id, ""));
    assert!(edited("mended").await.expect("redriven"));
    assert!(!edited("again").await.expect("there is none of this number"));
    assert_eq!(world.redrive(Which::default()).await, 4);
    world.saw("s", 7 + 6).await;
    let redriven = world.ids("s").split_off(7);
    let has = |id: &str| redriven.iter().any(|own| own == id);
    assert!(has("mended") && has(page[0].event.id()) && !has(&dropped) && !has(page[2].event.id()), "{redriven:?}");
    let status = world.until("s", "all six taken", |status| status.counts.acknowledged == 6).await;
    assert_eq!((status.dead_letters, status.counts.retrying), (0, 0));
    world.stop().await;
}

pub(super) async fn however_many_dead_letters_are_named_each_is_redriven_once(bench: Bench) {
    const LETTERS: usize = 700;
    let world = bench.broker(vec![giving_up(&bench, 1)]).await;
    let sub = bench.sub("s");
    world.answers("s", |_| Outcome::retry("no"));
    world.publish_all((0..LETTERS).map(|n| event(&n.to_string(), "")).collect()).await;
    let status = world.drained("s").await;
    assert_eq!(status.dead_letters, LETTERS as u64);
    let (letters, _) = world.handle.dead_letters(&sub, Which::default(), LETTERS).await.expect("all of them");
    let numbers: Vec<_> = letters.iter().rev().map(|letter| letter.number).collect();

    let some = Which { from: letters[1].number, ..Which::of(numbers[LETTERS - 3..].repeat(3)) };
    let (named, more) = world.handle.dead_letters(&sub, some, 1).await.expect("a page");
    assert_eq!((named.len(), named[0].number, more), (1, letters[1].number, Some(letters[2].number)));

    // Two orders at once, each number twice, and one that there is none of.
    world.answers("s", |_| Outcome::Ack);
    let all = || Which::of(numbers.repeat(2).into_iter().chain([u64::MAX]));
    let (one, other, dropped) = tokio::join!(
        world.handle.redrive(&sub, all(), usize::MAX),
        world.handle.redrive(&sub, all(), usize::MAX),
        world.handle.drop_dead_letters(&sub, all(), usize::MAX),
    );
    let (one, other, dropped) = (one.expect("redriven"), other.expect("redriven"), dropped.expect("dropped"));
    assert_eq!(one + other + dropped, LETTERS, "{one} and {other} were redriven, {dropped} dropped");
    let redriven = (one + other) as u64;
    let status = world.until("s", "all taken", |status| status.counts.acknowledged == redriven).await;
    assert_eq!((status.dead_letters, status.counts.retrying), (0, 0));
    assert!(world.letters().await.is_empty());
    assert_eq!(world.seen("s").len(), LETTERS + one + other, "each came once more");
    world.stop().await;
}

pub(super) async fn a_redriven_event_that_fails_again_is_a_dead_letter_again_and_keeps_its_key(bench: Bench) {
    let world = bench.broker(vec![giving_up(&bench, 1)]).await;
    world.answers("s", |_| Outcome::retry("no"));
    world.publish(&[("1", "k")]).await;
    world.until("s", "a dead letter", |status| status.dead_letters == 1).await;
    let stood = world.letters().await[0].position;
    assert!(stood.is_some());
    assert_eq!(world.redrive(Which::default()).await, 1);
    world.until("s", "another one", |status| status.counts.buried == 2).await;
    let letters = world.letters().await;
    assert_eq!((letters.len(), letters[0].position, letters[0].event.partition_key()), (1, stood, Some("k")));
    world.stop().await;
}

pub(super) async fn retries_dead_letters_redriven_events_and_the_position_survive_a_restart(bench: Bench) {
    let later = || Outcome::Retry { refusal: Refusal::of("later"), after: Some(Duration::from_secs(3600)) };
    let world = bench.broker(vec![bench.spec("s")]).await;
    world.answers("s", move |parcel| match parcel.event.id() {
        "dead" | "again" => Outcome::Permanent(Refusal::of("no")),
        "stuck" => later(),
        _ => Outcome::Ack,
    });
    world.publish(&[("dead", ""), ("stuck", "k"), ("behind", "k"), ("again", ""), ("fine", "x")]).await;
    let settled = |status: &SubscriptionStatus| {
        (status.counts.retrying, status.counts.parked, status.dead_letters, status.counts.depth) == (1, 1, 2, 2)
    };
    world.until("s", "all in place", settled).await;
    world.stop().await;

    let world = bench.broker(vec![bench.spec("s")]).await;
    world.until("s", "all in place after the restart", settled).await;
    assert!(world.seen("s").is_empty(), "nothing is due: {:?}", world.ids("s"));
    world.answers("s", move |_| later());
    let letters = world.letters().await;
    assert_eq!(world.redrive(Which::one(letters[1].number)).await, 1);
    world.until("s", "the redriven one waits", |status| status.counts.retrying == 2).await;
    world.stop().await;

    let world = bench.broker(vec![bench.spec("s")]).await;
    let status = world.until("s", "it still does", |status| status.counts.retrying == 2).await;
    assert_eq!(status.dead_letters, 1);
    world.stop().await;
}
