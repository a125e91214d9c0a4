//! What is wrong with a definition: one [`Finding`] per mistake, all of them together in [`Problems`].

use crate::source::{Sources, Span};
use motet_kernel::code::ErrorCode;
use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The system cannot be run as it is described.
    Error,
    /// It can be run, and something about its architecture will hurt later.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A place and what is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A few words that are printed under it.
    pub text: String,
}

/// One mistake: what is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub code: ErrorCode,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The places; the first is the one to look at. Empty when there is no file to show.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
}

impl Finding {
    pub(crate) fn error(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), labels: Vec::new(), help: None }
    }

    pub(crate) fn warning(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds a place; the first one added is where the mistake is.
    pub(crate) fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Adds a place that helps to understand.
    pub(crate) fn also(self, span: Span, text: impl Into<String>) -> Self {
        self.at(span, text)
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

/// How many findings are kept: more than a person repairs in one go. The rest is counted.
pub(crate) const FINDINGS_MAX: usize = 200;

/// Everything that is wrong with a definition, with the texts that the findings point into.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    findings: Vec<Finding>,
    sources: Sources,
    omitted: usize,
}

impl Problems {
    /// Sorts by file and place, and drops what was found twice.
    pub(crate) fn new(mut findings: Vec<Finding>, sources: Sources) -> Self {
        let place = |finding: &Finding| finding.labels.first().map(|label| label.span);
        findings.sort_by(|a, b| (place(a), a.code, &a.message).cmp(&(place(b), b.code, &b.message)));
        findings.dedup_by(|a, b| a.code == b.code && place(a) == place(b) && a.message == b.message);
        // When not all can be kept, errors are.
        if findings.len() > FINDINGS_MAX {
            findings.sort_by_key(|finding| finding.severity);
        }
        let omitted = findings.len().saturating_sub(FINDINGS_MAX);
        findings.truncate(FINDINGS_MAX);
        Self { findings, sources, omitted }
    }

    /// How many findings are not kept, because there are too many.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// The findings, in the order of files and lines.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The files that were read.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.findings.len() - self.errors()
    }

    /// The same with every warning made an error: what `motet check --strict` shows.
    pub fn strict(mut self) -> Self {
        for finding in &mut self.findings {
            finding.severity = Severity::Error;
        }
        self
    }
}

impl fmt::Display for Problems {
    /// One line for each finding: `motet.yaml:3:5: error[MO-model-103]: unknown key`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.findings.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            if let Some(label) = finding.labels.first()
                && let Some(file) = self.sources.get(label.span.file)
            {
                let (line, column) = self.sources.line_column(label.span);
                write!(f, "{}:{line}:{column}: ", file.name)?;
            }
            write!(f, "{}[{}]: {}", finding.severity, finding.code, finding.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
