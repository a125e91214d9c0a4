//! What media types say about data: whether it is JSON, whether it is text. Formats treat these differently (JSON event format 1.0.2,
//! section 3.1).

/// One event in the JSON event format.
pub const EVENT: &str = "application/cloudevents+json";

/// Several events in the JSON batch format.
pub const BATCH: &str = "application/cloudevents-batch+json";

/// Plain JSON.
pub const JSON: &str = "application/json";

/// What stands before the parameters.
pub(crate) fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Whether data of this type is JSON: the subtype is `json` or ends with `+json`.
pub fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type).as_bytes();
    ends_with(essence, b"/json") || ends_with(essence, b"+json")
}

/// Whether data of this type is text that a reader of the JSON format may be given as a string.
pub(crate) fn is_text(content_type: &str) -> bool {
    let essence = essence(content_type).as_bytes();
    let is_text_type = essence.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"text/"));
    let is_xml = ends_with(essence, b"/xml") || ends_with(essence, b"+xml");
    (is_text_type || is_xml) && is_utf8(content_type)
}

/// Whether no parameter says that the text is in another encoding than UTF-8.
pub(crate) fn is_utf8(content_type: &str) -> bool {
    let charset = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    charset.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("us-ascii"))
}

fn ends_with(essence: &[u8], end: &[u8]) -> bool {
    essence.len() > end.len() && essence[essence.len() - end.len()..].eq_ignore_ascii_case(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_json_by_its_subtype() {
        for json in ["application/json", "text/JSON; charset=utf-8", "application/vnd.a+json"] {
            assert!(is_json(json), "{json}");
        }
        for other in ["application/jsonl", "json", "/json", "text/plain; a=/json", "application/json-seq"] {
            assert!(!is_json(other), "{other}");
        }
    }

    #[test]
    fn text_is_what_reads_as_utf8() {
        for text in ["text/plain", "TEXT/csv; charset=\"UTF-8\"", "application/xml", "image/svg+xml"] {
            assert!(is_text(text), "{text}");
        }
        for other in ["text/plain; charset=utf-16", "image/png", "application/octet-stream"] {
            assert!(!is_text(other), "{other}");
        }
    }
}
