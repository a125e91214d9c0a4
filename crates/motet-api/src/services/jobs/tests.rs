//! What a request says about itself as a job; paths and headers are untrusted.

use super::*;
use proptest::prelude::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn now() -> Timestamp {
    "2026-01-31T09:00:00Z".parse().expect("a time")
}

#[test]
fn what_is_about_the_connection_or_opens_doors_does_not_go_along() {
    let read = read_headers(
        &headers(&[
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("host", "a"),
            ("content-length", "3"),
            ("authorization", "Bearer s"),
            ("cookie", "a=b"),
            ("x-motet-caller", "somebody else"),
            ("x-motet-key", "k"),
            ("idempotency-key", "i"),
            ("accept", "text/plain"),
        ]),
        now(),
    )
    .expect("read");
    let along: Vec<_> = read.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(along, ["idempotency-key", "accept"]);
    assert_eq!((read.key.as_deref(), read.idempotency_key.as_deref()), (Some("k"), Some("i")));
}

#[test]
fn a_time_is_said_in_one_of_two_ways() {
    let at =
        |pairs: &[(&'static str, &'static str)]| read_headers(&headers(pairs), now()).map(|read| read.not_before_ms);
    let now_ms = u64::try_from(now().as_millisecond()).expect("after 1970");
    assert_eq!(at(&[(DELAY, "10m")]), Ok(Some(now_ms + 600_000)));
    assert_eq!(at(&[(DELIVER_AT, "2026-01-31T10:00:00Z")]), Ok(Some(now_ms + 3_600_000)));
    assert_eq!(at(&[(DELIVER_AT, "2020-01-31T10:00:00Z")]), Ok(None), "that was");
    for bad in
        [&[(DELAY, "10m"), (DELIVER_AT, "2026-01-31T10:00:00Z")][..], &[(DELAY, "400d")], &[(DELIVER_AT, "soon")]]
    {
        assert!(at(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_path_stays_below_its_service() {
    let path = |path: &str| path_of(path, &Uri::from_static("/"));
    assert_eq!(path("a/b"), Ok("/a/b".to_owned()));
    assert_eq!(path_of("", &Uri::from_static("/x?a=../b")), Ok("/?a=../b".to_owned()));
    let long = "x".repeat(PATH_MAX_BYTES);
    for bad in ["..", "a/../b", "a/%2e%2E", ".%2e/x", "a/./b", "a\\..\\b", "a b", long.as_str()] {
        assert!(path(bad).is_err(), "{bad}");
    }
    assert_eq!(callback_path("done?x=1"), Ok("/done?x=1".to_owned()));
}

#[test]
fn headers_have_an_end() {
    let mut many = HeaderMap::new();
    for n in 0..=HEADERS_MAX {
        many.append(HeaderName::try_from(format!("x-{n}")).expect("a name"), HeaderValue::from_static("1"));
    }
    assert!(read_headers(&many, now()).is_err());
    let mut large = HeaderMap::new();
    large.insert("x-a", HeaderValue::try_from("x".repeat(HEADERS_MAX_BYTES)).expect("a value"));
    assert!(read_headers(&large, now()).is_err());
    let mut foreign = HeaderMap::new();
    foreign.insert("x-a", HeaderValue::from_bytes(b"\xff").expect("a value"));
    assert!(read_headers(&foreign, now()).is_err());
}

proptest! {
    #[test]
    fn nothing_that_comes_panics_and_no_path_leaves_its_service(path in "[\\PC/.%\\\\]{0,60}", name in "(x-motet-(delay|deliver-at|attempts|key|callback|event)|connection|[a-z-]{1,12})", value in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(path) = path_of(&path, &Uri::from_static("/")) {
            let url = reqwest::Url::parse(&format!("http://127.0.0.1:1/base{path}")).expect("a URL");
            prop_assert!(url.path().starts_with("/base/"), "{}", url);
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(&value)) {
            let _ = read_headers(&[(name, value)].into_iter().collect(), now());
        }
    }
}
