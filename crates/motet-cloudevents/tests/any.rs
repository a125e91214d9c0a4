//! Any event that is valid, for what has to hold for all of them.

use bytes::Bytes;
use motet_cloudevents::{Event, Value};
use proptest::{collection, option, prelude::*};

/// Text without control characters and without code points that are no characters.
fn text() -> impl Strategy<Value = String> {
    "[ -~\u{a0}-\u{2fff}\u{1f600}-\u{1f64f}]{1,20}"
}

/// A value of one of the three types.
#[derive(Debug, Clone)]
enum Given {
    Text(String),
    Integer(i32),
    Boolean(bool),
}

impl Given {
    fn as_value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(text),
            Self::Integer(number) => Value::Integer(*number),
            Self::Boolean(truth) => Value::Boolean(*truth),
        }
    }
}

fn given() -> impl Strategy<Value = Given> {
    prop_oneof![
        "[ -~\u{a0}-\u{2fff}]{0,20}".prop_map(Given::Text),
        any::<i32>().prop_map(Given::Integer),
        any::<bool>().prop_map(Given::Boolean)
    ]
}

fn content() -> impl Strategy<Value = (Option<&'static str>, Option<Bytes>)> {
    let json = prop_oneof![Just("null"), Just("{\"b\" : 1.50,\n\"a\":[]}"), Just("\"\\u0041\""), Just("1e3")];
    let bytes = collection::vec(any::<u8>(), 1..50).prop_map(Bytes::from);
    prop_oneof![
        Just((None, None)),
        Just((Some("text/plain"), None)),
        json.clone().prop_map(|json| (Some("application/json"), Some(Bytes::from(json)))),
        json.prop_map(|json| (Some("application/vnd.a+json; charset=utf-8"), Some(Bytes::from(json)))),
        text().prop_map(|text| (Some("text/plain"), Some(Bytes::from(text)))),
        bytes.clone().prop_map(|bytes| (Some("application/octet-stream"), Some(bytes))),
        bytes.clone().prop_map(|bytes| (Some("text/xml; charset=utf-16"), Some(bytes))),
        bytes.prop_map(|bytes| (Some("application/json"), Some(bytes))),
    ]
}

/// Any event. Its data is not empty, because messages cannot tell that from absent.
pub(crate) fn event() -> impl Strategy<Value = Event> {
    let source = "[a-zA-Z0-9/:.?#%]{1,20}".prop_map(|source| source.replace('%', "%25"));
    let extensions = collection::btree_map("[a-z0-9]{5}[0-9]{2}", given(), 0..5);
    (text(), source, text(), option::of(text()), extensions, content()).prop_map(
        |(id, source, ty, subject, extensions, (content_type, data))| {
            let mut builder = Event::builder(&id, &source, &ty).maybe_data(data);
            if let Some(subject) = &subject {
                builder = builder.subject(subject).time("2026-02-28T23:59:59.123Z").schema("urn:a:b");
            }
            if let Some(content_type) = content_type {
                builder = builder.content_type(content_type);
            }
            for (name, given) in &extensions {
                builder = builder.extension(name, given.as_value());
            }
            builder.build().expect("valid")
        },
    )
}

/// What an event is where types of attributes are not kept: all of them are texts.
pub(crate) fn all_text(event: &Event) -> Event {
    let texts: Vec<_> = event.extensions().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
    texts.iter().fold(event.edit(), |builder, (name, text)| builder.extension(name, text)).build().expect("valid")
}
