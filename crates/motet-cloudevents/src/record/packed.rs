//! The attributes of an event, packed into one piece of memory.
//!
//! `7 lengths (2 bytes each) | number of extensions (2 bytes) | the 7 core values | extensions`, and each extension is
//! `length of name (1) | type (1) | length of value (2) | name | value`. A core attribute that is absent has the length 0, which no present one
//! has. Numbers and truth values are kept as their canonical text and remember their type.

use crate::{
    attribute::{ATTRIBUTES_BYTES_MAX, Core, NAME_BYTES_MAX, Value},
    error::InvalidRecord,
};

/// The lengths of the core values and the number of extensions.
const TABLE: usize = 16;

/// The lengths of an extension's parts and its type.
const EXTENSION: usize = 4;

const TEXT: u8 = 0;
const INTEGER: u8 = 1;
const TRUTH: u8 = 2;

/// How long the packed form is.
pub(crate) fn length<'a>(core: &[&str; 7], extensions: impl Iterator<Item = (&'a str, Value<'a>)>) -> usize {
    let own: usize = core.iter().map(|value| value.len()).sum();
    let others: usize = extensions.map(|(name, value)| EXTENSION + name.len() + value_length(value)).sum();
    TABLE + own + others
}

fn value_length(value: Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Integer(number) => number.to_string().len(),
        Value::Boolean(truth) => truth.to_string().len(),
    }
}

/// Packs what has been checked; `length` is what [`length`] says.
pub(crate) fn pack<'a>(
    core: &[&str; 7],
    extensions: impl Iterator<Item = (&'a str, Value<'a>)>,
    count: usize,
    length: usize,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(length);
    for value in core {
        out.extend_from_slice(&short(value.len()));
    }
    out.extend_from_slice(&short(count));
    for value in core {
        out.extend_from_slice(value.as_bytes());
    }
    for (name, value) in extensions {
        let owned;
        let (kind, text) = match value {
            Value::Text(text) => (TEXT, text),
            Value::Integer(number) => {
                owned = number.to_string();
                (INTEGER, owned.as_str())
            }
            Value::Boolean(true) => (TRUTH, "true"),
            Value::Boolean(false) => (TRUTH, "false"),
        };
        let [low, high] = short(text.len());
        out.extend_from_slice(&[u8::try_from(name.len()).unwrap_or(u8::MAX), kind, low, high]);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// A length that the limits on attributes keep below two bytes.
fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes()
}

fn short_at(packed: &[u8], at: usize) -> usize {
    packed.get(at..at + 2).map_or(0, |pair| usize::from(u16::from_le_bytes([pair[0], pair[1]])))
}

/// The value of a core attribute, if it is there.
pub(crate) fn core(packed: &[u8], core: Core) -> Option<&str> {
    let index = core as usize;
    let length = short_at(packed, 2 * index);
    if length == 0 {
        return None;
    }
    let start = TABLE + (0..index).map(|before| short_at(packed, 2 * before)).sum::<usize>();
    text(packed, start, length)
}

fn text(packed: &[u8], start: usize, length: usize) -> Option<&str> {
    std::str::from_utf8(packed.get(start..start + length)?).ok()
}

/// The extensions, by name.
pub(crate) fn extensions(packed: &[u8]) -> impl Iterator<Item = (&str, Value<'_>)> {
    let mut at = extensions_start(packed);
    std::iter::from_fn(move || {
        let (name, value, next) = extension(packed, at)?;
        at = next;
        Some((name, value))
    })
}

fn extensions_start(packed: &[u8]) -> usize {
    TABLE + (0..Core::ALL.len()).map(|index| short_at(packed, 2 * index)).sum::<usize>()
}

fn extension(packed: &[u8], at: usize) -> Option<(&str, Value<'_>, usize)> {
    let &[name_length, kind, low, high] = packed.get(at..at + EXTENSION)? else { return None };
    let (name_length, value_length) = (usize::from(name_length), usize::from(u16::from_le_bytes([low, high])));
    let start = at + EXTENSION;
    let name = text(packed, start, name_length)?;
    let value = text(packed, start + name_length, value_length)?;
    let value = match kind {
        TEXT => Value::Text(value),
        INTEGER => Value::Integer(value.parse().ok()?),
        TRUTH => Value::Boolean(value.parse().ok()?),
        _ => return None,
    };
    Some((name, value, start + name_length + value_length))
}

/// Whether all accessors will find what they look for.
pub(crate) fn check(packed: &[u8]) -> Result<(), InvalidRecord> {
    let damaged = Err(InvalidRecord { reason: "its attributes are damaged" });
    if packed.len() < TABLE || packed.len() > ATTRIBUTES_BYTES_MAX {
        return damaged;
    }
    for attribute in Core::ALL {
        let is_there = short_at(packed, 2 * attribute as usize) > 0;
        if core(packed, attribute).is_none() && (is_there || attribute.is_required()) {
            return damaged;
        }
    }
    let mut at = extensions_start(packed);
    for _ in 0..short_at(packed, TABLE - 2) {
        match extension(packed, at) {
            Some((name, _, next)) if name.len() <= NAME_BYTES_MAX => at = next,
            _ => return damaged,
        }
    }
    if at == packed.len() { Ok(()) } else { damaged }
}
