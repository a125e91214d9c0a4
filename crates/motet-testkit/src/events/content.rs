//! What an event holds comes back as it was, whatever the engine packs it into.
//!
//! An engine that writes events in CloudEvents' binary binding has headers for attributes, which know texts only. So a number may come
//! back as its text; everything else is the same to the byte.

use super::bench::{Bench, Port, entry, event};
use motet_broker::{Entry, Event, Limits, TopicSpec, key};

/// Appends one event and gives what is read of it, which has to have its text in every attribute, and its data.
async fn comes_back(port: &Port, event: Event) -> Entry {
    let appended = entry(event);
    let position = port.append(vec![appended.clone()]).await[0];
    let mut found = port.read(position, Limits::items(1)).await;
    assert_eq!((found.len(), found[0].position), (1, position));
    let found = found.remove(0).entry;
    let texts = |event: &Event| -> Vec<(String, String)> {
        event.attributes().map(|(name, value)| (name.to_owned(), value.to_string())).collect()
    };
    assert_eq!(texts(&found.event), texts(&appended.event));
    assert_eq!(found.event.data(), appended.event.data());
    assert_eq!((found.key, found.published_at), (appended.key, appended.published_at));
    found
}

pub(super) async fn what_was_appended_is_read_with_everything_it_had(bench: Bench) {
    let port = bench.port().await;
    let full = Event::builder("id-1", "https://example.org/source?q=1#f", "org.example.happened")
        .subject("a subject")
        .time("2026-01-31T09:00:00.123Z")
        .content_type("application/json; charset=utf-8")
        .schema("https://example.org/schema.json")
        .extension("partitionkey", "key")
        .extension("text", "some text")
        .data(r#"{"a":1}"#)
        .build()
        .expect("an event");
    let least = Event::builder("2", "/", "t").build().expect("an event");
    let appended = vec![entry(full), entry(least), entry(event("3", "k"))];
    let positions = port.append(appended.clone()).await;
    let found: Vec<_> = port.all().await.into_iter().map(|stored| (stored.position, stored.entry)).collect();
    // Of different keys, which engine puts first is its own affair.
    let mut appended: Vec<_> = positions.into_iter().zip(appended).collect();
    appended.sort_by_key(|(position, _)| *position);
    assert_eq!(found, appended);
    port.close().await;
}

pub(super) async fn every_kind_of_extension_keeps_its_text(bench: Bench) {
    let port = bench.port().await;
    let event = Event::builder("1", "/test", "t")
        .extension("truth", true)
        .extension("falsehood", false)
        .extension("zero", 0)
        .extension("least", i32::MIN)
        .extension("most", i32::MAX)
        .extension("looksliketruth", "true")
        .extension("lookslikeanumber", "0042")
        .extension("empty", "")
        .extension("binary", "AAECAwQ=")
        .extension("at", "2026-01-31T09:00:00+02:00")
        .extension("uri", "https://example.org/?a=b&c=d");
    comes_back(&port, event.build().expect("an event")).await;
    port.close().await;
}

pub(super) async fn what_headers_cannot_hold_comes_through_all_the_same(bench: Bench) {
    let port = bench.port().await;
    let event = Event::builder("100 %25 \"quoted\"", "/test?a=%20", "t; q=1, v=\"2\"")
        .subject("  spaces before and behind  ")
        .extension("separators", "a: b; c=d, e\\f\\\"g\" 'h' <i> {j} [k] | ` ^ ~")
        .extension("percent", "% %% %41 %zz %e2%82%ac")
        .extension("blank", " ")
        .extension("colon", ":")
        .content_type("text/plain; charset=\"utf-8\"")
        .data("x");
    comes_back(&port, event.build().expect("an event")).await;
    port.close().await;
}

pub(super) async fn texts_of_all_scripts_come_through(bench: Bench) {
    let port = bench.port().await;
    let text = "Ærøskøbing Łódź Ελλάδα Київ 東京 서울 ไทย עברית عربي 😀👩‍👩‍👧 e\u{301} \u{10348}";
    let event = Event::builder(text, "/test", text)
        .subject(text)
        .extension("partitionkey", text)
        .extension("text", text)
        .content_type("text/plain; charset=utf-8")
        .data(text.to_owned());
    let found = comes_back(&port, event.build().expect("an event")).await;
    assert_eq!(found.key, key::of(&found.event, None));
    port.close().await;
}

pub(super) async fn many_and_long_extensions_come_through(bench: Bench) {
    let port = bench.port().await;
    let names: Vec<_> = (0..60).map(|n| format!("x{n}")).collect();
    let value = "value ".repeat(20);
    let many = names.iter().fold(Event::builder("1", "/test", "t"), |builder, name| builder.extension(name, &value));
    comes_back(&port, many.build().expect("an event")).await;
    let (long, name) = ("long ".repeat(2000), "n".repeat(60));
    let long = Event::builder("2", "/test", "t").extension(&name, &long).build().expect("an event");
    comes_back(&port, long).await;
    port.close().await;
}

pub(super) async fn no_data_and_empty_data_are_not_the_same(bench: Bench) {
    let port = bench.port().await;
    let without = Event::builder("1", "/test", "t").build().expect("an event");
    assert!(comes_back(&port, without).await.event.data().is_none());
    let empty = Event::builder("2", "/test", "t").data("").build().expect("an event");
    assert_eq!(comes_back(&port, empty).await.event.data().map(|data| data.len()), Some(0));
    port.close().await;
}

pub(super) async fn every_byte_comes_through(bench: Bench) {
    let port = bench.port().await;
    let all: Vec<u8> = (0..=255).collect();
    let mut random = vec![0; 30_000];
    fastrand::fill(&mut random);
    for (id, data) in
        [("all", all), ("zeros", vec![0; 100]), ("line-ends", b"\r\n\r\n--\r\n".to_vec()), ("random", random)]
    {
        let event = Event::builder(id, "/test", "t").content_type("application/octet-stream").data(data);
        comes_back(&port, event.build().expect("an event")).await;
    }
    port.close().await;
}

/// An event that takes exactly so many bytes.
fn of_size(id: &str, bytes: usize) -> Event {
    let event = event(id, "");
    let attributes = event.edit().maybe_data(None).build().expect("an event").size();
    let mut data = vec![0; bytes - attributes];
    fastrand::fill(&mut data);
    event.edit().data(data).build().expect("an event")
}

pub(super) async fn an_event_as_large_as_its_topic_takes_comes_through(bench: Bench) {
    let port = bench.port().await;
    let most = bench.t().event_max_bytes;
    let largest = of_size("largest", most);
    assert_eq!(largest.size(), most);
    comes_back(&port, largest).await;
    port.close().await;
}

pub(super) async fn many_large_events_come_through_in_one_append(bench: Bench) {
    let port = bench.port().await;
    let appended: Vec<_> = (0..8).map(|n| entry(of_size(&n.to_string(), 900_000))).collect();
    let positions = port.append(appended.clone()).await;
    let found = port.all().await;
    assert_eq!(found.iter().map(|stored| stored.position).collect::<Vec<_>>(), positions);
    assert!(found.iter().map(|stored| &stored.entry).eq(&appended));
    port.close().await;
}

pub(super) async fn a_key_that_stands_in_the_data_comes_back_with_the_event(bench: Bench) {
    let port = bench.bare_port().await;
    let pointer = "/document/id".parse().expect("a pointer");
    let spec = TopicSpec { key: Some(pointer), ..bench.t() };
    port.ensure(&spec).await;
    let keyed = Event::builder("1", "/test", "t").extension("partitionkey", "another");
    let keyed = keyed.content_type("application/json").data(r#"{"document":{"id":"d-1"}}"#).build().expect("an event");
    let key = key::of(&keyed, spec.key.as_ref());
    let appended = Entry { key, ..entry(keyed) };
    assert_ne!(appended.key, key::of(&appended.event, None), "the data's key comes before the attribute's");
    port.append(vec![appended.clone()]).await;
    assert_eq!(port.all().await.into_iter().map(|stored| stored.entry).collect::<Vec<_>>(), [appended]);
    port.close().await;
}
