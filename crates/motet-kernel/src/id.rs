//! Ids that Motet makes: a prefix that says of what, and a UUID version 7 (RFC 9562, section 5.7) inside, so that they sort by age.

use std::{fmt, marker::PhantomData, str::FromStr};
use uuid::Uuid;

/// What an id can be of.
pub trait Kind {
    /// The text before the underscore.
    const PREFIX: &'static str;
}

/// The kinds of ids.
pub mod kind {
    /// One running copy of a service, from its start to its end; a restart makes a new one.
    #[derive(Debug)]
    pub enum Instance {}
    impl super::Kind for Instance {
        const PREFIX: &'static str = "inst";
    }
    /// One life of the Motet process that supervises a system.
    #[derive(Debug)]
    pub enum Session {}
    impl super::Kind for Session {
        const PREFIX: &'static str = "sess";
    }
}

/// The id of one running copy of a service.
pub type InstanceId = Id<kind::Instance>;
/// The id of one life of the supervising process.
pub type SessionId = Id<kind::Session>;

/// An id of a thing of kind `K`, shown as `inst_0199…`.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

/// A text that is not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of the form `{prefix}_<32 hexadecimal digits>`")]
pub struct InvalidId {
    /// What was given.
    pub text: String,
    /// What it should begin with.
    pub prefix: &'static str,
}

impl<K: Kind> Id<K> {
    /// A new id, later in order than all that this process made before it.
    #[expect(clippy::new_without_default, reason = "two defaults would differ")]
    pub fn new() -> Self {
        Self { uuid: Uuid::now_v7(), kind: PhantomData }
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId { text: text.to_owned(), prefix: K::PREFIX };
        let digits = text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix('_')).ok_or_else(invalid)?;
        let uuid = Uuid::try_parse(digits).map_err(|_| invalid())?;
        Ok(Self { uuid, kind: PhantomData })
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, self.uuid.simple())
    }
}
impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_itself_and_not_as_one_of_another_kind() {
        let id = InstanceId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().parse::<SessionId>().is_err());
        assert!(InstanceId::new() > id);
    }
}
