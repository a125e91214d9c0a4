//! Events that are delivered in batches: what comes in, and what is said about each.
//!
//! A batch is a JSON array of CloudEvents (the batched mode of their HTTP binding). The answer 207 has a result for each, so that one
//! that fails does not take the others with it.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// After so many attempts at an event a service has its last word, by telling why it gives up. With the pauses between them that is half
/// an hour; who delivers goes on for a few more, in case the last word was broken off too.
pub const ATTEMPTS: u32 = 15;

/// An event of a batch, as far as a handler needs it.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// What has happened.
    pub r#type: String,
    /// Which delivery of it this is, from 1.
    #[serde(rename = "motetattempt", default = "first")]
    pub attempt: u32,
    /// The trace that it belongs to.
    #[serde(default)]
    pub traceparent: Option<String>,
    /// What it says.
    data: Value,
}

impl Event {
    /// What it says. One that cannot be read does not take the rest of its batch with it.
    pub fn data<D: DeserializeOwned>(&mut self) -> Result<D, Outcome> {
        serde_json::from_value(self.data.take())
            .map_err(|error| Outcome::never(format!("The event cannot be read: {error}.")))
    }
}

fn first() -> u32 {
    1
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Outcome {
    /// It is done with.
    #[must_use]
    pub fn taken() -> Self {
        Self { status: StatusCode::NO_CONTENT.as_u16(), detail: None }
    }

    /// It cannot be done now, and is to come again.
    #[must_use]
    pub fn again(why: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE.as_u16(), detail: Some(why.into()) }
    }

    /// It can never be done.
    #[must_use]
    pub fn never(why: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY.as_u16(), detail: Some(why.into()) }
    }
}

/// An outcome for each event of a batch, in their order.
#[must_use]
pub fn answer(results: &[Outcome]) -> Response {
    let body = Json(serde_json::json!({ "results": results }));
    (StatusCode::MULTI_STATUS, [(header::CACHE_CONTROL, "no-store")], body).into_response()
}
