//! Messages of HTTP: all modes, both ways, and what is refused.

use crate::any;
use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use bytes::Bytes;
use motet_cloudevents::{
    DecodeError, Event, Value,
    http::{self, Decoded, Fill, Limits, Mode, value},
};
use proptest::prelude::*;

fn headers(given: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, text) in given {
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_bytes(text.as_bytes()).expect("a value"));
    }
    headers
}

fn fill() -> Fill<'static> {
    Fill {
        id: "new".into(),
        source: "/parser".into(),
        ty: "document.parsed".into(),
        time: "2026-01-01T00:00:00Z".into(),
    }
}

fn decode(given: &[(&str, &str)], body: &'static str) -> Result<Decoded, DecodeError> {
    http::decode(&headers(given), &Bytes::from_static(body.as_bytes()), &Limits::default(), fill)
}

fn one(given: &[(&str, &str)], body: &'static str) -> Event {
    match decode(given, body).expect("an event") {
        Decoded::One(event) => event,
        Decoded::Many(_) => panic!("a batch"),
    }
}

const REQUIRED: [(&str, &str); 4] = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    REQUIRED.iter().chain(more).copied().collect()
}

#[test]
fn a_binary_message_is_its_headers_and_its_body() {
    let given = with(&[
        ("content-type", "application/json; charset=utf-8"),
        ("ce-time", "2026-01-31T12:00:00Z"),
        ("Ce-Subject", "Euro%20%e2%82%ac%20%F0%9F%98%80"),
        ("ce-comexampleothervalue", "5"),
        ("ce-empty", ""),
        ("x-other", "not an attribute"),
    ]);
    let event = one(&given, "{\"a\" : 1}");
    assert_eq!(event.subject(), Some("Euro € 😀"));
    assert_eq!(event.time(), Some("2026-01-31T12:00:00Z"));
    assert_eq!(event.content_type(), Some("application/json; charset=utf-8"));
    assert_eq!(event.extension("comexampleothervalue"), Some(Value::Text("5")));
    assert_eq!(event.extension("empty"), Some(Value::Text("")));
    assert_eq!(event.extensions().count(), 2);
    assert_eq!(event.data().map(|data| &data[..]), Some(&b"{\"a\" : 1}"[..]));
    assert_eq!(one(&REQUIRED, "").data(), None);
}

#[test]
fn values_are_unquoted_before_they_are_decoded() {
    for (given, expected) in [
        ("\"a b\"", "a b"),
        (r#""a \"b\" \\c""#, r#"a "b" \c"#),
        ("a \"b c\" d", "a b c d"),
        ("\"%41\"", "A"),
        ("%2541", "%41"),
        ("50% off%", "50% off%"),
        ("%4", "%4"),
        ("%zz", "%zz"),
        ("ä", "ä"),
        (r"a\b", r"a\b"),
        ("5\" 50%", "5\" 50%"),
        ("\"a\\", "\"a\\"),
    ] {
        assert_eq!(value::decode("ce-a", given.as_bytes()).expect(given), expected);
    }
    for bad in [&b"%C0%A0"[..], b"%ff", b"\xff", b"%E2%82"] {
        assert!(value::decode("ce-a", bad).is_err(), "{bad:?}");
    }
}

#[test]
fn what_has_to_be_encoded_is_and_nothing_else() {
    assert_eq!(value::encode("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
    assert_eq!(value::encode("a\"b%c"), "a%22b%25c");
    assert_eq!(value::encode("!#$&'()*+,/:;=?@[]~\\{}|^`<>"), "!#$&'()*+,/:;=?@[]~\\{}|^`<>");
}

#[test]
fn a_structured_message_is_known_by_its_content_type() {
    let body = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"b": 1.0}}"#;
    for content_type in ["application/cloudevents+json", "Application/CloudEvents+JSON; charset=UTF-8"] {
        let event = one(&[("content-type", content_type), ("ce-id", "ignored")], body);
        assert_eq!((event.id(), event.data().map(|data| &data[..])), ("1", Some(&b"{\"b\": 1.0}"[..])));
    }
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let kind = [("content-type", "application/cloudevents-batch+json")];
    assert_eq!(decode(&kind, "[]").expect("a batch").as_slice().len(), 0);
    let two = r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"}, {"specversion":"1.0","id":"2","source":"/s","type":"t"}]"#;
    let events = decode(&kind, two).expect("a batch").into_vec();
    assert_eq!(events.iter().map(Event::id).collect::<Vec<_>>(), ["1", "2"]);
    let bad =
        r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"}, {"specversion":"1.0","source":"/s","type":"t"}]"#;
    let refused = decode(&kind, bad).expect_err("no id");
    assert_eq!(
        refused.to_string(),
        "event 1 of the batch: the attribute `id` is missing: every event has `id`, `source`, `specversion` and `type`"
    );
    assert_eq!(refused.code().0, "MO-cloudevents-001");
}

#[test]
fn plain_data_is_wrapped() {
    let event =
        one(&[("content-type", "application/json"), ("ce-partitionkey", "k"), ("traceparent", "00-a-b-01")], "{}");
    assert_eq!((event.id(), event.source(), event.ty()), ("new", "/parser", "document.parsed"));
    assert_eq!(event.time(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(event.partition_key(), Some("k"));
    assert_eq!(event.extension("traceparent"), Some(Value::Text("00-a-b-01")));
    assert_eq!(event.content_type(), Some("application/json"));
    assert_eq!(one(&[("idempotency-key", "\"order-7\"")], "x").id(), "order-7");
    let bytes = one(&[("content-type", "image/png")], "\u{1}");
    assert_eq!((bytes.content_type(), bytes.data().map(Bytes::len)), (Some("image/png"), Some(1)));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let cases = [
        (vec![("ce-id", "1")], "MO-cloudevents-001", StatusCode::BAD_REQUEST, "the attribute `specversion` is missing"),
        (with(&[("ce-id", "2")]), "MO-cloudevents-006", StatusCode::BAD_REQUEST, "the attribute `id` is given twice"),
        (
            with(&[("ce-subject", "%ff")]),
            "MO-cloudevents-101",
            StatusCode::BAD_REQUEST,
            "the header `ce-subject` cannot be decoded: it is not UTF-8",
        ),
        (
            with(&[("ce-subject", "%0a")]),
            "MO-cloudevents-004",
            StatusCode::BAD_REQUEST,
            "which holds a control character",
        ),
        (
            with(&[("ce-a-b", "x")]),
            "MO-cloudevents-003",
            StatusCode::BAD_REQUEST,
            "`a-b` cannot be the name of an attribute",
        ),
        (
            with(&[("ce-datacontenttype", "text/plain")]),
            "MO-cloudevents-101",
            StatusCode::BAD_REQUEST,
            "`Content-Type` says it",
        ),
        (
            vec![("content-type", "application/cloudevents+avro")],
            "MO-cloudevents-102",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "application/cloudevents+avro",
        ),
        (
            vec![("content-type", "application/cloudevents")],
            "MO-cloudevents-102",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "are not understood",
        ),
        (
            vec![("content-type", "application/cloudevents+json; charset=latin1")],
            "MO-cloudevents-102",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "JSON is always UTF-8",
        ),
    ];
    for (given, code, status, text) in cases {
        let refused = decode(&given, "").expect_err(text);
        assert_eq!((refused.code().0, refused.status()), (code, status), "{refused}");
        assert!(refused.to_string().contains(text), "{refused}");
    }
    let draft = decode(&[("ce-specversion", "0.3"), ("ce-id", "1")], "").expect_err("0.3");
    assert_eq!(draft.to_string(), "`specversion` is `0.3`: only events of version `1.0` are understood");
}

#[test]
fn what_is_too_large_is_refused_in_every_mode() {
    let limits = Limits { event_bytes: 100, batch_events: 1 };
    let long = Bytes::from("x".repeat(101));
    let event = Event::builder("1", "/s", "t").content_type("text/plain").data(long.clone()).build().expect("valid");
    for mode in [Mode::Binary, Mode::Structured, Mode::Batched] {
        let (headers, body) = encode(&event, mode);
        let refused = http::decode(&headers, &body, &limits, fill).expect_err("too large");
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert!(http::decode(&HeaderMap::new(), &long, &limits, fill).is_err());
    let small = Event::builder("1", "/s", "t").build().expect("valid");
    let mut headers = HeaderMap::new();
    let body = http::batched([&small, &small], &mut headers);
    let refused = http::decode(&headers, &body, &limits, fill).expect_err("too many");
    assert_eq!(refused, DecodeError::TooMany { limit: 1 });
}

fn encode(event: &Event, mode: Mode) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    let body = match mode {
        Mode::Binary | Mode::Plain => http::binary(event, &mut headers),
        Mode::Structured => http::structured(event, &mut headers),
        Mode::Batched => http::batched([event], &mut headers),
    };
    (headers, body)
}

#[test]
fn encoding_a_binary_message_shares_the_events_memory() {
    let event = one(&with(&[("ce-subject", "a b")]), "data");
    let (headers, body) = encode(&event, Mode::Binary);
    assert_eq!(headers.get("ce-subject").map(HeaderValue::as_bytes), Some(&b"a%20b"[..]));
    assert_eq!(body.as_ptr(), event.data().expect("there").as_ptr());
}

proptest! {
    #[test]
    fn every_event_survives_every_mode(event in any::event()) {
        for mode in [Mode::Binary, Mode::Structured, Mode::Batched] {
            let (headers, body) = encode(&event, mode);
            let decoded = http::decode(&headers, &body, &Limits::default(), fill).expect("what was encoded");
            let expected = if mode == Mode::Binary { any::all_text(&event) } else { event.clone() };
            prop_assert_eq!(decoded.into_vec(), vec![expected], "{:?}", mode);
        }
    }

    #[test]
    fn every_text_survives_a_header(text in "\\PC{0,30}") {
        let encoded = value::encode(&text);
        prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert_eq!(value::decode("a", encoded.as_bytes()).expect("UTF-8"), &text[..]);
    }

    #[test]
    fn no_message_makes_it_panic(
        names in proptest::collection::vec(("(ce-)?[a-z0-9-]{1,8}|ce-id|ce-source|ce-type|ce-time|ce-specversion", "[\\x20-\\xff]{0,12}"), 0..8),
        kind in "(application/(cloudevents(-batch)?)?(\\+json)?|json)?(;charset=.{0,3})?",
        body in "[\\[\\]{}:,\"a-z0-9\\\\ ]{0,60}",
    ) {
        let mut headers = HeaderMap::new();
        for (name, text) in &names {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(text.as_bytes())) {
                headers.append(name, value);
            }
        }
        if let Ok(kind) = HeaderValue::from_bytes(kind.as_bytes()) {
            headers.insert("content-type", kind);
        }
        if let Ok(decoded) = http::decode(&headers, &Bytes::from(body), &Limits::default(), fill) {
            for event in decoded.as_slice() {
                encode(event, Mode::Binary);
                encode(event, Mode::Structured);
            }
        }
    }
}
