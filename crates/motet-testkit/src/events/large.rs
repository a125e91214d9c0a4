//! Events whose data is so large that Motet keeps it apart: they are events like any others.

use super::bench::Bench;
use motet_broker::{Event, Outcome, Permanent, Which, payload::APART_ABOVE_BYTES};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

fn large(id: &str, delay: Option<&str>) -> Event {
    let data: Vec<u8> = (0..APART_ABOVE_BYTES * 3).map(|at| (at % 251) as u8).collect();
    let event = Event::builder(id, "/test", "test.happened").content_type("application/octet-stream").data(data);
    let event = event.extension("partitionkey", "k");
    match delay {
        Some(delay) => event.extension("delay", delay),
        None => event,
    }
    .build()
    .expect("an event")
}

pub(super) async fn large_data_comes_through_a_delay_a_dead_letter_a_redrive_and_a_restart(bench: Bench) {
    let refuses = Arc::new(AtomicBool::new(true));
    let world = bench.broker(vec![bench.spec("s")]).await;
    let is_refused = Arc::clone(&refuses);
    world.answers("s", move |_| match is_refused.load(Ordering::Relaxed) {
        true => Permanent::default().outcome(422, "no", None),
        false => Outcome::Ack,
    });
    world.publish_all(vec![large("later", Some("300ms")), large("now", None)]).await;
    world.until("s", "two dead letters", |status| status.dead_letters == 2).await;
    for seen in world.seen("s") {
        let sent = large(&seen.id, (seen.id == "later").then_some("300ms"));
        assert_eq!(seen.event, sent, "what {} said", seen.id);
    }
    let (letters, _) = world.handle.dead_letters(&bench.sub("s"), Which::default(), 10).await.expect("letters");
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().any(|letter| letter.event == large("now", None)), "a dead letter has its data");
    world.stop().await;

    let world = bench.broker(vec![bench.spec("s")]).await;
    assert_eq!(world.status("s").await.dead_letters, 2);
    let redriven = world.handle.redrive(&bench.sub("s"), Which::default(), usize::MAX).await.expect("redriven");
    let seen = world.saw("s", 2).await;
    assert_eq!(redriven, 2);
    assert!(seen.iter().any(|seen| seen.event == large("now", None)), "it came again with its data");
    world.drained("s").await;
    world.stop().await;
}
