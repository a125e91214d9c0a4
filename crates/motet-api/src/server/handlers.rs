//! One function per operation of the control API.

mod events;
mod jobs;

use super::Shared;
use crate::{
    document,
    error::Refusal,
    exposition::Format,
    port::LogQuery,
    wire::{
        Applied, ApplyRequest, LogEvent, Problem, ScaleRequest, System,
        fault::{AddFaults, Door, Fault},
    },
};
use axum::{
    Json,
    extract::{Path, Query, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    response::sse::{self, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt};
use std::convert::Infallible;
use tokio_stream::wrappers::WatchStream;

pub(crate) use events::*;
pub(crate) use jobs::*;

type Events<S> = Sse<sse::KeepAliveStream<S>>;

fn events<S>(stream: S) -> Events<S>
where
    S: Stream<Item = Result<sse::Event, Infallible>> + Send + 'static,
{
    Sse::new(stream).keep_alive(KeepAlive::default())
}

fn event<T: serde::Serialize>(name: &str, value: &T) -> Result<sse::Event, Infallible> {
    let data = serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    Ok(sse::Event::default().event(name).data(data))
}

/// The system as it is.
#[utoipa::path(get, path = "/v1/system", operation_id = "getSystem", responses((status = 200, body = System)))]
pub(crate) async fn system(State(control): State<Shared>) -> Json<System> {
    let now = control.system().borrow().clone();
    Json(System::clone(&now))
}

/// The system as it is, and again after each change, as server-sent events named `system`.
#[utoipa::path(get, path = "/v1/system/changes", operation_id = "watchSystem",
    responses((status = 200, content_type = "text/event-stream", body = System)))]
pub(crate) async fn system_changes(
    State(control): State<Shared>,
) -> Events<impl Stream<Item = Result<sse::Event, Infallible>> + Send + 'static> {
    events(WatchStream::new(control.system()).map(|system| event("system", &*system)))
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogParameters {
    /// Only these services, separated by commas.
    service: Option<String>,
    /// How many of the last lines of each service come first.
    tail: Option<usize>,
    /// Whether to go on with what is printed from now on.
    follow: Option<bool>,
}

/// Lines of output, as server-sent events named `log`.
#[utoipa::path(get, path = "/v1/logs", operation_id = "getLogs", params(LogParameters),
    responses((status = 200, content_type = "text/event-stream", body = LogEvent), (status = 404, body = Problem)))]
pub(crate) async fn logs(
    State(control): State<Shared>,
    Query(parameters): Query<LogParameters>,
) -> Result<Events<impl Stream<Item = Result<sse::Event, Infallible>> + Send + 'static>, Refusal> {
    let services = parameters.service.unwrap_or_default();
    let query = LogQuery {
        services: services.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        tail: parameters.tail.unwrap_or(100).min(100_000),
        follow: parameters.follow.unwrap_or(false),
    };
    Ok(events(control.logs(query).await?.map(|line| event("log", &line))))
}

/// Replaces the instances of a service, one by one.
#[utoipa::path(post, path = "/v1/services/{service}/restart", operation_id = "restartService",
    params(("service" = String, Path, description = "its name")),
    responses((status = 202, description = "begun"), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn restart(State(control): State<Shared>, Path(service): Path<String>) -> Result<StatusCode, Refusal> {
    control.restart(&service).await.map(|()| StatusCode::ACCEPTED)
}

/// Sets the number of instances of a service.
#[utoipa::path(post, path = "/v1/services/{service}/scale", operation_id = "scaleService",
    params(("service" = String, Path, description = "its name")), request_body = ScaleRequest,
    responses((status = 202, description = "begun"), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn scale(
    State(control): State<Shared>,
    Path(service): Path<String>,
    request: Result<Json<ScaleRequest>, JsonRejection>,
) -> Result<StatusCode, Refusal> {
    let Json(request) = request.map_err(|error| Refusal::Unreadable(error.body_text()))?;
    control.scale(&service, request.instances).await.map(|()| StatusCode::ACCEPTED)
}

/// Reads the definition again and makes the system match it.
#[utoipa::path(post, path = "/v1/apply", operation_id = "apply", request_body = ApplyRequest,
    responses((status = 200, body = Applied), (status = 422, body = Problem)))]
pub(crate) async fn apply(
    State(control): State<Shared>,
    request: Result<Json<ApplyRequest>, JsonRejection>,
) -> Result<Json<Applied>, Refusal> {
    let Json(request) = request.map_err(|error| Refusal::Unreadable(error.body_text()))?;
    control.apply(request).await.map(Json)
}

/// The faults that are in force.
#[utoipa::path(get, path = "/v1/faults", operation_id = "listFaults", responses((status = 200, body = Vec<Fault>)))]
pub(crate) async fn faults(State(control): State<Shared>) -> Json<Vec<Fault>> {
    Json(control.faults())
}

/// Puts faults on an edge or a route, at once. The answer has all that are there then.
#[utoipa::path(post, path = "/v1/faults", operation_id = "addFaults", request_body = AddFaults,
    responses((status = 200, body = Vec<Fault>), (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn add_faults(
    State(control): State<Shared>,
    request: Result<Json<AddFaults>, JsonRejection>,
) -> Result<Json<Vec<Fault>>, Refusal> {
    let Json(request) = request.map_err(|error| Refusal::Unreadable(error.body_text()))?;
    control.add_faults(request).map(Json)
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FaultParameters {
    /// Those of this edge.
    edge: Option<String>,
    /// Those of this route.
    route: Option<String>,
    /// Those of all edges and routes.
    all: Option<bool>,
}

/// Removes the faults of an edge or a route, or all, at once. The answer has what was removed.
#[utoipa::path(delete, path = "/v1/faults", operation_id = "removeFaults", params(FaultParameters),
    responses((status = 200, body = Vec<Fault>), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn remove_faults(
    State(control): State<Shared>,
    Query(parameters): Query<FaultParameters>,
) -> Result<Json<Vec<Fault>>, Refusal> {
    let door = match (parameters.edge, parameters.route, parameters.all.unwrap_or(false)) {
        (Some(edge), None, false) => Some(Door::Edge(edge)),
        (None, Some(route), false) => Some(Door::Route(route)),
        (None, None, true) => None,
        _ => return Err(Refusal::Unreadable("one of `edge`, `route` and `all=true` has to be given".to_owned())),
    };
    control.remove_faults(door).map(Json)
}

/// Metrics for Prometheus, in its text format or as OpenMetrics, whichever `Accept` prefers.
#[utoipa::path(get, path = "/metrics", operation_id = "getMetrics",
    responses((status = 200, content_type = "text/plain", body = String, description = "all metrics")))]
pub(crate) async fn metrics(
    State(control): State<Shared>,
    headers: HeaderMap,
) -> ([(header::HeaderName, &'static str); 1], String) {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::preferred(&accept.collect::<Vec<_>>().join(","));
    ([(header::CONTENT_TYPE, format.content_type())], format.write(&control.metrics().await))
}

/// Asks the system to stop in good order.
#[utoipa::path(post, path = "/v1/down", operation_id = "down", responses((status = 202, description = "begun")))]
pub(crate) async fn down(State(control): State<Shared>) -> Result<StatusCode, Refusal> {
    control.down().await.map(|()| StatusCode::ACCEPTED)
}

/// This API's document.
#[utoipa::path(get, path = "/v1/openapi.json", operation_id = "getDocument", responses((status = 200, description = "OpenAPI 3.1")))]
pub(crate) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(document::openapi())
}
