//! The language of a definition as one table: each key with its shape, what it is for, its default and the reason.
//!
//! Everything that has to agree about the language reads this table: the check for unknown keys and wrong values
//! (`accept`), the defaults (`decode`), the JSON Schema for editors (`schema`) and `motet explain` (`explain`). So a
//! key cannot be accepted and be missing in the documentation, and a default cannot differ from what is said about it.

pub(crate) mod accept;
pub(crate) mod amount;
pub(crate) mod edge;
pub(crate) mod engine;
pub(crate) mod fallback;
pub(crate) mod gateway;
pub(crate) mod jobs;
pub(crate) mod outbox;
pub(crate) mod policy;
pub(crate) mod probe;
pub(crate) mod retry;
pub(crate) mod service;
pub(crate) mod subscription;
pub(crate) mod top;
pub(crate) mod topic;
pub(crate) mod value;

use std::sync::LazyLock;
pub(crate) use value::Kind;

/// What may stand under a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// A text, a number or a truth value.
    One(Kind),
    /// A map with the keys of a table.
    Fields(&'static Fields),
    /// A map whose keys are chosen freely.
    Map(KeyKind, &'static Shape),
    /// A list.
    List(&'static Shape),
    /// One of several, told apart by being a scalar, a list or a map.
    Either(&'static [Shape]),
    /// Anything: it means something to somebody else.
    Any,
    /// A map that means something to somebody else.
    Object,
}

/// What the keys of a free map are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// Names that are defined here.
    Name,
    /// Names of services that are defined elsewhere.
    Service,
    /// Names of environment variables.
    Variable,
    /// Paths of URLs.
    UrlPath,
    /// Names of header fields.
    Header,
    /// Names of a token's claims.
    Claim,
    /// Names of topics that are defined here.
    TopicName,
    /// Names of topics that are defined elsewhere.
    Topic,
    /// Names of an event's attributes.
    Attribute,
}

/// A map with known keys.
#[derive(Debug)]
pub(crate) struct Fields {
    /// What it describes, with its article: `a service`.
    pub(crate) what: &'static str,
    /// Its name among the definitions of the JSON Schema.
    pub(crate) id: &'static str,
    pub(crate) keys: &'static [Key],
    /// Keys of which only one may stand.
    pub(crate) one_of: &'static [&'static str],
    /// Whether one of those has to stand.
    pub(crate) one_needed: bool,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// What it says, in a sentence.
    pub(crate) about: &'static str,
    pub(crate) default: Default,
    /// Why the default is what it is, or why the key exists.
    pub(crate) reason: &'static str,
    /// YAML that shows it, beginning with the key.
    pub(crate) example: &'static str,
}

/// What holds when a key is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Default {
    /// It has to be written.
    Required,
    /// This value.
    Value(&'static str),
    /// What these words say.
    Words(&'static str),
}

impl Key {
    /// A key that has to be written.
    pub(crate) const fn required(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, shape, about, default: Default::Required, reason: "", example: "" }
    }

    /// A key with a default value.
    pub(crate) const fn with(name: &'static str, shape: Shape, default: &'static str, about: &'static str) -> Self {
        Self { name, shape, about, default: Default::Value(default), reason: "", example: "" }
    }

    /// A key whose absence means something that is no single value.
    pub(crate) const fn without(name: &'static str, shape: Shape, default: &'static str, about: &'static str) -> Self {
        Self { name, shape, about, default: Default::Words(default), reason: "", example: "" }
    }

    pub(crate) const fn because(self, reason: &'static str) -> Self {
        Self { reason, ..self }
    }

    pub(crate) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// The default as it would be written.
    pub(crate) fn default_text(&self) -> &'static str {
        match self.default {
            Default::Value(text) => text,
            Default::Required | Default::Words(_) => "",
        }
    }

    /// What holds when it is not written, in words.
    pub(crate) fn default_words(&self) -> &'static str {
        match self.default {
            Default::Value(text) | Default::Words(text) => text,
            Default::Required => "",
        }
    }
}

impl Fields {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Shape {
    /// The fields that a map of this shape has.
    pub(crate) fn fields(&self) -> Option<&'static Fields> {
        match self {
            Self::Fields(fields) => Some(fields),
            Self::Either(shapes) => shapes.iter().find_map(Self::fields),
            Self::One(_) | Self::Map(..) | Self::List(_) | Self::Any | Self::Object => None,
        }
    }

    /// The shape of what stands under a key.
    pub(crate) fn under(&self, key: &str) -> Option<Shape> {
        match self {
            Self::Fields(fields) => fields.key(key).map(|key| key.shape),
            Self::Map(_, shape) => Some(**shape),
            Self::Either(shapes) => shapes.iter().find_map(|shape| shape.under(key)),
            Self::One(_) | Self::List(_) | Self::Any | Self::Object => None,
        }
    }
}

/// A key and the path that leads to it, with `*` for names: `services.*.uses.*.timeout`.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) path: String,
    pub(crate) key: &'static Key,
}

/// Every key of the language, in the order of the table. Profiles repeat the keys of the top level and are not repeated here.
pub(crate) fn all() -> &'static [Placed] {
    static ALL: LazyLock<Vec<Placed>> = LazyLock::new(|| {
        let mut all = Vec::new();
        collect("", &Shape::Fields(&top::TOP), &mut Vec::new(), &mut all);
        all
    });
    &ALL
}

/// `around` are the maps that one is inside of: a filter may hold filters, which have the same keys again.
fn collect(path: &str, shape: &Shape, around: &mut Vec<&'static str>, all: &mut Vec<Placed>) {
    match shape {
        Shape::One(_) | Shape::Any | Shape::Object => {}
        Shape::List(item) => collect(path, item, around, all),
        Shape::Map(_, value) => collect(&format!("{path}.*"), value, around, all),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| collect(path, shape, around, all)),
        Shape::Fields(fields) if around.contains(&fields.id) => {}
        Shape::Fields(fields) => {
            around.push(fields.id);
            for key in fields.keys {
                let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
                all.push(Placed { path: path.clone(), key });
                if key.name != top::PROFILES.name {
                    collect(&path, &key.shape, around, all);
                }
            }
            around.pop();
        }
    }
}
