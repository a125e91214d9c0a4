//! Replaces `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `${VAR:+other}` and `$$` in the values of a tree, as Compose does.
//!
//! A `$` that no `{` follows stays as it is: commands say `$PORT` and mean the variable of the running service.

use super::{
    Sources, Span,
    tree::{Node, Scalar, Value},
};
use crate::{code, finding::Finding, keys::accept::shorten, spelling};
use std::collections::BTreeMap;

/// Variables by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// How deep defaults may be nested: `${A:-${B:-…}}`.
const DEPTH_MAX: usize = 8;
/// The longest text that may come out of one value, in bytes.
const LENGTH_MAX: usize = 1 << 20;

/// Takes the values of variables out of what is told about them: they may be secrets. What was written stands in their place.
pub(crate) fn conceal(node: &Node, sources: &Sources, findings: &mut [Finding]) {
    let mut concealed = BTreeMap::new();
    collect(node, &mut concealed);
    for finding in findings {
        let Some((span, value)) = finding.labels.iter().find_map(|label| concealed.get_key_value(&label.span)) else {
            continue;
        };
        let written = sources.text_at(*span).trim_matches(['"', '\'']);
        finding.message = finding.message.replace(*value, written);
        finding.help = finding.help.take().map(|help| help.replace(*value, written));
    }
}

fn collect<'a>(node: &'a Node, concealed: &mut BTreeMap<Span, &'a str>) {
    match &node.value {
        Value::Scalar(scalar) if scalar.from_variable && scalar.text.len() > 2 => {
            concealed.insert(node.span, &scalar.text);
        }
        Value::Null | Value::Scalar(_) => {}
        Value::List(items) => items.iter().for_each(|item| collect(item, concealed)),
        Value::Map(map) => map.iter().for_each(|entry| collect(&entry.value, concealed)),
    }
}

/// Replaces the variables in all values of a tree.
pub(crate) fn replace(node: &mut Node, variables: &Variables, findings: &mut Vec<Finding>) {
    let span = node.span;
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(scalar) => scalar_variables(scalar, span, variables, findings),
        Value::List(items) => items.iter_mut().for_each(|item| replace(item, variables, findings)),
        Value::Map(map) => map.iter_mut().for_each(|entry| replace(&mut entry.value, variables, findings)),
    }
}

fn scalar_variables(scalar: &mut Scalar, span: Span, variables: &Variables, findings: &mut Vec<Finding>) {
    if !scalar.text.contains('$') {
        return;
    }
    match expand(&scalar.text, variables, 0) {
        Ok(expanded) => {
            scalar.from_variable = scalar.text.contains("${");
            scalar.text = expanded;
        }
        Err(trouble) => findings.push(trouble.finding(span, variables)),
    }
}

/// Why a text cannot be expanded.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    Undefined { name: String, message: Option<String> },
    Unclosed,
    Name(String),
    TooDeep,
    TooLong,
}

fn expand(text: &str, variables: &Variables, depth: usize) -> Result<String, Trouble> {
    if depth > DEPTH_MAX {
        return Err(Trouble::TooDeep);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inner) = after.strip_prefix('{') {
            let end = closing_brace(inner).ok_or(Trouble::Unclosed)?;
            out.push_str(&one(&inner[..end], variables, depth)?);
            rest = &inner[end + 1..];
        } else {
            out.push('$');
            rest = after;
        }
        if out.len() > LENGTH_MAX {
            return Err(Trouble::TooLong);
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the `}` is that closes a `${`.
fn closing_brace(inner: &str) -> Option<usize> {
    let mut open = 0usize;
    let mut before = ' ';
    for (at, c) in inner.char_indices() {
        match c {
            '{' if before == '$' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

/// What stands between `${` and `}`.
fn one(inner: &str, variables: &Variables, depth: usize) -> Result<String, Trouble> {
    let name_end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
    let (name, operator) = inner.split_at(name_end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Trouble::Name(inner.to_owned()));
    }
    let value = variables.get(name);
    let filled = value.filter(|value| !value.is_empty());
    let undefined = |message: &str| {
        let message = (!message.is_empty()).then(|| message.to_owned());
        Err(Trouble::Undefined { name: name.to_owned(), message })
    };
    let or = |value: Option<&String>, default: &str| match value {
        Some(value) => Ok(value.clone()),
        None => expand(default, variables, depth + 1),
    };
    let mut characters = operator.chars();
    match (characters.next(), characters.next()) {
        (None, _) => value.cloned().map_or_else(|| undefined(""), Ok),
        (Some(':'), Some('-')) => or(filled, &operator[2..]),
        (Some('-'), _) => or(value, &operator[1..]),
        (Some(':'), Some('?')) => filled.cloned().map_or_else(|| undefined(&operator[2..]), Ok),
        (Some('?'), _) => value.cloned().map_or_else(|| undefined(&operator[1..]), Ok),
        (Some(':'), Some('+')) => filled.map_or(Ok(String::new()), |_| expand(&operator[2..], variables, depth + 1)),
        (Some('+'), _) => value.map_or(Ok(String::new()), |_| expand(&operator[1..], variables, depth + 1)),
        _ => Err(Trouble::Name(inner.to_owned())),
    }
}

impl Trouble {
    fn finding(self, span: Span, variables: &Variables) -> Finding {
        match self {
            Self::Undefined { name, message } => {
                let said = message.map_or_else(String::new, |message| format!(": {}", shorten(&message)));
                Finding::error(code::UNDEFINED_VARIABLE, format!("the variable `{}` is not set{said}", shorten(&name)))
                    .at(span, "used here")
                    .help(way_out(&name, variables))
            }
            Self::Unclosed => Finding::error(code::INVALID_VARIABLE, "`${` is opened and never closed")
                .at(span, "no `}` follows")
                .help("write `${NAME}`; a `${` that is meant as text is written `$${`"),
            Self::Name(inner) => {
                Finding::error(code::INVALID_VARIABLE, format!("`${{{}}}` does not name a variable", shorten(&inner)))
                    .at(span, "cannot be read")
                    .help("write `${NAME}`, `${NAME:-default}` or `${NAME:?what to do}`; a `${` that is meant as text is written `$${`")
            }
            Self::TooDeep => Finding::error(code::TOO_LARGE, format!("defaults are nested deeper than {DEPTH_MAX} levels"))
                .at(span, "in this value")
                .help("set a variable instead"),
            Self::TooLong => Finding::error(code::TOO_LARGE, "the value with its variables is longer than 1 MiB")
                .at(span, "this value")
                .help("put large data into a file"),
        }
    }
}

fn way_out(name: &str, variables: &Variables) -> String {
    let injected =
        matches!(name, "PORT" | "MOTET_URL" | "DATABASE_URL") || name.ends_with("_URL") || name.starts_with("OTEL_");
    let set = format!(
        "set it (`export {name}=…`, or a line `{name}=…` in `.env` beside motet.yaml), or give a default: `${{{name}:-…}}`"
    );
    match spelling::nearest(name, variables.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? Otherwise {set}"),
        None if injected => {
            format!(
                "{set}. If you mean the variable that Motet gives to the running service, write `${name}` without braces in its command"
            )
        }
        None => set,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, Trouble> {
        let variables = [("A", "1"), ("EMPTY", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        expand(text, &variables, 0)
    }

    #[test]
    fn variables_are_replaced_as_compose_does_it() {
        for (text, result) in [
            ("a ${A} b", "a 1 b"),
            ("${EMPTY:-x}${EMPTY-x}", "x"),
            ("${NONE:-${A}}", "1"),
            ("${A:+yes}${NONE:+yes}${EMPTY+yes}", "yesyes"),
            ("$$ $${A} $A $", "$ ${A} $A $"),
            ("${NONE:-a}b}", "ab}"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(result), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_trouble() {
        let undefined = |message: Option<&str>| {
            Err(Trouble::Undefined { name: "NONE".into(), message: message.map(str::to_owned) })
        };
        assert_eq!(expanded("${NONE}"), undefined(None));
        assert_eq!(expanded("${NONE:?set it}"), undefined(Some("set it")));
        assert_eq!(expanded("${A"), Err(Trouble::Unclosed));
        assert_eq!(expanded("${}"), Err(Trouble::Name(String::new())));
        assert_eq!(expanded("${1A}"), Err(Trouble::Name("1A".into())));
        assert_eq!(expanded("${A!x}"), Err(Trouble::Name("A!x".into())));
        let deep = format!("{}x{}", "${N:-".repeat(100), "}".repeat(100));
        assert_eq!(expanded(&deep), Err(Trouble::TooDeep));
    }
}
