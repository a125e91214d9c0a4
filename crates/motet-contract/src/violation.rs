//! What is wrong with a payload, in a form that may be sent to its publisher and written to a log: places and rules, no values.

use motet_kernel::code::ErrorCode;
use std::fmt;

/// How many places are told. More are counted as more.
pub const VIOLATIONS_MAX: usize = 20;

/// The longest text about one place, in bytes. Names of properties are a part of it, and may be anything.
pub const MESSAGE_MAX_BYTES: usize = 300;

/// One place that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where in the payload (RFC 6901); empty for the whole.
    pub pointer: String,
    /// Which rule it breaks, in words.
    pub message: String,
    /// Where in the schema that rule stands (RFC 6901).
    pub rule: String,
}

/// A payload that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Whether it is JSON at all. If not, there is one violation, and it says where it stops being JSON.
    pub is_json: bool,
    /// What is wrong, at most [`VIOLATIONS_MAX`] places.
    pub violations: Vec<Violation>,
    /// Whether there is more than that.
    pub more: bool,
}

impl Refused {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        if self.is_json { ErrorCode("MO-contract-202") } else { ErrorCode("MO-contract-201") }
    }
}

impl fmt::Display for Refused {
    /// `the data does not fit its schema: /pages: value is not of type "integer"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_json { "the data does not fit its schema: " } else { "the data is not JSON: " })?;
        for (at, violation) in self.violations.iter().enumerate() {
            let between = if at == 0 { "" } else { "; " };
            let place = if violation.pointer.is_empty() { String::new() } else { format!("{}: ", violation.pointer) };
            write!(f, "{between}{place}{}", violation.message)?;
        }
        if self.more { f.write_str("; and more") } else { Ok(()) }
    }
}

impl std::error::Error for Refused {}

/// Not longer than what is told about one place.
pub(crate) fn shorten(mut text: String) -> String {
    if text.len() > MESSAGE_MAX_BYTES {
        text.truncate(text.floor_char_boundary(MESSAGE_MAX_BYTES));
        text.push('…');
    }
    text
}
