//! A service's life: bind the port that it was given, answer, and on SIGTERM finish what was begun and leave.

use crate::environment::{self, EnvironmentError};
use crate::fault::{self, InvalidFault, Switch};
use crate::problem::Problem;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use std::future::Future;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// The longest that a request may take: a caller waits less, so whatever is still running then runs for nobody.
const REQUEST_LIMIT: Duration = Duration::from_secs(300);
/// How long requests that were begun may go on after SIGTERM.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Why a service could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The environment makes no sense.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// `FAULT` makes no sense.
    #[error("FAULT: {0}")]
    Fault(#[from] InvalidFault),
    /// The port is taken, or signals cannot be listened to.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port that was given.
        port: u16,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Log lines go to stdout, one line each; whoever runs the service adds name and time.
pub fn start_log() {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .init();
}

/// The service's routes with what every service has around them: health, faults, a limit in time, a log line.
///
/// It is called when the service is ready, so `/healthz` is true whenever it answers.
pub fn application(routes: Router, switch: Switch) -> Router {
    let health = get(|| async { Json(serde_json::json!({"status": "ok"})) });
    routes
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn_with_state(switch.clone(), fault::inject))
        .layer(middleware::from_fn(limit_and_log))
        .route("/healthz", health)
        .merge(fault::routes(switch))
        .fallback(unknown_path)
}

async fn unknown_path(request: Request) -> Problem {
    let detail = format!("there is nothing at {}", request.uri().path());
    Problem::new(StatusCode::NOT_FOUND, "unknown-path", "Nothing here", detail)
}

async fn unknown_method(request: Request) -> Problem {
    let detail = format!("{} does not take {}", request.uri().path(), request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "unknown-method", "This path does not take this method", detail)
}

async fn limit_and_log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let line = format!("{} {}", request.method(), request.uri().path());
    let trace = request.headers().get("traceparent").and_then(|value| value.to_str().ok()?.split('-').nth(1));
    let trace = trace.map(|id| format!(" trace={id}")).unwrap_or_default();
    let response = tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await.unwrap_or_else(|_| {
        let detail = format!("no answer within {} s", REQUEST_LIMIT.as_secs());
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-slow", "This took too long", detail).into_response()
    });
    tracing::info!("{line} {} {} ms{trace}", response.status().as_u16(), began.elapsed().as_millis());
    response
}

/// Serves until SIGTERM or SIGINT, then stops accepting, finishes what was begun within ten seconds, and returns.
pub async fn run(name: &str, routes: Router) -> Result<(), ServeError> {
    let port: u16 =
        environment::required("PORT", "the port to listen on")?.parse().map_err(|_| EnvironmentError::Invalid {
            name: "PORT",
            value: std::env::var("PORT").unwrap_or_default(),
            wanted: "a port".into(),
        })?;
    let app = application(routes, Switch::from_environment()?);
    let cannot = |source| ServeError::Listen { port, source };
    let stop = stop_signal().map_err(cannot)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(cannot)?;
    tracing::info!("{name} is ready on {}", listener.local_addr().map_err(cannot)?);

    let (began_to_stop, stopping) = oneshot::channel::<()>();
    let stop = async move {
        stop.await;
        tracing::info!("stopping: finishing what was begun");
        drop(began_to_stop);
    };
    let drained = axum::serve(listener, app).with_graceful_shutdown(stop).into_future();
    let too_long = async move {
        let _ = stopping.await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    tokio::select! {
        served = drained => served.map_err(cannot)?,
        () = too_long => tracing::warn!("requests were still running after {} s; leaving them", DRAIN_LIMIT.as_secs()),
    }
    tracing::info!("{name} has stopped");
    Ok(())
}

fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
