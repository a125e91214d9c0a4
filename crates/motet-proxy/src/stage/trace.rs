//! Continues the caller's trace, or begins one, with a span of our own as the callee's parent.

use crate::{headers::Seen, trace_context::TraceContext};
use http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Sets the headers for the next hop. `tracestate` goes along only with a `traceparent` that could be read (Trace Context, section 3.3.1.2);
/// `baggage` is none of our business and passes.
pub(crate) fn continue_or_begin(headers: &mut HeaderMap, seen: Seen) -> TraceContext {
    if !seen.trace {
        let ours = TraceContext::begin();
        headers.insert(TRACEPARENT, ours.header());
        return ours;
    }
    let mut given = headers.get_all(TRACEPARENT).into_iter();
    let caller = match (given.next(), given.next()) {
        (Some(only), None) => TraceContext::parse(only.as_bytes()),
        _ => None,
    };
    if caller.is_none() {
        headers.remove(TRACESTATE);
    }
    let ours = caller.map_or_else(TraceContext::begin, TraceContext::next_hop);
    headers.insert(TRACEPARENT, ours.header());
    ours
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn begin(headers: &mut HeaderMap) {
        let seen = Seen::of(headers);
        continue_or_begin(headers, seen);
    }

    #[test]
    fn a_trace_is_continued_with_a_span_of_our_own_and_a_broken_one_is_begun_anew() {
        let mut headers = HeaderMap::new();
        let callers = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        headers.insert(TRACEPARENT, HeaderValue::from_static(callers));
        headers.insert(TRACESTATE, HeaderValue::from_static("vendor=1"));
        begin(&mut headers);
        let next = headers[TRACEPARENT].to_str().unwrap().to_owned();
        assert!(next.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && next.ends_with("-00") && next != callers);
        assert!(headers.contains_key(TRACESTATE));

        headers.insert(TRACEPARENT, HeaderValue::from_static("nonsense"));
        begin(&mut headers);
        assert!(TraceContext::parse(headers[TRACEPARENT].as_bytes()).is_some());
        assert!(!headers.contains_key(TRACESTATE));
    }
}
