//! The event: a value that is valid from the moment it is made.
//!
//! An event lives on the hottest path that Motet has (receive, store, read, send), so it is kept as two pieces of memory whatever it
//! holds: one with all attributes, packed as [`crate::record`] describes, one with the data. Both are counted references, so a clone
//! copies nothing, and an event that was read from disk shares the memory that it was read into.

mod build;

use crate::{
    attribute::{Core, SPEC_VERSION, Value},
    record::packed,
};
use bytes::Bytes;
use std::fmt;

pub use build::Builder;

/// A CloudEvent 1.0.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// See [`crate::record::packed`].
    attributes: Bytes,
    data: Option<Bytes>,
}

impl Event {
    /// Begins an event with the attributes that each must have.
    pub fn builder<'a>(id: &'a str, source: &'a str, ty: &'a str) -> Builder<'a> {
        Builder::new(Some(id), Some(source), Some(ty))
    }

    /// Begins another event that has all that this one has.
    pub fn edit(&self) -> Builder<'_> {
        Builder::from_event(self)
    }

    /// What tells it from all others of its source.
    pub fn id(&self) -> &str {
        self.core(Core::Id).unwrap_or_default()
    }

    /// The context in which it happened: a URI-reference.
    pub fn source(&self) -> &str {
        self.core(Core::Source).unwrap_or_default()
    }

    /// What kind of thing happened.
    pub fn ty(&self) -> &str {
        self.core(Core::Type).unwrap_or_default()
    }

    /// What it is about, within its source.
    pub fn subject(&self) -> Option<&str> {
        self.core(Core::Subject)
    }

    /// When it happened, as the producer wrote it (RFC 3339).
    pub fn time(&self) -> Option<&str> {
        self.core(Core::Time)
    }

    /// The media type of its data.
    pub fn content_type(&self) -> Option<&str> {
        self.core(Core::ContentType)
    }

    /// The schema that its data adheres to: a URI.
    pub fn schema(&self) -> Option<&str> {
        self.core(Core::Schema)
    }

    /// Events with the same key are kept in order (extension `partitionkey`).
    pub fn partition_key(&self) -> Option<&str> {
        self.extension("partitionkey").and_then(Value::as_text)
    }

    /// The value of an extension attribute.
    pub fn extension(&self, name: &str) -> Option<Value<'_>> {
        self.extensions().find_map(|(own, value)| (own == name).then_some(value))
    }

    /// All extension attributes, by name.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        packed::extensions(&self.attributes)
    }

    /// The value of any attribute, `specversion` included.
    pub fn attribute(&self, name: &str) -> Option<Value<'_>> {
        match Core::from_name(name) {
            Some(core) => self.core(core).map(Value::Text),
            None if name == "specversion" => Some(Value::Text(SPEC_VERSION)),
            None => self.extension(name),
        }
    }

    /// All attributes that it has, `specversion` first, extensions last.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        let core = Core::ALL.into_iter().filter_map(|core| Some((core.name(), Value::Text(self.core(core)?))));
        std::iter::once(("specversion", Value::Text(SPEC_VERSION))).chain(core).chain(self.extensions())
    }

    /// What it says, as it came. Absent is something else than empty.
    pub fn data(&self) -> Option<&Bytes> {
        self.data.as_ref()
    }

    /// The same event with other data, or without. What is said about the data (its media type, its schema) stays.
    pub fn with_data(&self, data: Option<Bytes>) -> Self {
        Self { attributes: self.attributes.clone(), data }
    }

    /// How many bytes of memory it holds: attributes and data.
    pub fn size(&self) -> usize {
        self.attributes.len() + self.data.as_ref().map_or(0, Bytes::len)
    }

    pub(crate) fn core(&self, core: Core) -> Option<&str> {
        packed::core(&self.attributes, core)
    }

    /// The attributes as they are stored, for [`crate::record`].
    pub(crate) fn packed(&self) -> &Bytes {
        &self.attributes
    }

    /// An event of attributes that [`packed::check`] has found well formed.
    pub(crate) fn from_packed(attributes: Bytes, data: Option<Bytes>) -> Self {
        Self { attributes, data }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        map.entries(self.attributes().map(|(name, value)| (name, value.to_string())));
        map.entry(&"data", &self.data).finish()
    }
}
