//! Names of topics.
//!
//! One rule that holds on every engine, so that a system moves from one to another without renaming anything: words of lower-case
//! letters, digits and inner hyphens, each beginning with a letter, joined by dots (`document.indexed`), 120 characters at most.
//!
//! Why these: Kafka takes letters, digits, `.`, `_` and `-`, and confuses `.` with `_` in the names of its metrics, so there is no
//! `_`; NATS reads a dot as a level, and `*`, `>` and spaces as patterns; RabbitMQ takes 255 bytes, and a queue there is named by
//! system, topic and service (63 + 120 + 63 and two dots); file systems may not tell upper from lower case.

use crate::name::InvalidName;
use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// The longest name, in bytes.
pub const LENGTH_MAX: usize = 120;

/// The first word of what Motet names itself.
pub const RESERVED: &str = "motet";

/// The valid name of a topic. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TopicName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match broken_rule(text) {
            None => Ok(Self(text.into())),
            Some(reason) => {
                let suggestion = nearest(text);
                Err(InvalidName { text: text.to_owned(), reason, suggestion })
            }
        }
    }
}

fn broken_rule(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > LENGTH_MAX {
        return Some("it is longer than 120 characters");
    }
    if !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte)) {
        return Some("only lower-case letters, digits, hyphens and dots may stand in it");
    }
    if text.split('.').any(str::is_empty) {
        return Some("a word has to stand before and after each dot");
    }
    if !text.split('.').all(|word| word.starts_with(|c: char| c.is_ascii_lowercase()) && !word.ends_with('-')) {
        return Some("each of its words must begin with a letter and not end with a hyphen");
    }
    (text.split('.').next() == Some(RESERVED)).then_some("names that begin with `motet` are Motet's own")
}

/// `Document_Uploaded`, `documentUploaded` and `document/uploaded` all mean `document.uploaded` or `document-uploaded`.
fn nearest(text: &str) -> Option<String> {
    let mut near = String::with_capacity(text.len());
    let mut after_lower = false;
    for c in text.trim().chars().take(4 * LENGTH_MAX) {
        let separator = match c {
            '.' | '/' | ':' => Some('.'),
            '-' | '_' | ' ' => Some('-'),
            c if c.is_ascii_uppercase() && after_lower => Some('-'),
            _ => None,
        };
        if let Some(separator) = separator.filter(|_| !near.is_empty() && !near.ends_with(['.', '-'])) {
            near.push(separator);
        }
        // A word begins with a letter.
        let begins = near.is_empty() || near.ends_with('.');
        if c.is_ascii_alphabetic() || (c.is_ascii_digit() && !begins) {
            near.push(c.to_ascii_lowercase());
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    near.truncate(LENGTH_MAX);
    let near = near.trim_end_matches(['.', '-']).to_owned();
    broken_rule(&near).is_none().then_some(near)
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_joined_by_dots_and_nothing_else_is_a_name() {
        for good in ["document.indexed", "a", "shop.order-lines.v2", "a1.b-2"] {
            assert!(good.parse::<TopicName>().is_ok(), "{good}");
        }
        for bad in
            ["", ".", "a.", ".a", "a..b", "A", "a_b", "a-.b", "a.9", "-a", "a b", "a.*", "a.>", "ä", "motet.jobs"]
        {
            assert!(bad.parse::<TopicName>().is_err(), "{bad}");
        }
        assert!("a".repeat(LENGTH_MAX).parse::<TopicName>().is_ok());
        assert!("a".repeat(LENGTH_MAX + 1).parse::<TopicName>().is_err());
        assert!("motets.sung".parse::<TopicName>().is_ok());
    }

    #[test]
    fn what_was_probably_meant_is_suggested() {
        let near = |text: &str| text.parse::<TopicName>().expect_err("no name").suggestion;
        assert_eq!(near("Document.Indexed").as_deref(), Some("document.indexed"));
        assert_eq!(near("documentIndexed").as_deref(), Some("document-indexed"));
        assert_eq!(near("document/indexed").as_deref(), Some("document.indexed"));
        assert_eq!(near("shop_order.2nd").as_deref(), Some("shop-order.nd"));
        assert_eq!(near("***"), None);
        assert_eq!(near("motet.jobs"), None);
    }

    proptest! {
        #[test]
        fn every_suggestion_is_itself_a_name(text in ".{0,200}") {
            if let Err(InvalidName { suggestion: Some(near), .. }) = text.parse::<TopicName>() {
                prop_assert!(near.parse::<TopicName>().is_ok(), "{near:?}");
            }
        }
    }
}
