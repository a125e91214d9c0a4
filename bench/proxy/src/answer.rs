//! Reads an HTTP/1.1 answer as far as a load generator must: is it whole, was it a 200, does the connection stay?
//!
//! Hand-written, because a client library would cost as much as some of the proxies that are measured. It knows the
//! answers that the upstream gives (with a length, or chunked) and calls everything else broken.

/// What the bytes so far amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// More bytes are needed.
    Partial,
    /// A whole answer.
    Whole {
        /// How many bytes it had.
        bytes: usize,
        /// Whether it was a 200 on a connection that may be used again.
        good: bool,
    },
    /// Nothing that the upstream would say.
    Broken,
}

/// Reads an answer with `Content-Length`.
pub fn read(bytes: &[u8]) -> Answer {
    let Some(head) = head_length(bytes) else {
        return if bytes.len() > 16 * 1024 { Answer::Broken } else { Answer::Partial };
    };
    let mut lines = bytes[..head].split(|&byte| byte == b'\n');
    let good = lines.next().is_some_and(|status| status.starts_with(b"HTTP/1.1 200"));
    let mut length = None;
    let mut closes = false;
    for line in lines {
        if let Some(value) = field(line, b"content-length") {
            length = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<usize>().ok());
        } else if let Some(value) = field(line, b"connection") {
            closes = value.trim_ascii().eq_ignore_ascii_case(b"close");
        }
    }
    match length {
        None => Answer::Broken,
        Some(length) if bytes.len() < head + length => Answer::Partial,
        Some(length) => Answer::Whole { bytes: head + length, good: good && !closes },
    }
}

/// The length of the head with its empty line, once it is whole.
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    (start.eq_ignore_ascii_case(name) && rest.first() == Some(&b':')).then(|| &rest[1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_is_there() {
        let text = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 3\r\n\r\nabc";
        for end in 0..text.len() {
            assert_eq!(read(&text[..end]), Answer::Partial, "{end}");
        }
        assert_eq!(read(text), Answer::Whole { bytes: text.len(), good: true });
    }

    #[test]
    fn what_is_not_a_200_on_a_lasting_connection_is_not_good() {
        let refused = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(read(refused), Answer::Whole { bytes: refused.len(), good: false });
        let last = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(read(last), Answer::Whole { bytes: last.len(), good: false });
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n\r\n"), Answer::Broken);
        assert_eq!(read(&[b'x'; 20_000]), Answer::Broken);
    }
}
