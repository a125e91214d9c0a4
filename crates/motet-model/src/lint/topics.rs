//! Lints about topics: who tells and who listens, what is told, and whether it is still there when it is delivered again.

use super::Lint;
use crate::{
    code,
    finding::Finding,
    rules::{Subject, entries},
    spelling,
    system::{Run, Service, events::Delivery},
};
use motet_kernel::{quantity::show_duration, topic::TopicName};
use std::collections::BTreeMap;

/// What means nothing for a service that fetches its events.
const NOT_FOR_PULL: &[&str] = &["timeout", "permanent", "batch", "mode"];
/// What means nothing for a table that Motet writes itself.
const NOT_FOR_VIEW: &[&str] =
    &["timeout", "lease", "in_flight", "retry", "permanent", "max_age", "batch", "mode", "ordered"];

pub(super) fn check(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let services = || subject.system.services.values();
    let mut publishers: BTreeMap<&TopicName, Vec<&Service>> = BTreeMap::new();
    let mut subscribers: BTreeMap<&TopicName, Vec<&Service>> = BTreeMap::new();
    for service in services() {
        service.publishes.iter().for_each(|topic| publishers.entry(topic).or_default().push(service));
        service.subscribes.keys().for_each(|topic| subscribers.entry(topic).or_default().push(service));
        no_effect(subject, service, lints);
        without_key(subject, service, lints);
        outlived(subject, service, lints);
    }
    for (name, topic) in &subject.system.topics {
        let place = subject.place(&["topics", name.as_str()]);
        let names = |services: Option<&Vec<&Service>>| {
            spelling::all_of(services.into_iter().flatten().map(|service| service.name.to_string()))
        };
        let (told, heard) = (publishers.get(name), subscribers.get(name));
        if told.is_none() {
            let waits = if heard.is_some() { format!(", and {} waits for it", names(heard)) } else { String::new() };
            let finding = Finding::warning(code::NOBODY_PUBLISHES, format!("nobody publishes `{name}`{waits}"))
                .at(place, "no service has it under `publishes`")
                .help(format!("name it at the service that tells it, `publishes: [{name}]`, or remove the topic"));
            lints.push(Lint::of_topic(finding, name.as_str()));
        }
        if heard.is_none() {
            let finding = Finding::warning(code::NOBODY_SUBSCRIBES, format!("nobody subscribes to `{name}`"))
                .at(place, "its events are kept and not delivered")
                .help(format!(
                    "subscribe where it is needed, `subscribes: {{ {name}: {{ to: /on/… }} }}`, or remove the topic"
                ));
            lints.push(Lint::of_topic(finding, name.as_str()));
        }
        if topic.schema.is_none() && told.is_some() && heard.is_some() {
            let finding = Finding::warning(
                code::NO_SCHEMA,
                format!("{} tells {} `{name}`, and nothing says what that is", names(told), names(heard)),
            )
            .at(place, "no `schema`")
            .help("describe its data in a JSON Schema and name it: `schema: events/….schema.json`; then a wrong event is refused when it is published, and a change that breaks a subscriber is found before it runs");
            lints.push(Lint::of_topic(finding, name.as_str()));
        }
    }
}

fn no_effect(subject: &Subject<'_>, service: &Service, lints: &mut Vec<Lint>) {
    let name = service.name.as_str();
    for (topic, subscription) in &service.subscribes {
        let (keys, why) = match subscription.delivery {
            Delivery::Push { .. } => continue,
            Delivery::Pull => (NOT_FOR_PULL, "the service fetches the events itself, and says so when it asks"),
            Delivery::View { .. } => (
                NOT_FOR_VIEW,
                "Motet writes the table itself, each event once and in order, and waits as long as the store is away",
            ),
        };
        let written = entries(subject.tree.at(&["services", name, "subscribes", topic.as_str()]));
        for entry in written.filter(|entry| keys.contains(&&*entry.key)) {
            let finding = Finding::warning(code::NO_EFFECT, format!("`{}` has no effect here: {why}", entry.key))
                .at(entry.key_span, "no effect")
                .help("remove it");
            lints.push(Lint::of_services(finding, [name]));
        }
    }
    if matches!(service.run, Run::External { .. }) {
        for key in ["publishes", "outbox"] {
            let Some(node) = subject.tree.at(&["services", name, key]) else { continue };
            let finding = Finding::warning(
                code::NO_EFFECT,
                format!("`{key}` has no effect: `{name}` runs elsewhere and has no address to publish at"),
            )
            .at(node.span, "no effect")
            .help("publish from a service that Motet starts, or let what runs elsewhere publish through a route of the gateway to such a service");
            lints.push(Lint::of_services(finding, [name]));
        }
    }
}

/// A row is found by its key.
fn without_key(subject: &Subject<'_>, service: &Service, lints: &mut Vec<Lint>) {
    let name = service.name.as_str();
    for (topic, subscription) in &service.subscribes {
        let has_key = subject.system.topics.get(topic).is_some_and(|topic| topic.key.is_some());
        if has_key || !matches!(subscription.delivery, Delivery::View { .. }) {
            continue;
        }
        let finding = Finding::warning(
            code::VIEW_WITHOUT_KEY,
            format!("`{name}` keeps a row for each key of `{topic}`, and nothing says what the key is"),
        )
        .at(subject.place(&["services", name, "subscribes", topic.as_str(), "view"]), "a row for each key")
        .also(subject.place(&["topics", topic.as_str()]), "no `key`")
        .help("say where it stands in the data, `key: /customerId`; else only events with the attribute `partitionkey` come into the table, and the others are dead letters");
        lints.push(Lint::of_services(finding, [name]));
    }
}

fn outlived(subject: &Subject<'_>, service: &Service, lints: &mut Vec<Lint>) {
    let name = service.name.as_str();
    for (topic, subscription) in &service.subscribes {
        let Some(kept) = subject.system.topics.get(topic).and_then(|topic| topic.keep.time) else { continue };
        let place = |key| subject.place(&["services", name, "subscribes", topic.as_str(), key]);
        if matches!(subscription.delivery, Delivery::View { .. }) {
            continue;
        }
        let longest = subscription.longest();
        let (key, what, time) = match subscription.max_age {
            Some(age) if age > kept => ("max_age", "would deliver events", age),
            _ if longest > kept => ("retry", "may deliver an event again for", longest),
            _ => continue,
        };
        let old = if key == "max_age" { " old" } else { "" };
        let finding = Finding::warning(
            code::OUTLIVED,
            format!(
                "`{name}` {what} {}{old}, and `{topic}` keeps events for {}",
                show_duration(time),
                show_duration(kept)
            ),
        )
        .at(place(key), show_duration(time))
        .also(subject.place(&["topics", topic.as_str(), "keep"]), format!("gone after {}", show_duration(kept)))
        .help(format!("keep the topic longer, `keep: {}`, or give up sooner", show_duration(time.saturating_mul(2))));
        lints.push(Lint::of_services(finding, [name]));
    }
}
