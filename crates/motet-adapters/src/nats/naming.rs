//! What a topic is called on the server: a stream and a subject, and both say which topic they are.
//!
//! `document.uploaded` of the system `shop` is the subject `shop.document.uploaded`, which is how people who know NATS would write it, and the
//! stream `shop_document~uploaded`, because a stream's name has no dots. Topics have no `~`, so each name leads back to one topic.

use motet_broker::TopicName;

/// The longest name of a stream, in bytes: it is a directory on the server.
const STREAM_BYTES_MAX: usize = 240;

/// The name of a topic's stream.
pub(super) fn stream(prefix: &str, topic: &TopicName) -> String {
    let plain = format!("{}_{}", without_dots(prefix), without_dots(topic.as_str()));
    if plain.len() <= STREAM_BYTES_MAX {
        return plain;
    }
    // Only a long prefix gets here. The topic is named in the stream's description.
    let hash = blake3::hash(plain.as_bytes()).to_hex();
    let kept = plain.char_indices().map(|(at, _)| at).take_while(|at| *at <= STREAM_BYTES_MAX - 33).last().unwrap_or(0);
    format!("{}~{}", &plain[..kept], &hash[..32])
}

/// The subject to which a topic's events are published.
pub(super) fn subject(prefix: &str, topic: &TopicName) -> String {
    // An empty part between two dots is no subject.
    let parts = topic.as_str().split('.').map(|part| if part.is_empty() { "~" } else { part });
    let parts: Vec<_> = parts.collect();
    format!("{}.{}", without_dots(prefix), parts.join("."))
}

/// What neither a stream's name nor one part of a subject may have is replaced.
fn without_dots(name: &str) -> String {
    let allowed =
        |letter: char| if letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_') { letter } else { '~' };
    name.chars().map(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn topics_that_differ_have_streams_and_subjects_that_differ() {
        let topics = ["a", "a.b", "a_b", "a-b", "a..b", "a._b", "a_.b", "a.b.c", "A"];
        let names: Vec<TopicName> = topics.iter().map(|topic| topic.parse().unwrap()).collect();
        let streams: HashSet<_> = names.iter().map(|name| stream("shop", name)).collect();
        let subjects: HashSet<_> = names.iter().map(|name| subject("shop", name)).collect();
        assert_eq!((streams.len(), subjects.len()), (topics.len(), topics.len()));
        assert!(subjects.contains("shop.a.b") && subjects.contains("shop.a.~.b") && streams.contains("shop_a~b"));
    }

    #[test]
    fn the_longest_names_still_fit_and_differ() {
        let prefix = "p".repeat(100);
        let long = |last: &str| -> TopicName { format!("{}{last}", "x".repeat(199)).parse().unwrap() };
        let (one, two) = (stream(&prefix, &long("a")), stream(&prefix, &long("b")));
        assert!(one.len() <= STREAM_BYTES_MAX && one != two, "{one}");
        assert!(stream("shop", &long("a")).len() <= STREAM_BYTES_MAX);
    }
}
