//! A YAML parser's complaints in words that say what is wrong and what to do about it.

use super::{Span, yaml::too_deep};
use crate::{code, finding::Finding};
use granit_parser::{ErrorKind, ScanError};

/// Where a complaint points at.
struct Spot<'a> {
    file: usize,
    text: &'a str,
    /// The line up to the place.
    line: std::ops::Range<usize>,
    span: Span,
}

/// What a parser's error means. `open` is the bracket or list that is open at that place.
pub(super) fn complaint(file: usize, text: &str, error: &ScanError, open: Option<Span>) -> Box<Finding> {
    let start = text.floor_char_boundary(error.marker().byte_offset().unwrap_or(0));
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[start..].chars().next().map_or(start, |c| if c == '\n' { start } else { start + c.len_utf8() });
    let spot = Spot { file, text, line: line_start..start, span: Span { file, start, end } };
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => Box::new(too_deep(spot.span)),
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => spot.tab(),
        ErrorKind::ExpectedFlowMappingSeparator => spot.separator('{', '}', open),
        ErrorKind::ExpectedFlowSequenceSeparator => spot.separator('[', ']', open),
        ErrorKind::MappingValueNotAllowed if !text[spot.line.clone()].contains(": ") => spot.too_far_in(),
        kind => {
            let (message, label, help) = plain(kind, error);
            Box::new(Finding::error(code::NOT_YAML, message).at(spot.span, label).help(help))
        }
    }
}

impl Spot<'_> {
    fn tab(&self) -> Box<Finding> {
        let tab =
            self.text[self.line.start..self.span.end].rfind('\t').map_or(self.span.start, |at| self.line.start + at);
        let span = Span { file: self.file, start: tab, end: (tab + 1).min(self.text.len()) };
        Box::new(
            Finding::error(code::NOT_YAML, "a tab stands where YAML wants spaces")
                .at(span, "tab")
                .help("indent with spaces; most editors can convert: set `indent_style = space` for YAML"),
        )
    }

    fn separator(&self, opening: char, closing: char, open: Option<Span>) -> Box<Finding> {
        let finding = Finding::error(code::NOT_YAML, format!("a `,` or `{closing}` is missing"))
            .at(self.span, format!("expected before this: `,` or `{closing}`"))
            .help(format!("close the `{opening}` with `{closing}`, or put a `,` between its items"));
        // Where the collection began without a bracket there is none to show.
        let bracket = open
            .map(|open| Span { end: open.start + 1, ..open })
            .filter(|open| self.text[open.start..].starts_with(opening));
        Box::new(match bracket {
            Some(bracket) => finding.also(bracket, format!("`{opening}` is open here")),
            None => finding,
        })
    }

    fn too_far_in(&self) -> Box<Finding> {
        let line = &self.text[self.line.clone()];
        let key = self.line.start + line.len() - line.trim_start().len();
        let message = "this line is indented deeper than the key above it, which has a value already";
        Box::new(
            Finding::error(code::NOT_YAML, message)
                .at(Span { start: key, end: self.span.start.max(key), ..self.span }, "indented too far")
                .help("give all keys of one level the same number of spaces"),
        )
    }
}

/// Message, label and help of the complaints that need no look at the text.
fn plain(kind: &ErrorKind, error: &ScanError) -> (String, &'static str, &'static str) {
    let (message, label, help) = match kind {
        ErrorKind::UnknownAnchor => (
            "an alias refers to an anchor that does not exist",
            "nothing above has this `&name`",
            "define it before its use (`&name`), or put the text into quotes if no alias is meant: `*` begins an alias",
        ),
        ErrorKind::UnclosedQuotedScalar => {
            ("a quote is opened and never closed", "opened here", "add the closing quote at the end of the text")
        }
        ErrorKind::UnclosedFlowCollection { .. } => (
            "a bracket is opened and never closed",
            "opened here",
            "add the closing bracket, or write one key per line without brackets",
        ),
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => {
            ("the file ends inside brackets", "a bracket before is not closed", "close every `{` and `[`")
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => (
            "a second `: ` stands in one line",
            "this begins another value",
            "put a text that contains `: ` into quotes, and each key on a line of its own",
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "a key without `:`, or a line with too little indentation",
            "no `key: value`",
            "write `key: value` with a space after the colon, and indent what belongs to a key deeper than the key",
        ),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => (
            "the indentation does not fit to the lines above",
            "fits to no level above",
            "give all keys of one level the same number of spaces",
        ),
        ErrorKind::UnexpectedCharacter { character } => {
            let message = format!("`{character}` cannot begin a text in YAML");
            return (message, "here", "put the text into quotes");
        }
        _ => return (format!("this is not YAML: {}", error.info()), "here", "the mistake is here or shortly before"),
    };
    (message.to_owned(), label, help)
}
