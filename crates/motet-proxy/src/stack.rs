//! The way of a request, top to bottom. Each stage is a file under `stage/`; above each call stands why it stands there.
//!
//! The stages are plain functions and the values they hand on, not a tower of boxed services: a request costs no allocation per
//! stage, and what the compiler says about a mistake fits on a screen. What is seldom walked (waiting, dialing, a second copy, a
//! fallback) is boxed where it begins, so that the future of an ordinary request stays small: it is moved a few times on its way.
//!
//! Places kept for stages to come: *cache* between deadline and limit (an answer from the cache needs neither a place nor an instance);
//! *batch* inside retry, before balance (a batch is one request that can be tried again as a whole).

use crate::{
    body::{Inbound, Reply, Source},
    flight::{End, Flight},
    gateway::{Passage, Watch},
    grpc,
    headers::{self, Seen},
    http1::body::Switched,
    journey::Journey,
    lane::Lane,
    listener::Arrival,
    policy::{Fallback, Limit, streams},
    rescue::{self, Cause},
    spec::{Door, Protocol},
    stage::{
        connect::{Answer, Context, Outgoing},
        deadline::Deadline,
        fallback, limit, rate,
        record::Record,
        retry, route, trace, upgrade,
    },
};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts, uri::PathAndQuery,
};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use std::{cell::RefCell, pin::pin, rc::Rc};
use tokio::time::Instant;

/// Answers one request. Dropping the future, or later the answer's body, cancels the upstream call.
pub(crate) async fn serve(arrival: &Arrival, mut request: Request<Incoming>) -> Response<Reply> {
    let journey = Journey::begin();

    // trace: first, so that every answer belongs to a trace, refusals too.
    let seen = Seen::of(request.headers());
    trace::continue_or_begin(request.headers_mut(), seen);

    // route: before all that counts, limits or waits, because each of these is per edge.
    let target = arrival.listener.target();
    let is_grpc = grpc::is_grpc(request.headers());
    let Some(lane) = target.find(request.uri().path()) else {
        return match is_grpc {
            true => rescue::respond_grpc(&Cause::NoRoute, &journey),
            false => rescue::respond(&Cause::NoRoute, None, &journey),
        };
    };

    // rules: which of the lane's policies is in force; everything below asks it.
    let rule = lane.rule_for(request.uri().path());

    // record: around all that follows, so that what it refuses is counted like what it answers.
    let record = Record::begin(Rc::clone(&lane), rule);
    let case = Case { arrival, lane: &lane, rule, journey: &journey, is_grpc, seen };

    // admit: at the gateway only, and before anything waits for it or is spent on it: a request from outside is measured, asked who sends it,
    // and turned away or answered (a preflight) here.
    let gate = target.gate();
    let mut passage = gate.map(|gate| gate.passage(&lane.plan.door, &request)).unwrap_or_default();
    let admission = match gate {
        Some(gate) => Box::pin(gate.admit(&lane.plan.door, &mut request, &mut passage)).await,
        None => Ok(None),
    };
    let mut response = match admission {
        Ok(Some(response)) => {
            record.answered(response.status(), &journey);
            record.ended();
            response
        }
        Ok(None) => pass(&case, record, &passage, request).await,
        Err(cause) => refuse(&cause, &case, record),
    };
    passage.stamp(response.headers_mut());
    response
}

/// What is known about a request when it has come to its lane.
struct Case<'a> {
    arrival: &'a Arrival,
    lane: &'a Rc<Lane>,
    rule: usize,
    journey: &'a Journey,
    is_grpc: bool,
    seen: Seen,
}

fn refuse(cause: &Cause, case: &Case<'_>, record: Record) -> Response<Reply> {
    let response = match case.is_grpc {
        true => rescue::respond_grpc(cause, case.journey),
        false => rescue::respond(cause, Some(&case.lane.plan.door), case.journey),
    };
    record.answered(response.status(), case.journey);
    record.refused(cause.kind());
    response
}

/// Answers a request that has been let in.
async fn pass(case: &Case<'_>, record: Record, passage: &Passage, request: Request<Incoming>) -> Response<Reply> {
    let Case { journey, is_grpc, .. } = *case;
    let version = request.version();
    match admitted(case, passage, request).await {
        Ok((answer, upgrade)) => {
            let Answer { mut response, held, until } = *answer;
            record.answered(response.status(), journey);
            // The version is a matter of each hop too (RFC 9110, section 2.5): an HTTP/1.0 instance must not cost the caller its connection.
            let received = std::mem::replace(response.version_mut(), Version::HTTP_11);
            headers::say_length_once(response.headers_mut());
            if Seen::of(response.headers()).hop {
                headers::strip_hop_by_hop(response.headers_mut());
            }
            journey.stamp(response.headers_mut());
            // An answer with a natural end must reach it by the deadline; a stream may go on while something comes.
            let streams = upgrade.is_some() || streams(response.headers());
            let end = if streams { End::Quiet(record.rules().policy.idle) } else { End::By(until) };
            let flight = Flight::new(record, held, end);
            match upgrade {
                Some(upgrade) => switch(case.arrival, flight, upgrade, response),
                None => {
                    if matches!(case.lane.plan.door, Door::Route { .. }) {
                        headers::add_via(response.headers_mut(), received);
                    }
                    response.map(|body| Reply::streamed(body, flight, is_grpc && version == Version::HTTP_2))
                }
            }
        }
        Err(cause) => refuse(&cause, case, record),
    }
}

/// The two ends of a connection that switches protocols, and to which.
struct Upgrade {
    caller: OnUpgrade,
    callee: Switched,
    protocol: HeaderValue,
}

async fn admitted(
    case: &Case<'_>,
    passage: &Passage,
    mut request: Request<Incoming>,
) -> Result<(Box<Answer>, Option<Upgrade>), Cause> {
    let Case { arrival, lane, rule, journey, is_grpc, seen } = *case;
    let rules = lane.rules(rule);
    // deadline: around waiting for a place, all tries and their pauses: it is what the caller will wait, however often we try.
    let caller_waits = match lane.plan.door {
        _ if is_grpc => grpc::timeout(request.headers()),
        Door::Edge(_) if seen.deadline => headers::deadline(request.headers()),
        _ => None,
    };
    let deadline = Deadline::new(journey.started(), rules.policy.timeout, caller_waits);
    let cx = Context { lane, rules, journey, deadline, grpc: is_grpc };

    // rate: before anything is spent on a request that comes too soon. Not a failure of the callee, so no fallback helps.
    rate::admit(&cx, request.headers(), arrival.peer.ip())?;

    let may_upgrade = seen.hop && request.version() == Version::HTTP_11;
    let wants_upgrade = if may_upgrade { headers::upgrade(request.headers()) } else { None };
    let caller = wants_upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    let (outgoing, upload) = outgoing(arrival, &cx, passage, request, wants_upgrade)?;
    let urgency = if seen.priority { limit::urgency(&cx, &outgoing.headers.borrow()) } else { rules.policy.priority };

    // fallback: around all that can fail for the callee's sake, waiting for a place too; outside the deadline, which may be what failed.
    let outcome = limited(&cx, &outgoing, urgency).await.map_err(|cause| upload.verdict().unwrap_or(cause));
    let mut answer = fallback::instead(&cx, &outgoing, outcome).await?;
    upload.answered();
    outgoing.body.seal();

    match (answer.response.status() == StatusCode::SWITCHING_PROTOCOLS, caller, outgoing.upgrade) {
        (false, ..) => Ok((answer, None)),
        (true, Some(caller), Some(protocol)) => {
            let body = std::mem::replace(answer.response.body_mut(), Inbound::Made(None));
            let broken = || Cause::Broken { reason: "it switched protocols and closed the connection".to_owned() };
            let callee = body.switch().ok_or_else(broken)?;
            Ok((answer, Some(Upgrade { caller, callee, protocol })))
        }
        (true, ..) => Err(Cause::Broken { reason: "it switched protocols without having been asked".to_owned() }),
    }
}

async fn limited(cx: &Context<'_>, outgoing: &Outgoing, urgency: u8) -> Result<Box<Answer>, Cause> {
    // limit: before an instance is chosen, because who waits for a place should choose when it has one.
    let permit = limit::enter(cx, urgency).await?;
    let adapts = matches!(cx.rules.policy.concurrency.limit, Limit::Adaptive { .. });
    let entered = adapts.then(Instant::now);

    // retry: inside the deadline, outside the choice of an instance, so that each try may choose another one. It calls hedge (once or twice
    // at a time), balance (who: also leaves out who is ejected), connect (how; fault in its place), classify (what came of it).
    let outcome = cx.deadline.bound(pin!(retry::run(cx, outgoing))).await;
    match outcome {
        Ok(mut answer) => {
            if let Some(entered) = entered {
                permit.answered(entered.elapsed());
            }
            answer.held.permit = Some(permit);
            Ok(answer)
        }
        Err(cause) => {
            // break: an instance that let the deadline pass has failed, though no try could say so.
            if let (Cause::Deadline { .. }, Some(breaker)) = (&cause, &cx.rules.policy.breaker) {
                cx.journey.overdue().for_each(|member| cx.lane.failed(&member, breaker));
            }
            Err(cause)
        }
    }
}

/// The request as it goes to an instance, apart from what each try adds. Refuses what no proxy may pass on.
fn outgoing(
    arrival: &Arrival,
    cx: &Context<'_>,
    passage: &Passage,
    request: Request<Incoming>,
    upgrade: Option<HeaderValue>,
) -> Result<(Outgoing, Watch), Cause> {
    let lane = cx.lane;
    let (parts, body) = request.into_parts();
    let Parts { method, uri, version, mut headers, .. } = parts;
    if method == Method::CONNECT {
        return Err(Cause::Unsupported("CONNECT asks for a tunnel, and this is not a tunnel's end"));
    }
    let host = addressed(&headers, uri.authority(), version)?;
    if Seen::of(&headers).hop {
        headers::strip_hop_by_hop(&mut headers);
    }
    if let Some(protocol) = &upgrade {
        headers::put_upgrade(&mut headers, protocol.clone());
    }
    headers.insert(headers::CALLER, lane.plan.caller.clone());
    if matches!(lane.plan.door, Door::Route { .. }) {
        headers::set_forwarded(&mut headers, arrival.peer.ip(), arrival.scheme, host.as_ref());
        headers::add_via(&mut headers, version);
    }
    let retry = &cx.rules.policy.retry;
    let repeatable = upgrade.is_none() && retry.repeats(&method, &headers);
    let has_stand_in = matches!(cx.rules.policy.fallback, Some(Fallback::Service(_)));
    let is_kept = repeatable && retry.attempts > 1 || has_stand_in;
    let (upload, watch) = passage.watch(body);
    let body = Source::new(upload, if is_kept { retry.replay_max } else { 0 });
    let protocol = match upgrade {
        Some(_) => Some(Protocol::Http1),
        None => cx.grpc.then_some(Protocol::H2c),
    };
    let path = path(&uri, lane.plan.strip.as_deref());
    let headers = RefCell::new(headers);
    Ok((Outgoing { method, path, headers, body, host, protocol, repeatable, has_stand_in, upgrade }, watch))
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
fn switch(arrival: &Arrival, flight: Flight, upgrade: Upgrade, answer: Response<Inbound>) -> Response<Reply> {
    let Upgrade { caller, callee, protocol } = upgrade;
    let (record, held) = flight.upgrade();
    let listener = Rc::clone(&arrival.listener);
    arrival.listener.tasks.spawn_local(upgrade::join(listener, caller, callee, record, held));
    let mut response = answer.map(|_| Reply::Made(None));
    headers::put_upgrade(response.headers_mut(), protocol);
    response
}
