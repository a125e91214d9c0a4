//! Lays one tree over another: profiles over the definition, the keys beside `include` over the included file.
//!
//! Maps are merged, lists and single values replaced, `null` removes. Keys of which only one may stand (`process`,
//! `container`, `external`) replace each other: a profile that says `container` does not have to remove `process` first.

use super::tree::{Entry, Map, Node, Value};
use crate::keys::Shape;

/// What results when `over` is laid over `under`.
pub(crate) fn overlay(under: &Node, over: &Node, shape: Option<Shape>) -> Node {
    match (&under.value, &over.value) {
        // What is not ours to understand is not ours to merge.
        _ if shape.is_some_and(foreign) => over.clone(),
        (Value::Map(below), Value::Map(above)) => {
            Node { span: over.span, value: Value::Map(maps(below, above, shape)) }
        }
        (Value::Null, Value::Map(above)) => {
            Node { span: over.span, value: Value::Map(maps(&Map::default(), above, shape)) }
        }
        _ => over.clone(),
    }
}

/// Whether what stands there means something to somebody else.
fn foreign(shape: Shape) -> bool {
    match shape {
        Shape::Any | Shape::Object => true,
        Shape::Either(shapes) => shapes.iter().any(|shape| matches!(shape, Shape::Object)),
        Shape::One(_) | Shape::List(_) | Shape::Map(..) | Shape::Fields(_) => false,
    }
}

fn maps(below: &Map, above: &Map, shape: Option<Shape>) -> Map {
    let mut merged = below.clone();
    let one_of = shape.and_then(|shape| shape.fields()).map_or(&[][..], |fields| fields.one_of);
    let chosen =
        |key: &str| one_of.contains(&key) && above.get(key).is_some_and(|node| !matches!(node.value, Value::Null));
    if above.iter().any(|entry| chosen(&entry.key)) {
        merged.retain(|entry| !one_of.contains(&&*entry.key) || above.entry(&entry.key).is_some());
    }
    for entry in above.iter() {
        if matches!(entry.value.value, Value::Null) && merged.entry(&entry.key).is_some() {
            merged.retain(|old| old.key != entry.key);
            continue;
        }
        let inner = shape.and_then(|shape| shape.under(&entry.key));
        let (key_span, value) = match merged.entry(&entry.key) {
            Some(old) => (old.key_span, overlay(&old.value, &entry.value, inner)),
            None => (entry.key_span, entry.value.clone()),
        };
        // The place of a key is where its value was last written.
        let key_span = if matches!(value.value, Value::Map(_)) { key_span } else { entry.key_span };
        merged.replace(Entry { key: entry.key.clone(), key_span, value });
    }
    merged
}
