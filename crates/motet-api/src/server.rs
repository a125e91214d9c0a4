//! The listeners and routes of the control API.
//!
//! Two doors lead to the same routes: a Unix socket in a directory that only its owner may enter, which needs no token, and a loopback
//! port for browsers and other programs, which does. The loopback door also refuses requests whose `Host` is not loopback, so that a web page
//! cannot reach it through a name that it made resolve to 127.0.0.1 (DNS rebinding).

mod handlers;

use crate::{error::Refusal, port::Control, wire::Problem};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use motet_kernel::task::{Kind, TaskGroup};
use std::{io, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, sync::Arc};
use tokio::net::{TcpListener, UnixListener};

pub(crate) use handlers::*;

/// The longest request body with events in it.
const EVENTS_BYTES_MAX: usize = 16 << 20;

/// The longest body of a job. A service may take less, and says so itself.
const JOB_BYTES_MAX: usize = 64 << 20;

/// The longest request body otherwise: the API takes small documents only.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Where Prometheus looks when it is not told otherwise.
const METRICS: &str = "/metrics";

/// What handlers share.
pub(crate) type Shared = Arc<dyn Control>;

/// The API could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place}: {source}")]
pub struct ListenError {
    /// The socket's path or the address.
    pub place: String,
    /// What the system said.
    pub source: io::Error,
}

/// What the loopback door asks for.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Opens everything.
    pub control: String,
    /// Opens the metrics only, so that whoever collects them cannot stop the system.
    pub metrics: String,
}

/// Opens both doors and serves until the group is cancelled. Returns the loopback address.
///
/// `socket` is replaced if a file of that name is there: whoever calls this has made sure that nobody else runs this system.
pub async fn serve(
    control: Arc<dyn Control>,
    socket: &Path,
    tokens: Tokens,
    group: &TaskGroup,
) -> Result<SocketAddr, ListenError> {
    let at = |place: String| move |source| ListenError { place, source };
    let _ = std::fs::remove_file(socket);
    let unix = UnixListener::bind(socket).map_err(at(socket.display().to_string()))?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))
        .map_err(at(socket.display().to_string()))?;
    let tcp = TcpListener::bind("127.0.0.1:0").await.map_err(at("127.0.0.1".to_owned()))?;
    let address = tcp.local_addr().map_err(at("127.0.0.1".to_owned()))?;

    let open = router(control);
    let guarded = open.clone().layer(middleware::from_fn_with_state(Arc::new(tokens), with_token));
    let (stop_unix, stop_tcp) = (group.token(), group.token());
    group.spawn(Kind::Listener, "control socket", async move {
        let _ = axum::serve(unix, open).with_graceful_shutdown(stop_unix.cancelled_owned()).await;
    });
    group.spawn(Kind::Listener, "control port", async move {
        let _ = axum::serve(tcp, guarded).with_graceful_shutdown(stop_tcp.cancelled_owned()).await;
    });
    Ok(address)
}

/// All routes, without a door.
fn router(control: Shared) -> Router {
    let events = || DefaultBodyLimit::max(EVENTS_BYTES_MAX);
    Router::new()
        .route("/v1/system", get(system))
        .route("/v1/system/changes", get(system_changes))
        .route("/v1/logs", get(logs))
        .route("/v1/services/{service}/restart", post(restart))
        .route("/v1/services/{service}/scale", post(scale))
        .route("/v1/apply", post(apply))
        .route("/v1/faults", get(faults).post(add_faults).delete(remove_faults))
        .route("/v1/events", get(describe_events))
        .route("/v1/topics/{topic}/events", get(watch_topic).post(publish_events).layer(events()))
        .route("/v1/subscriptions/{subscription}/dead-letters", get(dead_letters))
        .route("/v1/subscriptions/{subscription}/dead-letters/redrive", post(redrive).layer(events()))
        .route("/v1/subscriptions/{subscription}/dead-letters/drop", post(drop_dead_letters))
        .route("/v1/subscriptions/{subscription}/pause", post(pause))
        .route("/v1/subscriptions/{subscription}/resume", post(resume))
        .route("/v1/subscriptions/{subscription}/replay", post(replay))
        .route("/v1/jobs", get(list_jobs))
        .route("/v1/jobs/{id}", get(job))
        .route("/v1/jobs/{id}/result", get(job_result))
        .route("/v1/jobs/{id}/cancel", post(cancel_job))
        .route("/v1/jobs/{id}/retry", post(retry_job))
        .route("/v1/services/{service}/jobs/", post(run_job_at_root).layer(DefaultBodyLimit::max(JOB_BYTES_MAX)))
        .route("/v1/services/{service}/jobs/{*path}", post(run_job).layer(DefaultBodyLimit::max(JOB_BYTES_MAX)))
        .route(METRICS, get(metrics))
        .route("/v1/down", post(down))
        .route("/v1/openapi.json", get(openapi))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(control)
}

async fn unknown(request: Request) -> Problem {
    Problem {
        kind: "about:blank".to_owned(),
        title: "not found".to_owned(),
        status: 404,
        detail: format!("the control API has no `{}`; `/v1/openapi.json` lists what it has", request.uri().path()),
    }
}

async fn with_token(State(tokens): State<Arc<Tokens>>, request: Request, next: Next) -> Response {
    if is_admitted(&request, &tokens) { next.run(request).await } else { Refusal::Unauthorized.into_response() }
}

fn is_admitted(request: &Request, tokens: &Tokens) -> bool {
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = text(header::AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default();
    let host = text(header::HOST);
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let opens = |token: &str| same(given.as_bytes(), token.as_bytes());
    let is_metrics = request.uri().path() == METRICS;
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
        && (opens(&tokens.control) || is_metrics && opens(&tokens.metrics))
}

/// Compares without ending early, so that the time taken tells nothing about where the texts differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let kind = header::HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            // With the headers that services get: `Retry-After` above all.
            Self::Events(refusal) => refusal.into_response().map(axum::body::Body::new),
            other => other.problem().into_response(),
        }
    }
}
