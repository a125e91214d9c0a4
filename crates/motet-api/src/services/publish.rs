//! `POST /topics/{topic}`: one event or a batch, answered when it is durable.

use super::{
    Door, Refusal,
    body::{self, Response, Upload},
    port::{Admitted, Receipt},
    route::parameter,
};
use http::{HeaderMap, Request, StatusCode, header};
use jiff::Timestamp;
use motet_cloudevents::{
    DecodeError, Event,
    http::{self as codec, Fill, Limits, Mode},
};
use motet_kernel::quantity;
use std::{fmt::Write as _, io::Write as _};

/// What the JSON format and base64 add to an event at most, roughly.
const ENVELOPE: usize = 16 * 1024;

/// Looks at the head, and goes on with the body if there is nothing wrong with it.
pub(crate) fn post<'a>(
    door: &'a Door,
    topic: &'a str,
    request: Request<Upload>,
) -> Result<impl Future<Output = Result<Response, Refusal>> + 'a, Refusal> {
    let admitted = door.events.admit(topic)?;
    let later = later(&request)?;
    let (head, body) = request.into_parts();
    refuse_encodings(&head.headers)?;
    let mode = codec::mode(&head.headers)?;
    Ok(publish(door, topic, admitted, later, mode, head.headers, body))
}

async fn publish(
    door: &Door,
    topic: &str,
    admitted: Admitted,
    later: Option<(&'static str, String)>,
    mode: Mode,
    headers: HeaderMap,
    body: Upload,
) -> Result<Response, Refusal> {
    let limit = match mode {
        Mode::Batched => door.options.batch_bytes,
        Mode::Structured => line_bytes(&admitted),
        Mode::Binary | Mode::Plain => admitted.event_bytes,
    };
    let (body, share) = body::read(door, body, limit).await?;
    let limits = Limits { event_bytes: admitted.event_bytes, batch_events: door.options.batch_events };
    let events = codec::decode_as(mode, &headers, &body, &limits, || fill(door, topic, &admitted))?;
    // From here on only the broker holds the data: once that is written somewhere, the connection's buffer is its own again.
    drop((headers, body));
    let mut events = events.into_vec();
    if let Some((name, text)) = &later {
        for event in &mut events {
            *event = event.edit().extension(*name, text).build().map_err(DecodeError::from)?;
        }
    }
    let ids = ReceiptIds::of(&events);
    let receipts = if events.is_empty() { Vec::new() } else { door.events.publish(topic, events).await? };
    drop(share);
    let mut out = Vec::with_capacity(ids.text.len() + 48 * receipts.len() + 16);
    out.extend_from_slice(b"{\"receipts\":[");
    for (index, (id, receipt)) in ids.iter().zip(&receipts).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'{');
        out.extend_from_slice(id);
        write_receipt(*receipt, &mut out);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    Ok(body::answer(StatusCode::ACCEPTED, "application/json", out))
}

/// The longest JSON of one event: everything in it may be base64.
pub(crate) fn line_bytes(admitted: &Admitted) -> usize {
    admitted.event_bytes / 3 * 4 + ENVELOPE
}

/// The ids of events, as they stand in receipts, while the broker has the events.
struct ReceiptIds {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl ReceiptIds {
    fn of(events: &[Event]) -> Self {
        let bytes = events.iter().map(|event| event.id().len() + 8).sum();
        let mut ids = Self { text: Vec::with_capacity(bytes), ends: Vec::with_capacity(events.len()) };
        for event in events {
            write_id(event.id(), &mut ids.text);
            ids.ends.push(ids.text.len());
        }
        ids
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(&0).chain(&self.ends);
        begins.zip(&self.ends).map(|(begin, end)| &self.text[*begin..*end])
    }
}

/// Appends the first member of a receipt.
pub(crate) fn write_id(id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"id\":");
    // A text can always be written, and to memory. So can what is written below.
    let _ = serde_json::to_writer(&mut *out, id);
}

/// Appends the other members of a receipt.
pub(crate) fn write_receipt(receipt: Receipt, out: &mut Vec<u8>) {
    if let Some(position) = receipt.position {
        let _ = write!(out, ",\"position\":{position}");
    }
    if receipt.duplicate {
        out.extend_from_slice(b",\"duplicate\":true");
    }
    let at = receipt.deliver_at_ms.and_then(|ms| i64::try_from(ms).ok());
    if let Some(at) = at.and_then(|ms| Timestamp::from_millisecond(ms).ok()) {
        let _ = write!(out, ",\"deliverat\":\"{at}\"");
    }
}

/// What events that come without attributes get.
fn fill<'a>(door: &Door, topic: &'a str, admitted: &'a Admitted) -> Fill<'a> {
    let now = Timestamp::now();
    // The printer writes in pieces, each of which might grow the text.
    let mut time = String::with_capacity(32);
    let _ = write!(time, "{now}");
    Fill {
        id: door.ids.next(now).to_string().into(),
        source: (&*admitted.source).into(),
        ty: topic.into(),
        time: time.into(),
    }
}

/// A body that was compressed would be stored, and delivered, as bytes that nobody asked for.
fn refuse_encodings(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(Refusal::Event(DecodeError::Format {
            content_type: format!("Content-Encoding: {}", String::from_utf8_lossy(encoding.as_bytes())),
            reason: "send the body as it is",
        })),
        _ => Ok(()),
    }
}

/// Gives events the attribute that says when they are to be published: `?delay=10m` or `?deliverat=2026-01-31T12:00:00Z`, which is easier to write than
/// an attribute where there is no event around the data.
fn later(request: &Request<Upload>) -> Result<Option<(&'static str, String)>, Refusal> {
    if request.uri().query().is_none() {
        return Ok(None);
    }
    if let Some(text) = parameter(request, "delay")? {
        quantity::parse_duration(&text).map_err(|error| Refusal::Unreadable(format!("`delay`: {error}")))?;
        return Ok(Some(("delay", text.into_owned())));
    }
    let Some(text) = parameter(request, "deliverat")? else { return Ok(None) };
    if text.parse::<Timestamp>().is_err() {
        let detail = format!("`deliverat` is `{text}`, and has to be a timestamp like `2026-01-31T12:00:00Z`");
        return Err(Refusal::Unreadable(detail));
    }
    Ok(Some(("deliverat", text.into_owned())))
}
