//! Patterns of `LIKE` (section 3.4.3): `%` stands for any number of characters, `_` for one, and a backslash before one of them for that character.

/// A pattern, in the form that is quickest to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// No wildcard.
    Exact(String),
    /// `text%`
    Prefix(String),
    /// `%text`
    Suffix(String),
    /// `%text%`
    Contains(String),
    /// Everything else.
    Parts(Vec<Part>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Char(char),
    One,
    Any,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            let next = match (char, chars.peek()) {
                ('\\', Some(&escaped @ ('%' | '_'))) => {
                    chars.next();
                    Part::Char(escaped)
                }
                ('%', _) => Part::Any,
                ('_', _) => Part::One,
                _ => Part::Char(char),
            };
            // Two of these in a row say no more than one, and cost more.
            if !(next == Part::Any && parts.last() == Some(&Part::Any)) {
                parts.push(next);
            }
        }
        Self::simplest(parts)
    }

    fn simplest(parts: Vec<Part>) -> Self {
        let begins = parts.first() == Some(&Part::Any);
        let ends = parts.len() > 1 && parts.last() == Some(&Part::Any);
        let middle = &parts[usize::from(begins)..parts.len() - usize::from(ends)];
        let text: Option<String> =
            middle.iter().map(|part| if let Part::Char(char) = part { Some(*char) } else { None }).collect();
        match (text, begins, ends) {
            (Some(text), false, false) => Self::Exact(text),
            (Some(text), false, true) => Self::Prefix(text),
            (Some(text), true, false) => Self::Suffix(text),
            (Some(text), true, true) => Self::Contains(text),
            (None, ..) => Self::Parts(parts),
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(pattern) => text == pattern,
            Self::Prefix(pattern) => text.starts_with(pattern.as_str()),
            Self::Suffix(pattern) => text.ends_with(pattern.as_str()),
            Self::Contains(pattern) => text.contains(pattern.as_str()),
            Self::Parts(parts) => matches(parts, text),
        }
    }
}

/// Walks both from the left; at a mismatch the last `%` takes one character more. No recursion, and at most pattern times text steps.
fn matches(parts: &[Part], text: &str) -> bool {
    let mut at = 0;
    let mut rest = text.chars();
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let before = rest.clone();
        let char = rest.next();
        match (parts.get(at), char) {
            (Some(Part::Any), _) => {
                at += 1;
                rest = before.clone();
                retry = Some((at, before));
                continue;
            }
            (Some(Part::One), Some(_)) => at += 1,
            (Some(Part::Char(expected)), Some(found)) if *expected == found => at += 1,
            (None, None) => return true,
            _ => {
                let Some((after, from)) = retry.as_mut() else { return false };
                if from.next().is_none() {
                    return false;
                }
                at = *after;
                rest = from.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, written down: slow, and plainly right.
    fn by_definition(parts: &[Part], text: &[char]) -> bool {
        match (parts, text) {
            ([], []) => true,
            ([Part::Any, more @ ..], _) => (0..=text.len()).any(|taken| by_definition(more, &text[taken..])),
            ([Part::One, more @ ..], [_, rest @ ..]) => by_definition(more, rest),
            ([Part::Char(expected), more @ ..], [found, rest @ ..]) => expected == found && by_definition(more, rest),
            _ => false,
        }
    }

    fn parts(pattern: &str) -> Vec<Part> {
        let of = |char| match char {
            '%' => Part::Any,
            '_' => Part::One,
            other => Part::Char(other),
        };
        pattern.chars().map(of).collect()
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_its_definition_says(pattern in "[ab%_€]{0,8}", text in "[ab€]{0,10}") {
            let chars: Vec<char> = text.chars().collect();
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), by_definition(&parts(&pattern), &chars));
        }
    }

    #[test]
    fn a_backslash_makes_a_wildcard_a_character() {
        assert_eq!(Pattern::new(r"a\%b\_c"), Pattern::Exact("a%b_c".into()));
        assert_eq!(Pattern::new(r"a\b\\"), Pattern::Exact(r"a\b\\".into()));
        assert_eq!(Pattern::new(r"%\%"), Pattern::Suffix("%".into()));
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let pattern = Pattern::new(&"a%_".repeat(400));
        assert!(!pattern.matches(&"a".repeat(4000).replacen('a', "b", 1)));
        assert!(!Pattern::new(&format!("{}b_", "%a_".repeat(300))).matches(&"a".repeat(8000)));
    }

    #[test]
    fn any_text_is_matched_by_the_lone_wildcard() {
        assert_eq!(Pattern::new("%%"), Pattern::new("%"));
        assert!(Pattern::new("%").matches("") && Pattern::new("%").matches("x"));
        assert!(!Pattern::new("").matches("x"));
    }
}
