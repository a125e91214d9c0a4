//! From a message to events.

use crate::{
    attribute::{self, Core, SPEC_VERSION},
    error::{DecodeError, InvalidEvent, shortened},
    event::{Builder, Event},
    http::{Mode, value},
    json, media,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::borrow::Cow;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What is taken at most. Whoever reads the body bounds it before: these are about what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How large one event may be, attributes and data, in bytes.
    pub event_bytes: usize,
    /// How many events one batch may have.
    pub batch_events: usize,
}

impl Default for Limits {
    /// One mebibyte, which is what brokers take by default, and 1,000 events.
    fn default() -> Self {
        Self { event_bytes: 1024 * 1024, batch_events: 1000 }
    }
}

/// What is filled in when a message carries data and no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill<'a> {
    /// An `id` that nobody else has.
    pub id: Cow<'a, str>,
    /// Who sent it.
    pub source: Cow<'a, str>,
    /// What kind of thing happened.
    pub ty: Cow<'a, str>,
    /// When it came (RFC 3339).
    pub time: Cow<'a, str>,
}

/// The events of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// From a message that carries one.
    One(Event),
    /// From a batch, in its order. May be empty.
    Many(Vec<Event>),
}

impl Decoded {
    /// How they came to be in a list, which a batch of one is too.
    pub fn as_slice(&self) -> &[Event] {
        match self {
            Self::One(event) => std::slice::from_ref(event),
            Self::Many(events) => events,
        }
    }

    /// All events.
    pub fn into_vec(self) -> Vec<Event> {
        match self {
            Self::One(event) => vec![event],
            Self::Many(events) => events,
        }
    }
}

/// How the message carries its events: by its `Content-Type`, and whether it has any of the attributes that every event has.
pub fn mode(headers: &HeaderMap) -> Result<Mode, DecodeError> {
    let content_type = content_type(headers)?.unwrap_or_default();
    let essence = media::essence(content_type);
    let is_event = essence.get(..23).is_some_and(|start| start.eq_ignore_ascii_case("application/cloudevents"));
    if !is_event {
        let is_given =
            headers.keys().any(|name| matches!(name.as_str(), "ce-id" | "ce-source" | "ce-type" | "ce-specversion"));
        return Ok(if is_given { Mode::Binary } else { Mode::Plain });
    }
    let refuse = |reason| Err(DecodeError::Format { content_type: shortened(content_type), reason });
    let mode = if essence.eq_ignore_ascii_case(media::EVENT) {
        Mode::Structured
    } else if essence.eq_ignore_ascii_case(media::BATCH) {
        Mode::Batched
    } else {
        return refuse(
            "only `application/cloudevents+json` and `application/cloudevents-batch+json` are, or binary mode",
        );
    };
    if media::is_utf8(content_type) { Ok(mode) } else { refuse("JSON is always UTF-8") }
}

/// Takes a message for what it is. `fill` is asked when it carries data and no event.
pub fn decode<'f>(
    headers: &HeaderMap,
    body: &Bytes,
    limits: &Limits,
    fill: impl FnOnce() -> Fill<'f>,
) -> Result<Decoded, DecodeError> {
    decode_as(mode(headers)?, headers, body, limits, fill)
}

/// The same, for who has asked for the [`mode`] already.
pub fn decode_as<'f>(
    mode: Mode,
    headers: &HeaderMap,
    body: &Bytes,
    limits: &Limits,
    fill: impl FnOnce() -> Fill<'f>,
) -> Result<Decoded, DecodeError> {
    match mode {
        Mode::Binary => binary(headers, body, limits).map(Decoded::One),
        Mode::Plain => plain(headers, body, limits, fill()).map(Decoded::One),
        Mode::Structured => json::read(body, limits).map(Decoded::One),
        Mode::Batched => json::read_batch(body, limits).map(Decoded::Many),
    }
}

fn binary(headers: &HeaderMap, body: &Bytes, limits: &Limits) -> Result<Event, DecodeError> {
    within(body.len(), limits)?;
    let mut version = None;
    let builder = attributes(headers, Builder::default(), &mut version)?;
    match version {
        Some(version) if version == SPEC_VERSION => {}
        Some(given) => return Err(InvalidEvent::Version { given: shortened(&given) }.into()),
        None => return Err(InvalidEvent::Missing { attribute: "specversion" }.into()),
    }
    finish(headers, builder, body, limits)
}

fn plain<'a>(headers: &'a HeaderMap, body: &Bytes, limits: &Limits, fill: Fill<'a>) -> Result<Event, DecodeError> {
    within(body.len(), limits)?;
    let mut id = fill.id;
    if let Some(key) = headers.get(&IDEMPOTENCY_KEY) {
        id = value::decode(IDEMPOTENCY_KEY.as_str(), key.as_bytes())?;
    }
    let builder = Builder::default().id(id).source(fill.source).ty(fill.ty).time(fill.time);
    // The four attributes that every event has are not among these, or it would not be taken for plain.
    let mut builder = attributes(headers, builder, &mut None)?;
    for (name, header) in [("traceparent", TRACEPARENT), ("tracestate", TRACESTATE)] {
        let given = headers.get(&header).and_then(|given| given.to_str().ok());
        if let Some(given) = given.filter(|_| !builder.has(name)) {
            builder = builder.extension_new(name, Cow::Borrowed(given));
        }
    }
    finish(headers, builder, body, limits)
}

/// Reads all `ce-` headers.
fn attributes<'a>(
    headers: &'a HeaderMap,
    mut builder: Builder<'a>,
    version: &mut Option<Cow<'a, str>>,
) -> Result<Builder<'a>, DecodeError> {
    let mut previous: Option<&HeaderName> = None;
    for (header, given) in headers {
        let Some(name) = header.as_str().strip_prefix("ce-") else { continue };
        if previous == Some(header) {
            return Err(InvalidEvent::Twice { attribute: name.to_owned() }.into());
        }
        previous = Some(header);
        let given = value::decode(header.as_str(), given.as_bytes())?;
        builder = match Core::from_name(name) {
            Some(Core::ContentType) => {
                let reason = "`Content-Type` says it in binary mode, and nothing else does";
                return Err(DecodeError::Header { header: header.to_string(), reason });
            }
            Some(core) => builder.with_core(core, given),
            None if name == "specversion" => {
                *version = Some(given);
                builder
            }
            None => {
                attribute::check_extension_name(name)?;
                builder.extension_new(name, given)
            }
        };
    }
    Ok(builder)
}

/// Adds type and data. A message cannot say whether its data is empty or absent: an empty body is none.
fn finish<'a>(
    headers: &'a HeaderMap,
    mut builder: Builder<'a>,
    body: &Bytes,
    limits: &Limits,
) -> Result<Event, DecodeError> {
    if let Some(content_type) = content_type(headers)? {
        builder = builder.content_type(content_type);
    }
    let event = builder.maybe_data((!body.is_empty()).then(|| body.clone())).build()?;
    within(event.size(), limits)?;
    Ok(event)
}

fn content_type(headers: &HeaderMap) -> Result<Option<&str>, DecodeError> {
    match headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str) {
        None | Some(Ok("")) => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => {
            Err(DecodeError::Header { header: "content-type".to_owned(), reason: "it holds characters beyond ASCII" })
        }
    }
}

pub(crate) fn within(given: usize, limits: &Limits) -> Result<(), DecodeError> {
    let limit = limits.event_bytes;
    if given > limit { Err(DecodeError::TooLarge { given, limit }) } else { Ok(()) }
}
