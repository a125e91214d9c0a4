//! Events as messages and messages as events.
//!
//! An event is written in the binary mode of the CloudEvents binding for AMQP, so that every consumer of RabbitMQ can read it. What the
//! binding cannot say (whether there is no data or empty data, Motet's own numbers) travels in headers that begin with `motet-`. Reading cannot fail:
//! what is no event by the binding is carried as it is, under a name of its own, because a message that nobody can take would stop its queue.

use super::{recent::Mark, waiting::MessageId};
use bytes::Bytes;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};
use motet_broker::{Entry, Event, Time, TopicSpec, key};
use motet_cloudevents::{Value, binding::AMQP, http::Limits, json};
use motet_kernel::clock::Timestamp;
use std::borrow::Cow;

/// Who writes messages as Motet does.
const APP: &str = "motet";
const KEY: &str = "motet-key";
const PUBLISHED_AT: &str = "motet-published-at";
/// The data is there and empty.
const EMPTY: &str = "motet-empty";
const CONTENT_TYPE: &str = "motet-content-type";
/// Kept on disk.
const PERSISTENT: u8 = 2;
/// What a message without an event in it becomes.
const PLAIN_TYPE: &str = "motet.message";

/// What is published.
pub(super) struct Draft {
    pub(super) body: Bytes,
    pub(super) properties: BasicProperties,
}

/// The event as a message.
pub(super) fn write(entry: &Entry, id: MessageId) -> Draft {
    let mut headers = FieldTable::default();
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_app_id(APP.into())
        .with_message_id(id.to_string().into());
    for ((name, text), (_, value)) in AMQP.headers(&entry.event).zip(entry.event.attributes()) {
        if name == "content-type" {
            match ShortString::try_new(text.as_ref()) {
                Ok(text) => properties = properties.with_content_type(text),
                // RabbitMQ's property ends at 255 bytes.
                Err(_) => drop(headers.insert(short(CONTENT_TYPE), long(&text))),
            }
            continue;
        }
        let value = match value {
            Value::Boolean(truth) => AMQPValue::Boolean(truth),
            Value::Integer(number) => AMQPValue::LongInt(number),
            Value::Text(_) => long(&text),
        };
        headers.insert(short(&name), value);
    }
    let body = entry.event.data().cloned();
    if body.as_ref().is_some_and(Bytes::is_empty) {
        headers.insert(short(EMPTY), AMQPValue::Boolean(true));
    }
    if let Some(key) = entry.key {
        headers.insert(short(KEY), AMQPValue::LongLongInt(key.cast_signed()));
    }
    headers.insert(short(PUBLISHED_AT), AMQPValue::LongLongInt(entry.published_at.0.cast_signed()));
    Draft { body: body.unwrap_or_default(), properties: properties.with_headers(headers) }
}

/// Names of attributes have 64 characters at most.
fn short(text: &str) -> ShortString {
    ShortString::try_new(text).unwrap_or_default()
}

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// What came out of a queue.
pub(super) struct Message {
    pub(super) properties: BasicProperties,
    pub(super) routing_key: String,
    pub(super) body: Bytes,
    /// It may have been handed out before.
    pub(super) redelivered: bool,
}

/// A message as an event.
pub(super) struct Arrival {
    pub(super) entry: Entry,
    /// What it is recognised by, if anything.
    pub(super) mark: Option<Mark>,
    /// Which of Motet's own appends it belongs to.
    pub(super) own: Option<MessageId>,
}

/// What it is recognised by, without reading it whole. The other part says whether that may be relied on even at the first delivery.
pub(super) fn mark(message: &Message) -> (Option<Mark>, Option<MessageId>) {
    if let Some(id) = own_id(&message.properties) {
        return (Some(Mark::of(&[&id.append.to_be_bytes(), &id.index.to_be_bytes()])), Some(id));
    }
    let mark = message.properties.message_id().as_ref().filter(|id| !id.as_str().is_empty()).map(|id| {
        // Not all publishers give each message another id.
        Mark::of(&[b"foreign", id.as_str().as_bytes(), message.routing_key.as_bytes(), &message.body])
    });
    (mark, None)
}

fn own_id(properties: &BasicProperties) -> Option<MessageId> {
    properties.app_id().as_ref().filter(|app| app.as_str() == APP)?;
    properties.message_id().as_ref()?.as_str().parse().ok()
}

/// Reads a message. `place` is what the exchange is called, `at` where the message will stand in the log.
pub(super) fn read(message: &Message, spec: &TopicSpec, place: &str, at: u64, now: Time) -> Arrival {
    let (mut mark, own) = mark(message);
    let headers = message.properties.headers().clone().unwrap_or_default();
    let number = |name: &str| match headers.inner().get(name) {
        Some(AMQPValue::LongLongInt(number)) if own.is_some() => Some(number.cast_unsigned()),
        _ => None,
    };
    let event = match cloud_event(message, &headers) {
        Some(event) => {
            mark = mark.or_else(|| Some(Mark::of(&[b"event", event.source().as_bytes(), event.id().as_bytes()])));
            event
        }
        None => plain(message, place, at),
    };
    let key = if own.is_some() { number(KEY) } else { key::of(&event, spec.key.as_ref()) };
    let entry = Entry::new(event, key, number(PUBLISHED_AT).map_or(now, Time));
    Arrival { entry, mark, own }
}

/// The event in a message, in either mode of the binding.
fn cloud_event(message: &Message, headers: &FieldTable) -> Option<Event> {
    let content_type = message.properties.content_type().as_ref().map(ShortString::as_str);
    if content_type.is_some_and(|given| given.to_ascii_lowercase().starts_with("application/cloudevents+json")) {
        return json::read(&message.body, &Limits { event_bytes: usize::MAX, batch_events: 1 }).ok();
    }
    let texts: Vec<(&str, Cow<'_, [u8]>)> = headers
        .inner()
        .iter()
        .filter(|(name, _)| name.as_str() != "content-type")
        .filter_map(|(name, value)| Some((name.as_str(), text(value)?)))
        .collect();
    let pairs = || texts.iter().map(|(name, value)| (*name, value.as_ref()));
    if !AMQP.is_event(pairs()) {
        return None;
    }
    let long_type = pairs().find(|(name, _)| *name == CONTENT_TYPE).map(|(_, value)| value);
    let content_type = content_type.map(str::as_bytes).or(long_type).map(|value| ("content-type", value));
    let is_empty = headers.contains_key(EMPTY);
    let data = (!message.body.is_empty() || is_empty).then(|| message.body.clone());
    let event = AMQP.event(pairs().chain(content_type), data).ok()?;
    Some(typed(event, headers))
}

/// Numbers and truth values are those again.
fn typed(event: Event, headers: &FieldTable) -> Event {
    let value = |value: &AMQPValue| match value {
        AMQPValue::Boolean(truth) => Some(Value::Boolean(*truth)),
        AMQPValue::LongInt(number) => Some(Value::Integer(*number)),
        AMQPValue::ShortInt(number) => Some(Value::Integer((*number).into())),
        AMQPValue::LongLongInt(number) => i32::try_from(*number).ok().map(Value::Integer),
        _ => None,
    };
    let mut changes = Vec::new();
    for (header, given) in headers.inner() {
        let name =
            header.as_str().strip_prefix("cloudEvents:").or_else(|| header.as_str().strip_prefix("cloudEvents_"));
        if let Some((name, value)) = name.zip(value(given))
            && event.extension(name).is_some()
        {
            changes.push((name, value));
        }
    }
    if changes.is_empty() {
        return event;
    }
    let edited =
        changes.into_iter().fold(event.edit(), |builder, (name, value)| builder.extension(name, value)).build();
    edited.unwrap_or(event)
}

/// A value as the binding writes it. Tables, arrays and the like are no attributes.
fn text(value: &AMQPValue) -> Option<Cow<'_, [u8]>> {
    let owned = |text: String| Some(Cow::Owned(text.into_bytes()));
    match value {
        AMQPValue::LongString(text) => Some(Cow::Borrowed(text.as_bytes())),
        AMQPValue::ShortString(text) => Some(Cow::Borrowed(text.as_str().as_bytes())),
        AMQPValue::Boolean(truth) => owned(truth.to_string()),
        AMQPValue::ShortShortInt(number) => owned(number.to_string()),
        AMQPValue::ShortShortUInt(number) => owned(number.to_string()),
        AMQPValue::ShortInt(number) => owned(number.to_string()),
        AMQPValue::ShortUInt(number) => owned(number.to_string()),
        AMQPValue::LongInt(number) => owned(number.to_string()),
        AMQPValue::LongUInt(number) => owned(number.to_string()),
        AMQPValue::LongLongInt(number) => owned(number.to_string()),
        AMQPValue::Timestamp(seconds) => owned(Timestamp::from_second(i64::try_from(*seconds).ok()?).ok()?.to_string()),
        _ => None,
    }
}

/// A message that is no event.
fn plain(message: &Message, place: &str, at: u64) -> Event {
    let id = format!("{place}/{at}");
    let made = |rich: bool| {
        let mut builder = Event::builder(&id, place, PLAIN_TYPE).data(message.body.clone());
        if rich {
            if let Some(given) = message.properties.content_type() {
                builder = builder.content_type(given.as_str());
            }
            if !message.routing_key.is_empty() {
                builder = builder.subject(message.routing_key.as_str());
            }
        }
        builder.build()
    };
    // What others write there need not be what an attribute may hold.
    made(true).or_else(|_| made(false)).expect("a topic's name and a number are an id and a source")
}
