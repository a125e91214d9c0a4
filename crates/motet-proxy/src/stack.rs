//! The way of a request, top to bottom. Each stage is a file under `stage/`; above each call stands why it stands there.
//!
//! The stages are plain functions and the values they hand on, not a tower of boxed services: a request costs no allocation per
//! stage, and what the compiler says about a mistake fits on a screen. A stage that wraps what follows takes it as a future.
//!
//! Places kept for stages to come: *cache* between deadline and retry (an answer from the cache needs no instance, and must not be
//! retried); *batch* inside retry, before balance (a batch is one request that can be tried again as a whole); *break* before
//! balance (it decides which instances may be chosen from).

use crate::{
    body::{Reply, Source},
    flight::Flight,
    headers,
    journey::Journey,
    lane::Lane,
    listener::Arrival,
    policy::streams,
    rescue::{self, Cause},
    spec::{Door, Protocol},
    stage::{
        connect::{Answer, Context, Outgoing},
        deadline::Deadline,
        record::Record,
        retry, route, shed, trace, upgrade,
    },
};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts, uri::PathAndQuery,
};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use std::rc::Rc;

/// Answers one request. Dropping the future, or later the answer's body, cancels the upstream call.
pub(crate) async fn serve(arrival: &Arrival, mut request: Request<Incoming>) -> Response<Reply> {
    let journey = Journey::begin();

    // trace: first, so that every answer belongs to a trace, refusals too.
    trace::continue_or_begin(request.headers_mut());

    // route: before all that counts, limits or waits, because each of these is per edge.
    let target = arrival.listener.target();
    let Some(lane) = target.find(request.uri().path()) else {
        return rescue::respond(&Cause::NoRoute, None, &journey);
    };

    // record: around all that follows, so that what it refuses is counted like what it answers.
    let record = Record::begin(Rc::clone(&lane));
    match admitted(arrival, &lane, &journey, request).await {
        Ok((mut answer, until, upgrade)) => {
            record.answered(answer.response.status(), &journey);
            // The version is a matter of each hop too (RFC 9110, section 2.5): an HTTP/1.0 instance must not cost the caller its connection.
            let received = std::mem::replace(answer.response.version_mut(), Version::HTTP_11);
            headers::strip_hop_by_hop(answer.response.headers_mut());
            journey.stamp(answer.response.headers_mut());
            let flight = Flight::new(record, answer.ticket, answer.lease, until);
            match upgrade {
                Some((caller, callee, protocol)) => switch(arrival, flight, caller, callee, protocol, answer.response),
                None => {
                    if target.is_gateway() {
                        headers::add_via(answer.response.headers_mut(), received);
                    }
                    answer.response.map(|body| Reply::streamed(body, flight))
                }
            }
        }
        Err(cause) => {
            let response = rescue::respond(&cause, Some(&lane.plan.door), &journey);
            record.answered(response.status(), &journey);
            record.refused(cause.kind());
            response
        }
    }
}

type Upgrade = (OnUpgrade, OnUpgrade, HeaderValue);
type Admitted = (Answer, Option<tokio::time::Instant>, Option<Upgrade>);

async fn admitted(
    arrival: &Arrival,
    lane: &Rc<Lane>,
    journey: &Journey,
    mut request: Request<Incoming>,
) -> Result<Admitted, Cause> {
    // shed: before anything is spent on a request that is one too many.
    shed::admit(lane)?;

    // deadline: around waiting, all tries and their pauses: it is what the caller will wait, however often we try.
    let caller_waits = match lane.plan.door {
        Door::Edge(_) => headers::deadline(request.headers()),
        Door::Route { .. } => None,
    };
    let deadline = Deadline::new(journey.started(), lane.policy().timeout, caller_waits);

    let wants_upgrade = headers::upgrade(request.headers()).filter(|_| request.version() == Version::HTTP_11);
    let caller = wants_upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    let mut outgoing = outgoing(arrival, lane, request, wants_upgrade)?;
    let cx = Context { lane, journey, deadline };

    // retry: inside the deadline, outside the choice of an instance, so that each try may choose another one. It calls balance (who),
    // connect (how), classify (what came of it).
    let mut answer = deadline.bound(retry::run(&cx, &mut outgoing)).await?;
    outgoing.body.seal();

    // An answer with a natural end must reach it by the deadline; a stream may go on.
    let switched = answer.response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let until = (!switched && !streams(answer.response.headers())).then_some(deadline.at);
    match (switched, caller, outgoing.upgrade) {
        (false, ..) => Ok((answer, until, None)),
        (true, Some(caller), Some(protocol)) => {
            let callee = hyper::upgrade::on(&mut answer.response);
            Ok((answer, None, Some((caller, callee, protocol))))
        }
        (true, ..) => Err(Cause::Broken { reason: "it switched protocols without having been asked".to_owned() }),
    }
}

/// The request as it goes to an instance, apart from what each try adds. Refuses what no proxy may pass on.
fn outgoing(
    arrival: &Arrival,
    lane: &Lane,
    request: Request<Incoming>,
    upgrade: Option<HeaderValue>,
) -> Result<Outgoing, Cause> {
    let (parts, body) = request.into_parts();
    let Parts { method, uri, version, mut headers, .. } = parts;
    if method == Method::CONNECT {
        return Err(Cause::Unsupported("CONNECT asks for a tunnel, and this is not a tunnel's end"));
    }
    let host = addressed(&headers, uri.authority(), version)?;
    headers::strip_hop_by_hop(&mut headers);
    if let Some(protocol) = &upgrade {
        headers::put_upgrade(&mut headers, protocol.clone());
    }
    headers.insert(
        headers::CALLER,
        HeaderValue::from_str(lane.plan.door.caller()).expect("names are letters, digits, hyphens"),
    );
    if matches!(lane.plan.door, Door::Route { .. }) {
        headers::set_forwarded(&mut headers, arrival.peer.ip(), host.as_ref());
        headers::add_via(&mut headers, version);
    }
    let retry = &lane.policy().retry;
    let repeatable = upgrade.is_none() && retry.repeats(&method, &headers);
    let replay_max = if repeatable && retry.attempts > 1 { retry.replay_max } else { 0 };
    let protocol = if is_grpc(&headers) { Protocol::H2c } else { lane.plan.protocol };
    let protocol = if upgrade.is_some() { Protocol::Http1 } else { protocol };
    let path = path(&uri, lane.plan.strip.as_deref());
    Ok(Outgoing { method, path, headers, body: Source::new(body, replay_max), host, protocol, repeatable, upgrade })
}

/// Whom the caller addressed: RFC 9112, section 3.2, asks for exactly one `Host` in HTTP/1.1.
fn addressed(
    headers: &HeaderMap,
    authority: Option<&http::uri::Authority>,
    version: Version,
) -> Result<Option<HeaderValue>, Cause> {
    let mut hosts = headers.get_all(header::HOST).into_iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Cause::Malformed("the request has more than one Host"));
    }
    if version == Version::HTTP_11 && host.is_none() {
        return Err(Cause::Malformed("the request has no Host"));
    }
    match authority {
        Some(authority) => Ok(HeaderValue::from_str(authority.as_str()).ok()),
        None => Ok(host.cloned()),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn path(uri: &http::Uri, strip: Option<&str>) -> PathAndQuery {
    let whole = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let Some(prefix) = strip else { return whole };
    let rest = route::strip(prefix, whole.path());
    let stripped = match whole.query() {
        Some(query) => format!("{rest}?{query}").parse(),
        None => rest.parse(),
    };
    stripped.unwrap_or(whole)
}

/// Tells the caller that the protocol is switched, and passes bytes from then on.
fn switch(
    arrival: &Arrival,
    flight: Flight,
    caller: OnUpgrade,
    callee: OnUpgrade,
    protocol: HeaderValue,
    answer: Response<Incoming>,
) -> Response<Reply> {
    let (record, ticket) = flight.upgrade();
    let listener = Rc::clone(&arrival.listener);
    arrival.listener.tasks.spawn_local(upgrade::join(listener, caller, callee, record, ticket));
    let mut response = answer.map(|_| Reply::Made(None));
    headers::put_upgrade(response.headers_mut(), protocol);
    response
}
