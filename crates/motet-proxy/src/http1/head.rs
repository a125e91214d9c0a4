//! Writes a request's head, straight from the caller's fields: what a try adds or replaces is written beside them, so that no try
//! needs a copy of its own.

use super::upload::Length;
use crate::headers;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, uri::PathAndQuery};

/// A request's head.
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a PathAndQuery,
    /// The caller's, without what belongs to its hop.
    pub(crate) fields: &'a HeaderMap,
    pub(crate) host: &'a HeaderValue,
    /// How long the caller will still wait.
    pub(crate) left_ms: u64,
    /// Which try this is.
    pub(crate) number: u32,
}

impl Head<'_> {
    /// Adds it to what is to be written. The body's length is said as we know it, not as the caller said it: two opinions about where a
    /// request ends are how requests are smuggled (RFC 9112, section 11.2).
    pub(crate) fn encode(&self, length: Length, into: &mut Vec<u8>) {
        into.extend_from_slice(self.method.as_str().as_bytes());
        into.push(b' ');
        into.extend_from_slice(self.path.as_str().as_bytes());
        into.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        into.extend_from_slice(self.host.as_bytes());
        into.extend_from_slice(b"\r\n");
        let mut says_length = false;
        for (name, value) in self.fields {
            if *name == header::HOST || *name == headers::DEADLINE || *name == headers::ATTEMPT {
                continue;
            }
            if *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING {
                says_length = true;
                continue;
            }
            into.extend_from_slice(name.as_str().as_bytes());
            into.extend_from_slice(b": ");
            into.extend_from_slice(value.as_bytes());
            into.extend_from_slice(b"\r\n");
        }
        // RFC 9110, section 8.6: methods that are expected to have a body say so when they have none.
        let expects_body = matches!(*self.method, Method::POST | Method::PUT | Method::PATCH);
        match length {
            Length::None if says_length || expects_body => into.extend_from_slice(b"content-length: 0\r\n"),
            Length::None => {}
            Length::Known(length) => field(into, &header::CONTENT_LENGTH, length),
            Length::Chunks => into.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        field(into, &headers::DEADLINE, self.left_ms);
        field(into, &headers::ATTEMPT, self.number.into());
        into.extend_from_slice(b"\r\n");
    }
}

/// Adds a field with a number. Done by hand, because the machinery of formatting costs more than all the rest of a head.
fn field(into: &mut Vec<u8>, name: &HeaderName, number: u64) {
    into.extend_from_slice(name.as_str().as_bytes());
    into.extend_from_slice(b": ");
    let mut digits = [0; 20];
    let (mut at, mut left) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
        if left == 0 {
            break;
        }
    }
    into.extend_from_slice(&digits[at..]);
    into.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(method: &Method, fields: &[(&'static str, &'static str)], length: Length) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        let host = HeaderValue::from_static("127.0.0.1:9");
        let path = PathAndQuery::from_static("/a?b=c");
        let head = Head { method, path: &path, fields: &map, host: &host, left_ms: 1500, number: 2 };
        let mut bytes = Vec::new();
        head.encode(length, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_callers_fields_go_along_and_ours_stand_in_place_of_theirs() {
        let fields = [("host", "outside"), ("accept", "a"), ("accept", "b"), ("x-motet-attempt", "9")];
        assert_eq!(
            encoded(&Method::GET, &fields, Length::None),
            "GET /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:9\r\naccept: a\r\naccept: b\r\n\
             x-motet-deadline-ms: 1500\r\nx-motet-attempt: 2\r\n\r\n"
        );
    }

    #[test]
    fn the_length_is_said_once_and_by_us() {
        for (method, fields, length, said) in [
            (Method::POST, &[][..], Length::None, "content-length: 0\r\n"),
            (Method::GET, &[("content-length", "0")], Length::None, "content-length: 0\r\n"),
            (Method::PUT, &[("content-length", "7")], Length::Known(5), "content-length: 5\r\n"),
            (Method::PUT, &[("content-length", "7")], Length::Chunks, "transfer-encoding: chunked\r\n"),
        ] {
            let text = encoded(&method, fields, length);
            assert!(text.contains(said), "{text}");
            assert_eq!(text.matches("content-length").count() + text.matches("transfer-encoding").count(), 1, "{text}");
        }
    }
}
