//! The conformance kit of CESQL (cloudevents/spec, `cesql/cesql_tck`), read from `MOTET_CESQL_KIT` or from `../shared/suites/cesql` beside the
//! repository. Where it is not, the test says so: the table beside this file covers the same ground in our own words.

use motet_cloudevents::{
    Event, InvalidFilter, Value,
    filter::sql::{Expression, Fault, Outcome},
};
use serde_json::Value as Json;
use std::path::PathBuf;

fn place() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/suites/cesql");
    std::env::var_os("MOTET_CESQL_KIT").map_or_else(|| PathBuf::from(beside), PathBuf::from)
}

/// The event of a case: its own, or any with some attributes replaced.
fn event(case: &Json) -> Event {
    let any = serde_json::json!({ "id": "any", "source": "/any", "type": "any" });
    let mut members = case.get("event").unwrap_or(&any).as_object().expect("an object").clone();
    if let Some(overrides) = case.get("eventOverrides").and_then(Json::as_object) {
        members.extend(overrides.clone());
    }
    let text = |name: &str| members.get(name).and_then(Json::as_str).expect("a text");
    let mut builder = Event::builder(text("id"), text("source"), text("type"));
    for (name, value) in &members {
        builder = match (name.as_str(), value) {
            ("id" | "source" | "type" | "specversion" | "data", _) => builder,
            ("subject", value) => builder.subject(value.as_str().expect("a text")),
            ("time", value) => builder.time(value.as_str().expect("a text")),
            ("dataschema", value) => builder.schema(value.as_str().expect("a text")),
            ("datacontenttype", value) => builder.content_type(value.as_str().expect("a text")),
            (name, Json::String(text)) => builder.extension(name, text),
            (name, Json::Bool(truth)) => builder.extension(name, *truth),
            (name, Json::Number(number)) => builder
                .extension(name, Value::Integer(number.as_i64().and_then(|n| i32::try_from(n).ok()).expect("32 bits"))),
            (name, other) => panic!("`{name}` is {other}"),
        };
    }
    builder.build().expect("a valid event")
}

fn fault(name: &str) -> Fault {
    match name {
        "math" => Fault::Math,
        "cast" => Fault::Cast,
        "missingAttribute" => Fault::MissingAttribute,
        "missingFunction" => Fault::MissingFunction,
        "functionEvaluation" => Fault::FunctionEvaluation,
        other => panic!("a kind of error that is not known: {other}"),
    }
}

/// What is wrong with a case, if anything is.
fn verdict(case: &Json) -> Option<String> {
    // Four cases of the kit misspell the key.
    let text = case.get("expression").or_else(|| case.get("expresion")).and_then(Json::as_str)?;
    let expected_fault = case.get("error").and_then(Json::as_str);
    let expression = match (Expression::parse(text), expected_fault) {
        (Err(InvalidFilter::Syntax { .. }), Some("parse")) => return None,
        (Err(error), _) => return Some(format!("{text}: {error}")),
        (Ok(_), Some("parse")) => return Some(format!("{text}: it was read")),
        (Ok(expression), _) => expression,
    };
    let event = event(case);
    let (outcome, found) = expression.evaluate(&event);
    let is_right = case.get("result").is_none_or(|expected| match (expected, &outcome) {
        (Json::String(expected), Outcome::Text(found)) => expected == found,
        (Json::Bool(expected), Outcome::Boolean(found)) => expected == found,
        (Json::Number(expected), Outcome::Integer(found)) => expected.as_i64() == Some(i64::from(*found)),
        _ => false,
    });
    let is_right = is_right && found == expected_fault.map(fault);
    (!is_right).then(|| format!("{text}: {outcome:?} {found:?}, expected {:?} {expected_fault:?}", case.get("result")))
}

#[test]
fn the_conformance_kit_passes_where_it_is() {
    let place = place();
    let Ok(files) = std::fs::read_dir(&place) else {
        println!("the conformance kit of CESQL is not at {}: set MOTET_CESQL_KIT to where it is", place.display());
        return;
    };
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in files {
        let path = file.expect("readable").path();
        if path.extension().is_none_or(|kind| kind != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        let suite: Json = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for case in suite["tests"].as_array().expect("a list") {
            count += 1;
            wrong.extend(verdict(case).map(|wrong| format!("{}: {}: {wrong}", path.display(), case["name"])));
        }
    }
    assert!(count > 0, "no case at {}", place.display());
    println!("{count} cases of the conformance kit");
    assert!(wrong.is_empty(), "{} of {count} cases:\n{}", wrong.len(), wrong.join("\n"));
}
