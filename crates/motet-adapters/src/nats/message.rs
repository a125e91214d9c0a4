//! Events as messages, in the binary mode of the CloudEvents binding for NATS, and messages as events, whoever published them.
//!
//! What the binding cannot carry goes beside it in headers that begin with `motet-`: the key, when the event was published, which extensions
//! are no texts. An event whose attributes cannot be headers (a control character in a media type, 64 KiB of them) is written in structured
//! mode instead. Nothing that arrives is an error: what is no event becomes one.

use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use motet_broker::{Entry, Event, Time, TopicName, key};
use motet_cloudevents::{Value, binding::NATS, http, json, media};

const KEY: &str = "motet-key";
const PUBLISHED_AT: &str = "motet-published-at";
/// Names and kinds of extensions that are no texts: `attempt=i,urgent=b`.
const TYPES: &str = "motet-types";
/// Says that the event has data and that it is empty; otherwise nothing means no data.
const DATA: &str = "motet-data";
/// The type of an event that was made from a message that is none.
pub(super) const FOREIGN: &str = "motet.message";
/// What is in a stream was taken by somebody already; this only says when to stop believing it.
const STRUCTURED: http::Limits = http::Limits { event_bytes: 64 << 20, batch_events: 1 };
/// The server allows headers of 65,535 bytes, and its own come on top.
const HEADERS_BYTES_MAX: usize = 60_000;

/// What is sent for an event.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

impl Outgoing {
    /// About as many bytes as it is on the wire.
    pub(super) fn bytes(&self) -> usize {
        header_bytes(&self.headers) + self.payload.len()
    }
}

fn header_bytes(headers: &HeaderMap) -> usize {
    let line = |name: &str, values: &[HeaderValue]| {
        values.iter().map(|value| name.len() + value.as_str().len() + 4).sum::<usize>()
    };
    headers.iter().map(|(name, values)| line(name.as_ref(), values)).sum::<usize>() + 12
}

/// The message for an event.
pub(super) fn outgoing(entry: &Entry) -> Outgoing {
    let mut message = binary(&entry.event).unwrap_or_else(|| structured(&entry.event));
    message.headers.insert(PUBLISHED_AT, HeaderValue::from(entry.published_at.0));
    if let Some(key) = entry.key {
        message.headers.insert(KEY, HeaderValue::from(key));
    }
    message
}

fn binary(event: &Event) -> Option<Outgoing> {
    let mut headers = HeaderMap::new();
    for (name, value) in NATS.headers(event) {
        let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && value.trim() == value;
        if !is_plain || value.is_empty() {
            return None;
        }
        headers.insert(name.as_ref(), value.as_ref());
    }
    let types: Vec<_> =
        event.extensions().filter_map(|(name, value)| Some(format!("{name}={}", kind(value)?))).collect();
    if !types.is_empty() {
        headers.insert(TYPES, types.join(","));
    }
    if event.data().is_some_and(Bytes::is_empty) {
        headers.insert(DATA, "empty");
    }
    let payload = event.data().cloned().unwrap_or_default();
    (header_bytes(&headers) <= HEADERS_BYTES_MAX).then_some(Outgoing { headers, payload })
}

fn structured(event: &Event) -> Outgoing {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", media::EVENT);
    let mut payload = Vec::with_capacity(json::length_hint(event));
    json::write(event, &mut payload);
    Outgoing { headers, payload: payload.into() }
}

fn kind(value: Value<'_>) -> Option<&'static str> {
    match value {
        Value::Text(_) => None,
        Value::Integer(_) => Some("i"),
        Value::Boolean(_) => Some("b"),
    }
}

/// A message that stands in a stream.
pub(super) struct Incoming<'a> {
    pub(super) topic: &'a TopicName,
    pub(super) subject: &'a str,
    pub(super) sequence: u64,
    /// When the server stored it, in milliseconds since 1970.
    pub(super) millis: u64,
    pub(super) headers: Vec<(&'a str, &'a [u8])>,
    pub(super) payload: Bytes,
}

impl Incoming<'_> {
    fn header(&self, wanted: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The event. `pointer` says where the key of an event that others published stands.
    pub(super) fn entry(self, pointer: Option<&key::Pointer>) -> Entry {
        let published_at = self.header(PUBLISHED_AT).and_then(|text| text.parse().ok()).map(Time);
        let own_key = self.header(KEY).and_then(|text| text.parse().ok());
        let stored_at = Time(self.millis);
        let event = self.event().unwrap_or_else(|| self.foreign());
        // Motet writes when it published, and a key where there is one; others write neither.
        let key = if published_at.is_some() { own_key } else { key::of(&event, pointer) };
        Entry::new(event, key, published_at.unwrap_or(stored_at))
    }

    fn event(&self) -> Option<Event> {
        let headers = || self.headers.iter().copied();
        if NATS.is_event(headers()) {
            let has_data = !self.payload.is_empty() || self.header(DATA) == Some("empty");
            let event = NATS.event(headers(), has_data.then(|| self.payload.clone())).ok()?;
            return match self.header(TYPES) {
                Some(types) => typed(&event, types),
                None => Some(event),
            };
        }
        let content_type = self.header("content-type")?;
        let is_structured =
            content_type.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case(media::EVENT));
        is_structured.then(|| json::read(&self.payload, &STRUCTURED).ok()).flatten()
    }

    /// What is no event becomes one: the place in the stream is its name.
    fn foreign(&self) -> Event {
        let id = format!("{}/0/{}", self.topic, self.sequence);
        let data = (!self.payload.is_empty()).then(|| self.payload.clone());
        let made = |content_type: Option<&str>| {
            let builder = Event::builder(&id, self.subject, FOREIGN).maybe_data(data.clone());
            match content_type {
                Some(media) => builder.content_type(media.to_owned()).build(),
                None => builder.build(),
            }
        };
        let event = made(self.header("content-type").filter(|media| !media.is_empty())).or_else(|_| made(None));
        event.expect("a topic's name, a number and a subject are valid attributes")
    }
}

/// The event with numbers and truth values where it had them. Who writes nonsense into the header gets texts.
fn typed(event: &Event, types: &str) -> Option<Event> {
    let mut builder = event.edit();
    for (name, kind) in types.split(',').filter_map(|one| one.split_once('=')) {
        let Some(text) = event.extension(name).and_then(Value::as_text) else { continue };
        builder = match (kind, text.parse::<i32>(), text.parse::<bool>()) {
            ("i", Ok(number), _) => builder.extension(name.to_owned(), number),
            ("b", _, Ok(truth)) => builder.extension(name.to_owned(), truth),
            _ => builder,
        };
    }
    builder.build().ok()
}

/// The headers of a message as the stream keeps them. Lines that are none are left out.
pub(super) fn raw_headers(block: &[u8]) -> Vec<(&str, &[u8])> {
    let line = |line: &'_ [u8]| -> Option<(usize, usize)> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((colon, line.len()))
    };
    let mut found = Vec::new();
    for text in block.split(|byte| *byte == b'\n').skip(1) {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let Some((colon, end)) = line(text) else { continue };
        if let Ok(name) = std::str::from_utf8(&text[..colon]) {
            found.push((name.trim(), text[colon + 1..end].trim_ascii()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &Outgoing) -> Entry {
        let topic = "orders".parse().unwrap();
        let pairs = message.headers.iter().flat_map(|(name, values)| {
            values.iter().map(move |value| (AsRef::<str>::as_ref(name), value.as_str().as_bytes()))
        });
        Incoming {
            topic: &topic,
            subject: "shop.orders",
            sequence: 7,
            millis: 1_000,
            headers: pairs.collect(),
            payload: message.payload.clone(),
        }
        .entry(Some(&"/id".parse().unwrap()))
    }

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let plain = Event::builder("ü 1", "/s", "t").subject("\"a b\"").content_type("application/json");
        let extended =
            Event::builder("1", "/s", "t").extension("number", 7).extension("truth", true).extension("text", "7");
        let odd = Event::builder("1", "/s", "t").content_type("text/\u{7}plain\nx: y");
        let many = (0..20).fold(Event::builder("1", "/s", "t"), |builder, at| {
            builder.extension_text(format!("x{at}"), "ä".repeat(1000))
        });
        for (builder, data) in [
            (plain, Some(&br#"{"id":"d"}"#[..])),
            (extended.clone(), None),
            (extended, Some(&b""[..])),
            (odd, Some(&b"x"[..])),
            (many, None),
        ] {
            let Ok(event) = builder.maybe_data(data.map(Bytes::from_static)).build() else { continue };
            for key in [None, Some(u64::MAX)] {
                let entry = Entry::new(event.clone(), key, Time(1_700_000_000_123));
                assert_eq!(read(&outgoing(&entry)), entry);
            }
        }
    }

    #[test]
    fn what_is_no_event_becomes_one_and_gets_its_key_from_its_data() {
        for (name, value) in [("x", "y"), ("ce-specversion", "9.9"), ("ce-id", "only"), ("content-type", media::EVENT)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(name, value);
            let entry = read(&Outgoing { headers, payload: Bytes::from_static(br#"{"id":"k"}"#) });
            let seen = (entry.event.id(), entry.event.source(), entry.event.ty());
            assert_eq!(seen, ("orders/0/7", "shop.orders", FOREIGN), "{name}");
            assert_eq!(entry.event.data().map(|data| &data[..]), Some(&br#"{"id":"k"}"#[..]));
            assert_eq!((entry.published_at, entry.key.is_some()), (Time(1_000), true));
        }
    }

    #[test]
    fn an_event_of_others_is_read_in_both_modes() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("ce-specversion", "1.0"), ("Ce-Id", "a%20b"), ("ce-source", "/x"), ("ce-type", "t")] {
            headers.insert(name, value);
        }
        assert_eq!(read(&Outgoing { headers, payload: Bytes::new() }).event.id(), "a b");
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/cloudevents+json; charset=utf-8");
        let payload =
            Bytes::from_static(br#"{"specversion":"1.0","id":"c","source":"/x","type":"t","data":{"id":"k"}}"#);
        let entry = read(&Outgoing { headers, payload });
        assert_eq!((entry.event.id(), entry.key.is_some()), ("c", true));
    }

    #[test]
    fn headers_that_are_no_text_are_read_as_far_as_they_are() {
        let block = b"NATS/1.0\r\nce-id: 1\r\nbad: \xff\xfe\r\nno colon\r\n\xff: x\r\nlast:\r\n\r\n";
        let names: Vec<_> = raw_headers(block).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["ce-id", "bad", "last"]);
        for length in 0..block.len() {
            let _ = raw_headers(&block[..length]);
        }
    }
}
