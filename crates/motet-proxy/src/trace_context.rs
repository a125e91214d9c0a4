//! W3C trace context: reads and writes the `traceparent` header (Trace Context level 2, section 3.2).
//!
//! Strict in what it reads, because a malformed value must start a new trace rather than be passed on.

use http::HeaderValue;

/// Which trace a request belongs to, and this hop's place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub(crate) trace: u128,
    pub(crate) span: u64,
    pub(crate) flags: u8,
}

const SAMPLED: u8 = 1;
const LENGTH: usize = 55;

impl TraceContext {
    /// A new, sampled trace.
    pub(crate) fn begin() -> Self {
        Self { trace: fastrand::u128(1..), span: fastrand::u64(1..), flags: SAMPLED }
    }

    /// The same trace, with a span of our own.
    pub(crate) fn next_hop(self) -> Self {
        Self { span: fastrand::u64(1..), ..self }
    }

    /// Reads a header's value. A later version than 00 may have more fields after a dash; what we know of it is read.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let (head, rest) = value.split_at_checked(LENGTH)?;
        let dashes = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
        let version = hex(&head[..2])?;
        let ends = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let (trace, span) = (hex(&head[3..35])?, hex(&head[36..52])?);
        let flags = hex(&head[53..])?;
        (dashes && ends && trace != 0 && span != 0).then_some(Self {
            trace,
            span: u64::try_from(span).ok()?,
            flags: u8::try_from(flags).ok()?,
        })
    }

    /// The header's value, version 00. Unknown flags are not passed on, as section 3.2.2.5 asks.
    pub(crate) fn header(self) -> HeaderValue {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"00-................................-................-..";
        let mut put = |range: std::ops::Range<usize>, mut number: u128| {
            for digit in text[range].iter_mut().rev() {
                *digit = DIGITS[(number & 0xf) as usize];
                number >>= 4;
            }
        };
        put(3..35, self.trace);
        put(36..52, u128::from(self.span));
        put(53..55, u128::from(self.flags & SAMPLED));
        HeaderValue::from_bytes(&text).expect("hexadecimal digits and dashes")
    }
}

/// Lower-case hexadecimal digits only, as the specification writes them.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_well_formed_values_continue_a_trace() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceContext::parse(good.as_bytes()).unwrap().header(), good);
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert!(TraceContext::parse(later.as_bytes()).is_some());
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = TraceContext::parse(&bytes);
        }

        #[test]
        fn what_is_written_reads_back(trace in 1..u128::MAX, span in 1..u64::MAX, flags in 0..2_u8) {
            let context = TraceContext { trace, span, flags };
            prop_assert_eq!(TraceContext::parse(context.header().as_bytes()), Some(context));
        }
    }
}
