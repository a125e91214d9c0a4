//! Which function a request belongs to.

use super::{
    Door, Refusal,
    body::{Response, Upload},
    consume, jobs, publish, pull, stream, watch,
};
use http::{HeaderMap, Method, Request, header};
use motet_cloudevents::http::value;
use std::{borrow::Cow, convert::Infallible, sync::Arc};

/// Answers a request, with a problem document if it is refused.
pub(crate) async fn answer(door: Arc<Door>, request: Request<Upload>) -> Result<Response, Infallible> {
    Ok(find(&door, request).await.unwrap_or_else(Refusal::into_response))
}

async fn find(door: &Arc<Door>, request: Request<Upload>) -> Result<Response, Refusal> {
    refuse_browsers(request.headers())?;
    // Copied, because a URI is a piece of the connection's buffer, which this request is not to hold for longer than it reads.
    let given: Box<str> = request.uri().path().into();
    if let Some(rest) = given.strip_prefix("/jobs/") {
        return Box::pin(jobs::answer(door, rest, request)).await;
    }
    let mut segments = given.trim_start_matches('/').split('/');
    let path = [segments.next(), segments.next(), segments.next(), segments.next()];
    let (get, post) = (request.method() == Method::GET, request.method() == Method::POST);
    // Boxed but for the most frequent, which needs no room for the others then.
    match path {
        [Some("topics"), Some(topic), None, None] if post => publish::post(door, topic, request)?.await,
        [Some("topics"), Some(topic), Some("stream"), None] if post => stream::post(door, topic, request),
        [Some("topics"), Some(topic), Some("watch"), None] if get => Box::pin(watch::get(door, topic, &request)).await,
        [Some("subscriptions"), Some(name), Some("next"), None] if get => {
            Box::pin(pull::next(door, name, &request)).await
        }
        [Some("subscriptions"), Some(name), Some("stream"), None] if post => consume::post(door, name, request),
        [Some("subscriptions"), Some(name), Some(verb @ ("ack" | "nack" | "extend")), None] if post => {
            Box::pin(pull::settle(door, name, verb, request)).await
        }
        _ => Err(no_such_path(path, &given)),
    }
}

fn no_such_path(path: [Option<&str>; 4], given: &str) -> Refusal {
    let allow = match path {
        [Some("topics"), Some(_), None | Some("stream"), None] => Some("POST"),
        [Some("topics"), Some(_), Some("watch"), None] => Some("GET"),
        [Some("subscriptions"), Some(_), Some("next"), None] => Some("GET"),
        [Some("subscriptions"), Some(_), Some("stream" | "ack" | "nack" | "extend"), None] => Some("POST"),
        _ => None,
    };
    let detail = match allow {
        Some(method) => format!("`{given}` takes {method}"),
        None => format!(
            "there is no `{given}` here: there are `/topics/{{topic}}` with `/stream` and `/watch` below it, `/subscriptions/{{name}}/` with `next`, `ack`, `nack`, `extend` and `stream`, and `/jobs/{{service}}/{{path}}`"
        ),
    };
    Refusal::NoSuchPath { detail, allow }
}

/// A page in a browser can send requests to any address of the machine that shows it, and always says from where. Services say nothing of the
/// kind, so whoever does is not one.
fn refuse_browsers(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::ORIGIN) {
        return Err(Refusal::NotAllowed(
            "this address is a service's, and no page's: the request has an `Origin`; send it from the service"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The value of a parameter of the query. Escapes are undone.
pub(crate) fn parameter<'a>(request: &'a Request<Upload>, name: &str) -> Result<Option<Cow<'a, str>>, Refusal> {
    let pairs = request.uri().query().unwrap_or_default().split('&');
    let given = pairs.filter_map(|pair| pair.split_once('=')).find_map(|(own, value)| (own == name).then_some(value));
    let decoded = given.map(|given| value::decode(name, given.as_bytes()));
    decoded.transpose().map_err(|_| Refusal::Unreadable(format!("the parameter `{name}` is not UTF-8")))
}

/// A number in the query, not more than `most`.
pub(crate) fn count(request: &Request<Upload>, name: &str, default: usize, most: usize) -> Result<usize, Refusal> {
    let Some(text) = parameter(request, name)? else { return Ok(default) };
    match text.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number.min(most)),
        _ => Err(Refusal::Unreadable(format!(
            "the parameter `{name}` is `{text}`, and has to be a number from 1 to {most}"
        ))),
    }
}
