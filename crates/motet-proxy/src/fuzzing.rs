//! Doors for the fuzzer: to everything here that reads what strangers write into header fields, and to what reads an instance's
//! answers. What must hold for every input is asserted behind them, so the fuzzer finds lies as well as panics; a bounded run of random and
//! mutated inputs is an ordinary test below.

use crate::{
    grpc, headers,
    http1::{answer, chunks::Chunks},
    stage::trace,
    trace_context::TraceContext,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use std::{net::Ipv4Addr, time::Duration};

/// Takes lines of `name: value` for a request's fields and does with them what a request's way does.
pub fn fields(input: &[u8]) {
    let mut given = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(100) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(line[colon + 1..].trim_ascii()));
        if let (Ok(name), Ok(value)) = (name, value) {
            given.append(name, value);
        }
    }
    assert!(headers::urgency(&given).is_none_or(|urgency| urgency <= 7));
    let _ = (headers::upgrade(&given), headers::deadline(&given), grpc::is_grpc(&given), grpc::status(&given));

    let wait = grpc::timeout(&given).unwrap_or_default();
    assert!(wait <= Duration::from_secs(99_999_999 * 3600));
    grpc::set_timeout(&mut given, wait);
    let read = grpc::timeout(&given).expect("what we write can be read");
    assert!(read <= wait && wait - read < Duration::from_secs(1) || wait > Duration::from_secs(99_999_999));

    let seen = headers::Seen::of(&given);
    trace::continue_or_begin(&mut given, seen);
    assert!(TraceContext::parse(given["traceparent"].as_bytes()).is_some());

    let host = given.get(header::HOST).cloned();
    headers::set_forwarded(&mut given, Ipv4Addr::LOCALHOST.into(), "https", host.as_ref());
    let is_chunked = given.contains_key(header::TRANSFER_ENCODING);
    headers::say_length_once(&mut given);
    let length = given.get(header::CONTENT_LENGTH).cloned();
    assert!(length.as_ref().is_none_or(|length| !is_chunked && !length.as_bytes().contains(&b',')));
    headers::strip_hop_by_hop(&mut given);
    for gone in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        assert!(!given.contains_key(gone), "{gone}");
    }
    assert_eq!((given.get(header::CONTENT_LENGTH), given.get(header::HOST)), (length.as_ref(), host.as_ref()));
    assert!(given.get(header::TE).is_none_or(|te| te == "trailers"));
}

/// Takes what an instance sends for the beginning of an answer. The first byte cuts the rest in two.
pub fn instance(input: &[u8]) {
    let Some((cut, input)) = input.split_first() else { return };
    let bytes = Bytes::copy_from_slice(input);
    if let Ok(Some(answer)) = answer::read(&bytes, &Method::GET) {
        assert!(answer.length <= input.len());
        // What is complete is complete without what follows, and nothing shorter is.
        let alone = answer::read(&bytes.slice(..answer.length), &Method::GET).ok().flatten();
        assert_eq!(alone.map(|alone| alone.length), Some(answer.length));
        assert!(!matches!(answer::read(&bytes.slice(..answer.length - 1), &Method::GET), Ok(Some(_))));
    }
    // However the pieces come, the same data is read, or none of it.
    let (front, back) = input.split_at(usize::from(*cut).min(input.len()));
    let whole = chunked([input].into_iter());
    assert_eq!(chunked([front, back].into_iter()), whole);
}

fn chunked<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<(Vec<u8>, bool), &'static str> {
    let (mut chunks, mut data) = (Chunks::default(), Vec::new());
    for piece in pieces {
        chunks.take(piece, &mut data)?;
    }
    Ok((data, chunks.is_done() && chunks.trailers().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::{fields, instance};
    use proptest::prelude::*;

    const SEED: &str = "host: example.org:80\nconnection: keep-alive, x-a, host, content-length\nx-a: 1\nte: gzip;q=0.5, trailers\n\
        content-length: 5, 5\ntransfer-encoding: chunked\nupgrade: websocket\npriority: i, u=1;a=b, u=9\n\
        x-motet-deadline-ms: 18446744073709551615\ngrpc-timeout: 99999999H\ngrpc-status: 14\n\
        content-type: application/grpc+proto\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n\
        tracestate: a=b\n";

    const ANSWER: &str = "\x40HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: gzip, chunked\r\nconnection: close\r\n\
        x: y\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n";
    const CHUNKS: &str = "\x085;a=b\r\nhello\r\na\r\n0123456789\r\n0\r\nx: y\r\n\r\nHTTP/1.1";

    fn mutated(seed: &str, changes: Vec<(prop::sample::Index, u8, bool)>) -> Vec<u8> {
        let mut bytes = seed.as_bytes().to_vec();
        for (at, byte, inserts) in changes {
            let at = at.index(bytes.len());
            if inserts { bytes.insert(at, byte) } else { bytes[at] = byte }
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_mutation_of_an_answer_breaks_a_promise(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..8),
            is_chunks in any::<bool>(),
        ) {
            instance(&mutated(if is_chunks { CHUNKS } else { ANSWER }, changes));
        }

        #[test]
        fn no_fields_break_a_promise(
            name in "(connection|te|priority|x-motet-deadline-ms|grpc-timeout|grpc-status|traceparent|content-length|host|content-type)",
            value in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            fields(&[name.as_bytes(), b":", &value].concat());
        }

        #[test]
        fn no_mutation_of_common_fields_breaks_a_promise(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..8),
        ) {
            fields(&mutated(SEED, changes));
        }
    }
}
