//! Single values that only events have: names of topics, JSON pointers, what is kept, where to begin, names of tables, brokers.

use super::{Wrong, check_duration, wrong};
use crate::code;
use motet_kernel::{clock::Timestamp, quantity, topic::TopicName};
use std::time::Duration;

pub(super) fn check_topic(text: &str) -> Result<(), Wrong> {
    text.parse::<TopicName>().map(drop).map_err(|error| {
        let help = match error.suggestion {
            Some(near) => format!("write `{near}`: the name has to hold on every engine"),
            None => "write lower-case words joined by dots, as in `document.uploaded`".to_owned(),
        };
        wrong(code::INVALID_NAME, format!("is not the name of a topic: {}", error.reason), "not a topic's name", help)
    })
}

/// RFC 6901. The whole document (an empty pointer) is no key.
pub(super) fn check_pointer(text: &str) -> Result<(), Wrong> {
    let bad = |message: &str, help: String| Err(wrong(code::INVALID_POINTER, message, "not a JSON pointer", help));
    let Some(path) = text.strip_prefix('/') else {
        let bare = text.trim_start_matches(['#', '$', '.', '/']).replace('.', "/");
        let help = if bare.is_empty() {
            "write the way to one value, as in `/documentId`".to_owned()
        } else {
            format!("write `/{bare}`: a pointer begins with `/`, and `/` stands between names too")
        };
        return bad("is not a JSON pointer: it has to begin with `/`", help);
    };
    let escapes = path.match_indices('~').all(|(at, _)| matches!(path.as_bytes().get(at + 1), Some(b'0' | b'1')));
    if !escapes {
        return bad(
            "is not a JSON pointer: a `~` stands alone",
            format!("write `/{}`: `~0` stands for `~`, and `~1` for a `/` in a name", path.replace('~', "~0")),
        );
    }
    if path.is_empty() {
        return bad("points at a value without a name", "write the way to one value, as in `/documentId`".to_owned());
    }
    Ok(())
}

/// What is kept of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Time(Duration),
    Size(u64),
}

/// Reads `7d` or `10GiB`. A bare number is refused, because it could mean either.
pub(crate) fn parse_keep(text: &str) -> Option<Kept> {
    if let Ok(time) = quantity::parse_duration(text) {
        return Some(Kept::Time(time));
    }
    let bare = text.trim().bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    quantity::parse_size(text).ok().filter(|_| !bare).map(Kept::Size)
}

pub(super) fn check_keep(text: &str) -> Result<(), Wrong> {
    match parse_keep(text) {
        Some(Kept::Time(_)) => check_duration(text, Duration::from_secs(60)),
        Some(Kept::Size(size)) if (1 << 20..=1 << 50).contains(&size) => Ok(()),
        Some(Kept::Size(_)) => Err(wrong(
            code::OUT_OF_RANGE,
            "is not a size from 1.0 MiB to 1.0 PiB",
            "out of range",
            "write a size in between, as in `10GiB`",
        )),
        None => Err(wrong(
            code::WRONG_TYPE,
            "is neither a time nor a size",
            "neither a time nor a size",
            match text.trim().parse::<f64>() {
                Ok(number) => format!("write its unit: `{number}d` for days, `{number}GiB` for a size"),
                Err(_) => "write a time as in `7d`, a size as in `10GiB`, or `{ time: 7d, size: 10GiB }`".to_owned(),
            },
        )),
    }
}

pub(super) fn check_duration_or(text: &str, min_ms: u64, word: &str) -> Result<(), Wrong> {
    if text == word {
        return Ok(());
    }
    check_duration(text, Duration::from_millis(min_ms)).map_err(|mut wrong| {
        wrong.help = wrong.help.map(|help| format!("{help}; or `{word}`"));
        wrong
    })
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Earliest,
    Latest,
    Time(Timestamp),
    Position(u64),
}

pub(crate) fn parse_from(text: &str) -> Option<Start> {
    match text {
        "earliest" => Some(Start::Earliest),
        "latest" => Some(Start::Latest),
        _ => text.parse().map(Start::Position).ok().or_else(|| text.parse().map(Start::Time).ok()),
    }
}

pub(super) fn check_from(text: &str) -> Result<(), Wrong> {
    if parse_from(text).is_some() {
        return Ok(());
    }
    let near = crate::spelling::nearest(text, ["earliest", "latest"]);
    let near = near.or(match text {
        "beginning" | "start" | "first" | "oldest" | "all" => Some("earliest"),
        "end" | "now" | "new" | "newest" | "last" => Some("latest"),
        _ => None,
    });
    let help = near.map_or_else(
        || "write `earliest`, `latest`, a time as in `2026-03-01T00:00:00Z`, or the number of a position".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Err(wrong(code::INVALID_CHOICE, "does not say where to begin", "not a beginning", help))
}

/// A name that stands in SQL without quotes in every database; a table may name its schema.
pub(super) fn check_sql_name(text: &str, table: bool) -> Result<(), Wrong> {
    let is_name = |name: &str| {
        name.len() <= 63
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let (schema, name) =
        text.split_once('.').filter(|_| table).map_or((None, text), |(schema, name)| (Some(schema), name));
    if is_name(name) && schema.is_none_or(is_name) {
        return Ok(());
    }
    let what = if table { "a table" } else { "a column" };
    Err(wrong(
        code::INVALID_NAME,
        format!("is not the name of {what}"),
        if table { "not a table's name" } else { "not a column's name" },
        "write letters, digits and underscores, a letter first; it is put into SQL as it is",
    ))
}

/// The name of an attribute (CloudEvents 1.0, naming conventions).
pub(super) fn check_attribute(text: &str) -> Result<(), Wrong> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if plain && text != "data" {
        return Ok(());
    }
    let near: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let help = if near.is_empty() || text.starts_with("data") {
        "filters look at attributes such as `type`, `source` and `subject`, not into the data: put what they need into an extension attribute".to_owned()
    } else {
        format!("write `{near}`: names of attributes are lower-case letters and digits")
    };
    Err(wrong(code::INVALID_NAME, "is not the name of an attribute", "not an attribute's name", help))
}

pub(super) fn check_host_port(text: &str) -> Result<(), Wrong> {
    let bad =
        |help: String| Err(wrong(code::INVALID_ADDRESS, "is not a host with a port", "not a host with a port", help));
    let bare = text.rsplit_once("://").map_or(text, |(_, bare)| bare).trim_end_matches('/');
    let (host, port) = bare.rsplit_once(':').unwrap_or((bare, ""));
    let is_host = |host: &str| {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match inner {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)),
        }
    };
    match (is_host(host), port.parse::<u16>()) {
        (true, Ok(1..)) if bare == text => Ok(()),
        (true, Ok(1..)) => bad(format!("write `{bare}`, without a scheme")),
        (true, _) if port.is_empty() => bad(format!("write the port too, as in `{host}:9092`")),
        _ => bad("write it as in `kafka:9092`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_begins_with_a_slash_and_escapes_its_tildes() {
        for good in ["/a", "/a/b/0", "/a~1b/~0", "/ä", "/a/"] {
            assert!(check_pointer(good).is_ok(), "{good}");
        }
        let help = |text| check_pointer(text).expect_err("none").help.expect("a way out");
        for (bad, near) in [("documentId", "`/documentId`"), ("$.a.b", "`/a/b`"), ("#/a", "`/a`"), ("/a~b", "`/a~0b`")]
        {
            assert!(help(bad).contains(near), "{bad}: {}", help(bad));
        }
        assert!(check_pointer("").is_err() && check_pointer("/").is_err());
    }

    #[test]
    fn what_is_kept_is_a_time_or_a_size_and_never_a_bare_number() {
        assert_eq!(parse_keep("7d"), Some(Kept::Time(Duration::from_secs(7 * 86_400))));
        assert_eq!(parse_keep("10m"), Some(Kept::Time(Duration::from_secs(600))), "minutes, not megabytes");
        assert_eq!(parse_keep("10GiB"), Some(Kept::Size(10 << 30)));
        assert_eq!((parse_keep("10"), parse_keep("for ever")), (None, None));
    }

    #[test]
    fn a_beginning_is_a_word_a_time_or_a_position() {
        assert_eq!(parse_from("earliest"), Some(Start::Earliest));
        assert_eq!(parse_from("17"), Some(Start::Position(17)));
        assert!(matches!(parse_from("2026-03-01T00:00:00Z"), Some(Start::Time(_))));
        assert!(parse_from("yesterday").is_none() && parse_from("-1").is_none());
    }

    #[test]
    fn brokers_are_hosts_with_ports() {
        for good in ["kafka:9092", "10.0.0.1:9092", "[::1]:9092", "a_b.example.org:1"] {
            assert!(check_host_port(good).is_ok(), "{good}");
        }
        for bad in ["", "kafka", "kafka:", ":9092", "kafka:0", "kafka:99999", "http://kafka:9092", "a b:1", "[x]:1"] {
            assert!(check_host_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_tables_cannot_carry_sql() {
        for good in ["outbox", "public.outbox", "_a1", "Outbox"] {
            assert!(check_sql_name(good, true).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a;--", "\"a\"", "1a", "a.b.c", "a.", "a'"] {
            assert!(check_sql_name(bad, true).is_err(), "{bad}");
        }
        assert!(check_sql_name("public.id", false).is_err());
    }
}
