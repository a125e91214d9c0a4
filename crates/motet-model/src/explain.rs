//! `motet explain`: what a key says, what holds without it and why; and which error a code stands for.

use crate::{
    code,
    keys::{self, Default, Key, Placed, Shape},
    spelling,
};
use motet_kernel::code::ErrorCode;
use std::fmt;

/// What is known about something that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// One key.
    Key(KeyPage),
    /// Several keys have this name.
    Candidates(Vec<KeyPage>),
    /// An error or a lint. Its page is `docs/errors/<code>.md`.
    Code {
        /// The code.
        code: ErrorCode,
        /// What it stands for.
        title: &'static str,
    },
}

/// Everything about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPage {
    /// Where it stands, with `*` for names: `services.*.uses.*.timeout`.
    pub path: String,
    /// What it says.
    pub about: &'static str,
    /// What may stand there, in words.
    pub kind: String,
    /// What holds without it; `None` when it has to be written.
    pub default: Option<&'static str>,
    /// Why the default is what it is, or why the key exists.
    pub reason: &'static str,
    /// YAML that shows it.
    pub example: &'static str,
    /// The keys below it, with what they say.
    pub keys: Vec<(&'static str, &'static str)>,
    /// Where it stands as well, with the same meaning.
    pub also: Vec<String>,
}

/// Nothing is known about something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexplained {
    /// What was asked for.
    pub query: String,
    /// What was probably meant.
    pub near: Option<String>,
}

impl fmt::Display for Unexplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no key and no code `{}`", self.query)?;
        match &self.near {
            Some(near) => write!(f, ": did you mean `{near}`?"),
            None => write!(f, ": `motet explain services` shows the keys of a service"),
        }
    }
}

impl std::error::Error for Unexplained {}

/// Looks up a key or a code. A key is written with its path (`services.*.uses.*.timeout`, with any names in place of the
/// stars), with the end of its path (`uses.timeout`), or by its name (`timeout`).
///
/// # Errors
/// When there is no such thing; with what was probably meant.
pub fn explain(query: &str) -> Result<Explanation, Unexplained> {
    let query = query.trim().trim_matches('.');
    let all = keys::all();
    if let Some((code, title)) = code::ALL.iter().find(|(code, _)| code.0.eq_ignore_ascii_case(query)) {
        return Ok(Explanation::Code { code: *code, title });
    }
    let asked: Vec<_> = query.split('.').filter(|part| !part.is_empty()).collect();
    // A profile repeats the keys of the top level.
    let asked = match asked.as_slice() {
        ["profiles", _, rest @ ..] if !rest.is_empty() => rest,
        asked => asked,
    };
    let exact = |placed: &&Placed| matches(&parts(&placed.path), asked);
    // `services.embedder` asks for what can be said about a service.
    let entry = |placed: &&Placed| matches(&parts(&format!("{}.*", placed.path)), asked) && placed.is_map();
    if let Some(placed) = all.iter().find(exact).or_else(|| all.iter().find(entry)) {
        return Ok(Explanation::Key(page(placed)));
    }
    let mut ends: Vec<_> = all.iter().filter(|placed| ends_with(&placed.path, asked)).collect();
    ends.sort_by_key(|placed| placed.path.matches('.').count());
    match once_each(&ends).as_slice() {
        [] => Err(Unexplained { query: query.to_owned(), near: near(asked, query, all) }),
        [one] => Ok(Explanation::Key(one.clone())),
        many => Ok(Explanation::Candidates(many.to_vec())),
    }
}

/// A page for each key; those that mean the same at several places (the keys of a policy) share one, that of an edge.
fn once_each(placed: &[&Placed]) -> Vec<KeyPage> {
    let mut pages: Vec<KeyPage> = Vec::new();
    for placed in placed {
        let page = page(placed);
        let same = |known: &&mut KeyPage| {
            (known.about, known.reason, known.default) == (page.about, page.reason, page.default)
        };
        match pages.iter_mut().find(same) {
            None => pages.push(page),
            Some(known) if is_plain_edge(&page.path) && !is_plain_edge(&known.path) => {
                let mut also = std::mem::take(&mut known.also);
                also.insert(0, std::mem::replace(known, page).path);
                known.also = also;
            }
            Some(known) => known.also.push(page.path),
        }
    }
    pages
}

fn is_plain_edge(path: &str) -> bool {
    path.starts_with("services.*.uses.*.") && !path.contains(".paths.")
}

/// Every key of the language, in the order of the table.
pub fn keys() -> Vec<KeyPage> {
    keys::all().iter().map(page).collect()
}

fn parts(path: &str) -> Vec<&str> {
    path.split('.').collect()
}

fn matches(path: &[&str], asked: &[&str]) -> bool {
    path.len() == asked.len() && path.iter().zip(asked).all(|(part, asked)| *part == "*" || part == asked)
}

/// Whether the names of a path, without its stars, end with what was asked for.
fn ends_with(path: &str, asked: &[&str]) -> bool {
    let names: Vec<_> = parts(path).into_iter().filter(|part| *part != "*").collect();
    let asked: Vec<_> = asked.iter().copied().filter(|part| *part != "*").collect();
    !asked.is_empty() && names.ends_with(&asked)
}

fn near(asked: &[&str], query: &str, all: &[Placed]) -> Option<String> {
    let names = all.iter().map(|placed| placed.key.name);
    let codes = code::ALL.iter().map(|(code, _)| code.0);
    let last = asked.last().copied().unwrap_or_default();
    let near = if query.to_ascii_uppercase().starts_with("MO-") {
        spelling::nearest(query, codes)
    } else {
        spelling::nearest(last, names)
    };
    near.map(str::to_owned)
}

impl Placed {
    fn is_map(&self) -> bool {
        matches!(self.key.shape, Shape::Map(..))
    }
}

fn page(placed: &Placed) -> KeyPage {
    let Key { about, default, reason, example, shape, .. } = *placed.key;
    let below = match shape {
        Shape::Map(_, value) | Shape::List(value) => value.fields(),
        shape => shape.fields(),
    };
    KeyPage {
        path: placed.path.clone(),
        about,
        kind: placed.key.words(),
        default: match default {
            Default::Required => None,
            Default::Value(text) | Default::Words(text) => Some(text),
        },
        reason,
        example,
        keys: below.map_or_else(Vec::new, |fields| fields.keys.iter().map(|key| (key.name, key.about)).collect()),
        also: Vec::new(),
    }
}

impl fmt::Display for KeyPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.path)?;
        writeln!(f, "  {}\n", self.about)?;
        writeln!(f, "  what    {}", self.kind)?;
        writeln!(f, "  default {}", self.default.unwrap_or("none: it has to be written"))?;
        writeln!(f, "  why     {}", self.reason)?;
        writeln!(f, "\n  example\n")?;
        for line in self.example.lines() {
            writeln!(f, "    {line}")?;
        }
        if !self.keys.is_empty() {
            writeln!(f, "\n  keys\n")?;
            let width = self.keys.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            for (name, about) in &self.keys {
                writeln!(f, "    {name:width$}  {about}")?;
            }
        }
        if !self.also.is_empty() {
            writeln!(f, "\n  stands also at\n")?;
            self.also.iter().try_for_each(|path| writeln!(f, "    {path}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(page) => page.fmt(f),
            Self::Code { code, title } => writeln!(f, "{code}: {title}"),
            Self::Candidates(pages) => {
                writeln!(f, "several keys have this name; ask for one with its path:\n")?;
                let width = pages.iter().map(|page| page.path.len()).max().unwrap_or(0);
                pages.iter().try_for_each(|page| writeln!(f, "  {:width$}  {}", page.path, page.about))
            }
        }
    }
}
