//! Topics, subscriptions, outboxes, and the engine of events.

use super::{Frame, named, value};
use crate::{
    keys::{
        Key, engine, outbox as out, subscription as sub, topic as keys,
        value::event::{Kept, Start, parse_from, parse_keep},
    },
    source::{files::clean, tree::Node},
    system::events::{
        Batch, Columns, ContentMode, Delivery, EventsEngine, Filter, From, Keep, Outbox, Redelivery, Schema, Secret,
        Subscription, Topic,
    },
};
use motet_kernel::{backoff::Backoff, quantity, topic::TopicName};
use std::collections::BTreeMap;

/// Waits double.
const BACKOFF_FACTOR: f64 = 2.0;

pub(super) fn topics(tree: &Node, frame: &Frame<'_>) -> BTreeMap<TopicName, Topic> {
    named(tree.get("topics"), |name: &TopicName, node| Topic {
        name: name.clone(),
        about: value::text(node, "about"),
        schema: node.get(keys::SCHEMA.name).and_then(|node| schema(node, frame)),
        keep: keep(node.get(keys::KEEP.name)),
        key: value::text(node, keys::KEY.name),
        dedup: match value::word(Some(node), &keys::DEDUP) {
            "none" => None,
            _ => Some(value::duration(Some(node), &keys::DEDUP)),
        },
        max_payload: size(Some(node), &keys::MAX_PAYLOAD),
    })
}

fn schema(node: &Node, frame: &Frame<'_>) -> Option<Schema> {
    let dir = frame.sources.dir_of(node.span);
    match node.text() {
        Some(file) => Some(Schema::File(clean(&dir.join(file)))),
        None if node.as_map().is_some() => {
            Some(Schema::Inline { schema: super::policy::json(node), dir: dir.to_owned() })
        }
        None => None,
    }
}

pub(crate) fn keep(node: Option<&Node>) -> Keep {
    let (time, size) = match node {
        Some(node) if node.text().is_some() => match node.text().and_then(parse_keep) {
            Some(Kept::Time(time)) => (Some(time), None),
            Some(Kept::Size(size)) => (None, Some(size)),
            None => (None, None),
        },
        Some(node) => {
            let size = node.get(keys::KEEP_SIZE.name).and_then(Node::text);
            (value::maybe_duration(node, &keys::KEEP_TIME), size.and_then(|text| quantity::parse_size(text).ok()))
        }
        None => (None, None),
    };
    if time.is_some() || size.is_some() {
        return Keep { time, size };
    }
    let (time, size) = keys::KEEP_DEFAULT;
    Keep { time: quantity::parse_duration(time).ok(), size: quantity::parse_size(size).ok() }
}

pub(super) fn subscriptions(node: Option<&Node>) -> BTreeMap<TopicName, Subscription> {
    named(node, |_: &TopicName, node| Subscription {
        delivery: delivery(node),
        timeout: value::duration(Some(node), &sub::TIMEOUT),
        lease: value::duration(Some(node), &sub::LEASE),
        in_flight: value::parsed(Some(node), &sub::IN_FLIGHT).unwrap_or(1),
        retry: redelivery(node.get(sub::RETRY.name)),
        permanent: value::list(Some(node), &sub::PERMANENT),
        max_age: value::maybe_duration(node, &sub::MAX_AGE),
        from: match parse_from(value::word(Some(node), &sub::FROM)) {
            Some(Start::Latest) => From::Latest,
            Some(Start::Time(time)) => From::Time(time),
            Some(Start::Position(position)) => From::Position(position),
            Some(Start::Earliest) | None => From::Earliest,
        },
        filter: node.get(sub::FILTER.name).map(filter),
        batch: node.get(sub::BATCH.name).map(|node| Batch {
            items: value::parsed(Some(node), &sub::BATCH_ITEMS).unwrap_or(1),
            wait: value::duration(Some(node), &sub::BATCH_WAIT),
            bytes: size(Some(node), &sub::BATCH_BYTES),
        }),
        mode: match value::word(Some(node), &sub::MODE) {
            "structured" => ContentMode::Structured,
            _ => ContentMode::Binary,
        },
        ordered: value::flag(node, &sub::ORDERED),
    })
}

/// Only looked at when nothing was wrong, and then one of the three stands there.
fn delivery(node: &Node) -> Delivery {
    if let Some(path) = value::text(node, sub::TO.name) {
        return Delivery::Push { path };
    }
    match node.at(&[sub::VIEW.name, sub::VIEW_TABLE.name]).and_then(Node::text) {
        Some(table) => Delivery::View {
            table: table.to_owned(),
            delete: value::texts(node.at(&[sub::VIEW.name, sub::VIEW_DELETE.name])),
        },
        None => Delivery::Pull,
    }
}

fn redelivery(node: Option<&Node>) -> Redelivery {
    let attempts = match node.and_then(Node::text) {
        Some(_) => 1,
        None => value::parsed(node, &sub::ATTEMPTS).unwrap_or(1),
    };
    let pause = node.and_then(|node| node.get(sub::BACKOFF.name));
    let time = |key| value::duration(pause, key);
    Redelivery {
        attempts,
        backoff: Backoff { initial: time(&sub::INITIAL), max: time(&sub::MAX), factor: BACKOFF_FACTOR },
    }
}

/// Several in one map all have to match.
fn filter(node: &Node) -> Filter {
    let mut all: Vec<Filter> = node
        .as_map()
        .into_iter()
        .flat_map(|map| map.iter())
        .filter_map(|entry| {
            let value = &entry.value;
            let list = || value.as_list().into_iter().flatten().map(filter).collect();
            Some(match &*entry.key {
                "exact" => Filter::Exact(attributes(value)),
                "prefix" => Filter::Prefix(attributes(value)),
                "suffix" => Filter::Suffix(attributes(value)),
                "all" => Filter::All(list()),
                "any" => Filter::Any(list()),
                "not" => Filter::Not(Box::new(filter(value))),
                "sql" => Filter::Sql(value.text()?.to_owned()),
                _ => return None,
            })
        })
        .collect();
    match (all.len(), all.pop()) {
        (1, Some(only)) => only,
        (_, Some(last)) => {
            all.push(last);
            Filter::All(all)
        }
        (_, None) => Filter::All(all),
    }
}

fn attributes(node: &Node) -> BTreeMap<String, String> {
    let entries = node.as_map().into_iter().flat_map(|map| map.iter());
    entries.filter_map(|entry| Some((entry.key.to_string(), entry.value.text()?.to_owned()))).collect()
}

pub(super) fn outbox(node: &Node) -> Outbox {
    let debezium = value::word(Some(node), &out::LAYOUT) == "debezium";
    let columns = node.get(out::COLUMNS.name);
    let written = |key: &Key| columns.and_then(|columns| value::text(columns, key.name));
    let named = |key: &Key, native: &str, debezium_name: &str| {
        written(key).unwrap_or_else(|| if debezium { debezium_name } else { native }.to_owned())
    };
    let own = |key: &Key, native: &str| written(key).or_else(|| (!debezium).then(|| native.to_owned()));
    Outbox {
        table: value::word(Some(node), &out::TABLE).to_owned(),
        columns: Columns {
            order: own(&out::ORDER, "seq"),
            id: named(&out::ID, "id", "id"),
            topic: Some(named(&out::ROW_TOPIC, "topic", "aggregatetype")),
            kind: named(&out::TYPE, "type", "type"),
            key: Some(named(&out::ROW_KEY, "key", "aggregateid")),
            data: named(&out::DATA, "data", "payload"),
            content_type: own(&out::CONTENT_TYPE, "content_type"),
            time: own(&out::TIME, "created_at"),
            extensions: own(&out::EXTENSIONS, "extensions"),
            published: own(&out::PUBLISHED, "published_at"),
        },
        topic: node.get(out::TOPIC.name).and_then(Node::text).and_then(|text| text.parse().ok()),
        keep: value::duration(Some(node), &out::KEEP),
    }
}

pub(super) fn engine(node: Option<&Node>) -> EventsEngine {
    let Some(node) = node.filter(|node| node.text().is_none()) else { return EventsEngine::Embedded };
    let url = |node: &Node| Secret(value::text(node, "url").unwrap_or_default());
    if let Some(kafka) = node.get("kafka") {
        return EventsEngine::Kafka {
            brokers: value::texts(kafka.get(engine::BROKERS.name)),
            partitions: value::parsed(Some(kafka), &engine::PARTITIONS).unwrap_or(1),
            replicas: value::parsed(Some(kafka), &engine::KAFKA_REPLICAS),
        };
    }
    if let Some(nats) = node.get("nats") {
        let replicas = value::parsed(Some(nats), &engine::NATS_REPLICAS).unwrap_or(1);
        return EventsEngine::Nats { url: url(nats), replicas };
    }
    node.get("rabbitmq").map_or(EventsEngine::Embedded, |rabbitmq| EventsEngine::RabbitMq {
        url: url(rabbitmq),
        replicas: value::parsed(Some(rabbitmq), &engine::RABBITMQ_REPLICAS),
    })
}

fn size(node: Option<&Node>, key: &Key) -> u64 {
    quantity::parse_size(value::word(node, key))
        .or_else(|_| quantity::parse_size(key.default_text()))
        .unwrap_or_default()
}
