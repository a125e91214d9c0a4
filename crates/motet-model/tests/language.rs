//! What is written and what is understood.

use super::support::{FULL, load, load_with};
use motet_model::{
    explain,
    system::{Check, Command, Restart, Run, Scale, StoreEngine, System, Wait},
};
use std::{path::Path, time::Duration};

const IDEMPOTENT: [&str; 6] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];

#[test]
fn a_definition_that_says_everything_is_understood_as_it_was_meant() {
    let loaded = load(FULL).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let services = &loaded.system.services;

    let embedder = &services["embedder"];
    assert_eq!(embedder.path, Path::new("/services/embedder"));
    assert_eq!(embedder.contract.as_deref(), Some(Path::new("/services/embedder/openapi.yaml")));
    assert_eq!(embedder.context.as_ref().map(|name| name.as_str()), Some("retrieval"));
    assert_eq!(embedder.env["WORKERS"], "2");
    assert_eq!(embedder.env["DEBUG"], "false");
    assert_eq!((embedder.stop.signal.as_str(), embedder.stop.grace), ("INT", Duration::from_secs(30)));
    assert_eq!(embedder.restart, Restart::OnFailure);
    let ready = embedder.ready.as_ref().expect("written");
    assert_eq!(ready.check, Check::Http { path: "/healthz".into() });
    assert_eq!(
        (ready.interval, ready.grace, ready.failures),
        (Duration::from_millis(500), Duration::from_secs(120), 5)
    );
    let build = embedder.build.as_ref().expect("written");
    assert_eq!(build.inputs, ["src/**", "Cargo.toml"]);

    let index = &services["index"];
    let command = Some(Command::Argv(vec!["serve".into(), "--verbose".into()]));
    assert_eq!(index.run, Run::Container { image: "qdrant/qdrant:v1.12.4".into(), command, port: Some(6333) });
    assert_eq!(index.scale, Scale { min: 2, max: 2 });
    let store = index.store.as_ref().expect("written");
    assert_eq!((store.engine, &store.migrate), (StoreEngine::Postgres, &Some(Command::Shell("./migrate.sh".into()))));

    assert_eq!(services["models"].run, Run::External { url: "http://models.example.com".into() });
    assert_eq!(services["migrate"].restart, Restart::OnFailure);

    let web = &services["web"];
    assert_eq!(web.path, Path::new("/"));
    assert_eq!(
        (web.env["KEY"].as_str(), web.env["PRICE"].as_str(), web.env["PORT_RANGE"].as_str()),
        ("none", "$5", "$A")
    );
    assert_eq!(web.uses["embedder"].wait, Wait::None);
    assert_eq!(web.uses["models"].policy.retry.attempts, 1);
    assert_eq!(
        web.alive.as_ref().map(|probe| &probe.check),
        Some(&Check::Command(Command::Shell("./alive.sh".into())))
    );

    let gateway = loaded.system.gateway.as_ref().expect("written");
    assert!(gateway.routes["/api"].strip_prefix);
    assert_eq!(gateway.routes["/api"].policy.timeout, Duration::from_secs(60));
    let upload = &gateway.routes["/upload"];
    assert_eq!((upload.body.max, upload.body.rate), (Some(2 << 30), None));
    assert_eq!(gateway.routes["/api"].body.max, None, "as at the gateway");
    assert_eq!(gateway.issuers.len(), 2);
    let shown = format!("{gateway:?}");
    assert!(!shown.contains("0123456789abcdef"), "a secret shows:\n{shown}");
    let server = loaded.system.engines.stores.postgres.as_deref();
    assert_eq!(server, Some("postgres://admin:secret@localhost:5432/postgres"));
}

#[test]
fn what_is_not_written_has_the_default_that_the_table_promises() {
    let text = "motet: 1\nsystem: s\nservices:\n  a:\n    process: { command: ./a }\n    uses: { b: }\n    ready: { http: / }\n    alive: { tcp: true }\n  b:\n    process: { command: ./b }\ngateway:\n  routes: { /: a }\n";
    let system = load(text).unwrap_or_else(|problems| panic!("{problems}")).system;
    let a = &system.services["a"];
    assert_eq!(a.path, Path::new("/services/a"));
    assert_eq!(a.scale, Scale { min: 1, max: 1 });
    assert_eq!(a.restart, Restart::Always);
    assert_eq!((a.stop.signal.as_str(), a.stop.grace), ("TERM", Duration::from_secs(10)));
    let (ready, alive) = (a.ready.as_ref().expect("written"), a.alive.as_ref().expect("written"));
    assert_eq!(
        (ready.interval, ready.timeout, ready.grace),
        (Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(60))
    );
    assert_eq!((alive.interval, alive.failures), (Duration::from_secs(10), 3));
    let edge = &a.uses["b"];
    let retry = &edge.policy.retry;
    assert_eq!((edge.policy.timeout, edge.wait), (Duration::from_secs(30), Wait::Ready));
    assert_eq!((retry.attempts, retry.on.as_slice()), (3, &[502, 503, 504][..]));
    assert_eq!(retry.methods, IDEMPOTENT);
    assert_eq!((&system.services["b"].policy, edge.paths.as_slice()), (&edge.policy, &[][..]));
    let gateway = system.gateway.as_ref().expect("written");
    assert_eq!(gateway.listen, ([127, 0, 0, 1], 8080).into());
    assert!(!gateway.routes["/"].strip_prefix);
    let limits = &gateway.limits;
    assert_eq!((limits.uri, limits.head, limits.fields, limits.streams), (8192, 32 * 1024, 100, 128));
    assert_eq!((limits.body.max, limits.body.rate), (Some(64 << 20), Some(256)));
    assert_eq!(gateway.routes["/"].body, limits.body);
    assert!(gateway.tls.is_none() && gateway.cors.is_none() && gateway.keys.is_empty() && gateway.issuers.is_empty());
}

/// What examples are laid over, so that each of them changes something.
const BASE: &str = r#"
motet: 1
system: base
contexts:
  retrieval: { about: base, services: [api] }
services:
  web:
    build: { command: make }
    process: { command: ./web }
    ready: { http: /base }
    alive: { http: /base }
    policy: &base { rate: { requests: 7 }, paths: { /path: { rate: { requests: 8 } } } }
    uses: { embedder: *base }
    publishes: [document.uploaded]
    store: { postgres: {} }
    outbox: { table: base, columns: { order: base } }
    subscribes: { document.uploaded: { view: { table: copy } } }
  api: { process: { command: ./api } }
  embedder: { process: { command: ./base } }
  index: { container: { image: base } }
  migrate: { once: true, process: { command: ./migrate } }
gateway:
  routes:
    /: { <<: *base, to: api, cors: { origins: ["https://base.org"] } }
  tls: { certificate: base.pem, key: base.pem }
  cors: { origins: ["https://base.org"] }
  keys:
    hashed: { sha256: 0000000000000000000000000000000000000000000000000000000000000000 }
    told: { secret: base-base-base-base }
    ci: { secret: base-base-base-base }
  jwt: { issuer: base, audience: base, jwks: { url: "https://base.org/keys" } }
topics:
  document.uploaded: { about: base }
  document.indexed: { about: base }
engines:
  events: { kafka: { brokers: ["base:1"] } }
  stores: { postgres: { url: "postgres://base@localhost/base" }, mysql: { url: "mysql://base@localhost" } }
profiles:
"#;

const KAFKA: &str = r#"{ kafka: { brokers: ["base:1"] } }"#;
const RABBITMQ: &str = r#"{ rabbitmq: { url: "amqp://base" } }"#;
const NATS: &str = r#"{ nats: { url: "nats://base" } }"#;

/// Keys that say nothing to the running system, or that have tests of their own.
const SILENT: &[&str] = &["motet", "system", "about", "profiles", "services.*.include"];

#[test]
fn every_key_of_the_table_is_understood_and_its_example_changes_what_it_says() {
    let env = [
        ("POSTGRES_ADMIN_URL", "postgres://admin@db/postgres"),
        ("MYSQL_ADMIN_URL", "mysql://admin@db"),
        ("CI_KEY", "0123456789abcdef"),
        ("NATS_URL", "nats://n"),
        ("RABBITMQ_URL", "amqp://r"),
    ];
    let plain = |system: System| System { profiles: Vec::new(), ..system };
    let base = load_with(&[("/motet.yaml", BASE)], &[], &env).unwrap_or_else(|problems| panic!("{problems}")).system;
    for key in explain::keys() {
        if SILENT.contains(&key.path.as_str()) || key.path.contains("allow") {
            continue;
        }
        // Only one engine keeps events.
        let of_nats = key.path.starts_with("engines.events.nats.");
        let of_rabbitmq = key.path.starts_with("engines.events.rabbitmq.");
        let before = match (of_nats, of_rabbitmq) {
            (true, _) => BASE.replace(KAFKA, NATS),
            (_, true) => BASE.replace(KAFKA, RABBITMQ),
            _ => BASE.to_owned(),
        };
        // Views are not kept in MySQL.
        let before = match key.path.starts_with("services.*.store.mysql") {
            true => before.replace("{ view: { table: copy } }", "{ to: /on/base }"),
            false => before,
        };
        let definition = format!("{before}  example:\n{}", at_path(&key.path, key.example));
        match load_with(&[("/motet.yaml", &definition)], &["example"], &env) {
            Ok(loaded) => {
                assert_ne!(plain(loaded.system), plain(base.clone()), "{} changes nothing:\n{}", key.path, key.example)
            }
            Err(problems) => panic!("the example of {} is wrong:\n{}\n{problems}", key.path, key.example),
        }
    }
}

/// An example with the keys around it that lead to it.
fn at_path(path: &str, example: &str) -> String {
    let parts: Vec<_> = path.split('.').collect();
    let mut text = String::new();
    for depth in 0..parts.len() - 1 {
        let name = match (parts[depth], depth.checked_sub(1).map(|above| parts[above])) {
            ("*", Some("services")) if parts.get(depth + 1) == Some(&"container") => "index",
            ("*", Some("services")) => "web",
            ("*", Some("contexts")) => "retrieval",
            ("*", Some("uses")) => "embedder",
            ("*", Some("routes")) => "/",
            ("*", Some("paths")) => "/path",
            ("*", Some("topics" | "subscribes")) => "document.uploaded",
            ("*", Some("keys")) if parts.get(depth + 1) == Some(&"sha256") => "hashed",
            ("*", Some("keys")) => "told",
            (name, _) => name,
        };
        text.push_str(&format!("{}{name}:\n", "  ".repeat(depth + 2)));
    }
    for line in example.lines() {
        text.push_str(&format!("{}{line}\n", "  ".repeat(parts.len() + 1)));
    }
    text
}

#[test]
fn every_key_says_what_it_is_for_and_why() {
    for key in explain::keys() {
        assert!(!key.about.is_empty() && key.about.ends_with(['.', '`']), "{}: about", key.path);
        assert!(!key.reason.is_empty(), "{}: reason", key.path);
        let name = key.path.rsplit('.').next().expect("a path has a last part");
        assert!(key.example.starts_with(&format!("{name}:")), "{}: example", key.path);
    }
}
