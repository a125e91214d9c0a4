//! Who tells a topic and who listens, and what is in force for each: what `motet explain topic document.indexed` shows.

use super::{Origin, Row, list, written_size};
use crate::{
    keys::{subscription as sub, topic as keys},
    load::Loaded,
    rules::items,
    system::events::{Delivery, Filter, From, Schema, Subscription, Topic},
};
use motet_kernel::{name::ServiceName, quantity::show_duration, topic::TopicName};

/// A topic, and everybody who has to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInForce {
    /// Its name.
    pub name: TopicName,
    /// What its events say.
    pub about: Option<String>,
    /// What is in force for all its events.
    pub rows: Vec<Row>,
    /// Who publishes it, and where that is said.
    pub publishers: Vec<(ServiceName, Origin)>,
    /// Who gets its events, and what is in force there.
    pub subscribers: Vec<(ServiceName, Vec<Row>)>,
}

impl Loaded {
    /// What is in force for a topic; `None` when the definition has no such topic.
    pub fn topic(&self, name: &TopicName) -> Option<TopicInForce> {
        let topic = self.system.topics.get(name)?;
        let services = &self.system.services;
        let publishers = services.values().filter(|service| service.publishes.contains(name)).map(|service| {
            let node = self.written.tree.at(&["services", service.name.as_str(), "publishes"]);
            let item = items(node).find(|(item, _)| *item == name.as_str());
            let origin = item.map_or(Origin::Default, |(_, span)| self.at(format!("service `{}`", service.name), span));
            (service.name.clone(), origin)
        });
        let subscribers = services.values().filter_map(|service| {
            let subscription = service.subscribes.get(name)?;
            let place = ["services", service.name.as_str(), "subscribes", name.as_str()];
            Some((service.name.clone(), self.rows_at(&place, "subscription", |row| of_subscription(subscription, row))))
        });
        Some(TopicInForce {
            name: name.clone(),
            about: topic.about.clone(),
            rows: self.rows_at(&["topics", name.as_str()], "topic", |row| self.of_topic(topic, row)),
            publishers: publishers.collect(),
            subscribers: subscribers.collect(),
        })
    }

    /// Rows of values that stand under one place. `each` calls back with the key's name, the keys that lead to it, and the value.
    fn rows_at(&self, place: &[&str], by: &str, each: impl FnOnce(&mut dyn FnMut(&'static str, String))) -> Vec<Row> {
        let node = self.written.tree.at(place);
        let mut rows = Vec::new();
        each(&mut |key, value| {
            // A short form (`keep: 7d`) is where its longer one would be.
            let (_, written) = key.split('.').fold((true, node), |(on, node), part| match node {
                Some(node) if on && node.as_map().is_some() => (true, node.get(part)),
                other => (false, other),
            });
            let origin = written.map_or(Origin::Default, |node| self.at(by.to_owned(), node.span));
            rows.push(Row { key, value, origin });
        });
        rows
    }

    fn of_topic(&self, topic: &Topic, row: &mut dyn FnMut(&'static str, String)) {
        let schema = match &topic.schema {
            None => "every payload is taken".to_owned(),
            Some(Schema::Inline { .. }) => "in the definition".to_owned(),
            Some(Schema::File(file)) => file.strip_prefix(&self.system.dir).unwrap_or(file).display().to_string(),
        };
        row("schema", schema);
        row("keep.time", topic.keep.time.map_or_else(|| keys::KEEP_TIME.default_words().to_owned(), show_duration));
        row("keep.size", topic.keep.size.map_or_else(|| keys::KEEP_SIZE.default_words().to_owned(), written_size));
        row("key", topic.key.clone().unwrap_or_else(|| "the event's `partitionkey`".to_owned()));
        row("dedup", topic.dedup.map_or_else(|| "none".to_owned(), show_duration));
        row("max_payload", written_size(topic.max_payload));
    }
}

fn show_from(from: From) -> String {
    match from {
        From::Earliest => "earliest".to_owned(),
        From::Latest => "latest".to_owned(),
        From::Time(time) => time.to_string(),
        From::Position(position) => position.to_string(),
    }
}

fn filter_of(subscription: &Subscription) -> String {
    subscription.filter.as_ref().map_or_else(|| sub::FILTER.default_words().to_owned(), show_filter)
}

fn of_subscription(subscription: &Subscription, row: &mut dyn FnMut(&'static str, String)) {
    match &subscription.delivery {
        Delivery::Push { path } => row("to", path.clone()),
        Delivery::Pull => row("pull", "true".to_owned()),
        Delivery::View { table, delete } => {
            row("view.table", table.clone());
            let types = if delete.is_empty() { sub::VIEW_DELETE.default_words().to_owned() } else { list(delete) };
            row("view.delete", types);
            row("from", show_from(subscription.from));
            return row("filter", filter_of(subscription));
        }
    }
    row("timeout", show_duration(subscription.timeout));
    row("lease", show_duration(subscription.lease));
    row("in_flight", subscription.in_flight.to_string());
    if subscription.retry.attempts <= 1 {
        row("retry", "never".to_owned());
    } else {
        row("retry.attempts", subscription.retry.attempts.to_string());
        row("retry.backoff.initial", show_duration(subscription.retry.backoff.initial));
        row("retry.backoff.max", show_duration(subscription.retry.backoff.max));
    }
    let permanent: Vec<_> = subscription.permanent.iter().map(ToString::to_string).collect();
    row("permanent", list(&permanent));
    row("max_age", subscription.max_age.map_or_else(|| sub::MAX_AGE.default_words().to_owned(), show_duration));
    row("from", show_from(subscription.from));
    row("filter", filter_of(subscription));
    match &subscription.batch {
        None => row("batch", sub::BATCH.default_words().to_owned()),
        Some(batch) => {
            row("batch.items", batch.items.to_string());
            row("batch.wait", show_duration(batch.wait));
            row("batch.bytes", written_size(batch.bytes));
        }
    }
    row("mode", subscription.mode.name().to_owned());
    row("ordered", subscription.ordered.to_string());
}

/// A filter in one line.
fn show_filter(filter: &Filter) -> String {
    let each = |word: &str, values: &std::collections::BTreeMap<String, String>| {
        let all: Vec<_> = values.iter().map(|(name, value)| format!("{name} {word} `{value}`")).collect();
        all.join(" and ")
    };
    let several = |filters: &[Filter], word: &str| match filters {
        [] => "everything".to_owned(),
        [one] => show_filter(one),
        many => format!("({})", many.iter().map(show_filter).collect::<Vec<_>>().join(word)),
    };
    match filter {
        Filter::Exact(values) => each("is", values),
        Filter::Prefix(values) => each("begins with", values),
        Filter::Suffix(values) => each("ends with", values),
        Filter::All(filters) => several(filters, " and "),
        Filter::Any(filters) => several(filters, " or "),
        Filter::Not(filter) => format!("not {}", show_filter(filter)),
        Filter::Sql(text) => crate::keys::accept::shorten(text),
    }
}
