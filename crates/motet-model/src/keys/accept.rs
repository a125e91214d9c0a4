//! Holds a tree against the table: unknown keys, wrong types, wrong values, missing keys.

use super::{Default, Fields, Key, KeyKind, Kind, Shape, all, policy};
use crate::{
    code,
    finding::Finding,
    source::{
        Sources, Span,
        tree::{Entry, Map, Node, Scalar, Value},
    },
    spelling,
};

/// How much of a definition a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A file or a profile by itself, before anything is laid over it: keys may be missing, `null` removes, variables are not replaced.
    Fragment,
    /// The definition as it will be run.
    Whole,
}

/// Checks a tree and adds what is wrong to `findings`.
pub(crate) fn accept(node: &Node, shape: &Shape, part: Part, sources: &Sources, findings: &mut Vec<Finding>) {
    Acceptor { part, sources, findings }.node(node, shape, node.span, "the definition");
}

struct Acceptor<'a> {
    part: Part,
    sources: &'a Sources,
    findings: &'a mut Vec<Finding>,
}

impl Acceptor<'_> {
    /// `name` says in messages whose value it is: a key in backquotes.
    fn node(&mut self, node: &Node, shape: &Shape, key: Span, name: &str) {
        match (&node.value, shape) {
            (_, Shape::Any) => {}
            (Value::Null, shape) => self.null(shape, key, name),
            (Value::Scalar(scalar), Shape::One(kind)) => self.scalar(scalar, node.span, *kind, name),
            (Value::List(items), Shape::List(Shape::One(Kind::Text))) if items.is_empty() => {
                self.empty_value(shape, key, name);
            }
            (Value::List(items), Shape::List(item)) => {
                for node in items {
                    self.item(node, item, name);
                }
            }
            (Value::Map(_), Shape::Object) => {}
            (Value::Map(map), Shape::Fields(fields)) => self.fields(map, fields, key),
            (Value::Map(map), Shape::Map(keys, value)) => self.free(map, *keys, value),
            (_, Shape::Either(shapes)) => match shapes.iter().find(|shape| takes(shape, &node.value)) {
                Some(Shape::One(kind @ Kind::Choice([only]))) => self.word_or_map(node, *kind, only, shapes, name),
                Some(shape) => self.node(node, shape, key, name),
                None => self.wrong_type(node, shape, key, name),
            },
            _ => self.wrong_type(node, shape, key, name),
        }
    }

    /// A single value where a word or a map is wanted: if it is not the word, it is probably what should stand in the map.
    fn word_or_map(&mut self, node: &Node, kind: Kind, word: &str, shapes: &'static [Shape], name: &str) {
        let before = self.findings.len();
        self.node(node, &Shape::One(kind), node.span, name);
        let Some(scalar) = node.as_scalar() else { return };
        let is_word = spelling::nearest(&scalar.text, [word, "off", "no", "false", "none", "never"]).is_some();
        let fields = shapes.iter().find_map(Shape::fields);
        let fits = fields.and_then(key_of_single).is_some_and(|key| match key.shape {
            Shape::One(kind) => kind.check(scalar).is_ok(),
            _ => false,
        });
        // `events: kafka` names the key that is meant.
        if let (Some(finding), Some(key)) =
            (self.findings.get_mut(before), fields.and_then(|fields| fields.key(&scalar.text)))
        {
            finding.help = Some(format!("write `{}: {{ {}: … }}`, or `{word}`", name.trim_matches('`'), key.name));
            return;
        }
        let way = shapes.iter().find(|shape| shape.fields().is_some()).and_then(|shape| way_to_write(node, shape));
        if let (Some(finding), Some(way), true) = (self.findings.get_mut(before), way, fits && !is_word) {
            finding.help = Some(format!("write `{}: {way}`, or `{word}`", name.trim_matches('`')));
        }
    }

    fn item(&mut self, node: &Node, shape: &Shape, name: &str) {
        match &node.value {
            Value::Null => self.findings.push(
                Finding::error(code::EMPTY_VALUE, format!("an item of {name} is empty"))
                    .at(node.span, "nothing stands here")
                    .help("write a value after the dash, or remove it"),
            ),
            _ => self.node(node, shape, node.span, &format!("an item of {name}")),
        }
    }

    fn null(&mut self, shape: &Shape, key: Span, name: &str) {
        if self.part == Part::Fragment {
            return;
        }
        match shape {
            Shape::Map(..) => {}
            Shape::Fields(fields) => self.fields(&Map::default(), fields, key),
            Shape::Either(shapes) if shapes.iter().any(|shape| matches!(shape, Shape::Fields(_))) => {
                self.empty_value(shape, key, name);
            }
            _ => self.empty_value(shape, key, name),
        }
    }

    fn empty_value(&mut self, shape: &Shape, key: Span, name: &str) {
        self.findings.push(
            Finding::error(code::EMPTY_VALUE, format!("{name} has no value"))
                .at(key, "nothing stands after it")
                .help(format!("write {}, or remove the key", words(shape))),
        );
    }

    fn scalar(&mut self, scalar: &Scalar, span: Span, kind: Kind, name: &str) {
        if self.part == Part::Fragment && scalar.text.contains('$') {
            return;
        }
        let Err(wrong) = kind.check(scalar) else { return };
        // A value out of a variable may be a secret: the message shows what was written, which is the variable's name.
        let written = match scalar.from_variable {
            true => shorten(self.sources.text_at(span).trim_matches(['"', '\''])),
            false => shorten(&scalar.text),
        };
        let message = match (scalar.from_variable, written.is_empty()) {
            (_, true) => format!("{name} {}", wrong.message),
            (true, false) => format!("the value of `{written}` {}", wrong.message),
            (false, false) => format!("`{written}` {}", wrong.message),
        };
        let help = match scalar.from_variable {
            true => {
                Some(format!("it has to be {}; it comes from a variable, whose value is not shown here", kind.words()))
            }
            false => wrong.help,
        };
        self.findings.push(Finding::error(wrong.code, message).at(span, wrong.label).maybe_help(help));
    }

    fn free(&mut self, map: &Map, keys: KeyKind, value: &Shape) {
        for entry in map.iter() {
            self.free_key(entry, keys);
            self.node(&entry.value, value, entry.key_span, &format!("`{}`", shorten(&entry.key)));
        }
    }

    fn free_key(&mut self, entry: &Entry, keys: KeyKind) {
        let scalar = Scalar { text: entry.key.to_string(), plain: true, from_variable: false };
        match keys {
            KeyKind::Name => self.scalar(&scalar, entry.key_span, Kind::Name, "the name"),
            KeyKind::UrlPath => self.scalar(&scalar, entry.key_span, Kind::UrlPath, "the path"),
            KeyKind::Header => self.scalar(&scalar, entry.key_span, Kind::HeaderName, "the name"),
            KeyKind::Service | KeyKind::Topic => {}
            KeyKind::TopicName => self.scalar(&scalar, entry.key_span, Kind::TopicName, "the name"),
            KeyKind::Attribute => self.scalar(&scalar, entry.key_span, Kind::Attribute, "the name"),
            KeyKind::Claim => self.scalar(&scalar, entry.key_span, Kind::Text, "the claim"),
            KeyKind::Variable => {
                let key = &*entry.key;
                if key.is_empty() || key.contains(['=', '\0']) || key.contains(char::is_whitespace) {
                    self.findings.push(
                        Finding::error(code::INVALID_ENV_NAME, format!("`{}` cannot name an environment variable", shorten(key)))
                            .at(entry.key_span, "not a name for a variable")
                            .help("write letters, digits and underscores, as in `LOG_LEVEL: info`; `KEY=value` is written `KEY: value`"),
                    );
                }
            }
        }
    }

    fn fields(&mut self, map: &Map, fields: &'static Fields, place: Span) {
        for entry in map.iter() {
            match fields.key(&entry.key) {
                Some(key) => self.node(&entry.value, &key.shape, entry.key_span, &format!("`{}`", key.name)),
                None if fields.id == "definition" && entry.key.starts_with("x-") => {}
                None => self.unknown_key(entry, map, fields),
            }
        }
        self.only_one(map, fields);
        if self.part == Part::Whole {
            // A map over several lines is pointed at by its first key.
            let first = map.iter().next().map(|entry| entry.key_span);
            let long = self.sources.text_at(place).contains('\n');
            self.missing(map, fields, first.filter(|_| long).unwrap_or(place));
        }
    }

    fn only_one(&mut self, map: &Map, fields: &Fields) {
        let mut written = fields.one_of.iter().filter_map(|name| map.entry(name));
        let Some(first) = written.next() else { return };
        for second in written {
            if matches!(first.value.value, Value::Null) || matches!(second.value.value, Value::Null) {
                continue;
            }
            self.findings.push(
                Finding::error(
                    code::TWO_OF_ONE,
                    format!("{} has `{}` and `{}`, and only one of them may stand", fields.what, first.key, second.key),
                )
                .at(second.key_span, "and this")
                .also(first.key_span, "this")
                .help("remove one of them; where profiles differ, write each into its profile"),
            );
        }
    }

    fn missing(&mut self, map: &Map, fields: &'static Fields, place: Span) {
        // What is there under another name has been reported with the right one.
        let meant: Vec<_> = map.iter().filter_map(|entry| meant(&entry.key, fields)).collect();
        let lacks = |name: &str| map.entry(name).is_none() && !meant.contains(&name);
        for key in fields.keys.iter().filter(|key| key.default == Default::Required && lacks(key.name)) {
            self.findings.push(
                Finding::error(code::MISSING_KEY, format!("{} needs the key `{}`", fields.what, key.name))
                    .at(place, format!("`{}` is missing", key.name))
                    .help(format!("add {}", as_code(key.example))),
            );
        }
        if fields.one_needed && fields.one_of.iter().all(|name| lacks(name)) {
            self.findings.push(one_missing(fields, place));
        }
    }

    fn unknown_key(&mut self, entry: &Entry, map: &Map, fields: &'static Fields) {
        let key = &*entry.key;
        let free = fields.keys.iter().map(|key| key.name).filter(|name| map.entry(name).is_none());
        let help = foreign_word(key, fields)
            .map(|(_, help)| help.to_owned())
            .or_else(|| spelling::nearest(key, free).map(|near| format!("did you mean `{near}`?")))
            .or_else(|| belongs_elsewhere(key))
            .unwrap_or_else(|| {
                let known: Vec<_> = fields.keys.iter().map(|key| key.name).collect();
                format!("{} has the keys {}", fields.what, spelling::all_of(known.iter().map(|&name| name.to_owned())))
            });
        self.findings.push(
            Finding::error(code::UNKNOWN_KEY, format!("{} has no key `{}`", fields.what, shorten(key)))
                .at(entry.key_span, "unknown key")
                .help(help),
        );
    }

    fn wrong_type(&mut self, node: &Node, shape: &Shape, key: Span, name: &str) {
        let found = match &node.value {
            Value::Null => "nothing",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar(_) => "a text or a number",
        };
        // A collection begins on the next line or with its bracket: the key is the better place to point at.
        let span = if matches!(node.value, Value::Scalar(_)) { node.span } else { key };
        self.findings.push(
            Finding::error(code::WRONG_TYPE, format!("{name} has to be {}, and it is {found}", words(shape)))
                .at(span, "expected here: ".to_owned() + &words(shape))
                .maybe_help(way_to_write(node, shape).map(|way| match way.starts_with(['[', '{']) {
                    true if name.starts_with('`') => format!("write `{}: {way}`", name.trim_matches('`')),
                    true => format!("write `{way}`"),
                    false => way,
                })),
        );
    }
}

fn takes(shape: &Shape, value: &Value) -> bool {
    matches!(
        (shape, value),
        (Shape::One(_), Value::Scalar(_))
            | (Shape::List(_), Value::List(_))
            | (Shape::Fields(_) | Shape::Map(..) | Shape::Object, Value::Map(_))
    )
}

/// What a shape is, with its article.
pub(crate) fn words(shape: &Shape) -> String {
    match shape {
        Shape::One(kind) => kind.words(),
        Shape::Fields(_) | Shape::Object => "a map".into(),
        Shape::Map(KeyKind::Service | KeyKind::Name | KeyKind::Topic | KeyKind::TopicName, _) => "a map by name".into(),
        Shape::Map(KeyKind::Variable | KeyKind::Claim | KeyKind::Attribute, _) => "a map of `NAME: value`".into(),
        Shape::Map(KeyKind::UrlPath, _) => "a map by path".into(),
        Shape::Map(KeyKind::Header, _) => "a map of header fields".into(),
        Shape::Any => "any value".into(),
        Shape::List(_) => "a list".into(),
        Shape::Either(shapes) => {
            let words: Vec<_> = shapes.iter().map(words).collect();
            match words.as_slice() {
                [before @ .., last] if !before.is_empty() => format!("{} or {last}", before.join(", ")),
                _ => words.concat(),
            }
        }
    }
}

/// The same value in the form that is wanted, where that can be guessed.
fn way_to_write(node: &Node, shape: &Shape) -> Option<String> {
    match (&node.value, shape) {
        (Value::Scalar(scalar), Shape::List(_)) => Some(format!("[{}]", shown(scalar))),
        (Value::Scalar(scalar), Shape::Fields(fields)) if fields.key(&scalar.text).is_some() => {
            Some(format!("{{ {}: {{}} }}", scalar.text))
        }
        (Value::Scalar(scalar), Shape::Fields(fields)) => {
            let key = key_of_single(fields)?;
            let needed = fields.keys.iter().filter(|key| key.default == Default::Required);
            let rest: String = needed.skip(1).map(|key| format!(", {}: …", key.name)).collect();
            let value = match key.shape {
                Shape::List(_) => format!("[\"{}\"]", shown(scalar)),
                _ => shown(scalar),
            };
            Some(format!("{{ {}: {value}{rest} }}", key.name))
        }
        (Value::List(items), Shape::Map(keys, _)) => {
            let first = items.iter().find_map(Node::as_scalar)?;
            match (keys, first.text.split_once('=')) {
                (KeyKind::Variable, Some((name, value))) => {
                    Some(format!("write `{}: {}`, one per line", shorten(name), shorten(value)))
                }
                (KeyKind::Topic, _) => Some(format!(
                    "write `{}: {{ to: /on/… }}`, one per line: each has rules of its own",
                    shorten(&first.text)
                )),
                (KeyKind::Service, _) => {
                    Some(format!("write `{}: {{}}`, one per line: each has rules of its own", shorten(&first.text)))
                }
                _ => Some(format!("write `{}: …`, one per line, without dashes", shorten(&first.text))),
            }
        }
        (Value::Map(_), Shape::List(_)) => {
            Some("write the items in brackets, `[a, b]`, or one per line with a dash".into())
        }
        (Value::List(_), Shape::Either(_)) => Some("write one value, without brackets or dashes around it".into()),
        (Value::List(_), Shape::Fields(_)) => {
            Some("write one map, `{ key: value }`, without brackets or dashes around it".into())
        }
        (Value::List(items), Shape::One(_)) if items.len() == 1 => {
            Some("write the value without brackets or dash".into())
        }
        _ => None,
    }
}

/// The key that a single value in place of a map is probably meant for.
fn key_of_single(fields: &Fields) -> Option<&Key> {
    fields.keys.iter().find(|key| key.default == Default::Required).or(fields.keys.first())
}

fn shown(scalar: &Scalar) -> String {
    if scalar.from_variable { "…".to_owned() } else { shorten(&scalar.text) }
}

fn one_missing(fields: &Fields, place: Span) -> Finding {
    if fields.id == "service" {
        return Finding::error(code::NO_RUN, "nothing says how this service runs")
            .at(place, "`process`, `container` or `external` is missing")
            .help(concat!(
                "a service is four lines:\n\n",
                "  embedder:\n",
                "    path: services/embedder\n",
                "    process: { command: ./embedder }\n",
                "    ready: { http: /healthz }\n\n",
                "in place of `process` may stand `container: { image: … }` or `external: { url: … }`"
            ));
    }
    let (code, help) = match fields.id {
        "subscription" => (
            code::NO_DELIVERY,
            Some(
                "say who takes the events: `to: /on/document-indexed` for a POST to the service, `pull: true` when it fetches them itself, `view: { table: documents }` for a table in its store",
            ),
        ),
        _ => (code::MISSING_KEY, None),
    };
    let choices = spelling::either(fields.one_of);
    Finding::error(code, format!("{} needs one of the keys {choices}", fields.what))
        .at(place, "none of them stands here")
        .help(match (help, fields.key(fields.one_of[0])) {
            (Some(help), _) => help.to_owned(),
            (None, Some(key)) => format!("add {}", as_code(key.example)),
            (None, None) => format!("add one of {choices}"),
        })
}

/// The key that was probably meant by one that is not known.
fn meant(key: &str, fields: &'static Fields) -> Option<&'static str> {
    if fields.key(key).is_some() {
        return None;
    }
    let near = || spelling::nearest(key, fields.keys.iter().map(|key| key.name));
    foreign_word(key, fields).map(|(meant, _)| meant).or_else(near)
}

/// Words of Compose and Kubernetes: the key that is meant, and what to write.
#[rustfmt::skip]
fn foreign_word(key: &str, fields: &Fields) -> Option<(&'static str, &'static str)> {
    Some(match (fields.id, key) {
        ("service", "depends_on" | "dependsOn" | "depends") => ("uses", "write `uses: { other: {} }` for a service that is called, or `after: [other]` for order alone"),
        ("service", "image") => ("container", "write `container: { image: … }`"),
        ("service", "command" | "cmd" | "run" | "exec" | "entrypoint" | "start") => ("process", "write `process: { command: … }`"),
        ("service", "environment") => ("env", "here it is called `env`, and it is a map: `env: { KEY: value }`"),
        ("service", "env_file") => ("env", "write `env: { KEY: \"${KEY}\" }`; `.env` beside motet.yaml is read for `${…}`"),
        ("service", "ports" | "expose") => ("port", "a service needs no port of its own: it gets one in `$PORT`; what is public is said in `gateway.routes`"),
        ("service", "healthcheck" | "health" | "readinessProbe" | "readiness") => ("ready", "write `ready: { http: /healthz }`"),
        ("service", "livenessProbe" | "liveness") => ("alive", "write `alive: { http: /healthz }`"),
        ("service", "replicas" | "deploy" | "instances") => ("scale", "write `scale: 3`"),
        ("service", "working_dir" | "cwd" | "dir" | "directory" | "folder") => ("path", "here it is called `path`"),
        ("service", "volumes") => ("store", "a service keeps its data in `store`; files beside its code are simply there"),
        ("service", "url") => ("external", "write `external: { url: … }`"),
        ("service", "stop_grace_period") => ("stop", "write `stop: { grace: 10s }`"),
        ("service", "openapi" | "api" | "spec") => ("contract", "here it is called `contract`"),
        ("service", "dependencies" | "calls" | "links" | "requires") => ("uses", "here it is called `uses`"),
        ("service", "database" | "db") => ("store", "write `store: { sqlite: {} }`, `store: { postgres: {} }` or `store: { mysql: {} }`"),
        ("service", "emits" | "produces" | "publish" | "topics") => ("publishes", "write `publishes: [document.indexed]`"),
        ("service", "consumes" | "subscribe" | "subscriptions" | "listens" | "on") => ("subscribes", "write `subscribes: { document.indexed: { to: /on/document-indexed } }`"),
        ("subscription", "path" | "url" | "endpoint" | "handler" | "push") => ("to", "here it is called `to`: write `to: /on/document-indexed`"),
        ("subscription", "concurrency" | "max_in_flight" | "prefetch" | "parallel" | "workers") => ("in_flight", "here it is called `in_flight`"),
        ("subscription", "retries" | "max_attempts" | "attempts" | "backoff") => ("retry", "write `retry: { attempts: 20, backoff: { initial: 1s, max: 5m } }`"),
        ("subscription", "visibility" | "visibility_timeout" | "ack_wait" | "ack_deadline") => ("lease", "here it is called `lease`"),
        ("subscription", "ttl" | "expires") => ("max_age", "here it is called `max_age`"),
        ("subscription", "start" | "offset" | "since" | "position") => ("from", "here it is called `from`"),
        ("subscription", "filters" | "where" | "match") => ("filter", "here it is called `filter`"),
        ("subscription", "key" | "partition_key" | "ordering_key") => ("ordered", "the key is the topic's: write it under `topics`, as in `key: /documentId`"),
        ("subscription", "group" | "consumer_group" | "name") => ("to", "it needs no name: the service is the group, and all its instances share one subscription"),
        ("subscription", "dead_letter" | "dlq" | "dead_letters" | "dead_letter_topic") => ("retry", "every subscription has dead letters; `retry: { attempts: 5 }` says after how many attempts"),
        ("delivery-retry", "initial" | "base" | "max" | "delay") => ("backoff", "write `backoff: { initial: 1s, max: 5m }`"),
        ("delivery-retry", "retries" | "count" | "max_attempts") => ("attempts", "here it is called `attempts`, and counts the first delivery too"),
        ("topic", "retention" | "ttl" | "retain") => ("keep", "here it is called `keep`: write `keep: 7d`"),
        ("topic", "partition_key" | "ordering_key" | "partitionkey") => ("key", "here it is called `key`: write `key: /documentId`"),
        ("topic", "partitions" | "replicas") => ("key", "that is the engine's matter: it stands under `engines.events`"),
        ("topic", "max_size" | "max_bytes") => ("max_payload", "here it is called `max_payload`"),
        ("engines", "kafka" | "rabbitmq" | "nats" | "broker") => ("events", "write it under `events`, as in `events: { nats: { url: … } }`"),
        ("filter", "type" | "source" | "subject" | "id" | "time" | "partitionkey") => ("exact", "attributes stand within a filter: write `exact: { type: … }`"),
        ("definition", "events" | "queues" | "channels") => ("topics", "here it is called `topics`"),
        ("definition", "version") => ("motet", "here it is called `motet`: write `motet: 1`"),
        ("definition", "name") => ("system", "here it is called `system`"),
        ("definition", "routes" | "listen") => ("gateway", "it stands under `gateway`"),
        ("definition", "networks" | "volumes") => ("services", "nothing like it is needed: edges connect services, and stores keep their data"),
        ("ready" | "alive", "path" | "url" | "httpGet") => ("http", "write `http: /healthz`"),
        ("ready" | "alive", "retries" | "failureThreshold") => ("failures", "here it is called `failures`"),
        ("ready" | "alive", "start_period" | "initialDelaySeconds") => ("grace", "here it is called `grace`"),
        ("ready" | "alive", "test" | "exec") => ("command", "here it is called `command`"),
        ("service", key) if policy::PATH.key(key).is_some() => ("policy", "write it under `policy`: it holds for all edges and routes to this service"),
        ("edge" | "route" | "policy" | "path-policy", "retries") => ("retry", "write `retry: { attempts: 3 }`"),
        ("edge" | "route" | "policy" | "path-policy", "circuit_breaker" | "circuitBreaker" | "outlier_detection") => ("breaker", "here it is called `breaker`"),
        ("edge" | "route" | "policy" | "path-policy", "rate_limit" | "rateLimit" | "ratelimit") => ("rate", "here it is called `rate`: write `rate: 100/s`"),
        ("edge" | "route" | "policy" | "path-policy", "bulkhead" | "max_connections" | "max_concurrency") => ("concurrency", "here it is called `concurrency`: write `concurrency: 64`"),
        ("breaker", "threshold" | "consecutive" | "consecutive_failures") => ("failures", "here it is called `failures`"),
        ("fallback", "status" | "headers" | "json" | "text" | "body") => ("answer", "write `answer: { status: 200, json: … }`"),
        ("answer", "body" | "content") => ("text", "write `text: …`, or `json: …`"),
        ("retry", "retries" | "max" | "count") => ("attempts", "here it is called `attempts`, and counts the first try too"),
        ("route", "service") => ("to", "here it is called `to`"),
        _ => return None,
    })
}

/// Where a key of this name does stand, when it exists somewhere.
fn belongs_elsewhere(key: &str) -> Option<String> {
    // A path's policy repeats the keys around it.
    let elsewhere = all().iter().filter(|placed| placed.key.name == key && !placed.path.contains(".paths."));
    let mut paths: Vec<String> = elsewhere.map(|placed| placed.path.clone()).collect();
    paths.sort_by_key(|path| path.matches('.').count());
    paths.truncate(5);
    (!paths.is_empty()).then(|| format!("`{key}` exists elsewhere: {}", spelling::either_text(paths)))
}

fn as_code(example: &str) -> String {
    if example.contains('\n') { format!("\n\n{example}") } else { format!("`{example}`") }
}

/// A text as it is repeated in a message: one line, not too long.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= LONGEST {
        return line;
    }
    let short: String = line.chars().take(LONGEST - 1).collect();
    format!("{short}…")
}

impl Key {
    /// What may stand under it, in words.
    pub(crate) fn words(&self) -> String {
        words(&self.shape)
    }
}
