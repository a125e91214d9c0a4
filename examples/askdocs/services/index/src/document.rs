//! Documents and passages, and how large they may be.

use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Passages in one document.
pub const PASSAGES_MAX: usize = 10_000;
/// Bytes in the text of one passage; the embedder reads about the first thousand of them.
pub const TEXT_MAX_BYTES: usize = 100_000;
/// Bytes in an id, a title, a heading or a source.
pub const LINE_MAX_BYTES: usize = 4_000;

/// A document as it is sent: what `PUT /documents/{id}` takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// What a person calls it.
    pub title: String,
    /// Where it came from: a file name, an address.
    #[serde(default)]
    pub source: Option<String>,
    /// Its passages, in the order of reading.
    pub passages: Vec<Passage>,
}

/// A piece of a document: what is found and cited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passage {
    /// Unique in its document; its place in the document when the sender gives none.
    #[serde(default)]
    pub id: Option<String>,
    /// What it says.
    pub text: String,
    /// The headings that it stands under.
    #[serde(default)]
    pub heading: Option<String>,
    /// The page that it begins on, from 1.
    #[serde(default)]
    pub page: Option<u32>,
    /// Its place in the document, from 0.
    #[serde(default)]
    pub ordinal: Option<u32>,
}

/// What is wrong with a document, and where.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {wrong}")]
pub struct InvalidDocument {
    place: String,
    wrong: String,
}

fn line(place: &str, text: &str) -> Result<(), InvalidDocument> {
    let invalid = |wrong: &str| Err(InvalidDocument { place: place.into(), wrong: wrong.into() });
    match text {
        _ if text.trim().is_empty() => invalid("is empty"),
        _ if text.len() > LINE_MAX_BYTES => invalid("is longer than 4,000 bytes"),
        _ if text.chars().any(char::is_control) => invalid("holds control characters"),
        _ => Ok(()),
    }
}

/// Whether `id` may name a document.
pub fn check_id(id: &str) -> Result<(), InvalidDocument> {
    line("id", id)
}

impl Document {
    /// Checks every limit, and gives each passage its id and its ordinal.
    pub fn checked(mut self) -> Result<Self, InvalidDocument> {
        let invalid = |place: String, wrong: String| Err(InvalidDocument { place, wrong });
        line("title", &self.title)?;
        self.source.as_deref().map_or(Ok(()), |source| line("source", source))?;
        if self.passages.is_empty() || self.passages.len() > PASSAGES_MAX {
            let wrong = format!("holds {} passages; 1 to {PASSAGES_MAX} are possible", self.passages.len());
            return invalid("passages".into(), wrong);
        }
        let mut ids = HashSet::new();
        for (place, passage) in (0_u32..).zip(&mut self.passages) {
            let at = |field: &str| format!("passages[{place}].{field}");
            passage.ordinal.get_or_insert(place);
            let id = passage.id.get_or_insert_with(|| place.to_string());
            line(&at("id"), id)?;
            passage.heading.as_deref().map_or(Ok(()), |heading| line(&at("heading"), heading))?;
            if !ids.insert(id.clone()) {
                return invalid(at("id"), format!("`{id}` is the id of another passage too"));
            }
            if passage.text.trim().is_empty() || passage.text.len() > TEXT_MAX_BYTES {
                let wrong = format!("is {} bytes long; 1 to {TEXT_MAX_BYTES} are possible", passage.text.len());
                return invalid(at("text"), wrong);
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(json: serde_json::Value) -> Document {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn passages_without_ids_are_numbered_by_their_place() {
        let json =
            serde_json::json!({"title": "t", "passages": [{"text": "a"}, {"text": "b", "id": "x"}, {"text": "c"}]});
        let checked = document(json).checked().unwrap();
        let ids: Vec<_> = checked.passages.iter().filter_map(|passage| passage.id.as_deref()).collect();
        assert_eq!(ids, ["0", "x", "2"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let wrong = |json: serde_json::Value| document(json).checked().unwrap_err().to_string();
        let passages = serde_json::json!([{"text": "a"}, {"text": " "}]);
        assert_eq!(wrong(serde_json::json!({"title": "", "passages": []})), "title: is empty");
        assert_eq!(
            wrong(serde_json::json!({"title": "t", "passages": []})),
            "passages: holds 0 passages; 1 to 10000 are possible"
        );
        assert_eq!(
            wrong(serde_json::json!({"title": "t", "passages": passages})),
            "passages[1].text: is 1 bytes long; 1 to 100000 are possible"
        );
        let twice = serde_json::json!([{"text": "a", "id": "x"}, {"text": "b", "id": "x"}]);
        assert_eq!(
            wrong(serde_json::json!({"title": "t", "passages": twice})),
            "passages[1].id: `x` is the id of another passage too"
        );
    }
}
