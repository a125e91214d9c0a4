//! Events as the headers of messages of other protocols, as plain functions on pairs of texts: what a client library calls a header is
//! its own affair.
//!
//! All of these have one shape: a prefix before each attribute, the media type of the data under a name of its own, and the data as the
//! body. They differ in the prefix, in that name, and in how values are written.

use crate::{
    attribute::{self, Core, SPEC_VERSION, Value},
    error::{DecodeError, InvalidEvent, shortened},
    event::{Builder, Event},
    http::value,
};
use bytes::Bytes;
use std::borrow::Cow;

/// How a protocol carries an event in binary mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// What it is written with before each attribute, and what else is understood.
    prefixes: &'static [&'static str],
    /// Under which name the media type of the data goes.
    content_type: &'static str,
    /// Whether values are percent-encoded, as in HTTP.
    is_encoded: bool,
}

/// Kafka protocol binding 1.0.2, section 3.2: `ce_` headers in UTF-8, and `content-type`.
pub const KAFKA: Binding = Binding { prefixes: &["ce_"], content_type: "content-type", is_encoded: false };

/// NATS protocol binding 1.0.2, section 3.1: `ce-` headers, encoded as in HTTP.
pub const NATS: Binding = Binding { prefixes: &["ce-"], content_type: "content-type", is_encoded: true };

/// AMQP protocol binding 1.0.2, section 3.1: application properties `cloudEvents:`; `cloudEvents_` is understood too. The media type is the
/// message property `content-type`.
pub const AMQP: Binding =
    Binding { prefixes: &["cloudEvents:", "cloudEvents_"], content_type: "content-type", is_encoded: false };

impl Binding {
    /// The attributes as headers. The data is [`Event::data`].
    pub fn headers<'a>(&self, event: &'a Event) -> impl Iterator<Item = (Cow<'static, str>, Cow<'a, str>)> {
        let Self { prefixes, content_type, is_encoded } = *self;
        event.attributes().map(move |(name, given)| {
            if name == Core::ContentType.name() {
                return (Cow::Borrowed(content_type), Cow::Owned(given.to_string()));
            }
            let text = match given {
                Value::Text(text) if is_encoded => value::encode(text),
                Value::Text(text) => Cow::Borrowed(text),
                other => Cow::Owned(other.to_string()),
            };
            (Cow::Owned(format!("{}{name}", prefixes[0])), text)
        })
    }

    /// Whether these headers are an event's: one of them says its version.
    pub fn is_event<'a>(&self, headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> bool {
        headers.into_iter().any(|(name, _)| self.attribute(name).is_some_and(|name| name == "specversion"))
    }

    /// The event of a message. Headers that are not of the binding are nobody's business here.
    pub fn event<'a>(
        &self,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        data: Option<Bytes>,
    ) -> Result<Event, DecodeError> {
        let mut builder = Builder::default();
        let mut has_version = false;
        for (header, given) in headers {
            if header.eq_ignore_ascii_case(self.content_type) {
                builder = builder.content_type(text(header, given)?);
                continue;
            }
            let Some(name) = self.attribute(header) else { continue };
            let given =
                if self.is_encoded { value::decode(header, given)? } else { Cow::Borrowed(text(header, given)?) };
            if name == "specversion" {
                has_version = true;
                if given != SPEC_VERSION {
                    return Err(InvalidEvent::Version { given: shortened(&given) }.into());
                }
                continue;
            }
            if builder.has(&name) {
                return Err(InvalidEvent::Twice { attribute: shortened(&name) }.into());
            }
            builder = match Core::from_name(&name) {
                Some(core) => builder.with_core(core, given),
                None => {
                    attribute::check_extension_name(&name)?;
                    builder.extension_new(name, given)
                }
            };
        }
        if !has_version {
            return Err(InvalidEvent::Missing { attribute: "specversion" }.into());
        }
        Ok(builder.maybe_data(data).build()?)
    }

    /// The attribute that a header carries. Headers are told apart without regard to case where the protocol does so.
    fn attribute<'a>(&self, header: &'a str) -> Option<Cow<'a, str>> {
        let rest = self.prefixes.iter().find_map(|prefix| {
            let (start, rest) = header.split_at_checked(prefix.len())?;
            start.eq_ignore_ascii_case(prefix).then_some(rest)
        })?;
        let is_lower = !rest.bytes().any(|byte| byte.is_ascii_uppercase());
        Some(if is_lower { Cow::Borrowed(rest) } else { Cow::Owned(rest.to_ascii_lowercase()) })
    }
}

fn text<'a>(header: &str, given: &'a [u8]) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(given).map_err(|_| DecodeError::Header { header: header.to_owned(), reason: "it is not UTF-8" })
}
