//! The JSON formats: what data becomes, and what is refused.

use bytes::Bytes;
use motet_cloudevents::{Event, Value, http::Limits, json};
use proptest::prelude::*;

fn read(members: &str) -> Result<Event, motet_cloudevents::DecodeError> {
    let body = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t",{members}}}"#);
    json::read(&Bytes::from(body), &Limits::default())
}

fn data(members: &str) -> (Option<String>, Vec<u8>) {
    let event = read(members).expect(members);
    (event.content_type().map(str::to_owned), event.data().expect("data").to_vec())
}

#[test]
fn json_data_is_kept_byte_for_byte() {
    for exact in
        ["{ \"b\" : 1.50, \"a\":[ ]}", "12345678901234567890.0", "null", "\"a\\u0041\"", "[1e400]", "{\"a\":1,\"a\":2}"]
    {
        let event = read(&format!("\"data\": {exact} ,\"datacontenttype\":\"application/json\"")).expect(exact);
        assert_eq!(event.data().map(|data| &data[..]), Some(exact.as_bytes()));
        let mut out = Vec::new();
        json::write(&event, &mut out);
        assert!(String::from_utf8(out).expect("JSON").ends_with(&format!(",\"data\":{exact}}}")));
    }
}

#[test]
fn a_line_is_one_line_whatever_the_data() {
    let event = read("\"data\":{\r\n \"a\":\n\"b\\nc\"\n}").expect("valid");
    let mut out = Vec::new();
    json::write_line(&event, &[], &mut out);
    let line = String::from_utf8(out).expect("JSON");
    assert_eq!(line.lines().count(), 1);
    let members = line.trim_end().to_owned();
    assert_eq!(
        json::read(&Bytes::from(members), &Limits::default()).expect("valid").data().map(Bytes::len),
        event.data().map(Bytes::len)
    );
    assert!(line.ends_with("\"data\":{   \"a\": \"b\\nc\" }}\n"), "{line}");
}

#[test]
fn data_without_a_type_is_json() {
    assert_eq!(data("\"data\":\"text\""), (Some("application/json".into()), b"\"text\"".to_vec()));
    assert_eq!(data("\"data\":{},\"datacontenttype\":null"), (Some("application/json".into()), b"{}".to_vec()));
    assert_eq!(read("\"a\":null").expect("valid").data(), None);
}

#[test]
fn data_of_other_types_is_what_the_string_says() {
    let xml = data(r#""datacontenttype":"application/xml","data":"<much wow=\"xml\"/>""#);
    assert_eq!(xml, (Some("application/xml".into()), b"<much wow=\"xml\"/>".to_vec()));
    let refused = read("\"datacontenttype\":\"text/plain\",\"data\":{}").expect_err("an object is no text");
    assert_eq!(refused.code().0, "MO-cloudevents-105");
}

#[test]
fn bytes_come_in_base64() {
    assert_eq!(data("\"data_base64\":\"AAH/\""), (None, vec![0, 1, 255]));
    assert_eq!(data("\"data_base64\":\"\\u0041AH/\",\"datacontenttype\":\"image/png\"").1, vec![0, 1, 255]);
    for bad in [
        "\"data_base64\":\"A\"",
        "\"data_base64\":7",
        "\"data_base64\":\"AA==\",\"data\":1",
        "\"data_base64\":\"_-==\"",
    ] {
        assert_eq!(read(bad).expect_err(bad).code().0, "MO-cloudevents-105", "{bad}");
    }
}

#[test]
fn attributes_keep_their_types() {
    let event = read(r#""a":-2147483648,"b":true,"c":"5","d":null"#).expect("valid");
    let expected = [("a", Value::Integer(i32::MIN)), ("b", Value::Boolean(true)), ("c", Value::Text("5"))];
    assert_eq!(event.extensions().collect::<Vec<_>>(), expected);
    let mut out = Vec::new();
    json::write(&event, &mut out);
    let expected = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","a":-2147483648,"b":true,"c":"5"}"#;
    assert_eq!(String::from_utf8(out).expect("JSON"), expected);
}

#[test]
fn attributes_are_added_on_the_way_out() {
    let event = read(r#""a":1,"b":2"#).expect("valid");
    let mut out = Vec::new();
    json::write_with(&event, &[("b", Value::Text("x")), ("c", Value::Integer(3))], &mut out);
    let expected = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","a":1,"b":"x","c":3}"#;
    assert_eq!(String::from_utf8(out).expect("JSON"), expected);
}

#[test]
fn what_is_no_attribute_is_refused_with_its_name() {
    for (members, code, text) in [
        ("\"a\":2147483648", "MO-cloudevents-104", "the attribute `a` is a number beyond 32 bits"),
        ("\"a\":1.0", "MO-cloudevents-104", "the attribute `a` is a number that is not whole"),
        ("\"a\":{}", "MO-cloudevents-104", "the attribute `a` is an object"),
        ("\"a\":[[1]]", "MO-cloudevents-104", "the attribute `a` is a list"),
        ("\"subject\":5", "MO-cloudevents-104", "the attribute `subject` has to be a text, in double quotes"),
        ("\"A\":1", "MO-cloudevents-003", "names consist of lower-case letters a to z and digits"),
        ("\"a\":1,\"a\":2", "MO-cloudevents-006", "the attribute `a` is given twice"),
        ("\"data\":1,\"data\":2", "MO-cloudevents-104", "the member `data` is given twice"),
        ("\"a\":\"\\n\"", "MO-cloudevents-004", "which holds a control character"),
        ("\"a\" 1", "MO-cloudevents-103", "expected `:` at line 1, column 60"),
    ] {
        let refused = read(members).expect_err(members);
        assert_eq!(refused.code().0, code, "{refused}");
        assert!(refused.to_string().contains(text), "{refused}");
    }
    for (body, code) in [
        ("", "MO-cloudevents-103"),
        ("[]", "MO-cloudevents-104"),
        ("5", "MO-cloudevents-104"),
        ("{}", "MO-cloudevents-001"),
        ("{} x", "MO-cloudevents-103"),
    ] {
        let refused = json::read(&Bytes::from_static(body.as_bytes()), &Limits::default()).expect_err(body);
        assert_eq!(refused.code().0, code, "{body}: {refused}");
    }
    assert!(json::read(&Bytes::from_static(b"{\"a\":\"\xff\"}"), &Limits::default()).is_err());
    assert!(json::read_batch(&Bytes::from_static(b"{}"), &Limits::default()).is_err());
    assert!(json::read_batch(&Bytes::from_static(b"[] x"), &Limits::default()).is_err());
}

#[test]
fn depth_has_no_effect_on_the_stack() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let event = read(&format!("\"data\":{deep}")).expect("valid");
    assert_eq!(event.data().map(Bytes::len), Some(200_000));
    let mut out = Vec::new();
    json::write(&event, &mut out);
    assert!(out.len() > 200_000);
    assert!(read(&format!("\"a\":{deep}")).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let body = Bytes::from(bytes);
        let _ = json::read(&body, &Limits::default());
        let _ = json::read_batch(&body, &Limits::default());
    }

    #[test]
    fn no_members_make_it_panic(members in "(\"(id|type|a|data|data_base64|datacontenttype)\":(\"[a-z/=]{0,5}\"|[0-9.e-]{1,5}|null|\\{\\}|\\[\\]),?){0,5}") {
        let _ = read(&members);
        let _ = json::read_batch(&Bytes::from(format!("[{{{members}}}]")), &Limits::default());
    }
}
