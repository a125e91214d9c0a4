//! Values of attributes as values of headers (HTTP protocol binding 1.0.2, section 3.1.3.2).

use crate::error::DecodeError;
use std::borrow::Cow;

/// Decodes a header: double-quoted strings first, as older senders write them, then one round of percent-decoding.
///
/// A percent sign that no two hexadecimal digits follow stands for itself, and so does a double quote that is not closed: senders that do not
/// encode exist (the SDK for JavaScript is one), and nothing is lost by understanding them. Bytes that are not UTF-8 are refused, encoded or not.
pub fn decode<'a>(header: &str, value: &'a [u8]) -> Result<Cow<'a, str>, DecodeError> {
    let refuse = |reason| DecodeError::Header { header: header.to_owned(), reason };
    let not_utf8 = || refuse("it is not UTF-8");
    if !value.iter().any(|byte| matches!(byte, b'"' | b'%')) {
        return std::str::from_utf8(value).map(Cow::Borrowed).map_err(|_| not_utf8());
    }
    let decoded = percent_decode(&unquote(value).unwrap_or(Cow::Borrowed(value)));
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| not_utf8())
}

/// Takes quoted strings out of their quotes (RFC 7230, section 3.2.6), wherever they stand. Nothing if one is not closed.
fn unquote(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !value.contains(&b'"') {
        return Some(Cow::Borrowed(value));
    }
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied();
    let mut is_quoted = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' if is_quoted => out.push(bytes.next()?),
            other => out.push(other),
        }
    }
    (!is_quoted).then_some(Cow::Owned(out))
}

fn percent_decode(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        let escaped = value.get(at + 1..at + 3).and_then(|hex| Some(digit(hex[0])? << 4 | digit(hex[1])?));
        match (byte, escaped) {
            (b'%', Some(escaped)) => {
                out.push(escaped);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

fn digit(hex: u8) -> Option<u8> {
    match hex {
        b'0'..=b'9' => Some(hex - b'0'),
        b'a'..=b'f' => Some(hex - b'a' + 10),
        b'A'..=b'F' => Some(hex - b'A' + 10),
        _ => None,
    }
}

/// Encodes a value: space, double quote, percent and all that is not printable ASCII become `%XY`. Borrows when there is nothing to do.
pub fn encode(value: &str) -> Cow<'_, str> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if value.bytes().all(is_plain) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len() + 16);
    for byte in value.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Cow::Owned(out)
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b'%')
}
