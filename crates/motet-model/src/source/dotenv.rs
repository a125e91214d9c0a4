//! `.env` beside `motet.yaml`: `KEY=value` lines, with comments, quotes and an optional `export`.

use super::{Sources, Span, variables::Variables};
use crate::{code, finding::Finding, keys::accept::shorten};

/// Reads the text of a source. Later lines win, as in a shell.
pub(crate) fn read(sources: &Sources, file: usize, findings: &mut Vec<Finding>) -> Variables {
    let mut variables = Variables::new();
    let Some(source) = sources.get(file) else { return variables };
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let written = line.trim();
        let span = Span { file, start, end: start + line.trim_end().len() };
        start += line.len();
        if written.is_empty() || written.starts_with('#') {
            continue;
        }
        match assignment(written) {
            Some((name, value)) => {
                variables.insert(name.to_owned(), value);
            }
            None => {
                // The line may hold a secret, and whoever reads the message has the file.
                let name = written.split('=').next().unwrap_or_default();
                findings.push(
                    Finding::error(code::INVALID_DOTENV, format!("`{}` is no `NAME=value`", shorten(name.trim())))
                        .at(
                            Span { end: span.start + line.find('=').unwrap_or(line.trim_end().len()), ..span },
                            "cannot be read",
                        )
                        .help("write one `NAME=value` per line; a comment begins with `#`"),
                );
            }
        }
    }
    variables
}

fn assignment(line: &str) -> Option<(&str, String)> {
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(valid) {
        return None;
    }
    let value = value.trim();
    let text = match value.chars().next() {
        Some('\'') => value[1..].split('\'').next().unwrap_or_default().to_owned(),
        Some('"') => unescape(&value[1..]),
        _ => value.split(" #").next().unwrap_or_default().trim_end().to_owned(),
    };
    Some((name, text))
}

/// A text in double quotes, up to the closing one.
fn unescape(quoted: &str) -> String {
    let mut text = String::new();
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => break,
            '\\' => match characters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_read_as_a_shell_would_read_them() {
        let read = |line| assignment(line).map(|(name, value)| format!("{name}={value}"));
        assert_eq!(read("A=1").as_deref(), Some("A=1"));
        assert_eq!(read("export A = x y # comment").as_deref(), Some("A=x y"));
        assert_eq!(read("A='a # b' # c").as_deref(), Some("A=a # b"));
        assert_eq!(read(r#"A="a\"b\n" "#).as_deref(), Some("A=a\"b\n"));
        assert_eq!(read("A=http://x/#y").as_deref(), Some("A=http://x/#y"));
        assert_eq!(read("A="), Some("A=".to_owned()));
        assert_eq!(read("no assignment"), None);
        assert_eq!(read("1A=x"), None);
    }
}
