//! Schemas and payloads from outside: what is taken, what is refused, and how much that may cost.

use motet_contract::{Contract, LoadError, Refused, violation::VIOLATIONS_MAX};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

fn contract(schema: &Value) -> Contract {
    Contract::inline(schema, Path::new("/nowhere"), Path::new("/nowhere")).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(contract: &Contract, payload: &str) -> Refused {
    contract.validate(payload.as_bytes()).expect_err("refused")
}

/// The pointers of what is wrong, sorted.
fn pointers(contract: &Contract, payload: &str) -> Vec<String> {
    let mut pointers: Vec<_> = refused(contract, payload).violations.into_iter().map(|wrong| wrong.pointer).collect();
    pointers.sort();
    pointers
}

#[test]
fn every_place_that_is_wrong_is_named_with_its_rule_and_without_its_value() {
    let contract = contract(&json!({
        "type": "object",
        "required": ["documentId"],
        "properties": {
            "pages": { "type": "array", "items": { "type": "object", "properties": { "a/b~c": { "type": "integer" } } } },
            "mail": { "type": "string", "format": "email" },
        },
    }));
    let payload = r#"{ "pages": [{}, { "a/b~c": "geheim" }], "mail": "geheim" }"#;
    assert_eq!(pointers(&contract, payload), ["", "/mail", "/pages/1/a~1b~0c"]);
    let refused = refused(&contract, payload);
    assert!(!refused.more && refused.is_json && refused.code().0 == "MO-contract-202");
    assert!(!refused.to_string().contains("geheim"), "{refused}");
    let page = refused.violations.iter().find(|wrong| wrong.pointer.starts_with("/pages")).expect("found");
    assert_eq!(page.message, r#"this is not of type "integer""#);
    assert_eq!(page.rule, "/properties/pages/items/properties/a~1b~0c/type");
    assert!(contract.validate(br#"{ "documentId": 1, "mail": "a@b.org" }"#).is_ok());
}

#[test]
fn what_is_not_json_says_where_it_stops_being_json() {
    let contract = contract(&json!(true));
    for (payload, part) in [("", "EOF"), ("{ \"a\": }", "line 1 column 8"), ("\u{fffd}", "line 1"), ("1 2", "trailing")]
    {
        let refused = refused(&contract, payload);
        assert!(!refused.is_json && refused.code().0 == "MO-contract-201", "{refused}");
        assert!(refused.to_string().contains(part), "{refused}");
    }
    assert!(contract.validate(&[b'[', 0xff, b']']).is_err());
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert!(!refused(&contract, &deep).is_json);
}

#[test]
fn what_is_said_is_bounded_however_much_is_wrong() {
    let contract = contract(&json!({
        "items": { "type": "string", "minLength": 2 }, "propertyNames": { "maxLength": 3 }, "additionalProperties": false
    }));
    let many = format!("[{}]", vec!["1"; 200_000].join(","));
    let start = Instant::now();
    let refused = refused(&contract, &many);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!((refused.violations.len(), refused.more), (VIOLATIONS_MAX, true));
    assert!(refused.to_string().len() < 64 * 1024);
    let long: String = (0..5_000).map(|n| format!("\"{}{n}\": 1,", "x".repeat(100))).collect();
    let refused = self::refused(&contract, &format!("{{{} \"a\": 1}}", long));
    assert!(refused.to_string().len() < 64 * 1024, "{}", refused.to_string().len());
}

#[test]
fn the_draft_is_the_one_that_the_schema_names() {
    let limit = |draft: &str| json!({ "$schema": draft, "maximum": 5, "exclusiveMaximum": true });
    let old = contract(&limit("http://json-schema.org/draft-04/schema#"));
    assert!(old.validate(b"5").is_err() && old.validate(b"4").is_ok());
    for later in ["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"] {
        let error = Contract::inline(&limit(later), Path::new("/"), Path::new("/")).expect_err("not of this draft");
        assert!(matches!(&error, LoadError::NotASchema(broken) if broken.pointer == "/exclusiveMaximum"), "{error}");
    }
    let unknown = json!({ "$schema": "https://example.org/my-draft" });
    let error = Contract::inline(&unknown, Path::new("/"), Path::new("/")).expect_err("no such draft");
    assert_eq!(error.code().0, "MO-contract-103");
    assert!(Contract::inline(&json!([]), Path::new("/"), Path::new("/")).is_err());
    let pattern = json!({ "pattern": "(" });
    assert!(matches!(Contract::inline(&pattern, Path::new("/"), Path::new("/")), Err(LoadError::NotASchema(_))));
}

#[test]
fn formats_are_checked_and_unknown_ones_are_not() {
    let format = |format: &str| contract(&json!({ "format": format }));
    for (name, good, bad) in [
        ("date-time", "2026-03-01T00:00:00Z", "yesterday"),
        ("uuid", "0190a8f4-0000-7000-8000-000000000000", "7"),
        ("uri", "https://a.org/", "a b"),
        ("ipv4", "127.0.0.1", "300.0.0.1"),
    ] {
        assert!(format(name).validate(json!(good).to_string().as_bytes()).is_ok(), "{name}");
        assert!(format(name).validate(json!(bad).to_string().as_bytes()).is_err(), "{name}");
    }
    assert!(format("colour").validate(b"\"anything\"").is_ok());
}

/// A folder with files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("writable");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below")).expect("writable");
        fs::write(path, text).expect("writable");
    }
    folder
}

#[test]
fn references_are_followed_within_the_folder_once_and_for_all() {
    let folder = folder(&[
        (
            "events/order.json",
            r##"{ "properties": { "to": { "$ref": "../parts/address%20book.json#/$defs/address" }, "self": { "$ref": "#" } } }"##,
        ),
        (
            "parts/address book.json",
            r#"{ "$defs": { "address": { "required": ["city"], "properties": { "of": { "$ref": "name.json" } } } } }"#,
        ),
        ("parts/name.json", r#"{ "type": "string" }"#),
    ]);
    let contract =
        Contract::load(&folder.path().join("events/order.json"), folder.path()).unwrap_or_else(|e| panic!("{e}"));
    fs::remove_dir_all(folder.path().join("parts")).expect("removable");
    assert!(contract.validate(br#"{ "to": { "city": "Ulm", "of": "x" } }"#).is_ok());
    assert_eq!(pointers(&contract, r#"{ "to": { "of": 1 }, "self": { "to": {} } }"#), ["/self/to", "/to", "/to/of"]);
    let schema = json!({ "$ref": "events/no.json" });
    assert!(matches!(Contract::inline(&schema, folder.path(), folder.path()), Err(LoadError::BadReference(_))));
}

#[test]
fn a_schema_with_an_id_finds_its_neighbours_beside_it() {
    let folder = folder(&[
        ("a.json", r#"{ "$id": "https://example.org/events/a.json", "properties": { "b": { "$ref": "b.json" } } }"#),
        ("b.json", r#"{ "$id": "https://example.org/events/b.json", "type": "integer" }"#),
        ("c.json", r#"{ "$id": "https://example.org/events/c.json", "$ref": "../other/b.json" }"#),
    ]);
    let load = |name: &str| Contract::load(&folder.path().join(name), folder.path());
    let contract = load("a.json").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(pointers(&contract, r#"{ "b": "x" }"#), ["/b"]);
    let error = load("c.json").expect_err("elsewhere");
    assert!(error.to_string().contains("nothing is fetched"), "{error}");
}

#[test]
fn nothing_outside_of_the_folder_is_read_also_not_through_a_link_or_a_url() {
    let outside = folder(&[("secret.json", "true")]);
    let secret = outside.path().join("secret.json");
    let folder = folder(&[("s.json", "{}")]);
    symlink(&secret, folder.path().join("link.json")).expect("writable");
    let url = format!("file://{}", secret.display());
    for target in
        ["../secret.json", "link.json", secret.to_str().expect("utf-8"), url.as_str(), "http://127.0.0.1:1/a.json"]
    {
        let schema = json!({ "properties": { "a": { "$ref": target } } });
        let error = Contract::inline(&schema, folder.path(), folder.path()).expect_err(target);
        assert!(matches!(error, LoadError::BadReference(_)), "{target}: {error:?}");
        assert_eq!(error.code().0, "MO-contract-104");
    }
    let error = Contract::load(&folder.path().join("link.json"), folder.path()).expect_err("a link out");
    assert_eq!(error.code().0, "MO-contract-101", "{error}");
}

#[test]
fn files_that_are_no_schemas_are_refused_with_their_code() {
    let large = format!("{{ \"title\": \"{}\" }}", "x".repeat(1 << 20));
    let folder =
        folder(&[("text.json", "type: object"), ("wrong.json", r#"{ "type": "text" }"#), ("large.json", &large)]);
    let code =
        |name: &str| Contract::load(&folder.path().join(name), folder.path()).expect_err(name).code().0.to_owned();
    assert_eq!(code("no.json"), "MO-contract-101");
    assert_eq!(code("."), "MO-contract-101");
    assert_eq!(code("large.json"), "MO-contract-101");
    assert_eq!(code("text.json"), "MO-contract-102");
    assert_eq!(code("wrong.json"), "MO-contract-103");
}

#[test]
fn files_without_end_are_not_followed_without_end() {
    let files: Vec<_> = (0..300).map(|n| (format!("{n}.json"), format!(r#"{{ "$ref": "{}.json" }}"#, n + 1))).collect();
    let folder = folder(&files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>());
    let error = Contract::load(&folder.path().join("0.json"), folder.path()).expect_err("too many");
    assert!(error.to_string().contains("more than 100 files"), "{error}");
}

#[test]
fn a_pattern_that_goes_back_and_forth_comes_to_an_end() {
    let contract = contract(&json!({ "pattern": "^(?=(a+)+$)(a|aa)+\\1$" }));
    let start = Instant::now();
    assert!(contract.validate(format!("\"{}b\"", "a".repeat(5_000)).as_bytes()).is_err());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_payload_of_one_kib_is_checked_in_microseconds() {
    const ROUNDS: u32 = 2_000;
    let contract = contract(&json!({
        "type": "object",
        "required": ["documentId", "pages"],
        "properties": {
            "documentId": { "type": "string", "pattern": "^d-[0-9]+$" },
            "pages": { "type": "array", "items": { "type": "object", "required": ["text"], "properties": { "n": { "type": "integer", "minimum": 0 }, "text": { "type": "string", "maxLength": 1000 } } } },
        },
        "additionalProperties": false,
    }));
    let pages: Vec<_> = (0..10).map(|n| json!({ "n": n, "text": "x".repeat(80) })).collect();
    let payload = json!({ "documentId": "d-1", "pages": pages }).to_string();
    let start = Instant::now();
    for _ in 0..ROUNDS {
        contract.validate(payload.as_bytes()).expect("fits");
    }
    println!("{} bytes: {:?} each", payload.len(), start.elapsed() / ROUNDS);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_payload_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
        let contract = contract(&json!({
            "properties": { "a": { "multipleOf": 0.1, "format": "date-time" } }, "items": { "pattern": "^a" }, "uniqueItems": true
        }));
        let _ = contract.validate(&bytes);
        let _ = contract.validate(json!({ "a": text }).to_string().as_bytes());
        let _ = contract.validate(json!([text, bytes]).to_string().as_bytes());
    }
}
