//! Names that people write into a definition.
//!
//! All names follow the label rule of DNS (RFC 1123, section 2.1) because they become host names, Kubernetes object names,
//! environment variables and file names: lower-case letters, digits and inner hyphens, a letter first, 63 characters at most.

use std::{borrow::Borrow, fmt, hash, marker::PhantomData, str::FromStr, sync::Arc};

/// The longest name, in characters (the length of a DNS label).
pub const LENGTH_MAX: usize = 63;

/// The things that have a name.
pub mod kind {
    /// Everything that one definition describes.
    #[derive(Debug)]
    pub enum System {}
    /// A bounded context.
    #[derive(Debug)]
    pub enum Context {}
    /// A unit with its own code, contract, store and scale.
    #[derive(Debug)]
    pub enum Service {}
    /// An overlay of the definition.
    #[derive(Debug)]
    pub enum Profile {}
}

/// The name of a system.
pub type SystemName = Name<kind::System>;
/// The name of a bounded context.
pub type ContextName = Name<kind::Context>;
/// The name of a service.
pub type ServiceName = Name<kind::Service>;
/// The name of a profile.
pub type ProfileName = Name<kind::Profile>;

/// A valid name of a thing of kind `K`. Cheap to clone.
pub struct Name<K> {
    text: Arc<str>,
    kind: PhantomData<fn() -> K>,
}

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a name: {reason}")]
pub struct InvalidName {
    /// What was written.
    pub text: String,
    /// Which rule it breaks.
    pub reason: &'static str,
    /// The nearest text that is a name, where there is one.
    pub suggestion: Option<String>,
}

impl<K> Name<K> {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name as the first part of an environment variable: `doc-store` becomes `DOC_STORE`.
    pub fn env_prefix(&self) -> String {
        self.text.to_ascii_uppercase().replace('-', "_")
    }
}

impl<K> FromStr for Name<K> {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match broken_rule(text) {
            None => Ok(Self { text: text.into(), kind: PhantomData }),
            Some(reason) => {
                let suggestion = nearest_name(text);
                Err(InvalidName { text: text.to_owned(), reason, suggestion })
            }
        }
    }
}

fn broken_rule(text: &str) -> Option<&'static str> {
    let Some(first) = text.chars().next() else {
        return Some("it is empty");
    };
    if text.len() > LENGTH_MAX {
        return Some("it is longer than 63 characters");
    }
    if !first.is_ascii_lowercase() {
        return Some("it must begin with a lower-case letter");
    }
    if text.ends_with('-') {
        return Some("it must not end with a hyphen");
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (!text.chars().all(allowed)).then_some("only lower-case letters, digits and hyphens may stand in it")
}

fn nearest_name(text: &str) -> Option<String> {
    let mut near = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            c if c.is_ascii_alphanumeric() => near.push(c.to_ascii_lowercase()),
            ' ' | '_' | '.' | '/' | '-' if !near.ends_with('-') => near.push('-'),
            _ => {}
        }
    }
    let start = near.find(|c: char| c.is_ascii_lowercase())?;
    let near: String = near[start..].chars().take(LENGTH_MAX).collect();
    let near = near.trim_end_matches('-');
    (!near.is_empty()).then(|| near.to_owned())
}

impl<K> Clone for Name<K> {
    fn clone(&self) -> Self {
        Self { text: Arc::clone(&self.text), kind: PhantomData }
    }
}
impl<K> PartialEq for Name<K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl<K> Eq for Name<K> {}
impl<K> PartialOrd for Name<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Name<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}
impl<K> hash::Hash for Name<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl<K> Borrow<str> for Name<K> {
    fn borrow(&self) -> &str {
        &self.text
    }
}
impl<K> fmt::Display for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
impl<K> fmt::Debug for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_breaks_a_rule_comes_with_the_nearest_one_that_does_not() {
        let error = "Doc_Store".parse::<ServiceName>().expect_err("upper case");
        assert_eq!(error.suggestion.as_deref(), Some("doc-store"));
        assert_eq!("".parse::<ServiceName>().expect_err("empty").suggestion, None);
        assert_eq!("-9a-".parse::<ServiceName>().expect_err("hyphen").suggestion.as_deref(), Some("a"));
    }

    proptest! {
        #[test]
        fn every_suggestion_is_itself_a_name(text in ".{0,80}") {
            if let Err(InvalidName { suggestion: Some(near), .. }) = text.parse::<ServiceName>() {
                prop_assert!(near.parse::<ServiceName>().is_ok(), "{near:?}");
            }
        }
    }
}
