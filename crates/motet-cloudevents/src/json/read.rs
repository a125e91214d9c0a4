//! From JSON to events.

use crate::{
    attribute::{Core, SPEC_VERSION, Value},
    error::{DecodeError, InvalidEvent, shortened},
    event::{Builder, Event},
    http::Limits,
    media,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// Reads one event. Its data refers to the memory of `body`.
pub fn read(body: &Bytes, limits: &Limits) -> Result<Event, DecodeError> {
    let members: Members<'_> = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    members.into_event(body, limits)
}

/// Reads a list of events, which may be empty. When one of them is wrong, none is taken.
pub fn read_batch(body: &Bytes, limits: &Limits) -> Result<Vec<Event>, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let batch = Batch { body, limits }.deserialize(&mut deserializer);
    let read = batch.and_then(|events| deserializer.end().map(|()| events));
    match read {
        Ok(events) => events,
        Err(error) => Err(not_json(&error)),
    }
}

fn not_json(error: &serde_json::Error) -> DecodeError {
    let whole = error.to_string();
    let reason = whole.split(" at line ").next().unwrap_or_default();
    // What the visitors below say is about the shape; everything else about the syntax.
    if error.is_data() {
        return DecodeError::Shape(reason.to_owned());
    }
    DecodeError::Json { reason: reason.to_owned(), line: error.line(), column: error.column() }
}

/// The members of an object that should be an event, in their order, nothing checked.
struct Members<'a> {
    attributes: Vec<(Cow<'a, str>, Member<'a>)>,
    data: Option<&'a RawValue>,
    base64: Option<&'a RawValue>,
}

/// The value of a member.
enum Member<'a> {
    Text(Cow<'a, str>),
    Integer(i32),
    Boolean(bool),
    Other(&'static str),
}

impl<'de> de::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the attributes of an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members { attributes: Vec::with_capacity(8), data: None, base64: None };
                while let Some(Text(name)) = map.next_key()? {
                    let raw = match name.as_ref() {
                        "data" => &mut members.data,
                        "data_base64" => &mut members.base64,
                        _ => {
                            if let Some(member) = map.next_value::<Option<Member<'de>>>()? {
                                members.attributes.push((name, member));
                            }
                            continue;
                        }
                    };
                    if raw.replace(map.next_value()?).is_some() {
                        return Err(de::Error::custom(format_args!("the member `{name}` is given twice")));
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl<'a> Members<'a> {
    fn into_event(self, body: &Bytes, limits: &Limits) -> Result<Event, DecodeError> {
        let mut builder = Builder::default();
        let mut has_version = false;
        for (index, (name, member)) in self.attributes.iter().enumerate() {
            if self.attributes[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(InvalidEvent::Twice { attribute: shortened(name) }.into());
            }
            has_version |= name == "specversion";
            if let Member::Other(what) = member {
                let name = shortened(name);
                return Err(DecodeError::Shape(format!(
                    "the attribute `{name}` is {what}, and attributes are texts, whole numbers of 32 bits, `true` or `false`; other things belong into `data`"
                )));
            }
        }
        for (name, member) in self.attributes {
            builder = set(builder, name, member)?;
        }
        if !has_version {
            return Err(InvalidEvent::Missing { attribute: "specversion" }.into());
        }
        builder = match (self.data, self.base64) {
            (Some(_), Some(_)) => {
                return Err(DecodeError::Data("the event has `data` and `data_base64`: it can have one of them"));
            }
            (None, Some(encoded)) => builder.data(from_base64(encoded)?),
            (Some(data), None) => with_data(builder, data, body)?,
            (None, None) => builder,
        };
        let event = builder.build()?;
        crate::http::within(event.size(), limits)?;
        Ok(event)
    }
}

fn set<'a>(builder: Builder<'a>, name: Cow<'a, str>, member: Member<'a>) -> Result<Builder<'a>, DecodeError> {
    let core = Core::from_name(&name);
    match member {
        Member::Text(version) if name == "specversion" => {
            if version == SPEC_VERSION {
                return Ok(builder);
            }
            Err(InvalidEvent::Version { given: shortened(&version) }.into())
        }
        Member::Text(text) => Ok(match core {
            Some(core) => builder.with_core(core, text),
            None => builder.extension_new(name, text),
        }),
        _ if core.is_some() || name == "specversion" => {
            Err(DecodeError::Shape(format!("the attribute `{name}` has to be a text, in double quotes")))
        }
        Member::Integer(number) => Ok(builder.extension_value(name, Value::Integer(number))),
        Member::Boolean(truth) => Ok(builder.extension_value(name, Value::Boolean(truth))),
        Member::Other(_) => Ok(builder),
    }
}

/// Data of a type that is JSON, or of none, is what stands there; of any other type it is what the string says.
fn with_data<'a>(builder: Builder<'a>, data: &'a RawValue, body: &Bytes) -> Result<Builder<'a>, DecodeError> {
    let is_json = builder.core_text(Core::ContentType).is_none_or(media::is_json);
    if is_json {
        let has_type = builder.core_text(Core::ContentType).is_some();
        let builder = builder.data(body.slice_ref(data.get().as_bytes()));
        return Ok(if has_type { builder } else { builder.content_type(media::JSON) });
    }
    match serde_json::from_str::<Text<'a>>(data.get()) {
        Ok(Text(Cow::Borrowed(text))) => Ok(builder.data(body.slice_ref(text.as_bytes()))),
        Ok(Text(Cow::Owned(text))) => Ok(builder.data(text)),
        Err(_) => Err(DecodeError::Data(
            "`data` has to be a string, because `datacontenttype` is not JSON; bytes go into `data_base64`",
        )),
    }
}

fn from_base64(encoded: &RawValue) -> Result<Vec<u8>, DecodeError> {
    let text: Text<'_> =
        serde_json::from_str(encoded.get()).map_err(|_| DecodeError::Data("`data_base64` has to be a string"))?;
    STANDARD
        .decode(text.0.as_bytes())
        .map_err(|_| DecodeError::Data("`data_base64` is not base64 (RFC 4648, section 4)"))
}

/// A text that borrows from the body where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> de::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Any)
    }
}

impl<'de> de::Deserialize<'de> for Member<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Member<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the value of an attribute")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Member::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Member::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
                Ok(Member::Boolean(truth))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(i32::try_from(number).map_or(Member::Other("a number beyond 32 bits"), Member::Integer))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(i32::try_from(number).map_or(Member::Other("a number beyond 32 bits"), Member::Integer))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Member::Other("a number that is not whole"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(Member::Other("a list"))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
                Ok(Member::Other("an object"))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Reads a batch event by event, so that what is wrong is known before the rest is read.
struct Batch<'a> {
    body: &'a Bytes,
    limits: &'a Limits,
}

impl<'de> DeserializeSeed<'de> for Batch<'_> {
    type Value = Result<Vec<Event>, DecodeError>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Batch<'_> {
    type Value = Result<Vec<Event>, DecodeError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        let mut failed = None;
        while let Some(members) = seq.next_element::<Members<'de>>()? {
            if failed.is_some() {
                continue;
            }
            let index = events.len();
            if index == self.limits.batch_events {
                failed = Some(DecodeError::TooMany { limit: index });
                continue;
            }
            match members.into_event(self.body, self.limits) {
                Ok(event) => events.push(event),
                Err(source) => failed = Some(DecodeError::InBatch { index, source: Box::new(source) }),
            }
        }
        Ok(failed.map_or(Ok(events), Err))
    }
}
