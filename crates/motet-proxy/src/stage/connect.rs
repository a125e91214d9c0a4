//! One try: takes a connection to the chosen instance, sends the request, waits for the answer's head.

use super::{balance::Chosen, deadline::Deadline};
use crate::{
    body::{CallerBroke, Outbound, Source},
    headers,
    journey::Journey,
    lane::Lane,
    load::Ticket,
    pool::{DialError, Lease, Upstream},
    spec::{Door, Protocol},
};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::body::Incoming;
use std::{error::Error, net::IpAddr, rc::Rc};
use tokio::time::Instant;

/// What the stages of one request share.
pub(crate) struct Context<'a> {
    pub(crate) lane: &'a Rc<Lane>,
    pub(crate) journey: &'a Journey,
    pub(crate) deadline: Deadline,
}

/// The request as it goes out, apart from what depends on the try.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Source,
    /// What the caller addressed.
    pub(crate) host: Option<HeaderValue>,
    pub(crate) protocol: Protocol,
    pub(crate) repeatable: bool,
    pub(crate) upgrade: Option<HeaderValue>,
}

/// An answer's head, and what lives until its body ends.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Lease,
    pub(crate) ticket: Ticket,
}

/// Why a try gave no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There was no connection.
    Unreachable(DialError),
    /// The connection was closed before a byte of the request was sent.
    Unsent(hyper::Error),
    /// It broke later: the instance may have done the work.
    Broken(hyper::Error),
    /// The caller's body broke.
    Caller,
}

/// One try. After the last one nothing of the request is needed any more, unless it could not be sent.
pub(crate) async fn exchange(
    cx: &Context<'_>,
    chosen: Chosen,
    outgoing: &mut Outgoing,
    number: u32,
    last: bool,
) -> Result<Answer, Failure> {
    let Chosen { upstream, ticket } = chosen;
    let policy = cx.lane.policy();
    let mut request = None;
    loop {
        let mut lease = match upstream.reuse(outgoing.protocol) {
            Some(lease) => lease,
            None => {
                let dialed = upstream.dial(outgoing.protocol, policy.connect_timeout).await;
                dialed.inspect_err(|_| upstream.latency.observe_failure()).map_err(Failure::Unreachable)?
            }
        };
        let next = request.take().unwrap_or_else(|| build(cx, &upstream, outgoing, number, last));
        let sent = Instant::now();
        let mut error = match lease.send(next).await {
            Ok(response) => {
                upstream.latency.observe(sent.elapsed());
                return Ok(Answer { response, lease, ticket });
            }
            Err(error) => error,
        };
        match error.take_message() {
            // The instance had just closed a connection that it had kept open: that is no failure of its.
            Some(unsent) if lease.reused => request = Some(unsent),
            Some(unsent) => {
                upstream.latency.observe_failure();
                outgoing.headers = unsent.into_parts().0.headers;
                return Err(Failure::Unsent(error.into_error()));
            }
            None if caused_by_caller(error.error()) => return Err(Failure::Caller),
            None => {
                upstream.latency.observe_failure();
                return Err(Failure::Broken(error.into_error()));
            }
        }
    }
}

fn build(cx: &Context<'_>, upstream: &Upstream, outgoing: &mut Outgoing, number: u32, last: bool) -> Request<Outbound> {
    let mut fields =
        if last || !outgoing.repeatable { std::mem::take(&mut outgoing.headers) } else { outgoing.headers.clone() };
    let left = u64::try_from(cx.deadline.left().as_millis()).unwrap_or(u64::MAX);
    fields.insert(headers::DEADLINE, HeaderValue::from(left));
    fields.insert(headers::ATTEMPT, HeaderValue::from(number));
    let host = host(cx, upstream, outgoing);
    let mut request = Request::new(outgoing.body.next_try());
    match outgoing.protocol {
        Protocol::Http1 => {
            fields.insert(header::HOST, host);
            *request.uri_mut() = Uri::from(outgoing.path.clone());
            *request.version_mut() = Version::HTTP_11;
        }
        Protocol::H2c => {
            fields.remove(header::HOST);
            *request.uri_mut() = absolute(&host, &outgoing.path);
            *request.version_mut() = Version::HTTP_2;
        }
    }
    *request.method_mut() = outgoing.method.clone();
    *request.headers_mut() = fields;
    request
}

/// What the instance is told about how it was addressed. On an edge the caller used the edge's own address, which means nothing to
/// the callee, so it gets its own. Through the gateway it gets what the outside used, for links and cookies; but a service
/// outside the system, which is addressed by name, needs its own name.
fn host(cx: &Context<'_>, upstream: &Upstream, outgoing: &Outgoing) -> HeaderValue {
    let through_gateway = matches!(cx.lane.plan.door, Door::Route { .. });
    let by_name = || upstream.address.host.parse::<IpAddr>().is_err();
    match &outgoing.host {
        Some(host) if through_gateway && !by_name() => host.clone(),
        _ => upstream.host_header(),
    }
}

fn absolute(host: &HeaderValue, path: &PathAndQuery) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Authority::try_from(host.as_bytes()).ok();
    if parts.authority.is_none() {
        parts.scheme = None;
    }
    parts.path_and_query = Some(path.clone());
    Uri::from_parts(parts).unwrap_or_else(|_| Uri::from(path.clone()))
}

fn caused_by_caller(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<CallerBroke>() {
            return true;
        }
        source = error.source();
    }
    false
}
