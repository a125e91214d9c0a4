//! What attributes may be called and what they may hold (CloudEvents 1.0.2, sections "Naming Conventions", "Type System", "Context
//! Attributes").
//!
//! The specification sets no upper bounds, and an event without them cannot be delivered: it has to fit into the headers of a request
//! in binary mode, and common servers take 16 KiB of those (Node's `--max-http-header-size`). So the bounds are set here, where an event is made,
//! and nobody learns of them at delivery.

use crate::error::{InvalidEvent, shortened};
use std::fmt;

/// How many bytes all attributes of an event may have together, names and values.
pub const ATTRIBUTES_BYTES_MAX: usize = 12 * 1024;

/// How many extension attributes an event may have.
pub const EXTENSIONS_MAX: usize = 64;

/// How many characters the name of an attribute may have. The specification recommends to stay below 21.
pub const NAME_BYTES_MAX: usize = 64;

/// The only version of the specification that there is an event of.
pub const SPEC_VERSION: &str = "1.0";

/// The attributes that the specification defines, except `specversion`, in the order in which they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    Id,
    Source,
    Type,
    Subject,
    Time,
    ContentType,
    Schema,
}

impl Core {
    pub(crate) const ALL: [Self; 7] =
        [Self::Id, Self::Source, Self::Type, Self::Subject, Self::Time, Self::ContentType, Self::Schema];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Source => "source",
            Self::Type => "type",
            Self::Subject => "subject",
            Self::Time => "time",
            Self::ContentType => "datacontenttype",
            Self::Schema => "dataschema",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|core| core.name() == name)
    }

    /// The first three have to be there.
    pub(crate) fn is_required(self) -> bool {
        matches!(self, Self::Id | Self::Source | Self::Type)
    }

    pub(crate) fn check(self, value: &str) -> Result<(), InvalidEvent> {
        let fault = if value.is_empty() {
            Some("is empty")
        } else {
            match self {
                Self::Id | Self::Type | Self::Subject => text_fault(value),
                Self::Source => uri_fault(value, false),
                Self::Schema => uri_fault(value, true),
                Self::Time => timestamp_fault(value),
                Self::ContentType => media_type_fault(value),
            }
        };
        fault.map_or(Ok(()), |reason| Err(invalid(self.name(), value, reason)))
    }
}

/// The value of an attribute. A number and a truth value remember that they are, for formats that tell the types apart; all other types of
/// the specification (`Binary`, `URI`, `URI-reference`, `Timestamp`) are their canonical text, as formats and bindings carry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value<'a> {
    /// Any text.
    Text(&'a str),
    /// A whole number of 32 bits.
    Integer(i32),
    /// `true` or `false`.
    Boolean(bool),
}

impl<'a> Value<'a> {
    /// The text, if it is one. Numbers and truth values are none: use `to_string` for the canonical text of whatever it is.
    pub fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Integer(_) | Self::Boolean(_) => None,
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Boolean(truth) => write!(f, "{truth}"),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<i32> for Value<'_> {
    fn from(number: i32) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

/// Whether an extension attribute can have this name.
pub fn check_extension_name(name: &str) -> Result<(), InvalidEvent> {
    let refuse = |reason| Err(InvalidEvent::Name { name: shortened(name), reason });
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.len() > NAME_BYTES_MAX {
        return refuse("it has more than 64 characters");
    }
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return refuse("names consist of lower-case letters a to z and digits");
    }
    if matches!(name, "data" | "specversion") || Core::from_name(name).is_some() {
        return refuse("the specification gives that name another meaning");
    }
    Ok(())
}

pub(crate) fn check_extension(name: &str, value: Value<'_>) -> Result<(), InvalidEvent> {
    check_extension_name(name)?;
    match value.as_text().and_then(text_fault) {
        Some(reason) => Err(invalid(name, value.as_text().unwrap_or_default(), reason)),
        None => Ok(()),
    }
}

fn invalid(attribute: &str, given: &str, reason: &'static str) -> InvalidEvent {
    InvalidEvent::Value { attribute: attribute.to_owned(), given: shortened(&given.escape_debug().to_string()), reason }
}

/// A String is any text without control characters and without code points that Unicode says are no characters.
fn text_fault(value: &str) -> Option<&'static str> {
    // Nearly every value is printable ASCII, and this loop is over before the other one is set up.
    if value.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return None;
    }
    value.chars().find_map(|char| match u32::from(char) {
        0..=0x1f | 0x7f..=0x9f => Some("holds a control character"),
        0xfdd0..=0xfdef => Some("holds a code point that is no character"),
        code if code & 0xfffe == 0xfffe => Some("holds a code point that is no character"),
        _ => None,
    })
}

/// The characters of a URI (RFC 3986, appendix A). What stands where is not looked at: nobody here resolves one.
fn uri_fault(value: &str, with_scheme: bool) -> Option<&'static str> {
    let bytes = value.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'%' => {
                let is_escape = bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
                if !is_escape {
                    return Some("is not a URI: a `%` that stands for itself is written `%25`");
                }
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {}
            b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'?' | b'#' | b'[' | b']' | b'@' => {}
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {}
            b' ' => return Some("is not a URI: a space is written `%20` in one"),
            _ => return Some("is not a URI: it holds a character that has to be written as `%xy`"),
        }
    }
    let scheme = value.split_once(':').map_or("", |(scheme, _)| scheme);
    let has_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    (with_scheme && !has_scheme).then_some("is not a URI: it has to begin with a scheme, like `https:`")
}

/// A timestamp of RFC 3339, section 5.6, with a day that the month has.
fn timestamp_fault(value: &str) -> Option<&'static str> {
    const FAULT: &str = "is not a timestamp like `2026-01-31T12:00:00Z` (RFC 3339)";
    is_timestamp(value.as_bytes()).is_none().then_some(FAULT)
}

fn is_timestamp(value: &[u8]) -> Option<()> {
    let number = |from: usize, to: usize| {
        value
            .get(from..to)?
            .iter()
            .try_fold(0u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    };
    let is = |at: usize, expected: &[u8]| value.get(at).filter(|byte| expected.contains(byte)).map(|_| ());
    let within = |number: u32, max: u32| (number <= max).then_some(());
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    is(4, b"-")?;
    is(7, b"-")?;
    is(10, b"Tt")?;
    is(13, b":")?;
    is(16, b":")?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    (1..=days).contains(&day).then_some(())?;
    within(number(11, 13)?, 23)?;
    within(number(14, 16)?, 59)?;
    // 60 is a leap second.
    within(number(17, 19)?, 60)?;
    let mut at = 19;
    if is(at, b".").is_some() {
        let digits = value[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (digits > 0).then_some(())?;
        at += 1 + digits;
    }
    if is(at, b"Zz").is_some() {
        return (value.len() == at + 1).then_some(());
    }
    is(at, b"+-")?;
    is(at + 3, b":")?;
    within(number(at + 1, at + 3)?, 23)?;
    within(number(at + 4, at + 6)?, 59)?;
    (value.len() == at + 6).then_some(())
}

/// `type/subtype` and whatever parameters (RFC 2045, section 5.1): the value becomes a header, so it is held to printable ASCII.
fn media_type_fault(value: &str) -> Option<&'static str> {
    const FAULT: &str = "is not a media type like `application/json`";
    let essence = value.split(';').next().unwrap_or_default().trim_end();
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let is_printable = value.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
    let has_two_tokens = essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    (!(is_printable && has_two_tokens)).then_some(FAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_one_of_rfc_3339() {
        for good in [
            "2026-01-31T12:00:00Z",
            "1985-04-12T23:20:50.52Z",
            "1996-12-19T16:39:57-08:00",
            "1990-12-31T23:59:60Z",
            "2024-02-29t00:00:00.000000001z",
            "2000-02-29T00:00:00+23:59",
        ] {
            assert_eq!(timestamp_fault(good), None, "{good}");
        }
        for bad in [
            "",
            "2026-01-31",
            "2026-01-31 12:00:00Z",
            "2026-01-31T12:00:00",
            "2026-13-01T12:00:00Z",
            "2026-02-29T12:00:00Z",
            "1900-02-29T12:00:00Z",
            "2026-04-31T12:00:00Z",
            "2026-01-00T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:61Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00Zx",
            "2026-01-31T12:00:00+1:00",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00+01:00Z",
            "+026-01-31T12:00:00Z",
        ] {
            assert!(timestamp_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_uri_holds_the_characters_of_rfc_3986() {
        for good in
            ["/a", "urn:uuid:6e8bc430", "https://a.example/b?c=%20#d", "1-555-123-4567", "mailto:a@b", "//[::1]:80/"]
        {
            assert_eq!(uri_fault(good, false), None, "{good}");
        }
        for bad in ["/a b", "/ä", "/a%2", "/a%zz", "/a\"", "/{a}", "/a\\b", "/a\u{7f}"] {
            assert!(uri_fault(bad, false).is_some(), "{bad}");
        }
        assert_eq!(uri_fault("urn:a", true), None);
        for bad in ["/a", "1a:b", ":b", "a/b:c"] {
            assert!(uri_fault(bad, true).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_media_type_has_two_tokens() {
        for good in ["application/json", "text/plain; charset=utf-8", "application/vnd.a+json;x=\"y z\"", "image/* "] {
            assert_eq!(media_type_fault(good), None, "{good}");
        }
        for bad in ["json", "application/", "/json", "a/b/c", "a b/c", "text/plain; x=\u{e4}", "text/plain\r\nx: y"] {
            assert!(media_type_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn text_holds_characters_and_nothing_else() {
        for good in ["", "a b", "Euro € 😀", "\u{a0}", "\u{fffd}"] {
            assert_eq!(text_fault(good), None, "{good:?}");
        }
        for bad in ["\0", "a\nb", "\u{7f}", "\u{9f}", "\u{fdd0}", "\u{ffff}", "\u{1fffe}", "\u{10ffff}"] {
            assert!(text_fault(bad).is_some(), "{bad:?}");
        }
    }
}
