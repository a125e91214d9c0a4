//! The policies of the definition in the words of the data plane. Pure.
//!
//! Two types say nearly the same, because neither context knows the other; a test holds their defaults together, so that what
//! `motet explain` promises is what the data plane does.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use motet_kernel::name::ServiceName;
use motet_model::system::{
    Protocol, System,
    policy::{Answer, Breaker, Fallback, Limit, PathPolicy, Policy, Rate, Retry},
};
use motet_proxy::{policy as data_plane, spec};
use std::collections::BTreeSet;

/// The policy of an edge, a route, or a path.
pub(crate) fn policy(policy: &Policy) -> data_plane::EdgePolicy {
    data_plane::EdgePolicy {
        timeout: policy.timeout,
        try_timeout: policy.try_timeout,
        first_byte: policy.first_byte,
        idle: policy.idle,
        connect_timeout: policy.connect_timeout,
        ready_wait: policy.ready_wait,
        concurrency: data_plane::Concurrency {
            limit: match policy.concurrency.limit {
                Limit::Fixed(limit) => data_plane::Limit::Fixed(limit),
                Limit::Adaptive { min, max } => data_plane::Limit::Adaptive { min, max },
            },
            queue_max: policy.concurrency.queue,
            queue_wait: policy.concurrency.queue_wait,
        },
        priority: policy.priority,
        rate: policy.rate.map(rate),
        retry: retry(&policy.retry),
        breaker: policy.breaker.map(breaker),
        slow_start: policy.slow_start,
        hedge: policy.hedge.map(|after| data_plane::Hedge { after }),
        fallback: policy.fallback.as_ref().map(|fallback| match fallback {
            Fallback::Service(service) => data_plane::Fallback::Service(service.clone()),
            Fallback::Answer(answer) => data_plane::Fallback::Static(self::answer(answer)),
        }),
    }
}

/// The policies of some paths.
pub(crate) fn paths(paths: &[PathPolicy]) -> Vec<data_plane::PathPolicy> {
    let path = |path: &PathPolicy| data_plane::PathPolicy { prefix: path.prefix.clone(), policy: policy(&path.policy) };
    paths.iter().map(path).collect()
}

/// The services that a door may send a request to in place of its callee.
pub(crate) fn fallbacks<'a>(policy: &'a Policy, paths: &'a [PathPolicy]) -> BTreeSet<&'a ServiceName> {
    paths.iter().map(|path| &path.policy).chain([policy]).filter_map(Policy::stands_in).collect()
}

/// What a service's instances speak.
pub(crate) fn protocol(system: &System, service: &ServiceName) -> spec::Protocol {
    match system.services.get(service).map(|service| service.protocol) {
        Some(Protocol::H2c) => spec::Protocol::H2c,
        Some(Protocol::Http1) | None => spec::Protocol::Http1,
    }
}

fn rate(rate: Rate) -> data_plane::Rate {
    let by = if rate.by_client { data_plane::RateBy::Client } else { data_plane::RateBy::All };
    data_plane::Rate { requests: rate.requests, per: rate.per, burst: rate.burst, by }
}

fn retry(retry: &Retry) -> data_plane::Retry {
    data_plane::Retry {
        attempts: retry.attempts,
        methods: retry.methods.iter().filter_map(|name| Method::from_bytes(name.as_bytes()).ok()).collect(),
        statuses: retry.on.iter().filter_map(|status| StatusCode::from_u16(*status).ok()).collect(),
        grpc: retry.grpc.clone(),
        backoff: retry.backoff,
        budget: retry.budget,
        replay_max: usize::try_from(retry.body_max).unwrap_or(usize::MAX),
    }
}

fn breaker(breaker: Breaker) -> data_plane::Breaker {
    data_plane::Breaker {
        failures: breaker.failures,
        rate: breaker.rate,
        window: breaker.window,
        requests_min: breaker.requests,
        open: breaker.open,
        panic: breaker.panic,
    }
}

fn answer(answer: &Answer) -> data_plane::StaticAnswer {
    let header = |(name, value): (&String, &String)| {
        Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?))
    };
    data_plane::StaticAnswer {
        status: StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK),
        headers: answer.headers.iter().filter_map(header).collect(),
        body: Bytes::from(answer.body.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_model::{LoadOptions, load::load_from, source::files::Memory};
    use std::time::Duration;

    /// The policies of the edge `a → b` and of its paths.
    fn edge(rules: &str) -> (data_plane::EdgePolicy, Vec<data_plane::PathPolicy>) {
        let text = format!(
            "motet: 1\nsystem: s\nservices:\n  a: {{ path: /, process: {{ command: ./a }}, uses: {{ b: {rules} }} }}\n  b: {{ path: /, process: {{ command: ./b }} }}\n  c: {{ path: /, process: {{ command: ./c }} }}\n"
        );
        let files = Memory::new([("/motet.yaml", text.as_str())]);
        let options = LoadOptions { file: "/motet.yaml".into(), ..LoadOptions::default() };
        let system = load_from(&files, &options).unwrap_or_else(|problems| panic!("{problems}")).system;
        let edge = &system.services["a"].uses["b"];
        (policy(&edge.policy), paths(&edge.paths))
    }

    #[test]
    fn an_edge_without_a_word_has_the_data_planes_defaults() {
        let (model, proxy) = (edge("{}").0, data_plane::EdgePolicy::default());
        assert_eq!(model.timeout, proxy.timeout);
        assert_eq!(model.try_timeout, proxy.try_timeout);
        assert_eq!(model.first_byte, proxy.first_byte);
        assert_eq!(model.idle, proxy.idle);
        assert_eq!(model.connect_timeout, proxy.connect_timeout);
        assert_eq!(model.ready_wait, proxy.ready_wait);
        assert_eq!(model.concurrency, proxy.concurrency);
        assert_eq!(model.priority, proxy.priority);
        assert_eq!(model.rate, proxy.rate);
        assert_eq!(model.retry.attempts, proxy.retry.attempts);
        let sorted = |methods: &[Method]| methods.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(sorted(&model.retry.methods), sorted(&proxy.retry.methods));
        assert_eq!(model.retry.statuses, proxy.retry.statuses);
        assert_eq!(model.retry.grpc, proxy.retry.grpc);
        assert_eq!(model.retry.backoff, proxy.retry.backoff);
        assert_eq!(model.retry.budget, proxy.retry.budget);
        assert_eq!(model.retry.replay_max, proxy.retry.replay_max);
        assert_eq!(model.breaker, proxy.breaker);
        assert_eq!(model.slow_start, proxy.slow_start);
        assert_eq!(model.hedge, proxy.hedge);
        assert_eq!(model.fallback, proxy.fallback);
        // And what a later field would bring, but for the order of methods.
        let retry = data_plane::Retry { methods: proxy.retry.methods.clone(), ..model.retry.clone() };
        assert_eq!(data_plane::EdgePolicy { retry, ..model }, proxy);
    }

    #[test]
    fn a_fixed_answer_has_its_status_default_and_the_content_type_that_fits() {
        let (policy, paths) = edge(
            "{ fallback: { answer: { json: { found: [], n: 1, id: \"1\" } } }, paths: { /x: { fallback: { answer: { text: hi, status: 206, headers: { Content-Type: text/html } } } }, /y: { fallback: { to: c } } } }",
        );
        let Some(data_plane::Fallback::Static(answer)) = policy.fallback else { panic!("{policy:?}") };
        assert_eq!(answer.body, r#"{"found":[],"id":"1","n":1}"#);
        assert_eq!(answer.status, data_plane::StaticAnswer::default().status);
        assert_eq!(
            answer.headers,
            [("content-type".parse().expect("name"), HeaderValue::from_static("application/json"))]
        );
        let Some(data_plane::Fallback::Static(text)) = &paths[0].policy.fallback else { panic!("{paths:?}") };
        assert_eq!(
            (text.status.as_u16(), &text.body[..], text.headers[0].1.as_bytes()),
            (206, &b"hi"[..], &b"text/html"[..])
        );
        assert_eq!(paths[1].policy.fallback, Some(data_plane::Fallback::Service("c".parse().expect("name"))));
    }

    #[test]
    fn everything_that_is_written_reaches_the_data_plane() {
        let (policy, paths) = edge(
            "{ timeout: 9s, try_timeout: 3s, first_byte: 2s, idle: 1m, connect_timeout: 2s, ready_wait: 1s, priority: 1, slow_start: 0s, concurrency: { limit: { adaptive: { min: 2, max: 8 } }, queue: 4, queue_wait: 7s }, rate: { requests: 5, per: 1m, burst: 2, by: client }, retry: { attempts: 4, on: [500], methods: [POST], grpc: [ABORTED, UNAVAILABLE], backoff: { initial: 1s, max: 2s }, budget: 5%, body_max: 1KiB }, breaker: { failures: 2, rate: 10%, window: 5s, requests: 7, open: 3s, open_max: 4s, panic: 90% }, hedge: { after: 1s }, paths: { /x/: { breaker: never, retry: never, hedge: never, rate: none, concurrency: 3 } } }",
        );
        let s = Duration::from_secs;
        let waits = |initial, max| motet_kernel::backoff::Backoff { initial: s(initial), max: s(max), factor: 2.0 };
        let expected = data_plane::EdgePolicy {
            timeout: s(9),
            try_timeout: Some(s(3)),
            first_byte: Some(s(2)),
            idle: s(60),
            connect_timeout: s(2),
            ready_wait: s(1),
            concurrency: data_plane::Concurrency {
                limit: data_plane::Limit::Adaptive { min: 2, max: 8 },
                queue_max: 4,
                queue_wait: s(7),
            },
            priority: 1,
            rate: Some(data_plane::Rate { requests: 5, per: s(60), burst: 2, by: data_plane::RateBy::Client }),
            retry: data_plane::Retry {
                attempts: 4,
                methods: vec![Method::POST],
                statuses: vec![StatusCode::INTERNAL_SERVER_ERROR],
                grpc: vec![10, 14],
                backoff: waits(1, 2),
                budget: 0.05,
                replay_max: 1024,
            },
            breaker: Some(data_plane::Breaker {
                failures: 2,
                rate: 0.1,
                window: s(5),
                requests_min: 7,
                open: waits(3, 4),
                panic: 0.9,
            }),
            slow_start: s(0),
            hedge: Some(data_plane::Hedge { after: s(1) }),
            fallback: None,
        };
        assert_eq!(policy, expected);
        let [path] = paths.as_slice() else { panic!("{paths:?}") };
        assert_eq!((path.prefix.as_str(), path.policy.timeout, path.policy.retry.attempts), ("/x", s(9), 1));
        assert_eq!((path.policy.breaker, path.policy.hedge, path.policy.rate), (None, None, None));
        let concurrency = data_plane::Concurrency { limit: data_plane::Limit::Fixed(3), ..expected.concurrency };
        assert_eq!(path.policy.concurrency, concurrency);
    }
}
