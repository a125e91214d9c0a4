//! Events of programs that have never heard of Motet.

use super::{
    Foreign,
    bench::{Bench, ids},
};
use motet_broker::{Event, Position, key};

pub(super) async fn an_event_of_another_program_is_delivered_as_it_is(bench: Bench) {
    let world = bench.broker(vec![bench.spec("s")]).await;
    let topic = bench.topic("t");
    let foreign =
        Event::builder("f-1", "https://example.org/ä b".replace(['ä', ' '], "%20").as_str(), "org.example.happened")
            .subject("naïve \"subject\" 50 %")
            .time("2026-01-31T09:00:00Z")
            .content_type("application/json")
            .extension("partitionkey", "k")
            .extension("number", "7")
            .data(r#"{"a":1}"#)
            .build()
            .expect("an event");
    world.publish(&[("before", "k")]).await;
    assert!(bench.engine.publish_foreign(&topic, Foreign::Event(&foreign)).await, "the table says that it works");
    let seen = world.saw("s", 2).await;
    assert_eq!(seen[1].event, foreign);
    world.publish(&[("after", "k")]).await;
    world.saw("s", 3).await;
    assert_eq!(world.ids("s"), ["before", "f-1", "after"]);
    world.stop().await;
}

pub(super) async fn bytes_without_any_header_become_an_event_and_block_nothing(bench: Bench) {
    let port = bench.port().await;
    let plain = b"no event \x00\xff at all".as_slice();
    assert!(bench.engine.publish_foreign(&port.topic, Foreign::Plain(plain)).await, "the table says that it works");
    assert!(bench.engine.publish_foreign(&port.topic, Foreign::Plain(b"")).await, "the table says that it works");
    let last = port.append(super::bench::entries(["after"])).await[0];
    port.until("all three", |ends| ends.next > last).await;
    let found = port.read_from(&port.topic, Position(0)).await;
    let (first, second) = (&found[0].entry, &found[1].entry);
    assert_eq!((found.len(), ids(&found)[2]), (3, "after"), "{found:?}");
    assert_eq!((first.event.ty(), first.event.data().map(|data| &data[..])), ("motet.message", Some(plain)));
    assert_ne!(first.event.id(), second.event.id(), "each has an id of its own");
    assert_eq!(first.key, key::of(&first.event, None));
    assert_eq!(port.all().await, found, "read again it is the same event");
    port.close().await;
}
