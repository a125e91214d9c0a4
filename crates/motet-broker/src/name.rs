//! Names of topics and subscriptions. They become parts of URLs, of file names, and of names in Kafka, RabbitMQ and NATS, so they keep to
//! what all of those allow: letters, digits, `.`, `_`, `-`, up to 200 characters, beginning and ending with a letter or a digit.
//!
//! What a definition may call a topic is narrower (`motet_kernel::topic`): it leaves out names that only look alike somewhere, and those that
//! Motet takes for itself. The broker serves both, so it asks only for what an engine needs.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// The longest name, in characters. Kafka allows 249 for a topic and adapters add a prefix.
pub const LENGTH_MAX: usize = 200;

/// A text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a name of a {of}: write letters, digits, `.`, `_` and `-`, up to {LENGTH_MAX}, a letter or digit first and last"
)]
pub struct InvalidName {
    /// What was written.
    pub text: String,
    /// Of what it was to be the name.
    pub of: &'static str,
}

fn is_name(text: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let mut bytes = text.bytes();
    text.len() <= LENGTH_MAX && ends(bytes.next()) && ends(text.bytes().next_back()) && text.bytes().all(inner)
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $of:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(InvalidName { text: text.to_owned(), of: $of }) }
            }
        }
        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// The name of a topic: `document.indexed`.
    TopicName,
    "topic"
);
name!(
    /// The name of a subscription: by convention the service's and the topic's, `index.document.uploaded`.
    SubscriptionName,
    "subscription"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_every_engine_allows() {
        for good in ["a", "document.indexed", "Index-2.document_uploaded"] {
            assert!(good.parse::<TopicName>().is_ok(), "{good}");
        }
        let long = "x".repeat(LENGTH_MAX + 1);
        for bad in ["", ".", "a.", "-a", "a/b", "a b", "ä", long.as_str()] {
            assert!(bad.parse::<SubscriptionName>().is_err(), "{bad}");
        }
    }
}
