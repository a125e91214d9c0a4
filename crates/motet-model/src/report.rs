//! Findings as people and programs read them: drawn into the text with miette, or as JSON.

use crate::{
    finding::{Finding, Problems, Severity},
    source::Sources,
};
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan,
    ThemeCharacters, ThemeStyles,
};
use serde_json::{Value, json};
use std::{fmt, sync::Arc};

/// How findings are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether colours are used; not when the output is a pipe.
    pub colours: bool,
    /// The terminal's width in columns.
    pub width: usize,
}

impl Style {
    /// Without colours and independent of a terminal.
    pub const PLAIN: Self = Self { colours: false, width: 100 };
}

impl Problems {
    /// All findings, each with its excerpt, and a last line that counts them. Empty when nothing is wrong.
    pub fn render(&self, style: Style) -> String {
        let styles = if style.colours { ThemeStyles::ansi() } else { ThemeStyles::none() };
        let theme = GraphicalTheme { characters: ThemeCharacters::unicode(), styles };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(style.width.max(40))
            .with_context_lines(1)
            .with_links(false)
            .without_cause_chain();
        let mut text = String::new();
        for finding in self.findings() {
            let drawn = Drawn::new(finding, self.sources());
            if handler.render_report(&mut text, &drawn).is_err() {
                text.push_str(&finding.message);
            }
            text.push('\n');
        }
        if !self.is_empty() {
            text.push_str(&self.summary());
            text.push('\n');
        }
        text
    }

    /// `2 errors, 1 warning`.
    pub fn summary(&self) -> String {
        let count = |number: usize, what: &str| match number {
            0 => None,
            1 => Some(format!("1 {what}")),
            many => Some(format!("{many} {what}s")),
        };
        let counts: Vec<_> =
            [count(self.errors(), "error"), count(self.warnings(), "warning")].into_iter().flatten().collect();
        match self.omitted() {
            0 => counts.join(", "),
            more => format!("{}, and {more} more that are not shown", counts.join(", ")),
        }
    }

    /// All findings as an array of objects with `code`, `severity`, `message`, `file`, `line`, `column` and `help`.
    pub fn to_json(&self) -> Value {
        self.findings().iter().map(|finding| self.finding_json(finding)).collect()
    }

    fn finding_json(&self, finding: &Finding) -> Value {
        let place = finding.labels.first().and_then(|label| {
            let file = self.sources().get(label.span.file)?;
            Some((file.path.display().to_string(), self.sources().line_column(label.span)))
        });
        json!({
            "code": finding.code.0,
            "severity": finding.severity.to_string(),
            "message": finding.message,
            "file": place.as_ref().map(|(file, _)| file),
            "line": place.as_ref().map(|(_, (line, _))| line),
            "column": place.as_ref().map(|(_, (_, column))| column),
            "help": finding.help,
        })
    }
}

/// A finding as miette wants it: the labels of one file with its text, those of other files as related notes.
#[derive(Debug)]
struct Drawn {
    title: String,
    code: Option<String>,
    severity: Option<miette::Severity>,
    help: Option<String>,
    source: Option<NamedSource<Arc<str>>>,
    labels: Vec<LabeledSpan>,
    elsewhere: Vec<Drawn>,
}

impl Drawn {
    fn new(finding: &Finding, sources: &Sources) -> Self {
        let mut drawn = Self {
            title: finding.message.clone(),
            code: Some(format!("{}[{}]", finding.severity, finding.code)),
            severity: Some(match finding.severity {
                Severity::Error => miette::Severity::Error,
                Severity::Warning => miette::Severity::Warning,
            }),
            help: finding.help.clone(),
            source: None,
            labels: Vec::new(),
            elsewhere: Vec::new(),
        };
        let Some(main) = finding.labels.first().map(|label| label.span.file) else { return drawn };
        for (at, label) in finding.labels.iter().enumerate() {
            let Some(file) = sources.get(label.span.file) else { continue };
            let span = SourceSpan::from((label.span.start, label.span.end.saturating_sub(label.span.start)));
            let source = || Some(NamedSource::new(&file.name, Arc::clone(&file.text)));
            if label.span.file == main {
                drawn.source = drawn.source.or_else(source);
                let text = Some(label.text.clone());
                drawn.labels.push(match at {
                    0 => LabeledSpan::new_primary_with_span(text, span),
                    _ => LabeledSpan::new_with_span(text, span),
                });
            } else {
                drawn.elsewhere.push(Self {
                    title: format!("{}:", label.text),
                    code: None,
                    severity: Some(miette::Severity::Advice),
                    help: None,
                    source: source(),
                    labels: vec![LabeledSpan::new_with_span(Some("here".to_owned()), span)],
                    elsewhere: Vec::new(),
                });
            }
        }
        drawn
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl std::error::Error for Drawn {}

impl Diagnostic for Drawn {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code.as_ref().map(|code| Box::new(code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        self.severity
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.elsewhere.is_empty() {
            return None;
        }
        Some(Box::new(self.elsewhere.iter().map(|drawn| drawn as &dyn Diagnostic)))
    }
}
