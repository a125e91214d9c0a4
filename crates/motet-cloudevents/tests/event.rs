//! Events as values: what is refused, what is kept, what comes back from a record.

use bytes::Bytes;
use motet_cloudevents::{Event, InvalidEvent, Value, attribute};
use proptest::prelude::*;

fn full() -> Event {
    Event::builder("a-1", "https://a.example/b?c#d", "com.example.thing")
        .subject("what € it is about")
        .time("2026-01-31T12:00:00.5+01:00")
        .content_type("application/json; charset=utf-8")
        .schema("urn:schema:1")
        .extension("partitionkey", "k 1")
        .extension("sequence", 7)
        .extension("sampled", true)
        .extension("empty", "")
        .data(&b"{\"a\": 1}"[..])
        .build()
        .expect("valid")
}

fn record(event: &Event) -> Bytes {
    let mut out = Vec::new();
    event.write_record(&mut out);
    assert_eq!(out.len(), event.record_len());
    out.into()
}

#[test]
fn an_event_gives_back_what_it_was_made_of() {
    let event = full();
    assert_eq!((event.id(), event.source(), event.ty()), ("a-1", "https://a.example/b?c#d", "com.example.thing"));
    assert_eq!(event.subject(), Some("what € it is about"));
    assert_eq!(event.time(), Some("2026-01-31T12:00:00.5+01:00"));
    assert_eq!(event.content_type(), Some("application/json; charset=utf-8"));
    assert_eq!(event.schema(), Some("urn:schema:1"));
    assert_eq!(event.partition_key(), Some("k 1"));
    assert_eq!(event.data().map(|data| &data[..]), Some(&b"{\"a\": 1}"[..]));
    let extensions: Vec<_> = event.extensions().collect();
    let expected = [
        ("empty", Value::Text("")),
        ("partitionkey", Value::Text("k 1")),
        ("sampled", Value::Boolean(true)),
        ("sequence", Value::Integer(7)),
    ];
    assert_eq!(extensions, expected);
    assert_eq!(event.attribute("specversion"), Some(Value::Text("1.0")));
    assert_eq!(event.attribute("type"), Some(Value::Text("com.example.thing")));
    assert_eq!(event.attribute("sequence"), Some(Value::Integer(7)));
    assert_eq!(event.attribute("nothing"), None);
}

#[test]
fn absent_data_is_not_empty_data() {
    let absent = Event::builder("1", "/", "t").build().expect("valid");
    let empty = Event::builder("1", "/", "t").data(Bytes::new()).build().expect("valid");
    assert_ne!(absent, empty);
    assert_eq!(Event::read_record(&record(&absent)).expect("readable"), absent);
    assert_eq!(Event::read_record(&record(&empty)).expect("readable"), empty);
}

#[test]
fn a_record_is_read_without_copying_the_data() {
    let record = record(&full());
    let event = Event::read_record(&record).expect("readable");
    assert_eq!(event, full());
    let data = event.data().expect("there").as_ptr_range();
    assert!(record.as_ptr_range().contains(&data.start));
}

#[test]
fn editing_keeps_what_is_not_named() {
    let edited = full().edit().extension("sequence", 8).without("subject").without("empty").build().expect("valid");
    assert_eq!(edited.subject(), None);
    assert_eq!(edited.extension("sequence"), Some(Value::Integer(8)));
    assert_eq!(edited.extension("empty"), None);
    assert_eq!((edited.id(), edited.data()), (full().id(), full().data()));
}

#[test]
fn invalid_events_cannot_be_made_and_say_why() {
    let base = || Event::builder("1", "/s", "t");
    let cases = [
        (base().id(""), "the attribute `id` has the value ``, which is empty"),
        (base().subject(""), "the attribute `subject` has the value ``, which is empty"),
        (
            base().source("/a b"),
            "the attribute `source` has the value `/a b`, which is not a URI: a space is written `%20` in one",
        ),
        (
            base().without("type"),
            "the attribute `type` is missing: every event has `id`, `source`, `specversion` and `type`",
        ),
        (
            base().time("yesterday"),
            "the attribute `time` has the value `yesterday`, which is not a timestamp like `2026-01-31T12:00:00Z` (RFC 3339)",
        ),
        (
            base().extension("Partition", "x"),
            "`Partition` cannot be the name of an attribute: names consist of lower-case letters a to z and digits",
        ),
        (
            base().extension("data", "x"),
            "`data` cannot be the name of an attribute: the specification gives that name another meaning",
        ),
        (base().extension("a", "x\ny"), "the attribute `a` has the value `x\\ny`, which holds a control character"),
    ];
    for (builder, expected) in cases {
        assert_eq!(builder.build().expect_err(expected).to_string(), expected);
    }
}

#[test]
fn attributes_have_limits() {
    let long = "x".repeat(attribute::ATTRIBUTES_BYTES_MAX);
    let refused = Event::builder("1", "/s", "t").subject(&long).build();
    assert!(matches!(refused, Err(InvalidEvent::TooLarge { .. })), "{refused:?}");
    let names: Vec<String> = (0..=attribute::EXTENSIONS_MAX).map(|number| format!("a{number}")).collect();
    let many =
        |count: usize| names[..count].iter().fold(Event::builder("1", "/s", "t"), |it, name| it.extension(name, "x"));
    assert!(many(attribute::EXTENSIONS_MAX).build().is_ok());
    assert!(matches!(many(attribute::EXTENSIONS_MAX + 1).build(), Err(InvalidEvent::TooLarge { .. })));
}

#[test]
fn a_record_that_ends_early_is_refused() {
    let whole = record(&full().edit().maybe_data(None).build().expect("valid"));
    for end in 0..whole.len() {
        assert!(Event::read_record(&whole.slice(..end)).is_err(), "{end} of {} bytes", whole.len());
    }
}

proptest! {
    #[test]
    fn every_event_comes_back_from_its_record(
        id in "[^\\pC]{1,40}",
        subject in proptest::option::of("[^\\pC]{1,40}"),
        extensions in proptest::collection::btree_map("[a-z0-9]{6,20}x", "[^\\pC]{0,20}", 0..6),
        data in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
    ) {
        let mut builder = Event::builder(&id, "/s", "t").maybe_data(data.map(Bytes::from));
        if let Some(subject) = &subject {
            builder = builder.subject(subject);
        }
        for (name, value) in &extensions {
            builder = builder.extension(name, value);
        }
        let event = builder.build().expect("valid");
        let read = Event::read_record(&record(&event)).expect("readable");
        prop_assert_eq!(&read, &event);
        prop_assert_eq!(read.edit().build().expect("valid"), event);
        prop_assert_eq!(read.id(), id);
        prop_assert_eq!(read.extensions().count(), extensions.len());
    }

    #[test]
    fn damaged_records_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..200, with: u8) {
        let _ = Event::read_record(&bytes.into());
        let mut damaged = record(&full()).to_vec();
        let at = at % damaged.len();
        damaged[at] = with;
        if let Ok(event) = Event::read_record(&damaged.into()) {
            let _ = format!("{event:?}");
            let _ = event.edit().build();
        }
    }
}
