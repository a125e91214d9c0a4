//! Single values: what a text, a number or a truth value under a key may be, and what to say when it isn't.

pub(crate) mod door;
pub(crate) mod event;

use super::amount;
use crate::{code, source::tree::Scalar, spelling};
use globset::Glob;
use motet_kernel::{code::ErrorCode, name::ServiceName, quantity};
use regex::Regex;
use std::{net::SocketAddr, time::Duration};

/// The kinds of single values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A command line for the shell.
    Command,
    /// A name that is defined here.
    Name,
    /// The name of a service.
    Service,
    /// A duration with a unit.
    Duration { min_ms: u64 },
    /// A whole number.
    Integer { min: i64, max: i64 },
    /// A TCP port.
    Port,
    /// True or false.
    Bool,
    /// True; what is not wanted is left out.
    True,
    /// A URL with one of these schemes.
    Url(&'static [&'static str]),
    /// A path of a URL.
    UrlPath,
    /// A regular expression.
    Regex,
    /// A glob.
    Glob,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An address with a port.
    Listen,
    /// A file's path.
    File,
    /// A folder's path.
    Folder,
    /// The value of an environment variable.
    EnvValue,
    /// The code of a lint.
    Lint,
    /// A size, or `unlimited`.
    SizeOrUnlimited,
    /// An origin of pages.
    Origin,
    /// A SHA-256 in hexadecimal.
    Sha256,
    /// A scope of a key or token.
    Scope,
    /// The URL of a document.
    Document,
    /// The version of the language.
    Version,
    /// A share with a percent sign.
    Percent { min: u32, max: u32 },
    /// A number of bytes, with or without a unit.
    Size { min: u64, max: u64 },
    /// So many per so much time, or `none`.
    Rate,
    /// A whole number, or this word.
    NumberOr { min: i64, max: i64, word: &'static str },
    /// The value of a header field.
    HeaderValue,
    /// The name of a header field.
    HeaderName,
    /// The name of a topic that is defined here.
    TopicName,
    /// The name of a topic that is defined elsewhere.
    Topic,
    /// A JSON pointer.
    Pointer,
    /// A time or a size.
    Keep,
    /// A duration with a unit, or this word.
    DurationOr { min_ms: u64, word: &'static str },
    /// Where a subscription begins.
    From,
    /// The name of a table.
    Table,
    /// The name of a table's column.
    Column,
    /// The name of an event's attribute.
    Attribute,
    /// A host with a port.
    HostPort,
}

/// Why a value is not of its kind.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) code: ErrorCode,
    /// The end of a sentence that begins with what was written: `is not a duration`.
    pub(crate) message: String,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

pub(super) fn wrong(code: ErrorCode, message: impl Into<String>, label: &str, help: impl Into<String>) -> Wrong {
    Wrong { code, message: message.into(), label: label.to_owned(), help: Some(help.into()) }
}

/// The longest duration that is accepted: a year. More is a mistake, and would overflow clocks.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

impl Kind {
    /// What it is, with its article, for `expected …`.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Text => "a text".into(),
            Self::Command => "a command".into(),
            Self::Name => "a name".into(),
            Self::Service => "the name of a service".into(),
            Self::Duration { .. } => "a duration".into(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Port => "a port from 1 to 65535".into(),
            Self::True => "`true`".into(),
            Self::Bool => "`true` or `false`".into(),
            Self::Url(schemes) => {
                format!("a URL ({})", schemes.iter().map(|s| format!("{s}://…")).collect::<Vec<_>>().join(", "))
            }
            Self::UrlPath => "a path that begins with `/`".into(),
            Self::Regex => "a regular expression".into(),
            Self::Glob => "a glob".into(),
            Self::Choice(choices) => spelling::either(choices),
            Self::Listen => "an address with a port".into(),
            Self::File => "the path of a file".into(),
            Self::Folder => "the path of a folder".into(),
            Self::EnvValue => "a text, a number, or `true` or `false`".into(),
            Self::Lint => "the code of a lint".into(),
            Self::SizeOrUnlimited => "a size, or `unlimited`".into(),
            Self::Origin => "an origin".into(),
            Self::HeaderName => "the name of a header field".into(),
            Self::Sha256 => "a SHA-256 in hexadecimal".into(),
            Self::Scope => "a scope".into(),
            Self::Document => "the URL of a document (http://…, https://…)".into(),
            Self::Version => "1".into(),
            Self::Percent { min, max } => format!("a share from {min}% to {max}%"),
            Self::Size { .. } => "a size".into(),
            Self::Rate => "a rate".into(),
            Self::NumberOr { min, max, word } => format!("a whole number from {min} to {max}, or `{word}`"),
            Self::HeaderValue => "the value of a header field".into(),
            Self::TopicName | Self::Topic => "the name of a topic".into(),
            Self::Pointer => "a JSON pointer".into(),
            Self::Keep => "a time, a size".into(),
            Self::DurationOr { word, .. } => format!("a duration, or `{word}`"),
            Self::From => "`earliest`, `latest`, a time or a position".into(),
            Self::Table => "the name of a table".into(),
            Self::Column => "the name of a column".into(),
            Self::Attribute => "the name of an attribute".into(),
            Self::HostPort => "a host with a port".into(),
        }
    }

    /// Checks a value.
    pub(crate) fn check(self, scalar: &Scalar) -> Result<(), Wrong> {
        let text = scalar.text.as_str();
        match self {
            Self::EnvValue => Ok(()),
            Self::Text | Self::Command | Self::File | Self::Folder if text.trim().is_empty() => Err(wrong(
                code::EMPTY_VALUE,
                "must not be empty",
                "empty",
                format!("write {}, or remove the key", self.words()),
            )),
            Self::Text | Self::Command | Self::File | Self::Folder | Self::Service | Self::Topic => Ok(()),
            Self::Name => check_name(text),
            Self::Duration { min_ms } => check_duration(text, Duration::from_millis(min_ms)),
            Self::Integer { min, max } => check_integer(text, min, max, &self.words()),
            Self::Port => check_integer(text, 1, 65_535, &self.words()),
            Self::Bool => check_bool(scalar),
            Self::True if scalar.as_bool() == Some(true) => Ok(()),
            Self::True => {
                Err(wrong(code::WRONG_TYPE, "is not `true`", "not `true`", "write `true`, or remove the key"))
            }
            Self::Url(schemes) => check_url(text, schemes),
            Self::UrlPath => check_path(text),
            Self::Regex => check_regex(text),
            Self::Glob => Glob::new(text).map(drop).map_err(|error| {
                wrong(
                    code::INVALID_PATTERN,
                    format!("is not a glob: {}", error.kind()),
                    "not a glob",
                    "write a pattern of paths as in `src/**/*.rs`",
                )
            }),
            Self::Choice(choices) => check_choice(text, choices),
            Self::Listen => check_listen(text),
            Self::Lint => check_lint(text),
            Self::SizeOrUnlimited => door::check_size_or_unlimited(text),
            Self::Origin => door::check_origin(text),
            Self::Sha256 => door::check_sha256(text),
            Self::Scope => door::check_scope(text),
            Self::Document => door::check_document(text),
            Self::Version => check_version(text),
            Self::Percent { min, max } => amount::check_percent(text, min, max),
            Self::Size { min, max } => amount::check_size(text, min, max),
            Self::Rate => amount::check_rate(text),
            Self::NumberOr { min, max, word } => amount::check_number_or(text, min, max, word),
            Self::HeaderValue => amount::check_header_value(text),
            Self::HeaderName => amount::check_header(text),
            Self::TopicName => event::check_topic(text),
            Self::Pointer => event::check_pointer(text),
            Self::Keep => event::check_keep(text),
            Self::DurationOr { min_ms, word } => event::check_duration_or(text, min_ms, word),
            Self::From => event::check_from(text),
            Self::Table => event::check_sql_name(text, true),
            Self::Column => event::check_sql_name(text, false),
            Self::Attribute => event::check_attribute(text),
            Self::HostPort => event::check_host_port(text),
        }
    }
}

fn check_name(text: &str) -> Result<(), Wrong> {
    text.parse::<ServiceName>().map(drop).map_err(|error| Wrong {
        code: code::INVALID_NAME,
        message: format!("is not a name: {}", error.reason),
        label: "not a name".into(),
        help: Some(match error.suggestion {
            Some(near) => format!("write `{near}`: names become host names, variables and file names"),
            None => "write lower-case letters, digits and hyphens, a letter first".into(),
        }),
    })
}

fn check_duration(text: &str, min: Duration) -> Result<(), Wrong> {
    let unit = || match text.trim().parse::<f64>() {
        Ok(number) if number >= 0.0 => {
            format!("a number needs its unit: write `{n}s` for seconds or `{n}ms` for milliseconds", n = text.trim())
        }
        _ => "write a number with a unit, as in `250ms`, `2s` or `1m30s`".to_owned(),
    };
    let duration = quantity::parse_duration(text)
        .map_err(|_| wrong(code::INVALID_DURATION, "is not a duration", "not a duration", unit()))?;
    if duration < min {
        let shortest = quantity::show_duration(min);
        return Err(wrong(
            code::INVALID_DURATION,
            format!("is shorter than {shortest}"),
            "too short",
            format!("write {shortest} or more"),
        ));
    }
    if duration > DURATION_MAX {
        return Err(wrong(
            code::INVALID_DURATION,
            "is longer than a year",
            "too long",
            "write a duration that somebody would wait for",
        ));
    }
    Ok(())
}

fn check_integer(text: &str, min: i64, max: i64, words: &str) -> Result<(), Wrong> {
    let help = format!("write {words}");
    match text.parse::<i64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(()),
        Ok(_) => Err(wrong(code::OUT_OF_RANGE, format!("is not {words}"), "out of range", help)),
        Err(_) if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() => {
            Err(wrong(code::OUT_OF_RANGE, format!("is not {words}"), "out of range", help))
        }
        Err(_) => Err(wrong(code::WRONG_TYPE, format!("is not {words}"), "not a whole number", help)),
    }
}

fn check_bool(scalar: &Scalar) -> Result<(), Wrong> {
    let help = match scalar.text.to_ascii_lowercase().as_str() {
        _ if scalar.as_bool().is_some() => return Ok(()),
        "yes" | "on" | "y" | "1" => "write `true`",
        "no" | "off" | "n" | "0" => "write `false`",
        _ => "write `true` or `false`",
    };
    Err(wrong(code::WRONG_TYPE, "is not `true` or `false`", "neither true nor false", help))
}

fn check_url(text: &str, schemes: &[&str]) -> Result<(), Wrong> {
    let example = match schemes {
        ["http", ..] => "http://127.0.0.1:9000",
        ["amqp", ..] => "amqp://user:secret@127.0.0.1:5672",
        ["nats", ..] => "nats://127.0.0.1:4222",
        ["mysql", ..] => "mysql://admin:secret@127.0.0.1:3306",
        _ => "postgres://admin:secret@127.0.0.1:5432/postgres",
    };
    let bad =
        |message: &str| wrong(code::INVALID_URL, message, "not a URL for this", format!("write it as in `{example}`"));
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(bad("is not a URL: the scheme is missing"));
    };
    if !schemes.contains(&scheme) {
        return Err(bad(&format!(
            "is not a URL that begins with {}",
            spelling::either_text(schemes.iter().map(|s| format!("{s}://")))
        )));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match host_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => host_port.split_once(':').map_or((host_port, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(bad("is not a URL: it has no host, or a space in it"));
    }
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err(bad("is not a URL: what stands after the colon is no port"));
    }
    let past_authority = &rest[authority.len()..];
    if schemes.contains(&"http") && !matches!(past_authority, "" | "/") {
        return Err(bad("has more than scheme, host and port: callers add their paths to it"));
    }
    Ok(())
}

fn check_path(text: &str) -> Result<(), Wrong> {
    let bad = |message: &str, help: String| Err(wrong(code::INVALID_PATH, message, "not a path", help));
    if !text.starts_with('/') {
        return bad(
            "is not a path of a URL: it has to begin with `/`",
            format!("write `/{}`", text.trim_start_matches("./")),
        );
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '#' || c == '\\') {
        return bad(
            "is not a path of a URL",
            "spaces, `#` and `\\` cannot stand in a path: encode them, as in `%20`".into(),
        );
    }
    if text.contains('*') || text.contains('{') {
        return bad(
            "is a pattern, and paths are prefixes",
            format!("write `{}`: it stands for all paths below it", prefix_of(text)),
        );
    }
    if text.contains("//") || text.split('/').any(|part| part == "." || part == "..") {
        return bad("is not a path in its simple form", "write it without `//`, `.` and `..`".into());
    }
    Ok(())
}

fn prefix_of(text: &str) -> &str {
    let end = text.find(['*', '{']).unwrap_or(text.len());
    match text[..end].trim_end_matches('/') {
        "" => "/",
        prefix => prefix,
    }
}

fn check_regex(text: &str) -> Result<(), Wrong> {
    regex::RegexBuilder::new(text).size_limit(1 << 20).build().map(|_: Regex| ()).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        wrong(
            code::INVALID_PATTERN,
            format!("is not a regular expression: {reason}"),
            "not a regular expression",
            "brackets, `.`, `*`, `+` and `?` have a meaning: put a `\\` before one that is meant as itself",
        )
    })
}

fn check_choice(text: &str, choices: &[&'static str]) -> Result<(), Wrong> {
    if choices.contains(&text) {
        return Ok(());
    }
    let bare = text.to_ascii_uppercase();
    let near = choices
        .iter()
        .copied()
        .find(|choice| choice.eq_ignore_ascii_case(text) || bare.strip_prefix("SIG") == Some(*choice))
        .or_else(|| spelling::nearest(text, choices.iter().copied()));
    let one = match choices {
        [only] => format!("`{only}`"),
        _ => "one of the choices".into(),
    };
    let all = match choices {
        [only] => format!("write `{only}`, or a map"),
        _ => format!("possible: {}", spelling::either(choices)),
    };
    Err(wrong(
        code::INVALID_CHOICE,
        format!("is not {one}"),
        "unknown",
        near.map_or(all.clone(), |near| format!("did you mean `{near}`? {all}")),
    ))
}

fn check_listen(text: &str) -> Result<(), Wrong> {
    if parse_listen(text).is_some() {
        return Ok(());
    }
    let port = text.rsplit(':').next().unwrap_or_default();
    let help = match port.parse::<u16>() {
        Ok(_) => format!("write the address and the port: `127.0.0.1:{port}`, or `0.0.0.0:{port}` for all interfaces"),
        Err(_) => "write the address and the port, as in `127.0.0.1:8080`".to_owned(),
    };
    Err(wrong(code::INVALID_ADDRESS, "is not an address with a port", "not an address with a port", help))
}

/// Reads `127.0.0.1:8080`, `[::1]:8080` and `localhost:8080`. A bare port is refused: whether it meant all interfaces would be a guess.
pub(crate) fn parse_listen(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?))),
        None => text.parse().ok(),
    }
}

fn check_lint(text: &str) -> Result<(), Wrong> {
    let lints = || code::ALL.iter().map(|(code, _)| code.0).filter(|code| code::is_lint(code));
    if lints().any(|lint| lint == text) {
        return Ok(());
    }
    let help = match code::ALL.iter().any(|(code, _)| code.0 == text) {
        true => "that is an error: only lints (MO-model-2xx) can be silenced".to_owned(),
        false => spelling::nearest(text, lints()).map_or_else(
            || "write the code as `motet check` prints it, as in `MO-model-203`".to_owned(),
            |near| format!("did you mean `{near}`?"),
        ),
    };
    Err(wrong(code::INVALID_CHOICE, "is not the code of a lint", "no lint has this code", help))
}

fn check_version(text: &str) -> Result<(), Wrong> {
    if text == "1" {
        return Ok(());
    }
    Err(wrong(
        code::UNSUPPORTED_VERSION,
        "is not a version of the language that this Motet knows",
        "unknown version",
        "write `motet: 1`; if the file is for a later Motet, update this one",
    ))
}
