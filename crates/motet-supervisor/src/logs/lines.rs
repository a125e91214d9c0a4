//! From bytes to lines: whatever a process writes becomes UTF-8 text of bounded length, without ever holding more than one line.

use super::{LINE_MAX, Output, Stream};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads to the end, line by line.
pub(crate) async fn read_lines(mut from: impl AsyncRead + Unpin, stream: Stream, output: Output) {
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; 8 << 10];
    loop {
        match from.read(&mut buffer).await {
            // A pipe that fails is one that nobody writes to any more.
            Ok(0) | Err(_) => break,
            Ok(length) => {
                let lines = splitter.feed(&buffer[..length]);
                if !lines.is_empty() {
                    output.write(stream, lines).await;
                }
            }
        }
    }
    if let Some(line) = splitter.finish() {
        output.write(stream, vec![line]).await;
    }
}

#[derive(Debug, Default)]
struct Splitter {
    partial: Vec<u8>,
    cut: u64,
}

impl Splitter {
    fn feed(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end]);
            lines.push(self.take());
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
        lines
    }

    fn extend(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(LINE_MAX - self.partial.len());
        self.partial.extend_from_slice(&bytes[..kept]);
        self.cut += (bytes.len() - kept) as u64;
    }

    fn take(&mut self) -> String {
        if self.cut == 0 && self.partial.last() == Some(&b'\r') {
            self.partial.pop();
        }
        let mut line = String::from_utf8_lossy(&self.partial).into_owned();
        if self.cut > 0 {
            line.push_str(&format!(" … (cut: {} more bytes)", self.cut));
        }
        self.partial.clear();
        // One long line must not keep its memory for the rest of the instance's life.
        self.partial.shrink_to(4 << 10);
        self.cut = 0;
        line
    }

    fn finish(&mut self) -> Option<String> {
        (!self.partial.is_empty()).then(|| self.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_were_cut_into_reads() {
        let text = b"one\r\ntwo\n\nthr\xffee\nrest";
        for size in 1..text.len() {
            let mut splitter = Splitter::default();
            let mut lines: Vec<_> = text.chunks(size).flat_map(|chunk| splitter.feed(chunk)).collect();
            lines.extend(splitter.finish());
            assert_eq!(lines, ["one", "two", "", "thr\u{fffd}ee", "rest"], "in reads of {size} bytes");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_says_by_how_much() {
        let mut splitter = Splitter::default();
        let mut lines = splitter.feed(&vec![b'a'; LINE_MAX + 5]);
        lines.extend(splitter.feed(b"bc\nnext\n"));
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("a … (cut: 7 more bytes)"), "{}", &lines[0][LINE_MAX - 5..]);
        assert_eq!(lines[1], "next");
    }
}
