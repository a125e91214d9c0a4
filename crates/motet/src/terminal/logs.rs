//! Lines of many services side by side: each with a coloured name before it, as wide as the widest.

use super::{ink, note, print};
use console::{Color, Style};
use motet_api::wire::{LogEvent, LogLine};
use std::collections::BTreeMap;

/// Colours that are told apart on light and dark ground; none of them means anything.
const COLOURS: [Color; 6] = [Color::Cyan, Color::Yellow, Color::Green, Color::Magenta, Color::Blue, Color::Red];

/// Prints lines of output.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    colours: BTreeMap<String, Color>,
    width: usize,
    json: bool,
}

impl Printer {
    /// A printer that knows the labels to come, so that its column does not grow while it prints.
    pub(crate) fn new<'a>(services: impl IntoIterator<Item = &'a str>, json: bool) -> Self {
        let mut printer = Self { json, ..Self::default() };
        for service in services {
            printer.colour(service);
            printer.width = printer.width.max(service.len() + "-1".len());
        }
        printer
    }

    fn colour(&mut self, service: &str) -> Color {
        let next = COLOURS[self.colours.len() % COLOURS.len()];
        *self.colours.entry(service.to_owned()).or_insert(next)
    }

    pub(crate) fn event(&mut self, event: &LogEvent) {
        if self.json {
            if let Ok(text) = serde_json::to_string(event) {
                print(text);
            }
            return;
        }
        match event {
            LogEvent::Line(line) => self.line(line),
            LogEvent::Lost(count) => note(ink::warn().for_stderr().apply_to(format_args!(
                "({count} lines were printed faster than they could be shown; they are in the files under .motet/logs)"
            ))),
        }
    }

    fn line(&mut self, line: &LogLine) {
        let colour = self.colour(&line.service);
        let label = if line.instance.is_empty() { &line.service } else { &line.instance };
        self.width = self.width.max(label.len());
        let head = Style::new().fg(colour).apply_to(format!("{label:<width$} │", width = self.width));
        let text = printable(&line.text);
        match line.stream.as_str() {
            "build" | "prepare" => print(format_args!("{head} {}", ink::quiet().apply_to(text))),
            "motet" => print(format_args!("{head} {}", ink::strong().apply_to(text))),
            _ => print(format_args!("{head} {text}")),
        }
    }
}

/// The text without what would move the cursor: colours stay, other control sequences go.
fn printable(text: &str) -> String {
    if !text.contains(|c: char| c.is_control()) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for (piece, is_code) in console::AnsiCodeIterator::new(text) {
        if !is_code {
            shown.extend(piece.chars().filter(|c| *c == '\t' || !c.is_control()));
        } else if piece.ends_with('m') && console::colors_enabled() {
            shown.push_str(piece);
        }
    }
    if shown.contains('\u{1b}') { shown + "\u{1b}[0m" } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_is_taken_out_of_lines() {
        console::set_colors_enabled(false);
        assert_eq!(printable("50%\r100%\u{1b}[2K\u{1b}[31mred\u{1b}[0m\tend"), "50%100%red\tend");
    }
}
