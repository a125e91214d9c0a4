//! Making an event: the one place where attributes are checked.

use crate::{
    attribute::{self, ATTRIBUTES_BYTES_MAX, Core, EXTENSIONS_MAX, Value},
    error::InvalidEvent,
    event::Event,
    record::packed,
};
use bytes::Bytes;
use std::borrow::Cow;

/// An extension attribute that may have to keep its own text.
type Extension<'a> = (Cow<'a, str>, Kept<'a>);

/// A value that may have to keep its own text.
#[derive(Debug, Clone)]
enum Kept<'a> {
    Text(Cow<'a, str>),
    Other(Value<'a>),
}

impl Kept<'_> {
    fn as_value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(text),
            Self::Other(value) => *value,
        }
    }
}

/// An event that is being made. Nothing is checked before [`Builder::build`].
#[derive(Debug, Clone, Default)]
pub struct Builder<'a> {
    core: [Option<Cow<'a, str>>; 7],
    extensions: Vec<Extension<'a>>,
    data: Option<Bytes>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(id: Option<&'a str>, source: Option<&'a str>, ty: Option<&'a str>) -> Self {
        let mut builder = Self::default();
        for (core, value) in [(Core::Id, id), (Core::Source, source), (Core::Type, ty)] {
            builder.core[core as usize] = value.map(Cow::Borrowed);
        }
        builder
    }

    pub(crate) fn from_event(event: &'a Event) -> Self {
        let mut builder = Self { data: event.data().cloned(), ..Self::default() };
        for core in Core::ALL {
            builder.core[core as usize] = packed::core(event.packed(), core).map(Cow::Borrowed);
        }
        builder.extensions = event
            .extensions()
            .map(|(name, value)| {
                let kept = value.as_text().map_or(Kept::Other(value), |text| Kept::Text(Cow::Borrowed(text)));
                (Cow::Borrowed(name), kept)
            })
            .collect();
        builder
    }

    /// Another `id`.
    pub fn id(self, value: impl Into<Cow<'a, str>>) -> Self {
        self.with_core(Core::Id, value)
    }

    /// Another `source`.
    pub fn source(self, value: impl Into<Cow<'a, str>>) -> Self {
        self.with_core(Core::Source, value)
    }

    /// Another `type`.
    pub fn ty(self, value: impl Into<Cow<'a, str>>) -> Self {
        self.with_core(Core::Type, value)
    }

    /// What it is about, within its source: `subject`.
    pub fn subject(self, value: impl Into<Cow<'a, str>>) -> Self {
        self.with_core(Core::Subject, value)
    }

    /// When it happened, in the form of RFC 3339: `time`.
    pub fn time(self, value: impl Into<Cow<'a, str>>) -> Self {
        self.with_core(Core::Time, value)
    }

    /// The media type of the data: `datacontenttype`.
    pub fn content_type(self, value: impl Into<Cow<'a, str>>) -> Self {
        self.with_core(Core::ContentType, value)
    }

    /// The schema that the data adheres to, a URI: `dataschema`.
    pub fn schema(self, value: impl Into<Cow<'a, str>>) -> Self {
        self.with_core(Core::Schema, value)
    }

    /// An extension attribute. The last of a name is what counts.
    pub fn extension(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) -> Self {
        let name = name.into();
        let value = value.into();
        let kept = value.as_text().map_or(Kept::Other(value), |text| Kept::Text(Cow::Borrowed(text)));
        self.extensions.retain(|(own, _)| *own != name);
        self.extensions.push((name, kept));
        self
    }

    /// An extension attribute with a text of its own.
    pub fn extension_text(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        let name = name.into();
        self.extensions.retain(|(own, _)| *own != name);
        self.extensions.push((name, Kept::Text(value.into())));
        self
    }

    /// An extension attribute of a name that is not there yet.
    pub(crate) fn extension_new(mut self, name: impl Into<Cow<'a, str>>, value: Cow<'a, str>) -> Self {
        self.extensions.push((name.into(), Kept::Text(value)));
        self
    }

    /// An extension attribute of a name that is not there yet, and not a text.
    pub(crate) fn extension_value(mut self, name: Cow<'a, str>, value: Value<'a>) -> Self {
        self.extensions.push((name, Kept::Other(value)));
        self
    }

    /// Whether an attribute is given.
    pub(crate) fn has(&self, name: &str) -> bool {
        match Core::from_name(name) {
            Some(core) => self.core[core as usize].is_some(),
            None => self.extensions.iter().any(|(own, _)| own == name),
        }
    }

    /// A core attribute, as far as it is given.
    pub(crate) fn core_text(&self, core: Core) -> Option<&str> {
        self.core[core as usize].as_deref()
    }

    /// Leaves an attribute away.
    pub fn without(mut self, name: &str) -> Self {
        match Core::from_name(name) {
            Some(core) => self.core[core as usize] = None,
            None => self.extensions.retain(|(own, _)| own != name),
        }
        self
    }

    /// What it says.
    pub fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// What it says, or that it says nothing.
    pub fn maybe_data(mut self, data: Option<Bytes>) -> Self {
        self.data = data;
        self
    }

    pub(crate) fn with_core(mut self, core: Core, value: impl Into<Cow<'a, str>>) -> Self {
        self.core[core as usize] = Some(value.into());
        self
    }

    /// Checks everything and makes the event.
    pub fn build(mut self) -> Result<Event, InvalidEvent> {
        for core in Core::ALL {
            match &self.core[core as usize] {
                Some(value) => core.check(value)?,
                None if core.is_required() => return Err(InvalidEvent::Missing { attribute: core.name() }),
                None => {}
            }
        }
        limit("the number of extension attributes", self.extensions.len(), EXTENSIONS_MAX)?;
        for (name, value) in &self.extensions {
            attribute::check_extension(name, value.as_value())?;
        }
        self.extensions.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let core = Core::ALL.map(|core| self.core[core as usize].as_deref().unwrap_or_default());
        let extensions = || self.extensions.iter().map(|(name, value)| (name.as_ref(), value.as_value()));
        let length = packed::length(&core, extensions());
        limit("the length of all attributes together, in bytes,", length, ATTRIBUTES_BYTES_MAX)?;
        let attributes = packed::pack(&core, extensions(), self.extensions.len(), length);
        Ok(Event::from_packed(attributes.into(), self.data))
    }
}

fn limit(what: &'static str, given: usize, limit: usize) -> Result<(), InvalidEvent> {
    if given > limit { Err(InvalidEvent::TooLarge { what, given, limit }) } else { Ok(()) }
}
