//! What keeps events in order: those with the same key are delivered one after the other.
//!
//! Finding the key must not cost more than storing the event: the data is walked once to the place that the pointer names and not turned
//! into a tree.

use bytes::Bytes;
use motet_cloudevents::Event;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt, str::FromStr};

/// A JSON Pointer (RFC 6901) that names a value in the data: `/documentId`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

/// A text that is not a JSON Pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a JSON Pointer: write a slash before each name, as in `/document/id`")]
pub struct InvalidPointer(pub String);

impl FromStr for Pointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Self, InvalidPointer> {
        let invalid = || InvalidPointer(text.to_owned());
        let names = text.strip_prefix('/').ok_or_else(invalid)?;
        let unescape = |name: &str| {
            let stray = name.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
            (!stray).then(|| name.replace("~1", "/").replace("~0", "~"))
        };
        names.split('/').map(unescape).collect::<Option<_>>().map(Self).ok_or_else(invalid)
    }
}

/// The key of an event, shortened to eight bytes. That two keys share one by chance is harmless: they wait for each other.
pub fn of(event: &Event, pointer: Option<&Pointer>) -> Option<u64> {
    text(event, pointer).as_deref().map(hash)
}

/// The key of an event, whole.
pub fn text<'a>(event: &'a Event, pointer: Option<&Pointer>) -> Option<Cow<'a, str>> {
    let found = pointer.and_then(|pointer| in_data(event.data()?, pointer));
    found.map(Cow::Owned).or_else(|| event.partition_key().map(Cow::Borrowed))
}

fn hash(key: &str) -> u64 {
    let hash = blake3::hash(key.as_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default())
}

/// The text, number or truth value at the pointer, as text. Nothing for null, arrays, objects, and data that is not JSON.
fn in_data(data: &Bytes, pointer: &Pointer) -> Option<String> {
    let mut json = serde_json::Deserializer::from_slice(data);
    Walk(&pointer.0).deserialize(&mut json).ok().flatten()
}

struct Walk<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Walk<'_> {
    fn leaf(&self, text: impl FnOnce() -> String) -> Option<String> {
        self.0.is_empty().then(text)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match self.0.split_first() {
                Some((wanted, rest)) if *wanted == *name => found = map.next_value_seed(Walk(rest))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<String>, A::Error> {
        let wanted = self.0.split_first().and_then(|(name, rest)| Some((name.parse::<usize>().ok()?, rest)));
        let mut found = None;
        for at in 0.. {
            let more = match wanted {
                Some((index, rest)) if index == at => list.next_element_seed(Walk(rest))?.map(|value| found = value),
                _ => list.next_element::<IgnoredAny>()?.map(drop),
            };
            if more.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
        Ok(self.leaf(|| text.to_owned()))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Option<String>, E> {
        Ok(self.leaf(|| truth.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Option<String>, E> {
        Ok(self.leaf(|| number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Option<String>, E> {
        Ok(self.leaf(|| number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Option<String>, E> {
        Ok(self.leaf(|| number.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Option<String>, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pointer: &str, data: &str) -> Option<String> {
        in_data(&Bytes::copy_from_slice(data.as_bytes()), &pointer.parse().unwrap())
    }

    #[test]
    fn a_pointer_finds_texts_numbers_and_truth_values_anywhere() {
        let data = r#"{"skip":[{"id":1},{}],"a":{"b~/c":[10,"x\u0079",true]},"id":"d-1","n":null}"#;
        assert_eq!(at("/id", data).as_deref(), Some("d-1"));
        assert_eq!(at("/a/b~0~1c/0", data).as_deref(), Some("10"));
        assert_eq!(at("/a/b~0~1c/1", data).as_deref(), Some("xy"));
        assert_eq!(at("/a/b~0~1c/2", data).as_deref(), Some("true"));
        for absent in ["/n", "/a", "/a/x", "/skip", "/id/deeper", "/a/b~0~1c/9"] {
            assert_eq!(at(absent, data), None, "{absent}");
        }
        assert_eq!(at("/id", "not json"), None);
        assert_eq!(at("/id", r#"{"id":"cut"#), None);
    }

    #[test]
    fn the_pointer_comes_before_the_partition_key_and_the_partition_key_before_nothing() {
        let event = |data: &'static str| {
            Event::builder("1", "/s", "t").extension("partitionkey", "p").data(data).build().unwrap()
        };
        let pointer = "/id".parse().unwrap();
        assert_eq!(of(&event(r#"{"id":"p"}"#), Some(&pointer)), of(&event("{}"), None));
        assert_ne!(of(&event(r#"{"id":"q"}"#), Some(&pointer)), of(&event("{}"), Some(&pointer)));
        let plain = Event::builder("1", "/s", "t").build().unwrap();
        assert_eq!(of(&plain, Some(&pointer)), None);
    }

    #[test]
    fn what_is_not_a_pointer_is_refused() {
        for bad in ["", "id", "/a~2", "/a~"] {
            assert!(bad.parse::<Pointer>().is_err(), "{bad}");
        }
    }
}
