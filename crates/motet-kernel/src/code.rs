//! Error codes: `MO-<context>-<number>`, each with a page under `docs/errors/`.

use std::fmt;

/// A code that a person can look up: `motet explain MO-model-101`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub &'static str);

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
