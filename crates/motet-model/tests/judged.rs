//! What the model asks others about: expressions, schemas, engines.

use super::support::options;
use motet_model::{
    Judge, LoadOptions, Style,
    judge::Promise,
    load::check_in,
    source::files::Memory,
    system::events::{EventsEngine, Schema},
};
use std::path::Path;

/// Takes expressions and schemas that do not say `broken`; of NATS it says two things.
#[derive(Debug)]
struct Strict;

impl Judge for Strict {
    fn expression(&self, text: &str) -> Result<(), String> {
        if text.contains("broken") { Err("a value is expected at 7".to_owned()) } else { Ok(()) }
    }

    fn schema(&self, schema: &Schema, _root: &Path) -> Result<(), String> {
        let Schema::Inline { schema, .. } = schema else { return Ok(()) };
        if schema.to_string().contains("broken") { Err("`#x` leads nowhere".to_owned()) } else { Ok(()) }
    }

    fn lacks(&self, engine: &EventsEngine) -> Vec<(Promise, &'static str)> {
        match engine {
            EventsEngine::Nats { .. } => {
                vec![(Promise::KeepSize, "It counts messages."), (Promise::FromTime, "It has no clock.")]
            }
            _ => Vec::new(),
        }
    }
}

const CLEAN: &str = r#"
motet: 1
system: shop
topics:
  order.placed: { schema: { type: object }, key: /orderId, keep: 7d }
services:
  web:
    process: { command: ./web }
    publishes: [order.placed]
  mail:
    process: { command: ./mail }
    subscribes:
      order.placed: { to: /on/order, filter: { sql: "type = 'a'" } }
gateway: { routes: { /: web } }
engines: { events: { nats: { url: "nats://localhost:4222" } } }
"#;

fn findings(changes: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    let mut text = CLEAN.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let files = Memory::new([("/motet.yaml", text.as_str())]).where_everything_exists();
    let options = LoadOptions { judge: Some(&Strict), ..options(&[], &[]) };
    let problems = check_in(&files, &options);
    assert!(!problems.render(Style::PLAIN).contains("panicked"));
    problems.findings().iter().map(|finding| (finding.code.0, finding.message.clone())).collect()
}

#[test]
fn an_expression_that_cannot_be_read_is_found_where_it_stands() {
    assert_eq!(findings(&[]), []);
    let told = ("MO-model-159", "`broken` cannot be read: a value is expected at 7".to_owned());
    assert_eq!(findings(&[("type = 'a'", "broken")]), std::slice::from_ref(&told));
    let nested = [("{ sql: \"type = 'a'\" }", "{ any: [{ not: { sql: broken } }, { all: [{ sql: fine }] }] }")];
    assert_eq!(findings(&nested), [told]);
    // What is called like an expression and is an attribute is none.
    assert_eq!(findings(&[("{ sql: \"type = 'a'\" }", "{ exact: { sql: broken } }")]), []);
}

#[test]
fn a_schema_that_cannot_be_put_to_use_is_found() {
    let found = findings(&[("{ type: object }", "{ title: broken }")]);
    let told = "nothing can be held against the schema of `order.placed`: `#x` leads nowhere";
    assert_eq!(found, [("MO-model-155", told.to_owned())]);
    // One that is no schema is told once.
    assert_eq!(findings(&[("{ type: object }", "{ type: broken }")]).len(), 1);
}

#[test]
fn what_the_engine_cannot_keep_is_told_where_it_is_asked_for_and_can_be_silenced() {
    let told = |text: &str| ("MO-model-218", text.to_owned());
    let sized = told("`nats` does not keep `order.placed` below its size");
    assert_eq!(findings(&[("keep: 7d", "keep: { time: 7d, size: 1GiB }")]), [sized]);
    let timed = told("with `nats` nobody can begin at a time of `order.placed`");
    assert_eq!(findings(&[("to: /on/order", "to: /on/order, from: 2026-01-31T09:00:00Z")]), [timed]);
    let allowed = "keep: 1GiB, allow: [{ lint: MO-model-218, because: the disk is large }]";
    assert_eq!(findings(&[("keep: 7d", allowed)]), []);
    let elsewhere = [("keep: 7d", "keep: 1GiB"), ("engines:", "x-engines:")];
    assert_eq!(findings(&elsewhere), []);
}
