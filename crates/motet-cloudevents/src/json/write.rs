//! From events to JSON.

use crate::{attribute::Value, event::Event, media};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::de::IgnoredAny;

/// What the JSON of an event takes, roughly, in bytes: enough for most.
pub fn length_hint(event: &Event) -> usize {
    event.size() + event.size() / 4 + 160
}

/// Appends an event in the JSON event format.
pub fn write(event: &Event, out: &mut Vec<u8>) {
    write_with(event, &[], out);
}

/// Appends an event in the JSON event format, with extension attributes that it does not have itself, or in place of those that it has. Their
/// names have to be such that [`crate::attribute::check_extension_name`] finds nothing wrong.
pub fn write_with(event: &Event, more: &[(&str, Value<'_>)], out: &mut Vec<u8>) {
    let own = event.attributes().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
    for (index, (name, value)) in own.chain(more.iter().copied()).enumerate() {
        // Names are letters and digits.
        out.extend_from_slice(if index == 0 { b"{\"" } else { b",\"" });
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match value {
            Value::Text(text) => string(text, out),
            other => out.extend_from_slice(other.to_string().as_bytes()),
        }
    }
    if let Some(data) = event.data() {
        write_data(event.content_type(), data, out);
    }
    out.push(b'}');
}

/// Appends what [`write_with`] does as one line, for streams of such lines. Line breaks between the parts of JSON data become spaces;
/// inside of its strings there can be none.
pub fn write_line(event: &Event, more: &[(&str, Value<'_>)], out: &mut Vec<u8>) {
    let start = out.len();
    write_with(event, more, out);
    for byte in &mut out[start..] {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.push(b'\n');
}

/// Appends a list of events in the JSON batch format.
pub fn write_batch<'a>(events: impl IntoIterator<Item = &'a Event>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, event) in events.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(event, out);
    }
    out.push(b']');
}

/// JSON goes in as it is, text as a string, and everything else in base64; and so does what is not what its type says.
fn write_data(content_type: Option<&str>, data: &[u8], out: &mut Vec<u8>) {
    if content_type.is_none_or(media::is_json) {
        if serde_json::from_slice::<IgnoredAny>(data).is_ok() {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(data);
            return;
        }
    } else if content_type.is_some_and(media::is_text)
        && let Ok(text) = std::str::from_utf8(data)
    {
        out.extend_from_slice(b",\"data\":");
        string(text, out);
        return;
    }
    out.extend_from_slice(b",\"data_base64\":\"");
    let start = out.len();
    out.resize(start + data.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(data, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
    out.push(b'"');
}

/// Appends a text as a JSON string.
fn string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut plain = 0;
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        if !matches!(byte, b'"' | b'\\' | 0..=0x1f) {
            continue;
        }
        out.extend_from_slice(&bytes[plain..at]);
        plain = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}
