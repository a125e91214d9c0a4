//! The rules for cross-origin requests, case by case.

use super::*;
use proptest::prelude::*;

fn rules(origins: &[&str], credentials: bool) -> Rules {
    let origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
    Rules::new(Cors { origins, credentials, expose: vec!["x-total".parse().unwrap()], ..Cors::default() }).unwrap()
}

fn from(origin: &str) -> HeaderMap {
    [(header::ORIGIN, HeaderValue::from_str(origin).unwrap())].into_iter().collect()
}

fn stamped(rules: &Rules, request: &HeaderMap) -> HeaderMap {
    let mut answer = HeaderMap::new();
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("https://said.by.the.service"));
    rules.stamp(request).put(&mut answer, false);
    answer
}

fn preflight(origin: &str, wanted: &str) -> Request<()> {
    Request::options("/")
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", wanted)
        .body(())
        .unwrap()
}

#[test]
fn an_origin_that_is_named_is_said_back_and_another_is_not() {
    let rules = rules(&["https://app.example.org"], true);
    let answer = stamped(&rules, &from("https://app.example.org"));
    assert_eq!(answer["access-control-allow-origin"], "https://app.example.org");
    assert_eq!(answer["access-control-allow-credentials"], "true");
    assert_eq!(answer["access-control-expose-headers"], "x-total");
    assert_eq!(answer["vary"], "origin");
    for other in [
        "https://evil.org",
        "http://app.example.org",
        "https://app.example.org:8443",
        "null",
        "https://app.example.org.evil.org",
    ] {
        let answer = stamped(&rules, &from(other));
        assert_eq!(answer.keys().collect::<Vec<_>>(), ["vary"], "{other}");
    }
    // A cache must not hand the answer without an origin to a request that has one.
    assert_eq!(stamped(&rules, &HeaderMap::new())["vary"], "origin");
}

#[test]
fn any_origin_is_answered_with_a_star_and_never_with_credentials() {
    let answer = stamped(&rules(&["*"], false), &from("https://whoever.org"));
    assert_eq!(answer["access-control-allow-origin"], "*");
    assert!(!answer.contains_key("vary") && !answer.contains_key("access-control-allow-credentials"));
    let both = Cors { origins: vec![Origin::Any], credentials: true, ..Cors::default() };
    assert_eq!(Rules::new(both).unwrap_err(), CredentialsForAll);
}

#[test]
fn a_star_before_a_domain_stands_for_what_lies_below_it() {
    let below: Origin = "https://*.example.org".parse().unwrap();
    assert!(below.allows("https://a.example.org") && below.allows("https://a.b.example.org"));
    for other in [
        "https://example.org",
        "https://.example.org",
        "http://a.example.org",
        "https://a.example.org:8443",
        "https://evilexample.org",
        "https://user@a.example.org",
        "https://evil.org/.example.org",
        "https://evil.org:1.example.org",
    ] {
        assert!(!below.allows(other), "{other}");
    }
}

#[test]
fn an_origin_is_read_as_browsers_write_it() {
    let parse = |text: &str| text.parse::<Origin>().map(|origin| origin.to_string());
    assert_eq!(parse("HTTPS://App.Example.org:443").unwrap(), "https://app.example.org");
    assert_eq!(parse("http://localhost:3000").unwrap(), "http://localhost:3000");
    assert_eq!(parse("http://[::1]:3000").unwrap(), "http://[::1]:3000");
    for wrong in [
        "",
        "null",
        "app.example.org",
        "https://",
        "https://a/b",
        "https://a/",
        "https://*.org",
        "https://*",
        "https://a*.b.org",
        "ftp://a",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_preflight_says_what_is_allowed_not_what_was_asked() {
    let answer = rules(&["https://a.org"], false).preflight(&preflight("https://a.org", "x-evil")).unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers()["access-control-allow-methods"], "GET, HEAD, POST, PUT, PATCH, DELETE");
    assert_eq!(
        answer.headers()["access-control-allow-headers"],
        "authorization, content-type, x-api-key, idempotency-key"
    );
    assert_eq!(answer.headers()["access-control-max-age"], "600");
}

#[test]
fn a_preflight_of_a_strange_origin_is_refused_and_an_ordinary_options_is_none() {
    let rules = rules(&["https://a.org"], false);
    assert!(matches!(rules.preflight(&preflight("https://b.org", "")), Some(Err(Cause::OriginRefused))));
    assert!(rules.preflight(&Request::options("/").header("origin", "https://a.org").body(()).unwrap()).is_none());
    assert!(rules.preflight(&Request::options("/").body(()).unwrap()).is_none());
}

#[test]
fn where_every_field_is_allowed_the_asked_ones_are_said_back_if_they_are_fields() {
    let rules = Rules::new(Cors { origins: vec![Origin::Any], headers: None, ..Cors::default() }).unwrap();
    let allowed = |wanted: &str| {
        let answer = rules.preflight(&preflight("https://a.org", wanted)).unwrap().unwrap();
        answer.headers().get("access-control-allow-headers").cloned()
    };
    assert_eq!(allowed("x-a, x-b").unwrap(), "x-a, x-b");
    assert_eq!(allowed("x-a; x-b"), None);
    assert_eq!(allowed(&"x,".repeat(5000)), None);
}

proptest! {
    #[test]
    fn what_is_read_as_an_origin_reads_the_same_again(text in "(https?|HTTP|null)?(://)?[a-zA-Z0-9.*:\\[\\]/@-]{0,20}") {
        if let Ok(origin) = text.parse::<Origin>() {
            prop_assert_eq!(origin.to_string().parse::<Origin>().unwrap(), origin);
        }
    }

    #[test]
    fn no_origin_makes_it_panic_and_only_the_exact_one_is_allowed(origin in "\\PC{0,40}") {
        let rules = rules(&["https://app.example.org", "https://*.example.net"], true);
        let Ok(value) = HeaderValue::from_str(&origin) else { return Ok(()) };
        let request: HeaderMap = [(header::ORIGIN, value)].into_iter().collect();
        let allowed = stamped(&rules, &request).contains_key("access-control-allow-origin");
        prop_assert!(!allowed || origin == "https://app.example.org" || origin.ends_with(".example.net"));
    }
}
