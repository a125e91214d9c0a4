//! `GET /subscriptions/{name}/next` and what follows it: events with a lease, for workers that take work themselves.
//!
//! What is fetched is CloudEvents in the JSON batch format, so any SDK reads it. What belongs to the delivery and not to the event travels as
//! extension attributes: `motettoken` (by which it is settled), `motetattempt` and `motetposition`.

use super::{
    Door, Refusal,
    body::{self, Response, Upload},
    port::{Leased, Settle},
    route::{count, parameter},
};
use http::{Request, StatusCode};
use motet_cloudevents::{Value, json, media};
use motet_kernel::quantity;
use serde::Deserialize;
use std::time::Duration;

/// How many events can be fetched, or settled, at once.
pub(crate) const EVENTS_MAX: usize = 1000;

/// How long one request may wait for an event.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The largest body that settles something.
const SETTLE_BYTES_MAX: usize = 256 * 1024;

pub(crate) async fn next(door: &Door, name: &str, request: &Request<Upload>) -> Result<Response, Refusal> {
    let max = count(request, "max", 1, EVENTS_MAX)?;
    let wait = match parameter(request, "wait")? {
        Some(text) => duration("wait", &text)?.min(WAIT_MAX),
        None => Duration::ZERO,
    };
    let leased = tokio::select! {
        leased = door.events.next(name, max, wait) => leased?,
        () = door.closing.cancelled() => Vec::new(),
    };
    if leased.is_empty() {
        return Ok(body::empty(StatusCode::NO_CONTENT));
    }
    let mut out = Vec::with_capacity(leased.iter().map(|leased| json::length_hint(&leased.event) + 64).sum());
    for (index, leased) in leased.iter().enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        with_delivery(leased, |more| json::write_with(&leased.event, more, &mut out));
    }
    out.push(b']');
    Ok(body::answer(StatusCode::OK, media::BATCH, out))
}

/// What is added to an event when it is fetched.
pub(crate) fn with_delivery(leased: &Leased, write: impl FnOnce(&[(&str, Value<'_>)])) {
    let attempt = Value::Integer(i32::try_from(leased.attempt).unwrap_or(i32::MAX));
    // A position has more bits than an attribute may.
    let position = leased.position.map(|position| position.to_string());
    let mut more = vec![("motettoken", Value::Text(&leased.token)), ("motetattempt", attempt)];
    more.extend(position.as_deref().map(|position| ("motetposition", Value::Text(position))));
    write(&more);
}

/// What a request that settles says beside its path.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settling {
    /// What was fetched.
    #[serde(default)]
    pub(crate) tokens: Vec<String>,
    /// Of a nack: why.
    #[serde(default)]
    pub(crate) reason: String,
    /// Of a nack: when to try again.
    pub(crate) delay: Option<String>,
    /// Of a nack: never try again.
    #[serde(default)]
    pub(crate) permanent: bool,
    /// Of an extension: for how long from now.
    pub(crate) by: Option<String>,
}

impl Settling {
    /// What `verb` does, with what it may say about it.
    pub(crate) fn settle(&self, verb: &str) -> Result<Settle, Refusal> {
        let after = self.delay.as_deref().map(|text| duration("delay", text)).transpose()?;
        let by = self.by.as_deref().map(|text| duration("by", text)).transpose()?;
        let is_nack = after.is_some() || self.permanent || !self.reason.is_empty();
        match verb {
            "ack" if !is_nack && by.is_none() => Ok(Settle::Ack),
            "nack" if by.is_none() => {
                Ok(Settle::Nack { reason: self.reason.clone(), after, permanent: self.permanent })
            }
            "extend" if !is_nack => by.map(Settle::Extend).ok_or_else(|| {
                Refusal::Unreadable("say with `by` how long the lease is to last from now, as in `30s`".to_owned())
            }),
            _ => Err(Refusal::Unreadable(
                "`reason`, `delay` and `permanent` belong to `nack`, and `by` belongs to `extend`".to_owned(),
            )),
        }
    }
}

pub(crate) async fn settle(door: &Door, name: &str, verb: &str, request: Request<Upload>) -> Result<Response, Refusal> {
    let token = parameter(&request, "token")?.map(std::borrow::Cow::into_owned);
    let by = parameter(&request, "by")?.map(std::borrow::Cow::into_owned);
    let (body, _share) = body::read(door, request.into_body(), SETTLE_BYTES_MAX).await?;
    let mut settling = match body.is_empty() {
        true => Settling::default(),
        false => serde_json::from_slice(&body).map_err(|error| Refusal::Unreadable(format!("the body: {error}")))?,
    };
    settling.tokens.extend(token);
    settling.by = settling.by.or(by);
    let settle = settling.settle(verb)?;
    let given = settling.tokens.len();
    if given == 0 || given > EVENTS_MAX {
        let detail = format!("name 1 to {EVENTS_MAX} events: `{{\"tokens\":[…]}}` in the body, or `?token=…`");
        return Err(Refusal::Unreadable(detail));
    }
    let over = door.events.settle(name, settling.tokens, settle).await?;
    if over.len() == given {
        return Err(Refusal::LeaseOver);
    }
    let text = serde_json::json!({ "done": given - over.len(), "over": over }).to_string();
    Ok(body::answer(StatusCode::OK, "application/json", text))
}

fn duration(name: &str, text: &str) -> Result<Duration, Refusal> {
    quantity::parse_duration(text).map_err(|error| Refusal::Unreadable(format!("`{name}`: {error}")))
}
