//! What is sent: 1 KiB of JSON that says its number and when its publishing began, wherever it comes out again.
//!
//! Every system carries it as it is, as the body of a request, as a payload or inside of a line of JSON, so one search finds both numbers at the
//! other end, and nobody pays for parsing that others do not pay for.

use std::fmt::Write as _;

use bytes::Bytes;

/// The size of a message.
pub const BYTES: usize = 1024;

const BEGIN: &[u8] = b"\"bench\":\"";
const DIGITS: usize = 16;

/// What a message says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// From 0, without gaps.
    pub number: u64,
    /// When its publishing began, in nanoseconds of the tally's clock.
    pub at: u64,
}

/// The message with this label.
pub fn write(label: Label) -> Bytes {
    let mut text = String::with_capacity(BYTES);
    // Writing to memory does not fail.
    let _ = write!(text, "{{\"bench\":\"{:016x}{:016x}\",\"fill\":\"", label.number, label.at);
    text.extend(std::iter::repeat_n('x', BYTES - 2 - text.len()));
    text.push_str("\"}");
    text.into()
}

/// The label of the first message in `text`, and what follows it.
pub fn read(text: &[u8]) -> Option<(Label, &[u8])> {
    let rest = after(text, BEGIN)?;
    let digits = rest.get(..2 * DIGITS)?;
    let number = |digits| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let label = Label { number: number(&digits[..DIGITS])?, at: number(&digits[DIGITS..])? };
    Some((label, &rest[2 * DIGITS..]))
}

/// What follows the first `mark` in `text`.
pub fn after<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let mut rest = text;
    loop {
        let at = rest.iter().position(|byte| *byte == mark[0])?;
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix(mark) {
            return Some(behind);
        }
        rest = &rest[1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_found_wherever_the_message_lies() {
        let label = Label { number: 77, at: 1_234_567_890_123 };
        let message = write(label);
        assert_eq!(message.len(), BYTES);
        let line = [b"{\"id\":\"b\",\"data\":", &message[..], b"}"].concat();
        let twice = [&line[..], &line[..]].concat();
        let (first, rest) = read(&twice).unwrap();
        let (second, rest) = read(rest).unwrap();
        assert_eq!((first, second), (label, label));
        assert_eq!(read(rest), None);
        assert_eq!(read(b"{\"bench\":\"12\"}"), None);
    }
}
