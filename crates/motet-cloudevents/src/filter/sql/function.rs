//! The functions that are built in (section 3.5), and the casts.

use super::{Fault, Node, Outcome, eval::Run};
use std::borrow::Cow;

/// A function, told apart by its name and how many arguments it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Int,
    Bool,
    String,
    IsInt,
    IsBool,
    Abs,
    Length,
    Concat,
    ConcatWs,
    Lower,
    Upper,
    Trim,
    Left,
    Right,
    Substring,
    SubstringOf,
}

/// Names, and how many arguments at least and at most.
const TABLE: [(&str, usize, usize, Function); 16] = [
    ("INT", 1, 1, Function::Int),
    ("BOOL", 1, 1, Function::Bool),
    ("STRING", 1, 1, Function::String),
    ("IS_INT", 1, 1, Function::IsInt),
    ("IS_BOOL", 1, 1, Function::IsBool),
    ("ABS", 1, 1, Function::Abs),
    ("LENGTH", 1, 1, Function::Length),
    ("CONCAT", 0, usize::MAX, Function::Concat),
    ("CONCAT_WS", 1, usize::MAX, Function::ConcatWs),
    ("LOWER", 1, 1, Function::Lower),
    ("UPPER", 1, 1, Function::Upper),
    ("TRIM", 1, 1, Function::Trim),
    ("LEFT", 2, 2, Function::Left),
    ("RIGHT", 2, 2, Function::Right),
    ("SUBSTRING", 2, 2, Function::Substring),
    ("SUBSTRING", 3, 3, Function::SubstringOf),
];

/// What to say about a function that is not there.
pub(super) fn unknown(name: &str, arguments: usize) -> String {
    let same: Vec<_> = TABLE.iter().filter(|(own, ..)| own.eq_ignore_ascii_case(name)).collect();
    if let Some((own, least, ..)) = same.first() {
        let most = same.iter().map(|(_, _, most, _)| *most).max().unwrap_or(*least);
        let wanted = match (least, most) {
            (least, usize::MAX) => format!("at least {least}"),
            (least, most) if *least == most => format!("{least}"),
            (least, most) => format!("{least} to {most}"),
        };
        return format!("`{own}` takes {wanted} arguments, and {arguments} are given");
    }
    let mut names: Vec<_> = TABLE.iter().map(|(own, ..)| *own).collect();
    names.dedup();
    format!("there is no function `{name}`; there are {}", names.join(", "))
}

impl Function {
    pub(super) fn find(name: &str, arguments: usize) -> Option<Self> {
        let is_it = |(own, least, most, _): &&(&str, usize, usize, Self)| {
            own.eq_ignore_ascii_case(name) && (*least..=*most).contains(&arguments)
        };
        TABLE.iter().find(is_it).map(|(.., function)| *function)
    }

    /// Calls it with as many arguments as [`Function::find`] has seen. An argument without a value leaves the call without one: it is nothing of
    /// the type that the function returns.
    pub(super) fn call<'e>(self, run: &mut Run<'e>, arguments: &'e [Node]) -> Outcome<'e> {
        match self {
            Self::Int | Self::Abs | Self::Length => Outcome::Integer(self.number(run, arguments).unwrap_or_default()),
            Self::Bool => Outcome::Boolean(run.boolean(&arguments[0]).unwrap_or_default()),
            Self::IsInt => Outcome::Boolean(run.would_be(&arguments[0], Run::cast_integer)),
            Self::IsBool => Outcome::Boolean(run.would_be(&arguments[0], Run::cast_boolean)),
            Self::Concat => Outcome::Text(join(run, None, arguments).unwrap_or_default()),
            Self::ConcatWs => Outcome::Text(join(run, arguments.first(), &arguments[1..]).unwrap_or_default()),
            Self::String | Self::Lower | Self::Upper | Self::Trim => {
                Outcome::Text(self.changed(run, &arguments[0]).unwrap_or_default())
            }
            Self::Left | Self::Right | Self::Substring | Self::SubstringOf => {
                Outcome::Text(self.part(run, arguments).unwrap_or_default())
            }
        }
    }

    fn number<'e>(self, run: &mut Run<'e>, arguments: &'e [Node]) -> Option<i32> {
        match self {
            Self::Length => {
                let text = run.text(&arguments[0])?;
                Some(i32::try_from(text.chars().count()).unwrap_or(i32::MAX))
            }
            Self::Abs => {
                let number = run.integer(&arguments[0])?;
                Some(number.checked_abs().unwrap_or_else(|| {
                    run.fault(Fault::Math);
                    i32::MAX
                }))
            }
            _ => run.integer(&arguments[0]),
        }
    }

    fn changed<'e>(self, run: &mut Run<'e>, argument: &'e Node) -> Option<Cow<'e, str>> {
        let text = run.text(argument)?;
        Some(match self {
            Self::Lower => Cow::Owned(text.to_lowercase()),
            Self::Upper => Cow::Owned(text.to_uppercase()),
            Self::Trim => sliced(text, str::trim),
            _ => text,
        })
    }

    /// A part of a text, counted in characters.
    fn part<'e>(self, run: &mut Run<'e>, arguments: &'e [Node]) -> Option<Cow<'e, str>> {
        let text = run.text(&arguments[0])?;
        let given = run.integer(&arguments[1])?;
        let count = text.chars().count();
        if matches!(self, Self::Left | Self::Right) {
            let Ok(wanted) = usize::try_from(given) else {
                run.fault(Fault::FunctionEvaluation);
                return Some(text);
            };
            let skipped = if self == Self::Left { 0 } else { count.saturating_sub(wanted) };
            return Some(sliced(text, |text| characters(text, skipped, wanted)));
        }
        let wanted = match arguments.get(2) {
            Some(argument) => usize::try_from(run.integer(argument)?),
            None => Ok(usize::MAX),
        };
        let distance = usize::try_from(given.unsigned_abs()).unwrap_or(usize::MAX);
        let Some(wanted) = wanted.ok().filter(|_| distance <= count) else {
            run.fault(Fault::FunctionEvaluation);
            return None;
        };
        match given {
            0 => None,
            1.. => Some(sliced(text, |text| characters(text, distance - 1, wanted))),
            _ => Some(sliced(text, |text| characters(text, count - distance, wanted))),
        }
    }
}

fn join<'e>(run: &mut Run<'e>, delimiter: Option<&'e Node>, arguments: &'e [Node]) -> Option<Cow<'e, str>> {
    let delimiter = match delimiter {
        Some(delimiter) => run.text(delimiter)?,
        None => Cow::Borrowed(""),
    };
    let mut whole = String::new();
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 {
            whole.push_str(&delimiter);
        }
        whole.push_str(&run.text(argument)?);
    }
    Some(Cow::Owned(whole))
}

/// A part of a text, borrowed where the text is.
fn sliced<'e>(text: Cow<'e, str>, part: impl Fn(&str) -> &str) -> Cow<'e, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(part(text)),
        Cow::Owned(text) => Cow::Owned(part(&text).to_owned()),
    }
}

/// The characters after the first `skipped`, at most `wanted` of them.
fn characters(text: &str, skipped: usize, wanted: usize) -> &str {
    let start = text.char_indices().nth(skipped).map_or(text.len(), |(at, _)| at);
    let rest = &text[start..];
    let end = rest.char_indices().nth(wanted).map_or(rest.len(), |(at, _)| at);
    &rest[..end]
}
