//! The operations on jobs.

use crate::{
    error::Refusal,
    port::jobs::JobQuery,
    server::Shared,
    services::jobs::{put_headers, wait_of, whole},
    wire::{
        Problem,
        jobs::{Job, Jobs},
    },
};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

/// The most jobs in one answer.
const JOBS_MAX: usize = 1000;

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobsParameters {
    /// Of this service only.
    service: Option<String>,
    /// In this state only: `queued`, `running`, `retrying`, `succeeded`, `failed` or `cancelled`.
    state: Option<String>,
    /// Only those that were asked for before this one.
    before: Option<String>,
    /// How many at most, up to 1000; 100 when not given.
    max: Option<usize>,
}

/// Jobs, those first that were asked for last.
#[utoipa::path(get, path = "/v1/jobs", operation_id = "listJobs", params(JobsParameters),
    responses((status = 200, body = Jobs), (status = 400, body = Problem)))]
pub(crate) async fn list_jobs(
    State(control): State<Shared>,
    Query(parameters): Query<JobsParameters>,
) -> Result<Json<Jobs>, Refusal> {
    let JobsParameters { service, state, before, max } = parameters;
    let state = state.map(|text| text.parse()).transpose().map_err(Refusal::Unreadable)?;
    let most = max.unwrap_or(100).clamp(1, JOBS_MAX);
    control.list_jobs(JobQuery { service, state, before, most }).await.map(Json)
}

/// Makes a POST to a path of a service a job. The body and the headers are the service's, as at `$MOTET_URL/jobs/…`; so are the headers that
/// say what kind of job it is.
#[utoipa::path(post, path = "/v1/services/{service}/jobs/{path}", operation_id = "runJob",
    params(("service" = String, Path, description = "its name"), ("path" = String, Path, description = "the path of the service, with its query")),
    request_body(content = Vec<u8>, content_type = "*/*", description = "the body of the request"),
    responses((status = 202, body = Job), (status = 400, body = Problem), (status = 404, body = Problem), (status = 413, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn run_job(
    State(control): State<Shared>,
    Path(named): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|error| Refusal::Unreadable(error.body_text()))?;
    let (service, jobs) = (named.0, control.jobs()?);
    jobs.admit(&service)?;
    // As it came: a path that is decoded and encoded again may be another one.
    let path = uri.path().splitn(6, '/').nth(5).unwrap_or_default();
    let job = jobs.submit(whole(service, path, &uri, &headers, body)?).await?;
    let location = format!("/v1/jobs/{}", job.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(job)).into_response())
}

/// The same for the path `/` of a service: the router takes an empty rest for none.
pub(crate) async fn run_job_at_root(
    state: State<Shared>,
    Path(service): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    run_job(state, Path((service, String::new())), uri, headers, body).await
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaitParameters {
    /// How long to wait for its end, `30s`; up to a minute.
    wait: Option<String>,
}

/// A job as it is.
#[utoipa::path(get, path = "/v1/jobs/{id}", operation_id = "getJob",
    params(("id" = String, Path, description = "job_…"), WaitParameters),
    responses((status = 200, body = Job), (status = 404, body = Problem)))]
pub(crate) async fn job(
    State(control): State<Shared>,
    Path(id): Path<String>,
    Query(parameters): Query<WaitParameters>,
) -> Result<Json<Job>, Refusal> {
    let wait = wait_of(parameters.wait.as_deref())?;
    Ok(Json(control.jobs()?.job(&id, wait).await?))
}

/// What the service answered to a job, as it was; 202 and the job while it is not over. `x-motet-job-state` tells the two apart.
#[utoipa::path(get, path = "/v1/jobs/{id}/result", operation_id = "getJobResult",
    params(("id" = String, Path, description = "job_…"), WaitParameters),
    responses((status = 200, body = Vec<u8>, content_type = "*/*", description = "the answer, with its own status"), (status = 202, body = Job),
        (status = 404, body = Problem), (status = 410, body = Problem), (status = 502, body = Problem)))]
pub(crate) async fn job_result(
    State(control): State<Shared>,
    Path(id): Path<String>,
    Query(parameters): Query<WaitParameters>,
) -> Result<Response, Refusal> {
    let (jobs, wait) = (control.jobs()?, wait_of(parameters.wait.as_deref())?);
    let job = jobs.job(&id, wait).await?;
    let mut response = match jobs.result(&id).await? {
        None => (StatusCode::ACCEPTED, Json(&job)).into_response(),
        Some(answer) => {
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
            let mut response = (status, answer.body).into_response();
            response.headers_mut().remove(header::CONTENT_TYPE);
            put_headers(response.headers_mut(), &job, &answer.headers);
            return Ok(response);
        }
    };
    put_headers(response.headers_mut(), &job, &[]);
    Ok(response)
}

/// Ends a job: one that waits never begins, and the request of one that runs is taken back.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", operation_id = "cancelJob",
    params(("id" = String, Path, description = "job_…")),
    responses((status = 200, body = Job), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn cancel_job(State(control): State<Shared>, Path(id): Path<String>) -> Result<Json<Job>, Refusal> {
    Ok(Json(control.jobs()?.cancel(&id).await?))
}

/// Begins a job that failed or was cancelled anew, with all attempts before it.
#[utoipa::path(post, path = "/v1/jobs/{id}/retry", operation_id = "retryJob",
    params(("id" = String, Path, description = "job_…")),
    responses((status = 202, body = Job), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn retry_job(
    State(control): State<Shared>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Job>), Refusal> {
    Ok((StatusCode::ACCEPTED, Json(control.jobs()?.retry(&id).await?)))
}
