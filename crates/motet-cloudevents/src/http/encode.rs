//! From events to a message.

use crate::{
    attribute::{Core, SPEC_VERSION, Value},
    event::Event,
    http::value,
    json, media,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::borrow::Cow;

const CORE: [HeaderName; 7] = [
    HeaderName::from_static("ce-id"),
    HeaderName::from_static("ce-source"),
    HeaderName::from_static("ce-type"),
    HeaderName::from_static("ce-subject"),
    HeaderName::from_static("ce-time"),
    header::CONTENT_TYPE,
    HeaderName::from_static("ce-dataschema"),
];

const VERSION: HeaderName = HeaderName::from_static("ce-specversion");

/// Puts the attributes of an event into headers, and returns its data as the body. Replaces headers of the same names.
pub fn binary(event: &Event, headers: &mut HeaderMap) -> Bytes {
    headers.insert(VERSION, HeaderValue::from_static(SPEC_VERSION));
    for core in Core::ALL {
        if let Some(text) = event.core(core) {
            // A media type goes into its header as it is.
            let value = if core == Core::ContentType { shared(event, text) } else { encoded(event, text) };
            headers.insert(CORE[core as usize].clone(), value);
        }
    }
    for (name, given) in event.extensions() {
        let Ok(header) = HeaderName::try_from(format!("ce-{name}")) else { continue };
        let value = match given {
            Value::Text(text) => encoded(event, text),
            Value::Integer(number) => HeaderValue::from(number),
            Value::Boolean(truth) => HeaderValue::from_static(if truth { "true" } else { "false" }),
        };
        headers.insert(header, value);
    }
    event.data().cloned().unwrap_or_default()
}

/// One event in the JSON event format: replaces `Content-Type` and returns the body.
pub fn structured(event: &Event, headers: &mut HeaderMap) -> Bytes {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media::EVENT));
    let mut out = Vec::with_capacity(json::length_hint(event));
    json::write(event, &mut out);
    out.into()
}

/// Several events in the JSON batch format: replaces `Content-Type` and returns the body.
pub fn batched<'a>(events: impl IntoIterator<Item = &'a Event>, headers: &mut HeaderMap) -> Bytes {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media::BATCH));
    let mut out = Vec::new();
    json::write_batch(events, &mut out);
    out.into()
}

fn encoded(event: &Event, text: &str) -> HeaderValue {
    match value::encode(text) {
        Cow::Borrowed(plain) => shared(event, plain),
        // What was encoded is printable ASCII.
        Cow::Owned(text) => HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static("")),
    }
}

/// A value that shares the event's memory: attributes hold no character that a header cannot.
fn shared(event: &Event, text: &str) -> HeaderValue {
    let bytes = event.packed().slice_ref(text.as_bytes());
    HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static(""))
}
