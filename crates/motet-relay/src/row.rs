//! A row of an outbox, as it was read.

use bytes::Bytes;

/// Where a row stands: enough to find it again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// A number that no other row has.
    pub number: i64,
    /// Its id.
    pub id: String,
}

/// A row that is not published yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it stands. Its id is the event's.
    pub place: Place,
    /// The topic, where the table says one.
    pub topic: Option<String>,
    /// The event's type.
    pub kind: String,
    /// What orders it. Rows without a key wait for nobody.
    pub key: Option<String>,
    /// What it says. `None`: NULL.
    pub data: Option<Bytes>,
    /// The media type of the data. `None`: `application/json`.
    pub content_type: Option<String>,
    /// When it happened, as it is written.
    pub time: Option<String>,
    /// More attributes of the event, by name.
    pub extensions: Vec<(String, String)>,
    /// Why it cannot be an event, where reading it showed that already.
    pub broken: Option<String>,
}

impl Row {
    /// How much memory it takes, about.
    pub fn size(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let extensions: usize = self.extensions.iter().map(|(name, value)| name.len() + value.len()).sum();
        128 + self.place.id.len()
            + self.kind.len()
            + text(&self.topic)
            + text(&self.key)
            + text(&self.time)
            + self.data.as_ref().map_or(0, Bytes::len)
            + extensions
    }
}

/// Attributes out of the JSON object that a column holds; NULL leaves one out. `None`: it is no object of single values.
pub fn attributes(json: &str) -> Option<Vec<(String, String)>> {
    let serde_json::Value::Object(map) = serde_json::from_str(json).ok()? else { return None };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Some(Some(text)),
        serde_json::Value::Null => Some(None),
        value @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => Some(Some(value.to_string())),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
    };
    let mut all = Vec::new();
    for (name, value) in map {
        if let Some(value) = text(value)? {
            all.push((name, value));
        }
    }
    Some(all)
}
