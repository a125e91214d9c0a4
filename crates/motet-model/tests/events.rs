//! Topics, subscriptions and outboxes: what is understood, what has to hold, what is shown.

use super::support::{FULL, codes, load, load_with, options};
use motet_kernel::topic::TopicName;
use motet_model::{
    in_force::{Origin, TopicInForce},
    load::{check_in, load_from},
    source::files::Memory,
    system::{
        System,
        events::{Batch, Delivery, EventsEngine, Filter, From, Keep, Schema},
    },
};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

fn full() -> System {
    load(FULL).unwrap_or_else(|problems| panic!("{problems}")).system
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn topics_are_understood_as_they_were_meant() {
    let topics = full().topics;
    let uploaded = &topics["document.uploaded"];
    assert_eq!(uploaded.keep, Keep { time: Some(30 * DAY), size: Some(50 << 30) });
    assert_eq!((uploaded.key.as_deref(), uploaded.max_payload), (Some("/documentId"), 8 << 20));
    assert_eq!(uploaded.dedup, Some(Duration::from_secs(3600)));
    let Some(Schema::Inline { schema, dir }) = &uploaded.schema else { panic!("{:?}", uploaded.schema) };
    assert_eq!((&schema["properties"]["documentId"]["pattern"], dir), (&"^[a-z]+$".into(), &PathBuf::from("/")));
    let indexed = &topics["document.indexed"];
    assert_eq!(indexed.schema, Some(Schema::File("/events/document.indexed.schema.json".into())));
    assert_eq!((indexed.keep, indexed.dedup), (Keep { time: Some(30 * DAY), size: None }, None));
    assert_eq!(topics["question.answered"].keep, Keep { time: None, size: Some(10 << 30) });
}

#[test]
fn subscriptions_are_understood_as_they_were_meant() {
    let services = full().services;
    let uploaded = &services["index"].subscribes["document.uploaded"];
    assert_eq!(uploaded.path(), Some("/on/document-uploaded"));
    assert_eq!((uploaded.retry.attempts, uploaded.retry.backoff.max), (5, Duration::from_secs(60)));
    assert_eq!((uploaded.permanent.as_slice(), uploaded.max_age), (&[400, 422][..], Some(DAY)));
    assert!(matches!(uploaded.from, From::Time(time) if time.to_string() == "2026-03-01T00:00:00Z"));
    assert_eq!(uploaded.batch, Some(Batch { items: 50, wait: Duration::from_millis(100), bytes: 2 << 20 }));
    let one = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let Some(Filter::All(filters)) = &uploaded.filter else { panic!("{:?}", uploaded.filter) };
    assert_eq!(
        filters.as_slice(),
        [
            Filter::Exact(one("type", "document.uploaded")),
            Filter::Not(Box::new(Filter::Suffix(one("subject", ".tmp")))),
            Filter::Any(vec![Filter::Prefix(one("source", "/a")), Filter::All(vec![Filter::All(vec![])]).inner()]),
        ]
    );
    let feedback = &services["models"].subscribes["question.answered"];
    assert_eq!((feedback.retry.attempts, feedback.ordered), (1, false));
    assert_eq!(feedback.filter, Some(Filter::Sql("type = 'a'".into())));
    assert_eq!(services["web"].subscribes["question.answered"].delivery, Delivery::Pull);
    let view = &services["web"].subscribes["document.indexed"];
    assert_eq!(
        (&view.delivery, view.from),
        (&Delivery::View { table: "documents".into(), delete: vec!["document.removed".into()] }, From::Latest)
    );
}

/// `All` of one filter is that filter.
trait Inner {
    fn inner(self) -> Filter;
}

impl Inner for Filter {
    fn inner(self) -> Filter {
        match self {
            Filter::All(mut all) if all.len() == 1 => all.remove(0),
            other => other,
        }
    }
}

#[test]
fn what_is_not_written_about_events_has_careful_defaults() {
    let text = "motet: 1\nsystem: s\ntopics: { a.b: }\nservices:\n  x:\n    process: { command: ./x }\n    store: { sqlite: {} }\n    publishes: [a.b]\n    subscribes: { a.b: { to: /on } }\n    outbox:\n";
    let system = load(text).unwrap_or_else(|problems| panic!("{problems}")).system;
    let topic = &system.topics["a.b"];
    assert_eq!(topic.keep, Keep { time: Some(7 * DAY), size: Some(10 << 30) });
    assert_eq!((topic.dedup, topic.max_payload), (Some(Duration::from_secs(600)), 1 << 20));
    assert!(topic.schema.is_none() && topic.key.is_none());
    let x = &system.services["x"];
    let subscription = &x.subscribes["a.b"];
    assert_eq!((subscription.timeout, subscription.in_flight), (Duration::from_secs(30), 16));
    assert_eq!((subscription.retry.attempts, subscription.from), (20, From::Earliest));
    assert_eq!(subscription.permanent, [400, 410, 413, 415, 422]);
    assert!(subscription.ordered && subscription.batch.is_none() && subscription.filter.is_none());
    let hours = subscription.longest().as_secs() as f64 / 3600.0;
    assert!((0.5..1.5).contains(&hours), "the reason promises about an hour, and it is {hours}");
    let outbox = x.outbox.as_ref().expect("written");
    assert_eq!((outbox.table.as_str(), outbox.keep), ("outbox", DAY));
    assert_eq!(outbox.columns.published.as_deref(), Some("published_at"));
    assert_eq!(system.engines.events, EventsEngine::Embedded);
}

#[test]
fn the_columns_of_an_outbox_are_those_of_its_layout_where_nothing_else_is_said() {
    let outbox = full().services["web"].outbox.clone().expect("written");
    let columns = &outbox.columns;
    assert_eq!((columns.topic.as_deref(), columns.key.as_deref()), (Some("aggregatetype"), Some("aggregateid")));
    assert_eq!((columns.data.as_str(), columns.order.as_deref()), ("payload", None));
    assert_eq!(columns.published.as_deref(), Some("sent_at"));
    assert_eq!(
        (outbox.table.as_str(), outbox.topic.as_ref().map(TopicName::as_str)),
        ("app.outgoing", Some("document.uploaded"))
    );
}

#[test]
fn a_profile_chooses_another_engine_and_the_url_of_an_engine_is_not_shown() {
    let env = [("NATS_USER", "me:geheim")];
    let load = |profiles: &[&str]| {
        load_with(&[("/motet.yaml", FULL)], profiles, &env).unwrap_or_else(|p| panic!("{p}")).system
    };
    let local = load(&[]).engines.events;
    let EventsEngine::Nats { url, replicas: 3 } = &local else { panic!("{local:?}") };
    assert_eq!(url.0, "nats://me:geheim@localhost:4222");
    assert!(!format!("{local:?}").contains("geheim"));
    let production = load(&["production"]);
    assert_eq!(
        production.engines.events,
        EventsEngine::Kafka { brokers: vec!["kafka:9092".into()], partitions: 24, replicas: None }
    );
    assert_eq!(production.topics["question.answered"].keep, Keep { time: Some(90 * DAY), size: None });
}

/// A system of two services and a topic in which nothing is to be said; a test changes one thing.
const CLEAN: &str = r#"
motet: 1
system: shop
topics:
  order.placed: { schema: order.json, key: /orderId }
services:
  web:
    process: { command: ./web }
    publishes: [order.placed]
  mail:
    process: { command: ./mail }
    subscribes:
      order.placed: { to: /on/order }
gateway: { routes: { /: web } }
"#;

fn codes_with(from: &str, to: &str) -> Vec<&'static str> {
    assert!(CLEAN.contains(from), "{from}");
    codes_of(&CLEAN.replacen(from, to, 1))
}

fn codes_of(text: &str) -> Vec<&'static str> {
    let files = Memory::new([("/motet.yaml", text), ("/order.json", "{}")]).where_everything_exists();
    check_in(&files, &options(&[], &[])).findings().iter().map(|finding| finding.code.0).collect()
}

#[test]
fn a_service_that_only_gets_events_is_reached() {
    assert_eq!(codes_with("system: shop", "system: shop"), [""; 0]);
}

#[test]
fn a_topic_without_somebody_at_both_ends_is_found() {
    assert_eq!(codes_with("publishes: [order.placed]", "publishes: []"), ["MO-model-214"]);
    assert_eq!(
        codes_with("    subscribes:\n      order.placed: { to: /on/order }", "    port: 1025"),
        ["MO-model-215"]
    );
    let alone = codes_with("services:", "  order.lost: {}\nservices:");
    assert_eq!(alone, ["MO-model-214", "MO-model-215"]);
    let allowed =
        "  order.lost: { allow: [{ lint: MO-model-214, because: a }, { lint: MO-model-215, because: b }] }\nservices:";
    assert_eq!(codes_with("services:", allowed), [""; 0]);
}

#[test]
fn an_outbox_on_a_server_needs_something_that_tells_its_order() {
    for engine in ["postgres", "mysql"] {
        let with = |outbox: &str| {
            let to = format!("publishes: [order.placed]\n    store: {{ {engine}: {{}} }}\n    outbox: {outbox}");
            let text = CLEAN.replacen("publishes: [order.placed]", &to, 1);
            codes(&format!("{text}engines: {{ stores: {{ {engine}: {{ url: \"{engine}://a@b/c\" }} }} }}\n"))
        };
        assert_eq!(with("{ layout: debezium }"), ["MO-model-158"]);
        assert_eq!(with("{ layout: debezium, columns: { order: seq } }"), [""; 0]);
        assert_eq!(with("{ layout: debezium, columns: { time: at } }"), [""; 0]);
        assert_eq!(with("{}"), [""; 0]);
    }
}

#[test]
fn a_store_in_mysql_needs_a_server_of_its_own_kind() {
    let with = |engines: &str| {
        let text =
            CLEAN.replacen("publishes: [order.placed]", "publishes: [order.placed]\n    store: { mysql: {} }", 1);
        codes(&format!("{text}{engines}"))
    };
    assert_eq!(with(""), ["MO-model-125"]);
    assert_eq!(with("engines: { stores: { postgres: { url: \"postgres://a@b/c\" } } }\n"), ["MO-model-125"]);
    assert_eq!(with("engines: { stores: { mysql: { url: \"mariadb://a@b\" } } }\n"), [""; 0]);
}

#[test]
fn deliveries_that_outlive_what_is_kept_are_found() {
    let keep = |keep: &str, subscription: &str| {
        let text = CLEAN.replacen("key: /orderId", keep, 1).replacen("to: /on/order", subscription, 1);
        codes(&text.replacen("schema: order.json, ", "schema: { type: object }, ", 1))
    };
    assert_eq!(keep("keep: 1h", "to: /on/order, max_age: 2h"), ["MO-model-216"]);
    assert_eq!(keep("keep: 1h", "to: /on/order, retry: { attempts: 100 }"), ["MO-model-216"]);
    assert_eq!(keep("keep: 1h", "to: /on/order, retry: { attempts: 100 }, max_age: 30m"), [""; 0]);
    assert_eq!(keep("keep: 10GiB", "to: /on/order, retry: { attempts: 100 }"), [""; 0]);
    assert_eq!(keep("keep: 1d", "to: /on/order"), [""; 0]);
}

#[test]
fn a_topic_without_a_schema_and_keys_without_effect_are_found() {
    assert_eq!(codes_with("schema: order.json, ", ""), ["MO-model-217"]);
    assert_eq!(
        codes_with("to: /on/order", "pull: true, permanent: [400], batch: {}"),
        ["MO-model-211", "MO-model-211"]
    );
    let motet_url = codes_with("publishes:", "env: { MOTET_URL: x }\n    publishes:");
    assert_eq!(motet_url, ["MO-model-212"]);
}

/// The findings about a definition whose files are these and no others.
fn findings(files: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    let problems = check_in(&Memory::new(files.iter().copied()), &options(&[], &[]));
    problems.findings().iter().map(|finding| (finding.code.0, finding.message.clone())).collect()
}

const ONE: &str = "motet: 1\nsystem: s\nservices: {}\ntopics: { a: { schema: events/a.json, allow: [{ lint: MO-model-214, because: x }, { lint: MO-model-215, because: x }] } }\n";

#[test]
fn a_schema_and_what_it_refers_to_has_to_be_there_and_be_one() {
    let with = |files: &[(&str, &str)]| findings(&[&[("/motet.yaml", ONE)], files].concat());
    let good = r##"{ "properties": { "a": { "$ref": "parts/b.json#/x" }, "c": { "$ref": "#/properties/a" } }, "examples": [{ "$ref": "no.json" }] }"##;
    assert_eq!(with(&[("/events/a.json", good), ("/events/parts/b.json", r#"{ "x": { "$ref": "../a.json" } }"#)]), []);
    let one = |files: &[(&str, &str)], code: &str, part: &str| {
        let found = with(files);
        assert!(found.len() == 1 && found[0].0 == code && found[0].1.contains(part), "{found:?}");
    };
    one(&[], "MO-model-115", "`events/a.json` does not exist");
    one(&[("/events/a.json", "{ type: object")], "MO-model-155", "cannot be read as JSON");
    one(&[("/events/a.json", "[]")], "MO-model-155", "has to be an object");
    one(&[("/events/a.json", r#"{ "type": "text" }"#)], "MO-model-155", "is not a JSON Schema");
    one(
        &[("/events/a.json", r#"{ "$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMaximum": 5 }"#)],
        "MO-model-155",
        "exclusiveMaximum",
    );
    one(&[("/events/a.json", good)], "MO-model-155", "`parts/b.json`, which cannot be read");
    one(&[("/events/a.json", r#"{ "$ref": "https://example.org/s.json" }"#)], "MO-model-155", "nothing is fetched");
    one(&[("/events/a.json", r#"{ "$ref": "../../etc/passwd" }"#)], "MO-model-155", "cannot be read");
}

#[test]
fn the_files_of_schemas_belong_to_the_definition() {
    let files = [
        ("/motet.yaml", ONE),
        ("/events/a.json", r#"{ "properties": { "a": { "$ref": "parts/b.json" } } }"#),
        ("/events/parts/b.json", "{}"),
        ("/events/other.json", "{}"),
    ];
    let loaded = load_from(&Memory::new(files), &options(&[], &[])).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.files, ["/motet.yaml", "/events/a.json", "/events/parts/b.json"].map(PathBuf::from));
}

#[test]
fn a_reference_that_leaves_the_systems_folder_is_refused() {
    let at = |path: &str| format!("/home/me/{path}");
    let files = [
        (at("motet.yaml"), ONE),
        (at("events/a.json"), r#"{ "$ref": "../../secret.json" }"#),
        ("/home/secret.json".into(), "{}"),
    ];
    let files = Memory::new(files);
    let problems = check_in(&files, &motet_model::LoadOptions { file: "/home/me".into(), ..options(&[], &[]) });
    assert_eq!(problems.findings().len(), 1, "{problems}");
    assert!(problems.findings()[0].message.contains("outside of the system's folder"), "{problems}");
}

fn topic(loaded: &motet_model::Loaded, name: &str) -> TopicInForce {
    loaded.topic(&name.parse().expect("a name")).expect("a topic")
}

#[test]
fn a_topic_is_shown_with_all_who_have_to_do_with_it_and_where_each_value_comes_from() {
    let loaded = load(FULL).unwrap_or_else(|problems| panic!("{problems}"));
    let shown = topic(&loaded, "document.uploaded");
    assert_eq!(shown.publishers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["web"]);
    assert!(
        matches!(&shown.publishers[0].1, Origin::Written { line, .. } if FULL.lines().nth(line - 1).is_some_and(|line| line.contains("publishes")))
    );
    let (service, rows) = &shown.subscribers[0];
    assert_eq!(service.as_str(), "index");
    let row = |key: &str| rows.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("no row {key}"));
    assert_eq!(row("retry.backoff.max").value, "1m");
    assert!(matches!(row("retry.backoff.max").origin, Origin::Written { .. }));
    assert_eq!((row("ordered").value.as_str(), &row("ordered").origin), ("true", &Origin::Default));
    assert_eq!(
        row("filter").value,
        "(type is `document.uploaded` and not subject ends with `.tmp` and (source begins with `/a` or everything))"
    );
    let rows = topic(&loaded, "document.indexed").rows;
    let keep = rows.iter().find(|row| row.key == "keep.time").expect("a row");
    assert!(keep.value == "30d" && matches!(keep.origin, Origin::Written { .. }), "{keep:?}");
}

#[test]
fn a_value_of_a_topic_that_a_profile_brought_names_the_profile() {
    let files = Memory::new([("/motet.yaml", FULL)]).where_everything_exists();
    let loaded = load_from(&files, &options(&["production"], &[])).unwrap_or_else(|problems| panic!("{problems}"));
    let rows = topic(&loaded, "question.answered").rows;
    let keep = rows.iter().find(|row| row.key == "keep.time").expect("a row");
    assert!(
        matches!(&keep.origin, Origin::Written { profile: Some(profile), .. } if profile.as_str() == "production"),
        "{keep:?}"
    );
}

#[test]
fn a_view_needs_a_key_a_table_of_its_own_and_little_else() {
    let with = |key: &str, view: &str, more: &str| {
        let subscription =
            format!("    store: {{ sqlite: {{}} }}\n{more}    subscribes:\n      order.placed: {{ {view} }}");
        let text = CLEAN.replacen(", key: /orderId", key, 1);
        codes_of(&text.replacen("    subscribes:\n      order.placed: { to: /on/order }", &subscription, 1))
    };
    let view = "view: { table: orders }";
    assert_eq!(with(", key: /orderId", view, ""), [""; 0]);
    assert_eq!(with("", view, ""), ["MO-model-220"]);
    assert_eq!(with("", view, "    allow: [{ lint: MO-model-220, because: a }]\n"), [""; 0]);
    assert_eq!(with(", key: /orderId", "view: { table: motet_views }", ""), ["MO-model-157"]);
    let outbox = "    publishes: [order.placed]\n    outbox: { table: orders }\n";
    assert_eq!(with(", key: /orderId", view, outbox), ["MO-model-157"]);
    // It waits as long as it takes, so that no time it could wait is longer than what is kept.
    let waits = "view: { table: orders }, retry: { attempts: 10000 }, max_age: 30d";
    assert_eq!(with(", key: /orderId", waits, ""), ["MO-model-211", "MO-model-211"]);
}
