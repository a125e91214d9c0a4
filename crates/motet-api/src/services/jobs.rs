//! `POST /jobs/{service}/{path}` and what follows it: a request that nobody waits for.
//!
//! What a request says about itself as a job stands in headers, because its path, its query and its body are the service's:
//!
//! | Header | Says |
//! |---|---|
//! | `Idempotency-Key` | the same key from the same caller means the same job |
//! | `x-motet-key` | jobs of a service with the same key run one after the other |
//! | `x-motet-delay`, `x-motet-deliver-at` | not before then |
//! | `x-motet-attempts` | how often it is tried at most |
//! | `x-motet-callback` | who is told of its end: `/path` of the caller, or `service/path` |
//! | `x-motet-event` | the topic on which its end is published |
//!
//! All other end-to-end fields go along to the service, but `Authorization` and `Cookie`: they would lie on disk, and be over when a job is
//! tried again the next day.

use super::{
    Door, Refusal,
    body::{self, Response, Upload},
    port::jobs::{JobAnswer, JobRequest, Jobs},
    route::parameter,
};
use crate::wire::jobs::Job;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use jiff::Timestamp;
use motet_kernel::quantity;
use std::{sync::Arc, time::Duration};

/// How long one request may wait for the end of a job.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The longest path of a job, with its query.
const PATH_MAX_BYTES: usize = 4096;
/// The most that goes along in header fields: names and values.
const HEADERS_MAX_BYTES: usize = 16 * 1024;
/// How many fields go along.
const HEADERS_MAX: usize = 64;
/// The largest text about progress, as it is sent.
const PROGRESS_MAX_BYTES: usize = 16 * 1024;
/// The largest result that is completed later.
const RESULT_MAX_BYTES: usize = 64 << 20;
/// How far a delay reaches, as that of an event.
const DELAY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

const KEY: &str = "x-motet-key";
const DELAY: &str = "x-motet-delay";
const DELIVER_AT: &str = "x-motet-deliver-at";
const ATTEMPTS: &str = "x-motet-attempts";
const CALLBACK: &str = "x-motet-callback";
const EVENT: &str = "x-motet-event";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const STATE: HeaderName = HeaderName::from_static("x-motet-job-state");
const JOB: HeaderName = HeaderName::from_static("x-motet-job");

/// Fields that are about the connection or the message and not about what is asked, and those that open doors.
const NOT_KEPT: [&str; 17] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "prefer",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
];

/// Fields of an answer that are kept with a result.
const KEPT_OF_ANSWER: [&str; 7] = [
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "location",
    "etag",
    "last-modified",
];

/// Which function a request below `/jobs/` belongs to. `rest` is the path behind that.
pub(crate) async fn answer(door: &Arc<Door>, rest: &str, request: Request<Upload>) -> Result<Response, Refusal> {
    let Some(jobs) = door.jobs.clone() else {
        return Err(Refusal::NoSuchPath { detail: "there are no jobs here".to_owned(), allow: None });
    };
    let (first, behind) = rest.split_once('/').map_or((rest, None), |(first, behind)| (first, Some(behind)));
    if !is_id(first) {
        return match *request.method() {
            Method::POST => post(door, &*jobs, first, behind.unwrap_or_default(), request).await,
            _ => Err(Refusal::NoSuchPath { detail: format!("`/jobs/{rest}` takes POST"), allow: Some("POST") }),
        };
    }
    let (get, post, put) =
        (request.method() == Method::GET, request.method() == Method::POST, request.method() == Method::PUT);
    match behind {
        None if get => Ok(shown(StatusCode::OK, &waited(door, &*jobs, first, &request).await?)),
        Some("result") if get => {
            let job = waited(door, &*jobs, first, &request).await?;
            result(&job, jobs.result(first).await?)
        }
        Some("cancel") if post => Ok(shown(StatusCode::OK, &jobs.cancel(first).await?)),
        Some("retry") if post => Ok(shown(StatusCode::ACCEPTED, &jobs.retry(first).await?)),
        Some("extend") if post => {
            let by = parameter(&request, "by")?.ok_or_else(|| {
                Refusal::Unreadable("say with `?by=` how long the lease is to last from now, as in `30s`".to_owned())
            })?;
            Ok(shown(StatusCode::OK, &jobs.extend(first, duration("by", &by)?).await?))
        }
        Some("complete") if post => complete(door, &*jobs, first, request).await,
        Some("progress") if put => {
            let (body, _share) = body::read(door, request.into_body(), PROGRESS_MAX_BYTES).await?;
            let progress = serde_json::from_slice(&body)
                .map_err(|error| Refusal::Unreadable(format!("progress has to be JSON: {error}")))?;
            Ok(shown(StatusCode::OK, &jobs.progress(first, progress).await?))
        }
        _ => Err(no_such_path(rest, behind)),
    }
}

fn no_such_path(rest: &str, behind: Option<&str>) -> Refusal {
    let allow = match behind {
        None | Some("result") => Some("GET"),
        Some("cancel" | "retry" | "extend" | "complete") => Some("POST"),
        Some("progress") => Some("PUT"),
        Some(_) => None,
    };
    let detail = match allow {
        Some(method) => format!("`/jobs/{rest}` takes {method}"),
        None => format!(
            "there is no `/jobs/{rest}`: below a job there are `result`, `cancel`, `retry`, `complete`, `extend` and `progress`"
        ),
    };
    Refusal::NoSuchPath { detail, allow }
}

/// No service has a name with an underscore.
fn is_id(text: &str) -> bool {
    text.starts_with("job_")
}

async fn post(
    door: &Door,
    jobs: &dyn Jobs,
    service: &str,
    path: &str,
    request: Request<Upload>,
) -> Result<Response, Refusal> {
    let limit = jobs.admit(service)?;
    let path = path_of(path, request.uri())?;
    let (head, body) = request.into_parts();
    let mut wanted = JobRequest { service: service.to_owned(), path, ..read_headers(&head.headers, Timestamp::now())? };
    let (body, share) = body::read(door, body, limit).await?;
    wanted.body = body;
    let job = jobs.submit(wanted).await?;
    drop(share);
    let mut response = shown(StatusCode::ACCEPTED, &job);
    if let Ok(location) = HeaderValue::try_from(format!("/jobs/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn complete(door: &Door, jobs: &dyn Jobs, id: &str, request: Request<Upload>) -> Result<Response, Refusal> {
    let status = match parameter(&request, "status")? {
        None => 200,
        Some(text) => text.parse().map_err(|_| Refusal::Unreadable(format!("`status` is `{text}`, and no status")))?,
    };
    let (head, body) = request.into_parts();
    let (body, _share) = body::read(door, body, RESULT_MAX_BYTES.min(door.options.batch_bytes)).await?;
    let headers = kept_of_answer(&head.headers);
    Ok(shown(StatusCode::OK, &jobs.complete(id, JobAnswer { status, headers, body }).await?))
}

async fn waited(door: &Door, jobs: &dyn Jobs, id: &str, request: &Request<Upload>) -> Result<Job, Refusal> {
    let wait = wait_of(parameter(request, "wait")?.as_deref())?;
    tokio::select! {
        job = jobs.job(id, wait) => job,
        () = door.closing.cancelled() => jobs.job(id, Duration::ZERO).await,
    }
}

/// How long a request wants to wait, and may.
pub(crate) fn wait_of(text: Option<&str>) -> Result<Duration, Refusal> {
    text.map_or(Ok(Duration::ZERO), |text| Ok(duration("wait", text)?.min(WAIT_MAX)))
}

fn shown(status: StatusCode, job: &Job) -> Response {
    let text = serde_json::to_vec(job).unwrap_or_default();
    let mut response = body::answer(status, "application/json", text);
    response.headers_mut().insert(STATE, HeaderValue::from_static(job.state.as_str()));
    response
}

/// What the service answered, as it was; or the job, if there is no answer yet.
fn result(job: &Job, answer: Option<JobAnswer>) -> Result<Response, Refusal> {
    let Some(answer) = answer else {
        let mut response = shown(StatusCode::ACCEPTED, job);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return Ok(response);
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = body::empty(status);
    *response.body_mut() = http_body_util::Either::Left(http_body_util::Full::new(answer.body));
    put_headers(response.headers_mut(), job, &answer.headers);
    Ok(response)
}

/// The fields of an answer that is told later, and whose it was.
pub(crate) fn put_headers(headers: &mut HeaderMap, job: &Job, kept: &[(String, String)]) {
    for (name, value) in kept {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    headers.insert(STATE, HeaderValue::from_static(job.state.as_str()));
    if let Ok(id) = HeaderValue::try_from(&job.id) {
        headers.insert(JOB, id);
    }
}

/// The path of a job, with its query, as it is sent: below an address, and never beside it.
pub(crate) fn path_of(path: &str, uri: &Uri) -> Result<String, Refusal> {
    whole_path(path, uri.query())
}

fn whole_path(path: &str, query: Option<&str>) -> Result<String, Refusal> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let whole = format!("/{path}{query}");
    if whole.len() > PATH_MAX_BYTES {
        return Err(Refusal::Unreadable(format!("the path of a job has at most {PATH_MAX_BYTES} bytes")));
    }
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split(['/', '\\']).any(is_dots) || path.contains('\\') {
        return Err(Refusal::Unreadable(format!(
            "the path `/{path}` leaves the service: write it without `.` and `..`"
        )));
    }
    if whole.parse::<Uri>().is_err() {
        return Err(Refusal::Unreadable(format!("`{whole}` is not a path")));
    }
    Ok(whole)
}

/// The path of a callback, as it is sent.
pub fn callback_path(path: &str) -> Result<String, Refusal> {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    whole_path(path, query)
}

/// What the header fields of a request say about the job, and those that go along.
pub(crate) fn read_headers(headers: &HeaderMap, now: Timestamp) -> Result<JobRequest, Refusal> {
    let text = |name: &str| -> Result<Option<String>, Refusal> {
        let Some(value) = headers.get(name) else { return Ok(None) };
        let text = value.to_str().map(str::trim).ok().filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| Refusal::Unreadable(format!("`{name}` has to be text: visible ASCII")))?;
        Ok(Some(text.to_owned()))
    };
    let attempts = text(ATTEMPTS)?.map(|text| match text.parse() {
        Ok(attempts @ 1..=10_000) => Ok(attempts),
        _ => Err(Refusal::Unreadable(format!("`{ATTEMPTS}` is `{text}`, and has to be a number from 1 to 10000"))),
    });
    Ok(JobRequest {
        headers: along(headers)?,
        idempotency_key: text(IDEMPOTENCY_KEY)?,
        key: text(KEY)?,
        not_before_ms: not_before(text(DELAY)?, text(DELIVER_AT)?, now)?,
        attempts: attempts.transpose()?,
        callback: text(CALLBACK)?,
        event: text(EVENT)?,
        ..JobRequest::default()
    })
}

fn not_before(delay: Option<String>, at: Option<String>, now: Timestamp) -> Result<Option<u64>, Refusal> {
    let now_ms = u64::try_from(now.as_millisecond()).unwrap_or_default();
    let most = u64::try_from(DELAY_MAX.as_millis()).unwrap_or(u64::MAX);
    let at = match (delay, at) {
        (Some(_), Some(_)) => {
            return Err(Refusal::Unreadable(format!("one of `{DELAY}` and `{DELIVER_AT}` is enough")));
        }
        (Some(delay), None) => {
            let delay = duration(DELAY, &delay)?.as_millis();
            now_ms.saturating_add(u64::try_from(delay).unwrap_or(u64::MAX))
        }
        (None, Some(text)) => {
            let time: Timestamp = text.parse().map_err(|_| {
                let detail =
                    format!("`{DELIVER_AT}` is `{text}`, and has to be a timestamp like `2026-01-31T12:00:00Z`");
                Refusal::Unreadable(detail)
            })?;
            u64::try_from(time.as_millisecond()).unwrap_or_default()
        }
        (None, None) => return Ok(None),
    };
    if at > now_ms.saturating_add(most) {
        return Err(Refusal::Unreadable("a job can be put off by a year at most".to_owned()));
    }
    Ok((at > now_ms).then_some(at))
}

/// The fields that go along to the service.
fn along(headers: &HeaderMap) -> Result<Vec<(String, String)>, Refusal> {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    let (mut kept, mut bytes) = (Vec::new(), 0);
    for (name, value) in headers {
        let name = name.as_str();
        if NOT_KEPT.contains(&name) || name.starts_with("x-motet-") || named.iter().any(|other| other == name) {
            continue;
        }
        let value = std::str::from_utf8(value.as_bytes())
            .map_err(|_| Refusal::Unreadable(format!("the header `{name}` is not UTF-8, and cannot be kept")))?;
        bytes += name.len() + value.len();
        kept.push((name.to_owned(), value.to_owned()));
    }
    if bytes > HEADERS_MAX_BYTES || kept.len() > HEADERS_MAX {
        let detail = format!("a job has at most {HEADERS_MAX} headers with {HEADERS_MAX_BYTES} bytes");
        return Err(Refusal::Unreadable(detail));
    }
    Ok(kept)
}

/// The fields of an answer that are kept with a result.
pub fn kept_of_answer(headers: &HeaderMap) -> Vec<(String, String)> {
    let kept = headers.iter().filter(|(name, _)| KEPT_OF_ANSWER.contains(&name.as_str()));
    let text = |value: &HeaderValue| std::str::from_utf8(value.as_bytes()).ok().map(str::to_owned);
    kept.filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value).filter(|text| text.len() <= 4096)?)))
        .take(16)
        .collect()
}

/// A request as it comes over the control API, where the whole body is there.
pub(crate) fn whole(
    service: String,
    path: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<JobRequest, Refusal> {
    Ok(JobRequest { service, path: path_of(path, uri)?, body, ..read_headers(headers, Timestamp::now())? })
}

fn duration(name: &str, text: &str) -> Result<Duration, Refusal> {
    quantity::parse_duration(text).map_err(|error| Refusal::Unreadable(format!("`{name}`: {error}")))
}

#[cfg(test)]
mod tests;
