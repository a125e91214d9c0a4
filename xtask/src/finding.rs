//! What a check found: the place, what is wrong there, and what to do about it.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Breaks a rule: the check fails.
    Error,
    /// A place to look at: printed, and the check passes.
    Warning,
}

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file, relative to the root of the repository.
    pub path: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, as a sentence.
    pub what: String,
    /// What to do, as a sentence.
    pub way_out: String,
}

impl Finding {
    /// A broken rule at a place.
    pub fn error(path: &str, line: usize, what: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { severity: Severity::Error, path: path.to_owned(), line, what: what.into(), way_out: way_out.into() }
    }

    /// A place to look at.
    pub fn warning(path: &str, line: usize, what: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, line, what, way_out) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{word}: {}", self.what)?;
        writeln!(f, "  --> {}:{}", self.path, self.line)?;
        write!(f, "  do: {}", self.way_out)
    }
}
