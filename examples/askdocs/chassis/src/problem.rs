//! Errors as problem details (RFC 9457): one form for every refusal, whatever raised it.
//!
//! `type` names the kind for programs, `title` for people, `detail` says what happened here and what to do about it.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A refusal that the caller is told about.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    r#type: String,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    #[serde(skip)]
    retry_after_seconds: Option<u32>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem of a kind such as `too-many-inputs`, its title, and what happened here.
    pub fn new(status: StatusCode, kind: &str, title: &'static str, detail: impl Into<String>) -> Self {
        let r#type = format!("urn:askdocs:problem:{kind}");
        Self { r#type, title, status, detail: detail.into(), retry_after_seconds: None }
    }

    /// A defect of ours: the log gets the cause, the caller is told nothing about our insides.
    pub fn defect(cause: impl std::fmt::Display) -> Self {
        tracing::error!("answered 500: {cause}");
        let detail = "the service's log has the details";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "defect", "Something broke in this service", detail)
    }

    /// Tells the caller when it is worth trying again.
    #[must_use]
    pub fn retry_after_seconds(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What happened here.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, wait) = (self.status, self.retry_after_seconds);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A body that is no JSON, too large, or not what the contract says; the detail names the place.
impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let (kind, title) = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ("body-too-large", "The request's body is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("not-json", "The body has to be JSON (content-type: application/json)")
            }
            _ => ("invalid-body", "The request's body is not what the contract says"),
        };
        Self::new(rejection.status(), kind, title, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(
            rejection.status(),
            "invalid-query",
            "The query string is not what the contract says",
            rejection.body_text(),
        )
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), "invalid-path", "The path is not what the contract says", rejection.body_text())
    }
}
