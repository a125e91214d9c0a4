//! `POST /topics/{topic}`: one event or a batch, answered when it is durable.

use super::{
    Door, Refusal,
    body::{self, Response},
    port::{Admitted, Receipt},
    route::parameter,
};
use http::{HeaderMap, Request, StatusCode, header};
use hyper::body::Incoming;
use jiff::Timestamp;
use motet_cloudevents::{
    Event,
    http::{self as codec, Fill, Limits, Mode},
};
use motet_kernel::quantity;

/// What the JSON format and base64 add to an event at most, roughly.
const ENVELOPE: usize = 16 * 1024;

pub(crate) async fn post(door: &Door, topic: &str, request: Request<Incoming>) -> Result<Response, Refusal> {
    let admitted = door.events.admit(topic)?;
    let deliver_at = deliver_at(&request)?;
    let (head, body) = request.into_parts();
    refuse_encodings(&head.headers)?;
    let limit = match codec::mode(&head.headers)? {
        Mode::Batched => door.options.batch_bytes,
        Mode::Structured => line_bytes(&admitted),
        Mode::Binary | Mode::Plain => admitted.event_bytes,
    };
    let (body, share) = body::read(door, body, limit).await?;
    let limits = Limits { event_bytes: admitted.event_bytes, batch_events: door.options.batch_events };
    let events = codec::decode(&head.headers, &body, &limits, || fill(topic, &admitted))?.into_vec();
    let ids: Vec<Event> = events.clone();
    let receipts = if events.is_empty() { Vec::new() } else { door.events.publish(topic, events, deliver_at).await? };
    drop(share);
    let mut out = Vec::with_capacity(64 * receipts.len() + 16);
    out.extend_from_slice(b"{\"receipts\":[");
    for (index, (event, receipt)) in ids.iter().zip(&receipts).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'{');
        write_receipt(event, *receipt, &mut out);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    Ok(body::answer(StatusCode::ACCEPTED, "application/json", out))
}

/// The longest JSON of one event: everything in it may be base64.
pub(crate) fn line_bytes(admitted: &Admitted) -> usize {
    admitted.event_bytes / 3 * 4 + ENVELOPE
}

/// Appends the members of a receipt.
pub(crate) fn write_receipt(event: &Event, receipt: Receipt, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"id\":");
    // A text can always be written, and to memory.
    let _ = serde_json::to_writer(&mut *out, event.id());
    if let Some(position) = receipt.position {
        out.extend_from_slice(format!(",\"position\":{position}").as_bytes());
    }
    if receipt.duplicate {
        out.extend_from_slice(b",\"duplicate\":true");
    }
    let at = receipt.deliver_at_ms.and_then(|ms| i64::try_from(ms).ok());
    if let Some(at) = at.and_then(|ms| Timestamp::from_millisecond(ms).ok()) {
        out.extend_from_slice(format!(",\"deliverat\":\"{at}\"").as_bytes());
    }
}

/// What events that come without attributes get.
fn fill(topic: &str, admitted: &Admitted) -> Fill {
    Fill {
        id: uuid::Uuid::now_v7().to_string(),
        source: admitted.source.to_string(),
        ty: topic.to_owned(),
        time: Timestamp::now().to_string(),
    }
}

/// A body that was compressed would be stored, and delivered, as bytes that nobody asked for.
fn refuse_encodings(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(Refusal::Event(motet_cloudevents::DecodeError::Format {
            content_type: format!("Content-Encoding: {}", String::from_utf8_lossy(encoding.as_bytes())),
            reason: "send the body as it is",
        })),
        _ => Ok(()),
    }
}

/// When the events are to be published: `?delay=10m` or `?deliverat=2026-01-31T12:00:00Z`.
fn deliver_at(request: &Request<Incoming>) -> Result<Option<u64>, Refusal> {
    if request.uri().query().is_none() {
        return Ok(None);
    }
    let now = || u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
    if let Some(text) = parameter(request, "delay")? {
        let delay = quantity::parse_duration(&text).map_err(|error| Refusal::Unreadable(error.to_string()))?;
        return Ok(Some(now().saturating_add(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))));
    }
    let Some(text) = parameter(request, "deliverat")? else { return Ok(None) };
    let at: Timestamp = text.parse().map_err(|_| {
        Refusal::Unreadable(format!("`deliverat` is `{text}`, and has to be a timestamp like `2026-01-31T12:00:00Z`"))
    })?;
    Ok(Some(u64::try_from(at.as_millisecond()).unwrap_or_default()))
}
