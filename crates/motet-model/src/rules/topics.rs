//! Topics and those who refer to them: names that are defined, schemas that are schemas, subscriptions and outboxes that can work.

use super::{Subject, entries, items};
use crate::{
    code,
    finding::Finding,
    keys::accept::shorten,
    source::{Span, tree::Node},
    spelling,
    system::{Run, Service, StoreEngine, events::Delivery},
};
use motet_kernel::quantity::show_duration;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let known: BTreeSet<&str> = entries(subject.tree.get("topics")).map(|topic| &*topic.key).collect();
    let mut check = Topics { known, findings };
    for service in subject.services() {
        check.publishes(&service.key, service.value.get("publishes"));
        for subscription in entries(service.value.get("subscribes")) {
            check.exists(&subscription.key, subscription.key_span);
            check.pauses(&subscription.value);
        }
        if let Some(topic) = service.value.at(&["outbox", "topic"]) {
            check.outbox_topic(&service.key, &service.value, topic);
        }
    }
    for service in subject.system.services.values() {
        deliverable(subject, service, findings);
        outbox(subject, service, findings);
    }
}

/// How many names are compared for suggestions.
const COMPARISONS_MAX: usize = 100_000;

struct Topics<'a, 'b> {
    known: BTreeSet<&'a str>,
    findings: &'b mut Vec<Finding>,
}

impl<'a> Topics<'a, '_> {
    fn publishes(&mut self, service: &str, node: Option<&'a Node>) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for (topic, span) in items(node) {
            self.exists(topic, span);
            if let Some(first) = seen.insert(topic, span) {
                self.findings.push(
                    Finding::error(
                        code::DUPLICATE_KEY,
                        format!("`{}` publishes `{}` twice", shorten(service), shorten(topic)),
                    )
                    .at(span, "again")
                    .also(first, "first")
                    .help("remove one of the two"),
                );
            }
        }
    }

    fn exists(&mut self, topic: &str, span: Span) {
        if self.known.contains(topic) {
            return;
        }
        let finding = Finding::error(code::UNKNOWN_TOPIC, format!("there is no topic `{}`", shorten(topic)));
        let finding = finding.at(span, "not defined");
        // A suggestion costs a comparison with every name: not for as many mistakes as nobody makes by hand.
        if self.known.len().saturating_mul(self.findings.len()) > COMPARISONS_MAX {
            self.findings.push(finding);
            return;
        }
        let define = format!("define it: `topics: {{ {}: {{}} }}`", shorten(topic));
        let help = match spelling::nearest(topic, self.known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.known.is_empty() || self.known.len() > 12 => define,
            None => {
                let verb = if self.known.len() == 1 { "is" } else { "are" };
                let all = spelling::all_of(self.known.iter().map(|name| shorten(name)));
                format!("there {verb} {all}; {define}")
            }
        };
        self.findings.push(finding.help(help));
    }

    /// An outbox publishes in its service's name, so it needs the same right.
    fn outbox_topic(&mut self, name: &str, service: &'a Node, topic: &Node) {
        let Some(text) = topic.text() else { return };
        self.exists(text, topic.span);
        if self.known.contains(text) && !items(service.get("publishes")).any(|(published, _)| published == text) {
            self.findings.push(
                Finding::error(
                    code::INVALID_OUTBOX,
                    format!("the outbox of `{}` is for `{text}`, which the service does not publish", shorten(name)),
                )
                .at(topic.span, "not under `publishes`")
                .help(format!("add `{text}` to `publishes`, or choose one that is there")),
            );
        }
    }

    fn pauses(&mut self, subscription: &Node) {
        use crate::keys::subscription::{BACKOFF, INITIAL, MAX, RETRY};
        let Some(pause) = subscription.at(&[RETRY.name, BACKOFF.name]) else { return };
        let time = |key| crate::decode::duration(pause, key);
        let (initial, max) = (time(&INITIAL), time(&MAX));
        if initial <= max {
            return;
        }
        let place = |name: &str| pause.get(name).map(|node| node.span);
        let mut finding = Finding::error(
            code::OUT_OF_RANGE,
            format!(
                "`retry.backoff.initial` is {} and `retry.backoff.max` is {}: that cannot be",
                show_duration(initial),
                show_duration(max)
            ),
        )
        .at(place(INITIAL.name).or(place(MAX.name)).unwrap_or(pause.span), "out of order");
        if let (Some(_), Some(span)) = (place(INITIAL.name), place(MAX.name)) {
            finding = finding.also(span, "with this");
        }
        self.findings.push(finding.help("make `initial` shorter, or `max` longer"));
    }
}

fn deliverable(subject: &Subject<'_>, service: &Service, findings: &mut Vec<Finding>) {
    let name = service.name.as_str();
    let mut tables: BTreeMap<&str, (&str, Span)> = BTreeMap::new();
    for (topic, subscription) in &service.subscribes {
        let place = |key| subject.place(&["services", name, "subscribes", topic.as_str(), key]);
        let cannot = |message: String| Finding::error(code::UNDELIVERABLE, message);
        match (&subscription.delivery, &service.run) {
            (Delivery::Push { .. }, _) if service.once => findings.push(
                cannot(format!("`{name}` runs to completion and cannot be sent events"))
                    .at(place("to"), "nobody is there to answer")
                    .also(subject.place(&["services", name, "once"]), "runs to completion")
                    .help("let it fetch them, `pull: true`; or, if it serves, remove its `once: true`"),
            ),
            (Delivery::Push { .. }, Run::External { url }) if url.starts_with("https://") => findings.push(
                cannot(format!("`{name}` speaks TLS, and events are delivered over plain HTTP"))
                    .at(place("to"), "cannot be reached")
                    .also(subject.place(&["services", name, "external", "url"]), "with TLS")
                    .help("put a proxy that speaks plain HTTP in front of it and name that as `external`"),
            ),
            (Delivery::Pull, Run::External { .. }) => findings.push(
                cannot(format!("`{name}` runs elsewhere and has no address to fetch events from"))
                    .at(place("pull"), "not for what Motet does not start")
                    .help("let Motet send the events: `to: /on/…`"),
            ),
            (Delivery::View { .. }, _) if service.store.is_none() => findings.push(
                cannot(format!("`{name}` has no store to keep a view in"))
                    .at(place("view"), "where?")
                    .help("give it one: `store: { sqlite: {} }`"),
            ),
            (Delivery::View { table, .. }, _) => {
                let span = place("view");
                let outbox = service.outbox.as_ref().map(|outbox| outbox.table.as_str());
                let taken = match table.as_str() {
                    "motet_views" => Some("where Motet notes how far views are"),
                    table if outbox == Some(table) => Some("its outbox"),
                    _ => None,
                };
                if let Some(what) = taken {
                    let message = format!("a view of `{name}` cannot be the table `{table}`: that is {what}");
                    findings.push(cannot(message).at(span, "in use").help("give the view a table of its own"));
                }
                if let Some((first, other)) = tables.insert(table, (topic.as_str(), span)) {
                    findings.push(
                        cannot(format!("two views of `{name}` write the table `{table}`: `{first}` and `{topic}`"))
                            .at(span, "and this")
                            .also(other, "this")
                            .help("give each its own table"),
                    );
                }
            }
            (Delivery::Push { .. } | Delivery::Pull, _) => {}
        }
    }
}

fn outbox(subject: &Subject<'_>, service: &Service, findings: &mut Vec<Finding>) {
    let Some(outbox) = &service.outbox else { return };
    let name = service.name.as_str();
    let place = subject.place(&["services", name, "outbox"]);
    if service.store.is_none() {
        findings.push(
            Finding::error(
                code::INVALID_OUTBOX,
                format!("`{name}` has an outbox and no store that it could be a table of"),
            )
            .at(place, "a table of what?")
            .help("give it one, `store: { sqlite: {} }`; what Motet does not know the address of it cannot read"),
        );
    }
    let in_postgres = service.store.as_ref().is_some_and(|store| store.engine == StoreEngine::Postgres);
    if in_postgres && outbox.columns.order.is_none() && outbox.columns.time.is_none() {
        findings.push(
            Finding::error(
                code::INVALID_OUTBOX,
                format!("nothing tells in which order the rows of the outbox of `{name}` were written"),
            )
            .at(place, "in which order?")
            .help("in PostgreSQL a table has no order of its own: name a column that grows, `columns: { order: seq }`, or the time, `columns: { time: created_at }`"),
        );
    }
    if subject.tree.at(&["services", name, "publishes"]).is_none_or(|node| node.as_list().is_some_and(<[_]>::is_empty))
    {
        findings.push(
            Finding::error(code::INVALID_OUTBOX, format!("`{name}` has an outbox and publishes nothing"))
                .at(place, "for which topics?")
                .help("name the topics that its rows may go to: `publishes: [document.uploaded]`"),
        );
    }
}
