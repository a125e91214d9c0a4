//! Events as records of Kafka, and records of Kafka as events.
//!
//! An event is written in the binary mode of the CloudEvents Kafka binding (1.0.2, section 3.2), so that any program that knows CloudEvents
//! reads it: `ce_` headers, the data as the value, the `partitionkey` as the record's key. What else the broker has to get back stands in
//! headers of Motet's own. Other programs write what they like: an event in binary or in structured mode is taken as it is, and anything
//! else becomes an event that says where it came from. Nothing that stands in a topic can hold up what stands behind it.

use bytes::Bytes;
use motet_broker::{
    Entry, Event, Time,
    key::{self, Pointer},
};
use motet_cloudevents::{Value, binding::KAFKA, http::Limits, json, media};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use std::borrow::Cow;

/// When Motet published the record, in milliseconds since 1970. Its presence says that Motet wrote the record.
const PUBLISHED_AT: &str = "motet-published-at";
/// What keeps the event in order, in hexadecimal. Absent: nothing does.
const KEY: &str = "motet-key";
/// The extensions that are no text, as `name=i` (a whole number) or `name=b` (a truth value), with commas between: headers know only text.
const TYPES: &str = "motet-types";

/// The type of an event that was made of a message without CloudEvents headers.
const FOREIGN_TYPE: &str = "motet.message";

/// What a record costs beside the event's own attributes and data, in bytes, at most: names of headers, lengths, Motet's own headers.
pub(super) const OVERHEAD: usize = 64 << 10;

/// The headers of an entry.
pub(super) fn headers(entry: &Entry) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(12);
    for (name, value) in KAFKA.headers(&entry.event) {
        headers = headers.insert(Header { key: &name, value: Some(value.as_ref()) });
    }
    let published_at = entry.published_at.0.to_string();
    headers = headers.insert(Header { key: PUBLISHED_AT, value: Some(&published_at) });
    if let Some(key) = entry.key {
        headers = headers.insert(Header { key: KEY, value: Some(&format!("{key:016x}")) });
    }
    let types = types(&entry.event);
    if types.is_empty() { headers } else { headers.insert(Header { key: TYPES, value: Some(&types) }) }
}

fn types(event: &Event) -> String {
    let mut types = String::new();
    for (name, value) in event.extensions() {
        let letter = match value {
            Value::Text(_) => continue,
            Value::Integer(_) => 'i',
            Value::Boolean(_) => 'b',
        };
        let comma = if types.is_empty() { "" } else { "," };
        types.push_str(&format!("{comma}{name}={letter}"));
    }
    types
}

/// A record as it came from Kafka.
pub(super) struct Record<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: u32,
    pub(super) offset: u64,
    /// Milliseconds since 1970; zero if the record has no time.
    pub(super) timestamp: u64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Record<'a> {
    /// The record of a message. Headers without a value count as empty.
    pub(super) fn of<M: Message>(message: &'a M) -> Self {
        let headers = message.headers().map(|headers| {
            headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect::<Vec<_>>()
        });
        Self {
            topic: message.topic(),
            partition: u32::try_from(message.partition()).unwrap_or_default(),
            offset: u64::try_from(message.offset()).unwrap_or_default(),
            timestamp: message.timestamp().to_millis().and_then(|time| u64::try_from(time).ok()).unwrap_or_default(),
            key: message.key(),
            value: message.payload(),
            headers: headers.unwrap_or_default(),
        }
    }

    /// What it says. `pointer` is where the topic's key stands in the data.
    pub(super) fn entry(&self, pointer: Option<&Pointer>) -> Entry {
        let event = self.event();
        let published_at = self.number(PUBLISHED_AT, 10);
        let key = match published_at {
            Some(_) => self.number(KEY, 16),
            None => key::of(&event, pointer).or_else(|| self.key_of_record()),
        };
        let published_at = Time(published_at.unwrap_or(self.timestamp));
        Entry::new(event, key, published_at)
    }

    fn event(&self) -> Event {
        let data = || self.value.map(Bytes::copy_from_slice);
        let headers = || self.headers.iter().copied();
        if KAFKA.is_event(headers())
            && let Ok(event) = KAFKA.event(headers(), data())
        {
            return self.typed(event);
        }
        if self.is_structured()
            && let Some(body) = data()
            && let Ok(event) = json::read(&body, &Limits { event_bytes: body.len(), batch_events: 1 })
        {
            return event;
        }
        self.wrapped(data().as_ref())
    }

    /// Section 3.3 of the binding: the media type alone says that the value is the whole event.
    fn is_structured(&self) -> bool {
        let content_type = self.content_type().unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(media::EVENT)
    }

    fn content_type(&self) -> Option<&'a str> {
        let found = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// An event around a message that is none. The record's key becomes the event's, so that order per key is kept.
    fn wrapped(&self, data: Option<&Bytes>) -> Event {
        let id = format!("{}/{}/{}", self.topic, self.partition, self.offset);
        let bare = || Event::builder(&id, self.topic, FOREIGN_TYPE).maybe_data(data.cloned());
        let mut builder = bare();
        if let Some(content_type) = self.content_type() {
            builder = builder.content_type(content_type);
        }
        if let Some(key) = self.text_of_key() {
            builder = builder.extension_text("partitionkey", key);
        }
        let kept = builder.build().or_else(|_| bare().build());
        kept.or_else(|_| Event::builder(&id, "kafka", FOREIGN_TYPE).build()).expect("plain ASCII in each attribute")
    }

    /// A key that an event can carry: text without control characters, not too long.
    fn text_of_key(&self) -> Option<Cow<'a, str>> {
        let key = std::str::from_utf8(self.key?).ok()?;
        let fits = !key.is_empty() && key.len() <= 1024 && !key.chars().any(char::is_control);
        fits.then_some(Cow::Borrowed(key))
    }

    /// What keeps events of others in order that name no partition key of their own: the key by which Kafka kept them in order.
    fn key_of_record(&self) -> Option<u64> {
        let key = self.text_of_key()?;
        let carrier = Event::builder("-", "-", "-").extension_text("partitionkey", key).build().ok()?;
        key::of(&carrier, None)
    }

    fn text(&self, header: &str) -> Option<&'a str> {
        let found = self.headers.iter().find(|(name, _)| *name == header);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    fn number(&self, header: &str, radix: u32) -> Option<u64> {
        u64::from_str_radix(self.text(header)?, radix).ok()
    }

    /// The event with numbers and truth values where they were.
    fn typed(&self, event: Event) -> Event {
        let Some(types) = self.text(TYPES) else { return event };
        let mut builder = event.edit();
        for (name, letter) in types.split(',').filter_map(|entry| entry.split_once('=')) {
            let Some(Value::Text(text)) = event.extension(name) else { continue };
            match (letter, text.parse(), text.parse()) {
                ("i", Ok(number), _) => builder = builder.extension(name, Value::Integer(number)),
                ("b", _, Ok(truth)) => builder = builder.extension(name, Value::Boolean(truth)),
                _ => {}
            }
        }
        builder.build().unwrap_or(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(entry: &Entry) -> Entry {
        let headers = headers(entry);
        let pairs = headers.iter().map(|header| (header.key, header.value.unwrap())).collect();
        let record = Record {
            topic: "sys.t",
            partition: 0,
            offset: 7,
            timestamp: 5,
            key: entry.event.partition_key().map(str::as_bytes),
            value: entry.event.data().map(AsRef::as_ref),
            headers: pairs,
        };
        record.entry(None)
    }

    type Pairs<'a> = Vec<(&'a str, &'a [u8])>;

    fn foreign<'a>(headers: Pairs<'a>, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Record<'a> {
        Record { topic: "sys.t", partition: 3, offset: 9, timestamp: 1234, key, value, headers }
    }

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let full = Event::builder("1", "/s?q=%C3%BC", "t")
            .subject("a \"b\" 100 % ü")
            .content_type("application/json")
            .extension("partitionkey", "k")
            .extension("number", Value::Integer(-7))
            .extension("truth", Value::Boolean(true))
            .extension("digits", "7")
            .data("{}");
        let empty = Event::builder("2", "/s", "t").data("").build().unwrap();
        let bare = Event::builder("3", "/s", "t").build().unwrap();
        for (event, key) in [(full.build().unwrap(), Some(u64::MAX - 3)), (empty, Some(0)), (bare, None)] {
            let entry = Entry::new(event, key, Time(1_700_000_000_123));
            assert_eq!(back(&entry), entry);
        }
    }

    #[test]
    fn an_event_by_another_program_is_taken_as_it_is_and_keeps_its_order() {
        let headers: Pairs<'_> = vec![
            ("ce_specversion", b"1.0"),
            ("ce_id", b"x"),
            ("ce_source", b"/o"),
            ("ce_type", b"o.t"),
            ("other", b"\xff"),
        ];
        let with_key = foreign(headers.clone(), Some(b"k1"), Some(b"data")).entry(None);
        assert_eq!((with_key.event.id(), with_key.event.data().unwrap().as_ref()), ("x", &b"data"[..]));
        assert_eq!(with_key.published_at, Time(1234));
        let named = Event::builder("y", "/o", "t").extension("partitionkey", "k1").build().unwrap();
        assert_eq!(with_key.key, key::of(&named, None), "the record's key keeps it in order with named ones");
        assert_eq!(foreign(headers, None, None).entry(None).key, None);
    }

    #[test]
    fn an_event_in_structured_mode_is_understood() {
        let body = br#"{"specversion":"1.0","id":"s","source":"/o","type":"t","data":{"a":1}}"#;
        let headers: Pairs<'_> = vec![("content-type", b"application/cloudevents+json; charset=UTF-8")];
        let entry = foreign(headers, None, Some(body)).entry(Some(&"/a".parse().unwrap()));
        assert_eq!(entry.event.id(), "s");
        assert!(entry.key.is_some(), "the topic's key is found in the data");
    }

    #[test]
    fn anything_else_becomes_an_event_that_says_where_it_came_from() {
        let cases: [(Pairs<'_>, &[u8]); 5] = [
            (vec![], b"k"),
            (vec![("ce_specversion", b"1.0")], b"k"),
            (vec![("ce_specversion", b"0.3"), ("ce_id", b"\xff")], b"\xff\x00"),
            (vec![("content-type", b"application/cloudevents+json")], b""),
            (vec![("content-type", b"\xff"), ("motet-key", b"zz")], b"a\nb"),
        ];
        for (headers, key) in cases {
            let entry = foreign(headers.clone(), Some(key), Some(b"\x00\xffplain")).entry(None);
            let event = &entry.event;
            assert_eq!(
                (event.id(), event.source(), event.ty()),
                ("sys.t/3/9", "sys.t", "motet.message"),
                "{headers:?}"
            );
            assert_eq!(event.data().unwrap().as_ref(), b"\x00\xffplain");
            assert_eq!(event.partition_key(), (key == b"k").then_some("k"));
        }
        let deleted = foreign(vec![], Some(b"k"), None).entry(None);
        assert_eq!(deleted.event.data(), None);
    }
}
