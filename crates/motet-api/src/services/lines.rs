//! Lines out of chunks: a line that lies within one chunk is a piece of it, and only what is cut by a chunk's end is copied.

use bytes::{Bytes, BytesMut};

/// A line has more bytes than any may have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// What is left of the last chunk, and what was found.
#[derive(Debug)]
pub(crate) struct Lines {
    rest: BytesMut,
    most: usize,
}

impl Lines {
    /// For lines of at most `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { rest: BytesMut::new(), most }
    }

    /// Takes the next chunk; returns the lines that are complete with it, without their ends.
    pub(crate) fn push(&mut self, chunk: &Bytes) -> Result<Vec<Bytes>, TooLong> {
        let mut lines = Vec::new();
        let mut start = 0;
        while let Some(length) = chunk[start..].iter().position(|byte| *byte == b'\n') {
            let end = start + length;
            let line = if self.rest.is_empty() {
                chunk.slice(start..end)
            } else {
                self.rest.extend_from_slice(&chunk[start..end]);
                self.rest.split().freeze()
            };
            if line.len() > self.most {
                return Err(TooLong);
            }
            lines.push(line);
            start = end + 1;
        }
        self.rest.extend_from_slice(&chunk[start..]);
        if self.rest.len() > self.most { Err(TooLong) } else { Ok(lines) }
    }

    /// What came after the last end of a line.
    pub(crate) fn last(&mut self) -> Option<Bytes> {
        let rest = self.rest.split().freeze();
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_wherever_the_chunks_are_cut() {
        let text = Bytes::from_static(b"one\n\ntwo\r\nthree");
        for cut in 0..=text.len() {
            let mut lines = Lines::new(10);
            let mut found = lines.push(&text.slice(..cut)).expect("short");
            found.extend(lines.push(&text.slice(cut..)).expect("short"));
            assert_eq!(found, [&b"one"[..], b"", b"two\r"], "{cut}");
            assert_eq!(lines.last().as_deref(), Some(&b"three"[..]));
            assert_eq!(lines.last(), None);
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::new(4);
        assert!(lines.push(&Bytes::from_static(b"1234")).is_ok());
        assert_eq!(lines.push(&Bytes::from_static(b"5")), Err(TooLong));
        assert_eq!(Lines::new(4).push(&Bytes::from_static(b"12345\n")), Err(TooLong));
    }
}
