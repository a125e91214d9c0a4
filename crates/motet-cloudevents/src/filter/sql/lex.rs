//! From text to tokens (section 2).

use crate::error::InvalidFilter;

/// A piece of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// Letters, digits and underscores: a keyword, a number, an attribute, or a function.
    Word(String),
    /// What stands between quotes, without them; a quote that was escaped is not any more.
    Text(String),
    /// An operator or a parenthesis.
    Sign(&'static str),
}

/// A token and where it begins, in characters from 1.
pub(super) type Placed = (Token, usize);

/// Longer ones first.
const SIGNS: [&str; 15] = ["!=", "<>", ">=", "<=", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ","];

pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, InvalidFilter> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let place = |rest: &str| text[..text.len() - rest.len()].chars().count() + 1;
    while let Some(first) = rest.chars().next() {
        let at = place(rest);
        if first.is_whitespace() {
            rest = rest.trim_start();
        } else if first == '\'' || first == '"' {
            let (inner, after) = quoted(&rest[1..], first).ok_or_else(|| InvalidFilter::Syntax {
                reason: "the text that is opened here is not closed".into(),
                at,
            })?;
            tokens.push((Token::Text(inner), at));
            rest = after;
        } else if first.is_ascii_alphanumeric() || first == '_' {
            let end = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(rest.len());
            tokens.push((Token::Word(rest[..end].to_owned()), at));
            rest = &rest[end..];
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            tokens.push((Token::Sign(sign), at));
            rest = &rest[sign.len()..];
        } else {
            return Err(InvalidFilter::Syntax { reason: format!("`{}` means nothing", first.escape_debug()), at });
        }
    }
    Ok(tokens)
}

/// What stands before the closing quote, and what stands after it. Only the quote itself can be escaped; any other backslash is one.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inner = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        if char == quote {
            return Some((inner, &text[at + 1..]));
        }
        let is_escape = char == '\\' && chars.peek().is_some_and(|(_, next)| *next == quote);
        inner.push(if is_escape { chars.next()?.1 } else { char });
    }
    None
}
