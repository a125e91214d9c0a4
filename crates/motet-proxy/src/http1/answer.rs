//! Reads an answer's head, and decides how its body is framed (RFC 9112, sections 4 and 6.3).

use super::{WireError, chunks::Chunks};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use hyper::ext::ReasonPhrase;

/// How long an answer's head may be, and how many fields it may have.
pub(crate) const HEAD_MAX: usize = 256 * 1024;
const FIELDS_MAX: usize = 128;

/// How an answer's body ends.
#[derive(Debug)]
pub(crate) enum Framing {
    /// After so many bytes.
    Length(u64),
    Chunks(Box<Chunks>),
    /// With the connection.
    Close,
}

/// An answer's head.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<()>,
    pub(crate) framing: Framing,
    /// Whether the connection can serve another request after it.
    pub(crate) persists: bool,
    /// How long the head is.
    pub(crate) length: usize,
}

/// Reads the head that the bytes begin with; nothing when it is not complete.
pub(crate) fn read(bytes: &Bytes, method: &Method) -> Result<Option<Answer>, WireError> {
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields);
    let httparse::Status::Complete(length) = status.map_err(WireError::Unreadable)? else { return Ok(None) };
    let code = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let mut response = Response::new(());
    *response.status_mut() = code.ok_or(WireError::Malformed("its status is not a status"))?;
    *response.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    if let Some(reason) = parsed.reason.filter(|reason| response.status().canonical_reason() != Some(*reason))
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        response.extensions_mut().insert(reason);
    }
    let mut traits = Traits::default();
    let headers = response.headers_mut();
    headers.reserve(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| WireError::Malformed("a field has no proper name"))?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value));
        let value = value.map_err(|_| WireError::Malformed("a field has no proper value"))?;
        traits.see(&name);
        headers.append(name, value);
    }
    let (framing, persists) = framing(&response, method, traits)?;
    Ok(Some(Answer { response, framing, persists, length }))
}

/// Which of the fields that frame a message are there.
#[derive(Default, Clone, Copy)]
struct Traits {
    connection: bool,
    encoding: bool,
    length: bool,
}

impl Traits {
    fn see(&mut self, name: &HeaderName) {
        self.connection |= *name == header::CONNECTION;
        self.encoding |= *name == header::TRANSFER_ENCODING;
        self.length |= *name == header::CONTENT_LENGTH;
    }
}

fn framing(response: &Response<()>, method: &Method, traits: Traits) -> Result<(Framing, bool), WireError> {
    let headers = response.headers();
    let is_new = response.version() == Version::HTTP_11;
    let says = |option: &str| {
        let values = headers.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(option))
    };
    let persists = if is_new { !(traits.connection && says("close")) } else { traits.connection && says("keep-alive") };
    let status = response.status();
    if *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok((Framing::Length(0), persists));
    }
    if status.is_informational() {
        return Ok((Framing::Length(0), persists && status != StatusCode::SWITCHING_PROTOCOLS));
    }
    if traits.encoding {
        if !is_new {
            return Err(WireError::Malformed("HTTP/1.0 knows no Transfer-Encoding"));
        }
        let chunked = ends_with_chunked(headers);
        // Section 6.1: a length beside it may be an attack, so nothing follows on this connection.
        return Ok(match chunked {
            true => (Framing::Chunks(Box::default()), persists && !traits.length),
            false => (Framing::Close, false),
        });
    }
    if traits.length {
        return Ok((Framing::Length(length(headers)?), persists));
    }
    Ok((Framing::Close, false))
}

fn ends_with_chunked(headers: &HeaderMap) -> bool {
    let last = headers.get_all(header::TRANSFER_ENCODING).into_iter().next_back();
    let last = last.and_then(|value| value.to_str().ok()).and_then(|value| value.rsplit(',').next());
    last.is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"))
}

/// The one length that all lengths agree on (RFC 9110, section 8.6).
fn length(headers: &HeaderMap) -> Result<u64, WireError> {
    let malformed = || WireError::Malformed("its Content-Length is not a number");
    let mut agreed = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for length in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
                return Err(malformed());
            }
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            let length: u64 = length.ok_or_else(malformed)?;
            if agreed.replace(length).is_some_and(|before| before != length) {
                return Err(WireError::Malformed("it has two lengths"));
            }
        }
    }
    agreed.ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(text: &str, method: &Method) -> Result<Answer, WireError> {
        read(&Bytes::copy_from_slice(text.as_bytes()), method).map(|answer| answer.expect("the head is complete"))
    }

    /// How the body ends, and whether the connection persists.
    fn framed(fields: &str, method: &Method) -> (String, bool) {
        let answer = head(&format!("HTTP/1.1 {fields}\r\n\r\n"), method).unwrap();
        let framing = match answer.framing {
            Framing::Length(length) => length.to_string(),
            Framing::Chunks(_) => "chunks".to_owned(),
            Framing::Close => "close".to_owned(),
        };
        (framing, answer.persists)
    }

    #[test]
    fn a_body_ends_where_rfc_9112_says() {
        for (fields, ends, persists) in [
            ("200 OK\r\ncontent-length: 5", "5", true),
            ("200 OK\r\ncontent-length: 5, 5\r\ncontent-length: 5", "5", true),
            ("200 OK\r\nconnection: Foo, Close\r\ncontent-length: 5", "5", false),
            ("200 OK\r\ntransfer-encoding: gzip, Chunked", "chunks", true),
            ("200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5", "chunks", false),
            ("200 OK\r\ntransfer-encoding: chunked, gzip", "close", false),
            ("200 OK", "close", false),
            ("204 No Content\r\ncontent-length: 5", "0", true),
            ("304 Not Modified\r\ncontent-length: 5", "0", true),
            ("101 Switching Protocols\r\ncontent-length: 5", "0", false),
        ] {
            assert_eq!(framed(fields, &Method::GET), (ends.to_owned(), persists), "{fields}");
        }
        assert_eq!(framed("200 OK\r\ncontent-length: 5", &Method::HEAD), ("0".to_owned(), true));
        let old = head("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", &Method::GET).unwrap();
        assert!(!old.persists);
        let old = head("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\n", &Method::GET).unwrap();
        assert!(old.persists);
    }

    #[test]
    fn a_length_that_is_none_is_refused() {
        for fields in [
            "content-length: +5",
            "content-length: 5, 6",
            "content-length: ",
            "content-length: 0x5",
            "content-length: 18446744073709551616",
            "content-length: 5\r\ncontent-length: 6",
        ] {
            assert!(head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"), &Method::GET).is_err(), "{fields}");
        }
        assert!(head("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", &Method::GET).is_err());
        assert!(head("HTTP/1.1 2000 OK\r\n\r\n", &Method::GET).is_err());
        assert!(head("SSH-2.0-OpenSSH\r\n\r\n", &Method::GET).is_err());
    }

    #[test]
    fn a_reason_of_the_instances_own_is_kept() {
        let answer = head("HTTP/1.1 200 Fine\r\n\r\n", &Method::GET).unwrap();
        assert_eq!(answer.response.extensions().get::<ReasonPhrase>().unwrap().as_bytes(), b"Fine");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "HTTP/1.1 [0-9]{1,4} (\\PC|[\r\n:, a-z0-9]){0,120}(\r\n\r\n)?") {
            let _ = read(&Bytes::from(text), &Method::GET);
        }
    }
}
