//! Workers that fetch events themselves, and their leases.

use super::{
    bench::{Bench, answered},
    world::World,
};
use motet_broker::{Mode, Outcome, Parcel, Refusal, SubscriptionError, SubscriptionSpec};
use std::time::{Duration, Instant};

fn pulled(bench: &Bench) -> SubscriptionSpec {
    SubscriptionSpec { mode: Mode::Pull, in_flight: 100, ..bench.spec("s") }
}

impl World<'_> {
    async fn fetch(&self, max: usize, wait: Duration) -> Vec<Parcel> {
        let fetched = answered(self.handle.next(&self.bench.sub("s"), max, wait)).await;
        fetched.unwrap_or_else(|error| panic!("next: {error}"))
    }

    /// The one event that a worker gets next.
    async fn one(&self) -> Parcel {
        let mut parcels = self.fetch(1, Duration::from_secs(10)).await;
        assert_eq!(parcels.len(), 1, "one event is waiting");
        parcels.remove(0)
    }

    async fn ack(&self, parcel: &Parcel) {
        self.handle.ack(&self.bench.sub("s"), &parcel.token).await.expect("the lease holds");
    }
}

pub(super) async fn workers_share_what_they_fetch_and_get_nothing_twice_while_they_hold_it(bench: Bench) {
    let world = bench.broker(vec![pulled(&bench)]).await;
    let worker = async {
        let mut held = Vec::new();
        while held.len() < 3 {
            held.extend(world.fetch(3 - held.len(), Duration::from_secs(10)).await);
        }
        held
    };
    let other = async {
        let mut held = Vec::new();
        while held.len() < 3 {
            held.extend(world.fetch(3 - held.len(), Duration::from_secs(10)).await);
        }
        held
    };
    let publish = world.publish_all((0..6).map(|n| super::bench::event(&n.to_string(), "")).collect());
    let (one, other, _) = tokio::join!(worker, other, publish);
    let mut ids: Vec<_> = one.iter().chain(&other).map(|parcel| parcel.event.id()).collect();
    ids.sort_unstable();
    assert_eq!(ids.concat(), "012345");
    for parcel in one.iter().chain(&other) {
        world.ack(parcel).await;
    }
    world.drained("s").await;
    world.stop().await;
}

pub(super) async fn who_waits_for_events_gets_the_first_one_and_nothing_when_the_wait_is_over(bench: Bench) {
    let world = bench.broker(vec![pulled(&bench)]).await;
    let (begun, wait) = (Instant::now(), Duration::from_millis(300));
    assert!(world.fetch(1, wait).await.is_empty());
    assert!(begun.elapsed() >= wait - Duration::from_millis(1), "it waited {:?}", begun.elapsed());
    let (parcel, ()) = tokio::join!(world.one(), world.publish(&[("1", "")]));
    assert_eq!(parcel.event.id(), "1");
    world.stop().await;
}

pub(super) async fn a_lease_that_is_over_or_refused_gives_the_event_to_the_next_worker(bench: Bench) {
    let lease = Duration::from_millis(300);
    let world = bench.broker(vec![SubscriptionSpec { lease, ..pulled(&bench) }]).await;
    let sub = bench.sub("s");
    world.publish(&[("1", "")]).await;
    let first = world.one().await;
    let again = world.one().await;
    assert_eq!((first.attempt, again.attempt), (1, 2));
    let gone = world.handle.ack(&sub, &first.token).await.expect_err("the lease is over");
    assert!(matches!(gone, SubscriptionError::LeaseGone) && gone.code().to_string() == "MO-broker-203", "{gone}");
    // By now the second lease may be over as well.
    let refused = Outcome::Retry { refusal: Refusal::of("not mine"), after: Some(Duration::ZERO) };
    let mut held = again;
    while world.handle.settle(&sub, &held.token, refused.clone()).await.is_err() {
        held = world.one().await;
    }
    let mut last = world.one().await;
    assert_eq!(last.attempt, held.attempt + 1);
    while world.handle.settle(&sub, &last.token, Outcome::Permanent(Refusal::of("no"))).await.is_err() {
        last = world.one().await;
    }
    assert_eq!(world.drained("s").await.counts.buried, 1);
    world.stop().await;
}

pub(super) async fn a_lease_that_is_extended_holds_and_its_key_waits(bench: Bench) {
    let lease = Duration::from_secs(1);
    let world = bench.broker(vec![SubscriptionSpec { lease, ..pulled(&bench) }]).await;
    world.publish(&[("1", "k"), ("2", "k")]).await;
    let (sub, hour) = (bench.sub("s"), Duration::from_secs(3600));
    let mut first = world.one().await;
    // On a busy machine the lease may be over by now.
    while world.handle.extend(&sub, &first.token, hour).await.is_err() {
        first = world.one().await;
    }
    assert!(world.fetch(10, lease + Duration::from_millis(500)).await.is_empty(), "the lease holds, and its key waits");
    world.ack(&first).await;
    assert_eq!(world.one().await.event.id(), "2");
    world.stop().await;
}

pub(super) async fn a_worker_gets_the_next_event_of_a_key_only_after_the_one_before(bench: Bench) {
    let world = bench.broker(vec![pulled(&bench)]).await;
    world.publish(&[("1", "k"), ("2", "k")]).await;
    let first = world.one().await;
    assert!(world.fetch(10, Duration::from_millis(200)).await.is_empty());
    world.ack(&first).await;
    assert_eq!(world.one().await.event.id(), "2");
    world.stop().await;
}

pub(super) async fn a_pushed_subscription_cannot_be_fetched_from_and_an_unknown_one_is_named(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    let sub = bench.sub("s");
    let error = world.handle.next(&sub, 1, Duration::ZERO).await.expect_err("it is pushed to");
    assert_eq!(error.code().to_string(), "MO-broker-202");
    let error = world.handle.pause(&bench.sub("x")).await.expect_err("nobody declared it");
    assert!(error.to_string().contains(&format!("there are {sub}")), "{error}");
    assert!(world.handle.ack(&sub, "garbage").await.is_err());
    world.stop().await;
}
