//! What is different when a request is a gRPC call: its deadline, its way of saying that it failed, and when that is worth another try.
//! Source: the gRPC protocol over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md) and its status codes (grpc/doc/statuscodes.md).

use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::{fmt::Write, time::Duration};

pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// gRPC's status codes, as far as we send them.
pub(crate) mod status {
    pub(crate) const DEADLINE_EXCEEDED: u8 = 4;
    pub(crate) const PERMISSION_DENIED: u8 = 7;
    pub(crate) const RESOURCE_EXHAUSTED: u8 = 8;
    pub(crate) const UNIMPLEMENTED: u8 = 12;
    pub(crate) const INTERNAL: u8 = 13;
    pub(crate) const UNAVAILABLE: u8 = 14;
    pub(crate) const UNAUTHENTICATED: u8 = 16;
}

/// Whether the message is of a gRPC call.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        // `application/grpc-web` is another protocol, which needs no HTTP/2.
        kind.starts_with(b"application/grpc") && matches!(kind.get(16), None | Some(b'+' | b';'))
    })
}

/// The caller's deadline. At most eight digits and a unit.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Tells the callee how long is left.
pub(crate) fn set_timeout(headers: &mut HeaderMap, left: Duration) {
    const MOST: u128 = 99_999_999;
    let millis = left.as_millis();
    let text = if millis <= MOST { format!("{millis}m") } else { format!("{}S", (millis / 1000).min(MOST)) };
    headers.insert(TIMEOUT, HeaderValue::try_from(text).expect("digits and a letter"));
}

/// The status that an answer's head or trailers carry. In the head it means that there is nothing else (a trailers-only answer).
pub(crate) fn status(headers: &HeaderMap) -> Option<u8> {
    headers.get(STATUS)?.to_str().ok()?.parse().ok()
}

/// The end of a call that failed after its answer's head had been sent.
pub(crate) fn trailers(status: u8, text: &str) -> HeaderMap {
    HeaderMap::from_iter([(STATUS, HeaderValue::from(u16::from(status))), (MESSAGE, message(text))])
}

/// A message as `grpc-message` carries it: percent-encoded, visible ASCII apart from `%`.
pub(crate) fn message(text: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'$' | b'&'..=b'~' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    HeaderValue::try_from(encoded).expect("visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn given(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(TIMEOUT, HeaderValue::from_str(text).ok()?);
        timeout(&headers)
    }

    #[test]
    fn a_timeout_has_up_to_eight_digits_and_a_unit() {
        assert_eq!(given("2S"), Some(Duration::from_secs(2)));
        assert_eq!(given("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(given("150m"), Some(Duration::from_millis(150)));
        for wrong in ["", "S", "100000000m", "-1S", "+1S", "1.5S", "1s", "1 S", "1"] {
            assert_eq!(given(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_left_is_written_so_that_it_can_be_read() {
        for left in [0, 1, 99_999_999, 100_000_000, u64::MAX / 2000].map(Duration::from_millis) {
            let mut headers = HeaderMap::new();
            set_timeout(&mut headers, left);
            let read = timeout(&headers).expect("our own");
            assert!(
                read <= left.max(Duration::from_millis(1))
                    && (read >= left / 2 || left > Duration::from_secs(99_999_999))
            );
        }
    }

    #[test]
    fn grpc_is_told_from_what_only_begins_like_it() {
        let kind = |text| HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(text))]);
        assert!(["application/grpc", "application/grpc+proto", "application/grpc;x"].map(kind).iter().all(is_grpc));
        assert!(!["application/grpc-web", "application/json", "application/grpcx"].map(kind).iter().any(is_grpc));
    }

    proptest! {
        #[test]
        fn every_message_can_be_sent(text in "\\PC{0,60}") {
            let sent = message(&text);
            prop_assert!(sent.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
        }

        #[test]
        fn no_timeout_makes_it_panic(text in "[0-9a-zA-Z+ -]{0,12}") {
            given(&text);
        }
    }
}
