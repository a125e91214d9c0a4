//! What a proxy does to header fields: takes off what belongs to one hop (RFC 9110, section 7.6.1), and tells the next hop what it
//! needs to know.
//!
//! | Header | To the callee |
//! |---|---|
//! | `x-motet-caller` | who calls: the edge's caller, or `gateway` |
//! | `x-motet-deadline-ms` | how many milliseconds the caller will still wait |
//! | `x-motet-attempt` | which try this is, from 1 |
//! | `x-motet-subject`, `x-motet-auth` | whom the gateway has recognized, and by what; see `gateway/access.rs` |
//! | `Forwarded`, `X-Forwarded-For`, `-Host`, `-Proto`, `Via` | set by the gateway; inside the system passed on as they are |
//!
//! To the caller: `x-motet-attempts`, when it took more than one.

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{self, AsHeaderName},
};
use std::{fmt::Write, net::IpAddr, time::Duration};

pub(crate) const CALLER: HeaderName = HeaderName::from_static("x-motet-caller");
pub(crate) const DEADLINE: HeaderName = HeaderName::from_static("x-motet-deadline-ms");
/// Whom the gateway knows the caller to be.
pub(crate) const SUBJECT: HeaderName = HeaderName::from_static("x-motet-subject");
const PRIORITY: HeaderName = HeaderName::from_static("priority");
pub(crate) const ATTEMPT: HeaderName = HeaderName::from_static("x-motet-attempt");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Which of the fields that a stage asks for are there at all: one pass over the names instead of a hashed search for each
/// question. Most messages have none of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// One that belongs to one hop.
    pub(crate) hop: bool,
    /// `traceparent` or `tracestate`.
    pub(crate) trace: bool,
    pub(crate) deadline: bool,
    pub(crate) priority: bool,
}

impl Seen {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut seen = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "connection" | "te" | "transfer-encoding" | "upgrade" | "keep-alive" | "proxy-connection" => {
                    seen.hop = true;
                }
                "traceparent" | "tracestate" => seen.trace = true,
                "x-motet-deadline-ms" => seen.deadline = true,
                "priority" => seen.priority = true,
                _ => {}
            }
        }
        seen
    }
}

/// Takes off what belongs to one hop. `Connection` may name further fields, but not those that frame or address the message:
/// a caller must not be able to make us drop them.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    const KEPT: [HeaderName; 4] = [header::HOST, header::CONTENT_LENGTH, header::TE, header::CONTENT_TYPE];
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = tokens(headers, header::CONNECTION)
            .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
            .filter(|name| !KEPT.contains(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    let wants_trailers = headers.contains_key(header::TE)
        && tokens(headers, header::TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    headers.remove(header::TE);
    if wants_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    for name in [header::TRANSFER_ENCODING, header::UPGRADE, KEEP_ALIVE, PROXY_CONNECTION] {
        headers.remove(name);
    }
}

/// Leaves of an answer's length what is true of it, before [`strip_hop_by_hop`]: nothing beside chunks, which count instead (RFC 9112,
/// section 6.3), and one number of a list of equal ones (RFC 9110, section 8.6); of others nothing comes so far.
pub(crate) fn say_length_once(headers: &mut HeaderMap) {
    let Some(length) = headers.get(header::CONTENT_LENGTH) else { return };
    let first = length.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    } else if first.len() < length.len()
        && let Ok(first) = HeaderValue::from_bytes(first)
    {
        headers.insert(header::CONTENT_LENGTH, first);
    }
}

/// The protocol that is asked for with `Connection: upgrade` (RFC 9110, section 7.8).
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(header::UPGRADE)?;
    tokens(headers, header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")).then(|| protocol.clone())
}

/// Puts an upgrade back after [`strip_hop_by_hop`].
pub(crate) fn put_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

/// How long the caller says that it will wait.
pub(crate) fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(DEADLINE)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_millis)
}

/// The urgency that the caller gives its request, from 0 (first) to 7 (RFC 9218, section 4.1). Of the structured field only the one
/// parameter is looked for; what is malformed is as good as missing, as section 4 says.
pub(crate) fn urgency(headers: &HeaderMap) -> Option<u8> {
    let text = headers.get(PRIORITY)?.to_str().ok()?;
    let digit = text.split(',').find_map(|part| part.trim().strip_prefix("u="))?;
    let urgency = digit.split(';').next()?.trim().parse().ok()?;
    (urgency <= 7).then_some(urgency)
}

/// Says whom the gateway serves. What came from outside under these names is replaced, because nobody vouches for it.
pub(crate) fn set_forwarded(headers: &mut HeaderMap, peer: IpAddr, scheme: &'static str, host: Option<&HeaderValue>) {
    let peer_text = HeaderValue::from_str(&peer.to_string()).expect("an IP address is visible ASCII");
    headers.insert(FORWARDED_FOR, peer_text);
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    headers.remove(FORWARDED_HOST);
    if let Some(host) = host {
        headers.insert(FORWARDED_HOST, host.clone());
    }
    match forwarded(peer, scheme, host.and_then(|host| host.to_str().ok())) {
        Some(value) => headers.insert(header::FORWARDED, value),
        None => headers.remove(header::FORWARDED),
    };
}

/// RFC 7239, section 4: an IPv6 address stands in brackets and quotes, and a host is quoted because of its port.
fn forwarded(peer: IpAddr, scheme: &str, host: Option<&str>) -> Option<HeaderValue> {
    let mut text = match peer {
        IpAddr::V4(ip) => format!("for={ip}"),
        IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
    };
    if let Some(host) = host.filter(|host| !host.contains(['"', '\\'])) {
        write!(text, ";host=\"{host}\"").ok()?;
    }
    write!(text, ";proto={scheme}").ok()?;
    HeaderValue::try_from(text).ok()
}

/// Takes off what only the data plane says, before anybody in it says something. Services that read headers as CGI did see `_` and
/// `-` as the same.
pub(crate) fn strip_ours(headers: &mut HeaderMap) {
    let is_ours = |name: &HeaderName| {
        name.as_str().len() > 8
            && name.as_str().bytes().zip(*b"x-motet-").all(|(is, ours)| is == ours || is == b'_' && ours == b'-')
    };
    let named: Vec<HeaderName> = headers.keys().filter(|name| is_ours(name)).cloned().collect();
    for name in named {
        headers.remove(name);
    }
}

/// Adds the gateway to the list of those who passed the message on (RFC 9110, section 7.6.3).
pub(crate) fn add_via(headers: &mut HeaderMap, received: Version) {
    let ours = match received {
        Version::HTTP_2 => "2 motet",
        Version::HTTP_10 => "1.0 motet",
        _ => "1.1 motet",
    };
    headers.append(header::VIA, HeaderValue::from_static(ours));
}

fn tokens<K: AsHeaderName>(headers: &HeaderMap, name: K) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_belongs_to_one_hop_goes_no_further() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Private, content-length"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("x-public", "1"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        let left: std::collections::BTreeSet<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-length", "te", "x-public"].into());
        assert_eq!(headers["te"], "trailers");
    }

    #[test]
    fn forwarded_is_written_as_rfc_7239_says() {
        let mut headers = HeaderMap::new();
        headers.insert(header::FORWARDED, HeaderValue::from_static("for=spoofed"));
        let host = HeaderValue::from_static("example.org:8080");
        set_forwarded(&mut headers, "::1".parse().unwrap(), "https", Some(&host));
        assert_eq!(headers[header::FORWARDED], "for=\"[::1]\";host=\"example.org:8080\";proto=https");
        assert_eq!(headers["x-forwarded-for"], "::1");
    }

    #[test]
    fn what_only_the_data_plane_says_nobody_else_says() {
        let mut headers = HeaderMap::new();
        for name in ["x-motet-subject", "x_motet_subject", "x-motet_anything", "x-motel", "x-motet", "accept"] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        strip_ours(&mut headers);
        let left: std::collections::BTreeSet<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-motel", "x-motet", "accept"].into());
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(name in "(connection|te|upgrade|priority|x-motet-deadline-ms)", value in "\\PC{0,40}") {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.clone());
                set_forwarded(&mut headers, IpAddr::from([127, 0, 0, 1]), "http", Some(&value));
            }
            let _ = (upgrade(&headers), deadline(&headers), urgency(&headers));
            strip_hop_by_hop(&mut headers);
            prop_assert!(!headers.contains_key(header::CONNECTION));
        }
    }
}
