//! Takes a chunked body apart (RFC 9112, section 7.1), whatever pieces it comes in. Strict: what other readers might read differently
//! (a bare line feed, space around a size) is an error, because an instance's answer that two readers end at different places is how
//! a cache or a caller is fooled.

use http::{HeaderMap, HeaderName, HeaderValue};

/// How long all extensions and all trailers of a body may be together: nobody needs them, so nobody should be kept busy by them.
const EXTRAS_MAX: usize = 16 * 1024;
const TRAILERS_MAX: usize = 64;

/// Where in a chunked body we are.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    state: State,
    /// Bytes of extensions and trailers so far.
    extras: usize,
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a chunk's size, with so many digits so far.
    Size {
        size: u64,
        digits: u8,
    },
    /// In what may stand after it.
    Extension {
        size: u64,
    },
    /// Before the line feed that ends the size's line.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataEnd,
    DataEndFeed,
    /// At the beginning of a line after the last chunk.
    Line,
    /// Within one.
    Trailer,
    TrailerEnd,
    /// Before the line feed of the empty line.
    LastFeed,
    Done,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

impl Chunks {
    /// Takes what came, adds the data in it to `data`, and says how much it used: less than all only when the body ended in it.
    pub(crate) fn take(&mut self, input: &[u8], data: &mut Vec<u8>) -> Result<usize, &'static str> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if let State::Data { left } = self.state {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
                data.extend_from_slice(&input[at..at + taken]);
                at += taken;
                let left = left - taken as u64;
                self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
                continue;
            }
            self.state = self.step(input[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, &'static str> {
        Ok(match (self.state, byte) {
            (State::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == 15 {
                    return Err("a chunk's size has more than fifteen digits");
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                State::Size { size: size * 16 + u64::from(digit), digits: digits + 1 }
            }
            (State::Size { digits: 0, .. }, _) => return Err("a chunk has no size"),
            (State::Size { size, .. }, b'\r') => State::SizeEnd { size },
            (State::Size { size, .. }, b';' | b' ' | b'\t') => State::Extension { size },
            (State::Size { .. }, _) => return Err("a chunk's size is not a hexadecimal number"),
            (State::Extension { size }, b'\r') => State::SizeEnd { size },
            (State::Extension { .. }, b'\n') => return Err("a line feed stands alone in a chunk's head"),
            (State::Extension { size }, _) => {
                self.extra()?;
                State::Extension { size }
            }
            (State::SizeEnd { size: 0 }, b'\n') => State::Line,
            (State::SizeEnd { size }, b'\n') => State::Data { left: size },
            (State::SizeEnd { .. }, _) => return Err("a chunk's head does not end with CR LF"),
            (State::DataEnd, b'\r') => State::DataEndFeed,
            (State::DataEndFeed, b'\n') => State::default(),
            (State::DataEnd | State::DataEndFeed, _) => return Err("a chunk is longer than it says"),
            (State::Line, b'\r') => State::LastFeed,
            (State::Trailer, b'\r') => State::TrailerEnd,
            (State::Line | State::Trailer, b'\n') => return Err("a line feed stands alone in the trailers"),
            (State::Line | State::Trailer, byte) => {
                self.extra()?;
                self.trailers.push(byte);
                State::Trailer
            }
            (State::TrailerEnd, b'\n') => {
                self.trailers.extend_from_slice(b"\r\n");
                State::Line
            }
            (State::LastFeed, b'\n') => State::Done,
            (State::TrailerEnd | State::LastFeed, _) => return Err("a trailer does not end with CR LF"),
            (state @ (State::Data { .. } | State::Done), _) => state,
        })
    }

    fn extra(&mut self) -> Result<(), &'static str> {
        self.extras += 1;
        if self.extras > EXTRAS_MAX { Err("chunk extensions and trailers are too long") } else { Ok(()) }
    }

    /// The body is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// What stood after the last chunk.
    pub(crate) fn trailers(&mut self) -> Result<HeaderMap, &'static str> {
        let mut fields = HeaderMap::new();
        if self.trailers.is_empty() {
            return Ok(fields);
        }
        self.trailers.extend_from_slice(b"\r\n");
        let mut parsed = [httparse::EMPTY_HEADER; TRAILERS_MAX];
        let Ok(httparse::Status::Complete((_, parsed))) = httparse::parse_headers(&self.trailers, &mut parsed) else {
            return Err("the trailers are not header fields");
        };
        for field in parsed {
            let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| "a trailer has no proper name")?;
            let value = HeaderValue::from_bytes(field.value).map_err(|_| "a trailer has no proper value")?;
            fields.append(name, value);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The data, the trailers, and what was not used.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, HeaderMap, usize), &'static str> {
        let (mut chunks, mut data, mut over) = (Chunks::default(), Vec::new(), 0);
        for piece in pieces {
            over += piece.len() - chunks.take(piece, &mut data)?;
        }
        if !chunks.is_done() {
            return Err("incomplete");
        }
        Ok((data, chunks.trailers()?, over))
    }

    #[test]
    fn chunks_are_joined_and_trailers_kept() {
        let body = b"5\r\nhello\r\n6;name=\"value\"\r\n world\r\n0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\nHTTP";
        let (data, trailers, over) = read([&body[..]]).unwrap();
        assert_eq!((&data[..], over), (&b"hello world"[..], 4));
        assert_eq!(trailers.get_all("x-sum").iter().count(), 2);
    }

    #[test]
    fn what_others_could_read_differently_is_refused() {
        for body in [
            "5\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello!\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "\r\nhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "10000000000000000\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\na: b\n\r\n",
        ] {
            assert!(read([body.as_bytes()]).is_err(), "{body:?}");
        }
        let endless = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(EXTRAS_MAX + 1));
        assert_eq!(read([endless.as_bytes()]), Err("chunk extensions and trailers are too long"));
    }

    proptest! {
        #[test]
        fn the_pieces_do_not_matter(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let mut body = Vec::new();
            for part in &parts {
                body.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                body.extend_from_slice(part);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\nx: y\r\n\r\n");
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len())).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let (data, trailers, over) = read(cuts.windows(2).map(|cut| &body[cut[0]..cut[1]])).unwrap();
            prop_assert_eq!(data, parts.concat());
            prop_assert_eq!((trailers.len(), over), (1, 0));
        }

        #[test]
        fn nothing_makes_it_panic(body in "[0-9a-f;: \r\nx\\PC]{0,80}") {
            let _ = read([body.as_bytes()]);
        }
    }
}
