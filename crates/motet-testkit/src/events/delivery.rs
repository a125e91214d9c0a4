//! Delivery by push: order, limits, failures, batches, filters.

use super::bench::{Bench, event};
use motet_broker::Outcome;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

pub(super) async fn every_subscription_sees_every_event(bench: Bench) {
    let world = bench.broker(vec![bench.spec("a"), bench.spec("b")]).await;
    world.publish(&[("1", ""), ("2", "")]).await;
    for subscription in ["a", "b"] {
        world.saw(subscription, 2).await;
        assert_eq!(world.ids(subscription), ["1", "2"]);
    }
    world.stop().await;
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
    let others_done = |status: &motet_broker::SubscriptionStatus| {
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
