//! `GET /topics/{topic}/watch`: what is published, as server-sent events (WHATWG HTML, section 9.2). For people and for programs that look on: nothing is
//! leased and nothing is acknowledged.

use super::{
    Door, Refusal,
    body::{self, Response, Upload},
    port::{From, Seen},
    route::parameter,
};
use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use http::Request;
use motet_cloudevents::{Filter, json};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How often something is sent when there is nothing to say, so that both sides know that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(crate) async fn get(door: &Arc<Door>, topic: &str, request: &Request<Upload>) -> Result<Response, Refusal> {
    let filter = parameter(request, "filter")?.map(|text| Filter::sql(&text)).transpose()?;
    let seen = door.events.watch(topic, from(request)?).await?;
    let watching = Watching { door: Arc::clone(door), seen, filter };
    let lines = stream::unfold(watching, |mut watching| async move {
        let line = watching.next().await?;
        Some((line, watching))
    });
    Ok(body::streaming("text/event-stream", lines))
}

/// Behind the last event that a client has seen, if it says so; else where `from` says; else with what is published from now on.
fn from(request: &Request<Upload>) -> Result<From, Refusal> {
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    if let Some(position) = last.and_then(|id| id.parse::<u64>().ok()) {
        return Ok(From::Position(position.saturating_add(1)));
    }
    match parameter(request, "from")?.as_deref() {
        None | Some("latest") => Ok(From::Latest),
        Some("earliest") => Ok(From::Earliest),
        Some(other) => other.parse().map(From::Position).map_err(|_| {
            Refusal::Unreadable(format!("`from` is `{other}`: it can be `earliest`, `latest` or a position"))
        }),
    }
}

struct Watching {
    door: Arc<Door>,
    seen: BoxStream<'static, Result<Seen, Refusal>>,
    filter: Option<Filter>,
}

impl Watching {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let seen = tokio::select! {
                seen = timeout(KEEP_ALIVE, self.seen.next()) => seen,
                () = self.door.closing.cancelled() => return None,
            };
            match seen {
                Err(_) => return Some(Bytes::from_static(b": still here\n\n")),
                Ok(None) => return None,
                Ok(Some(Ok(seen))) if self.filter.as_ref().is_some_and(|filter| !filter.matches(&seen.event)) => {}
                Ok(Some(Ok(seen))) => return Some(written(&seen)),
                Ok(Some(Err(refusal))) => {
                    let problem = serde_json::to_string(&refusal.problem()).unwrap_or_default();
                    return Some(format!("event: problem\ndata: {problem}\n\n").into());
                }
            }
        }
    }
}

fn written(seen: &Seen) -> Bytes {
    let mut out = format!("id: {}\ndata: ", seen.position).into_bytes();
    json::write_line(&seen.event, &[], &mut out);
    out.push(b'\n');
    out.into()
}
