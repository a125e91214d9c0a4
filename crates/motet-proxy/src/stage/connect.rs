//! One try: takes a connection to the chosen instance, sends the request, waits for the answer's head, and tells the instance's circuit how
//! it went.

use super::{
    balance::{Chosen, Probe},
    deadline::Deadline,
    fault,
};
use crate::{
    body::{CallerBroke, Inbound, Live, LiveError, Outbound, Source},
    flight::Held,
    grpc, headers,
    http1::{
        WireError,
        connection::head_space,
        head::Head,
        upload::{Length, Upload},
    },
    journey::Journey,
    lane::{Lane, Member, Rules},
    pool::{DialError, Lease, Upstream, Wire},
    spec::{Door, Protocol},
};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use std::{cell::RefCell, error::Error, net::IpAddr, pin::pin, rc::Rc, time::Duration};
use tokio::time::{Instant, timeout};

/// What the stages of one request share.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) lane: &'a Rc<Lane>,
    pub(crate) rules: Rules<'a>,
    pub(crate) journey: &'a Journey,
    pub(crate) deadline: Deadline,
    pub(crate) grpc: bool,
}

/// The request as it goes out, apart from what depends on the try.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    /// Taken by the last try, unless another service may be asked after it.
    pub(crate) headers: RefCell<HeaderMap>,
    pub(crate) body: Source,
    /// What the caller addressed.
    pub(crate) host: Option<HeaderValue>,
    /// What the request itself demands to be sent by, whatever the instance speaks otherwise.
    pub(crate) protocol: Option<Protocol>,
    pub(crate) repeatable: bool,
    /// Another service may be asked after the last try.
    pub(crate) has_stand_in: bool,
    pub(crate) upgrade: Option<HeaderValue>,
}

/// An answer's head, and what lives until its body ends. Boxed, because it is handed up through all stages.
pub(crate) struct Answer {
    pub(crate) response: Response<Inbound>,
    pub(crate) held: Held,
    /// Until when its body must be complete, unless it streams.
    pub(crate) until: Instant,
}

/// Why a try gave no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There was no connection.
    Unreachable(DialError),
    /// The connection was closed before a byte of the request was sent.
    Unsent(LiveError),
    /// It broke later: the instance may have done the work.
    Broken {
        error: LiveError,
        /// No other request on the same connection has failed with it before.
        first: bool,
    },
    /// No answer's head within what the policy gives one try.
    Slow {
        /// The policy's key.
        key: &'static str,
        /// Its value.
        limit: Duration,
    },
    /// The caller's body broke.
    Caller,
}

/// One try. After the last one nothing of the request is needed any more, unless it could not be sent.
pub(crate) async fn exchange(
    cx: &Context<'_>,
    chosen: Chosen,
    outgoing: &Outgoing,
    number: u32,
    last: bool,
) -> Result<Box<Answer>, Failure> {
    let Chosen { member, ticket, probe } = chosen;
    let policy = cx.rules.policy;
    let until = policy.try_timeout.map_or(cx.deadline.at, |whole| cx.deadline.at.min(Instant::now() + whole));
    let pending = cx.journey.expect_of(&member);
    let outcome = head_in_time(cx, &member, outgoing, number, last).await;
    cx.journey.heard_of(pending);
    report(cx, &member, probe, judge(&outcome, cx));
    let (response, lease) = outcome?;
    let held = Held { lease, ticket: Some(ticket), member: Some(member), permit: None };
    Ok(Box::new(Answer { response, held, until }))
}

/// The head, within what the policy gives one try for it.
async fn head_in_time(
    cx: &Context<'_>,
    member: &Member,
    outgoing: &Outgoing,
    number: u32,
    last: bool,
) -> Result<Begun, Failure> {
    let policy = cx.rules.policy;
    let head = pin!(head(cx, member, outgoing, number, last));
    let (key, limit) = match (policy.first_byte, policy.try_timeout) {
        (None, None) => return head.await,
        (Some(first), Some(whole)) if whole < first => ("try_timeout", whole),
        (Some(first), _) => ("first_byte", first),
        (None, Some(whole)) => ("try_timeout", whole),
    };
    timeout(limit, head).await.unwrap_or_else(|_| {
        member.upstream.latency.observe_failure();
        Err(Failure::Slow { key, limit })
    })
}

type Begun = (Response<Inbound>, Option<Lease>);

async fn head(
    cx: &Context<'_>,
    member: &Member,
    outgoing: &Outgoing,
    number: u32,
    last: bool,
) -> Result<Begun, Failure> {
    let Some(strike) = cx.lane.plan.state.faults.strike() else {
        let (response, lease) = send(cx, &member.upstream, outgoing, number, last).await?;
        return Ok((response.map(Inbound::Live), Some(lease)));
    };
    let struck = async {
        match fault::before(&strike).await {
            Some(response) => Ok((response, None)),
            None => {
                let (response, lease) = send(cx, &member.upstream, outgoing, number, last).await?;
                Ok((response.map(|body| fault::after(&strike, body)), Some(lease)))
            }
        }
    };
    Box::pin(struck).await
}

async fn send(
    cx: &Context<'_>,
    upstream: &Rc<Upstream>,
    outgoing: &Outgoing,
    number: u32,
    last: bool,
) -> Result<(Response<Live>, Lease), Failure> {
    let protocol = outgoing.protocol(cx);
    // The request between two connections: as long as no byte of it was sent, another one can take it.
    let (mut over_http1, mut over_http2) = (None, None);
    loop {
        let mut lease = match upstream.reuse(protocol) {
            Some(lease) => lease,
            None => {
                let dialed = Box::pin(upstream.dial(protocol, cx.rules.policy.connect_timeout)).await;
                dialed.inspect_err(|_| upstream.latency.observe_failure()).map_err(Failure::Unreachable)?
            }
        };
        let sent = Instant::now();
        let (error, is_touched): (LiveError, bool) = match lease.wire() {
            Wire::Http1(connection) => {
                over_http1.get_or_insert_with(|| upload(cx, upstream, outgoing, number));
                match connection.exchange(&mut over_http1, &outgoing.method).await {
                    Ok(response) => {
                        upstream.latency.observe(sent);
                        return Ok((response.map(Live::Http1), lease));
                    }
                    Err(error) => (error.into(), over_http1.as_ref().is_none_or(Upload::is_touched)),
                }
            }
            Wire::Http2 { sender, .. } => {
                let request = over_http2.take().unwrap_or_else(|| build(cx, upstream, outgoing, number, last));
                match Box::pin(sender.try_send_request(request)).await {
                    Ok(response) => {
                        upstream.latency.observe(sent);
                        return Ok((response.map(Live::Http2), lease));
                    }
                    Err(mut error) => {
                        over_http2 = error.take_message();
                        (error.into_error().into(), over_http2.is_none())
                    }
                }
            }
        };
        if error.is_the_callers() {
            return Err(Failure::Caller);
        }
        if is_touched {
            let first = lease.is_first_to_fail(&error);
            if first {
                upstream.latency.observe_failure();
            }
            return Err(Failure::Broken { error, first });
        }
        // The instance had just closed a connection that it had kept open: that is no failure of its.
        if !lease.reused {
            upstream.latency.observe_failure();
            if let Some(unsent) = over_http2 {
                outgoing.headers.replace(unsent.into_parts().0.headers);
            }
            return Err(Failure::Unsent(error));
        }
    }
}

fn upload(cx: &Context<'_>, upstream: &Upstream, outgoing: &Outgoing, number: u32) -> Upload {
    let body = outgoing.body.next_try();
    let length = Length::of(&body);
    let head = Head {
        method: &outgoing.method,
        path: &outgoing.path,
        fields: &outgoing.headers.borrow(),
        host: host(cx, upstream, outgoing),
        left_ms: u64::try_from(cx.deadline.left().as_millis()).unwrap_or(u64::MAX),
        number,
    };
    let mut space = head_space();
    head.encode(length, &mut space);
    Upload::new(space, body, length)
}

/// Whether the instance did well, as its circuit sees it; `None` when this says nothing about it. A refused connection does not count: it
/// costs neither us nor the instance anything, and whoever is gone leaves the endpoint set.
fn judge(outcome: &Result<Begun, Failure>, cx: &Context<'_>) -> Option<bool> {
    match outcome {
        Ok((response, _)) => Some(!cx.is_failure(response.status().as_u16(), response.headers())),
        Err(
            Failure::Unreachable(DialError::Connect { .. }) | Failure::Caller | Failure::Broken { first: false, .. },
        ) => None,
        Err(_) => Some(false),
    }
}

impl Outgoing {
    fn protocol(&self, cx: &Context<'_>) -> Protocol {
        self.protocol.unwrap_or(cx.lane.plan.protocol)
    }
}

impl Context<'_> {
    /// Whether an answer's head says that the instance could not do its work.
    pub(crate) fn is_failure(&self, status: u16, headers: &HeaderMap) -> bool {
        let retry = &self.rules.policy.retry;
        retry.statuses.iter().any(|failing| failing.as_u16() == status)
            || self.grpc && grpc::status(headers).is_some_and(|status| retry.grpc.contains(&status))
    }
}

fn report(cx: &Context<'_>, member: &Member, probe: Option<Probe>, well: Option<bool>) {
    let (Some(breaker), Some(well)) = (&cx.rules.policy.breaker, well) else { return };
    if let Some(probe) = probe {
        probe.decided();
        if well {
            member.upstream.latency.forget();
        }
    }
    if well {
        member.circuit.success(breaker);
    } else {
        cx.lane.failed(member, breaker);
    }
}

/// The request as hyper takes it, for HTTP/2.
fn build(cx: &Context<'_>, upstream: &Upstream, outgoing: &Outgoing, number: u32, last: bool) -> Request<Outbound> {
    let is_final = (last || !outgoing.repeatable) && !outgoing.has_stand_in;
    let mut fields = if is_final { outgoing.headers.take() } else { outgoing.headers.borrow().clone() };
    let left = cx.deadline.left();
    if cx.grpc {
        grpc::set_timeout(&mut fields, left);
    }
    fields.insert(headers::DEADLINE, HeaderValue::from(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)));
    fields.insert(headers::ATTEMPT, HeaderValue::from(number));
    fields.remove(header::HOST);
    let mut request = Request::new(outgoing.body.next_try());
    *request.uri_mut() = absolute(host(cx, upstream, outgoing), &outgoing.path);
    *request.version_mut() = Version::HTTP_2;
    *request.method_mut() = outgoing.method.clone();
    *request.headers_mut() = fields;
    request
}

/// What the instance is told about how it was addressed. On an edge the caller used the edge's own address, which means nothing to
/// the callee, so it gets its own. Through the gateway it gets what the outside used, for links and cookies; but a service
/// outside the system, which is addressed by name, needs its own name.
fn host<'a>(cx: &Context<'_>, upstream: &'a Upstream, outgoing: &'a Outgoing) -> &'a HeaderValue {
    let through_gateway = matches!(cx.lane.plan.door, Door::Route { .. });
    let by_name = || upstream.address.host.parse::<IpAddr>().is_err();
    match &outgoing.host {
        Some(host) if through_gateway && !by_name() => host,
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

impl LiveError {
    /// The caller's body broke, not the instance.
    fn is_the_callers(&self) -> bool {
        let mut source: Option<&(dyn Error + 'static)> = match self {
            Self::Http1(WireError::Caller(_)) => return true,
            Self::Http1(_) => return false,
            Self::Http2(error) => error.source(),
        };
        while let Some(error) = source {
            if error.is::<CallerBroke>() {
                return true;
            }
            source = error.source();
        }
        false
    }
}
