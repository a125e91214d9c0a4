//! The operations on topics, subscriptions and dead letters.

use super::{Events, event, events};
use crate::{
    error::Refusal,
    port::events::Letters,
    server::Shared,
    services,
    wire::{
        Problem,
        events::{self as wire, DeadLetters, Published, ReplayRequest, Replayed, Settled, Start, Watched},
    },
};
use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, Query, State,
        rejection::{BytesRejection, JsonRejection},
    },
    http::StatusCode,
    response::sse,
};
use futures_util::{Stream, StreamExt};
use motet_cloudevents::{Event, Filter, http::Limits, json};
use std::{collections::BTreeSet, convert::Infallible};

/// What is taken in one request. A topic may take less of each event, and says so itself.
const LIMITS: Limits = Limits { event_bytes: super::super::EVENTS_BYTES_MAX, batch_events: 10_000 };

/// The most dead letters in one answer.
const LETTERS_MAX: usize = 1000;

/// Topics and subscriptions as they are.
#[utoipa::path(get, path = "/v1/events", operation_id = "getEvents",
    responses((status = 200, body = wire::Events), (status = 503, body = Problem)))]
pub(crate) async fn describe_events(State(control): State<Shared>) -> Result<Json<wire::Events>, Refusal> {
    control.events().await.map(Json)
}

/// Publishes one event, or a list of them, in the JSON format of CloudEvents 1.0. The answer comes when they are on disk.
#[utoipa::path(post, path = "/v1/topics/{topic}/events", operation_id = "publishEvents",
    params(("topic" = String, Path, description = "its name")),
    request_body(content = Object, content_type = "application/json", description = "an event, or a list of events"),
    responses((status = 202, body = Published), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn publish_events(
    State(control): State<Shared>,
    Path(topic): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Published>), Refusal> {
    let body = body.map_err(|error| Refusal::Unreadable(error.body_text()))?;
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let read = if is_list { json::read_batch(&body, &LIMITS) } else { json::read(&body, &LIMITS).map(|one| vec![one]) };
    let events = read.map_err(services::Refusal::from)?;
    let receipts = if events.is_empty() { Vec::new() } else { control.publish(&topic, events).await? };
    Ok((StatusCode::ACCEPTED, Json(Published { receipts })))
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WatchParameters {
    /// `earliest`, `latest` or a position; `latest` when not given.
    from: Option<String>,
}

/// What is published, as server-sent events named `event`. It looks on: nothing is taken from anybody.
#[utoipa::path(get, path = "/v1/topics/{topic}/events", operation_id = "watchTopic",
    params(("topic" = String, Path, description = "its name"), WatchParameters),
    responses((status = 200, content_type = "text/event-stream", body = Watched), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn watch_topic(
    State(control): State<Shared>,
    Path(topic): Path<String>,
    Query(parameters): Query<WatchParameters>,
) -> Result<Events<impl Stream<Item = Result<sse::Event, Infallible>> + Send + 'static>, Refusal> {
    let start = parameters.from.map_or(Ok(Start::Latest), |text| start(&text))?;
    let seen = control.watch_topic(&topic, start).await?;
    Ok(events(seen.map(|seen| event("event", &seen))))
}

fn start(text: &str) -> Result<Start, Refusal> {
    text.parse().map_err(|error: wire::InvalidStart| Refusal::Unreadable(error.to_string()))
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LetterParameters {
    /// From this number on; the oldest when not given.
    from: Option<u64>,
    /// How many at most, up to 1000; 100 when not given. Large ones come in smaller pages.
    max: Option<usize>,
    /// Only those that this takes, an expression of CloudEvents SQL, as in `motetstatus = 503`.
    #[serde(rename = "where")]
    condition: Option<String>,
}

/// Dead letters of a subscription, the oldest first.
#[utoipa::path(get, path = "/v1/subscriptions/{subscription}/dead-letters", operation_id = "listDeadLetters",
    params(("subscription" = String, Path, description = "service.topic"), LetterParameters),
    responses((status = 200, body = DeadLetters), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn dead_letters(
    State(control): State<Shared>,
    Path(subscription): Path<String>,
    Query(parameters): Query<LetterParameters>,
) -> Result<Json<DeadLetters>, Refusal> {
    let most = parameters.max.unwrap_or(100).clamp(1, LETTERS_MAX);
    let filter = parameters.condition.as_deref().map(filter).transpose()?;
    control.dead_letters(&subscription, filter, parameters.from.unwrap_or(0), most).await.map(Json)
}

/// Which are meant. An order that could be read in two ways is refused: it might be the dropping of everything.
fn letters(request: Result<Json<wire::Letters>, JsonRejection>) -> Result<Letters, Refusal> {
    let Json(request) = request.map_err(|error| Refusal::Unreadable(error.body_text()))?;
    let numbers: BTreeSet<u64> = request.numbers.into_iter().collect();
    let edited = request.event.map(|event| json::read(&Bytes::from(Box::<str>::from(event).into_string()), &LIMITS));
    let edited: Option<Event> = edited.transpose().map_err(services::Refusal::from)?;
    match (numbers.len(), request.all, edited) {
        (0, false, None) if request.condition.is_some() => {
            Ok(Letters::Where(filter(&request.condition.unwrap_or_default())?))
        }
        _ if request.condition.is_some() => Err(ambiguous()),
        (0, true, None) => Ok(Letters::All),
        (1, false, Some(event)) => Ok(Letters::Edited(numbers.into_iter().next().unwrap_or_default(), event)),
        (1.., false, None) => Ok(Letters::Numbers(numbers.into_iter().collect())),
        _ => Err(ambiguous()),
    }
}

fn ambiguous() -> Refusal {
    let what = "one of `numbers`, `where` and `all: true` has to be given, and `event` with one number only";
    Refusal::Unreadable(what.to_owned())
}

fn filter(text: &str) -> Result<Filter, Refusal> {
    Filter::sql(text).map_err(|error| Refusal::Unreadable(format!("`where` is not CloudEvents SQL: {error}")))
}

/// Tries dead letters again, as new.
#[utoipa::path(post, path = "/v1/subscriptions/{subscription}/dead-letters/redrive", operation_id = "redriveDeadLetters",
    params(("subscription" = String, Path, description = "service.topic")), request_body = wire::Letters,
    responses((status = 200, body = Settled), (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn redrive(
    State(control): State<Shared>,
    Path(subscription): Path<String>,
    request: Result<Json<wire::Letters>, JsonRejection>,
) -> Result<Json<Settled>, Refusal> {
    let count = control.redrive(&subscription, letters(request)?).await?;
    Ok(Json(Settled { count }))
}

/// Drops dead letters for good.
#[utoipa::path(post, path = "/v1/subscriptions/{subscription}/dead-letters/drop", operation_id = "dropDeadLetters",
    params(("subscription" = String, Path, description = "service.topic")), request_body = wire::Letters,
    responses((status = 200, body = Settled), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn drop_dead_letters(
    State(control): State<Shared>,
    Path(subscription): Path<String>,
    request: Result<Json<wire::Letters>, JsonRejection>,
) -> Result<Json<Settled>, Refusal> {
    let count = control.drop_dead_letters(&subscription, letters(request)?).await?;
    Ok(Json(Settled { count }))
}

/// Stops sending to a subscription, until somebody resumes it. What is in flight goes on.
#[utoipa::path(post, path = "/v1/subscriptions/{subscription}/pause", operation_id = "pauseSubscription",
    params(("subscription" = String, Path, description = "service.topic")),
    responses((status = 204, description = "done"), (status = 404, body = Problem)))]
pub(crate) async fn pause(State(control): State<Shared>, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    control.pause(&name, true).await.map(|()| StatusCode::NO_CONTENT)
}

/// Goes on with a subscription that was paused.
#[utoipa::path(post, path = "/v1/subscriptions/{subscription}/resume", operation_id = "resumeSubscription",
    params(("subscription" = String, Path, description = "service.topic")),
    responses((status = 204, description = "done"), (status = 404, body = Problem)))]
pub(crate) async fn resume(State(control): State<Shared>, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    control.pause(&name, false).await.map(|()| StatusCode::NO_CONTENT)
}

/// Lets a subscription begin again at another place of its topic, forwards or backwards.
#[utoipa::path(post, path = "/v1/subscriptions/{subscription}/replay", operation_id = "replaySubscription",
    params(("subscription" = String, Path, description = "service.topic")), request_body = ReplayRequest,
    responses((status = 200, body = Replayed), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn replay(
    State(control): State<Shared>,
    Path(subscription): Path<String>,
    request: Result<Json<ReplayRequest>, JsonRejection>,
) -> Result<Json<Replayed>, Refusal> {
    let Json(request) = request.map_err(|error| Refusal::Unreadable(error.body_text()))?;
    let position = control.replay(&subscription, start(&request.from)?).await?;
    Ok(Json(Replayed { position }))
}
