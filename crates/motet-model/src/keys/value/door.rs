//! Single values that only the gateway has: limits that can be taken away, origins, hashes, scopes, URLs of documents.

use super::{Wrong, wrong};
use crate::code;
use motet_kernel::quantity;

/// What takes a limit away.
pub(crate) const UNLIMITED: &str = "unlimited";

fn check_size(text: &str) -> Result<(), Wrong> {
    match quantity::parse_size(text) {
        Ok(1..) => Ok(()),
        _ => Err(wrong(
            code::OUT_OF_RANGE,
            "is not a size",
            "not a size",
            "write a number with a unit, as in `64KiB` or `10MB`",
        )),
    }
}

pub(super) fn check_size_or_unlimited(text: &str) -> Result<(), Wrong> {
    if text == UNLIMITED { Ok(()) } else { check_size(text) }
}

pub(super) fn check_origin(text: &str) -> Result<(), Wrong> {
    let bad = |help: &str| Err(wrong(code::INVALID_URL, "is not an origin", "not an origin", help));
    if text == "*" {
        return Ok(());
    }
    let Some((scheme, authority)) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
    else {
        return bad("write the scheme too, as in `https://app.example.org`");
    };
    if authority.contains(['/', '?', '#', '@']) {
        return bad(&format!(
            "an origin is scheme, host and port: write `{scheme}://{}`",
            authority.split(['/', '?', '#']).next().unwrap_or_default().rsplit('@').next().unwrap_or_default()
        ));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let (host, below) = match host.strip_prefix("*.") {
        Some(domain) => (domain, true),
        None => (host, false),
    };
    let plain = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    if host.is_empty() || host.starts_with('.') || !plain(host) || port.is_some_and(|port| port.parse::<u16>().is_err())
    {
        return bad(
            "write it as browsers do: `https://app.example.org`, `http://localhost:3000`, `https://*.example.org`",
        );
    }
    if below && !host.contains('.') {
        return bad("name a domain of yours: below a top-level domain everybody can have a host");
    }
    Ok(())
}

pub(super) fn check_sha256(text: &str) -> Result<(), Wrong> {
    if parse_sha256(text).is_some() {
        return Ok(());
    }
    Err(wrong(
        code::INVALID_PATTERN,
        "is not a SHA-256 in hexadecimal",
        "not 64 hexadecimal digits",
        "write what `printf %s \"$KEY\" | sha256sum` prints; the key itself goes under `secret`",
    ))
}

/// Reads 64 hexadecimal digits.
pub(crate) fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, place) in hash.iter_mut().zip((0..64).step_by(2)) {
        // `from_str_radix` would take a sign too.
        let digits = text.get(place..place + 2).filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(hash)
}

/// RFC 6749, section 3.3.
pub(super) fn check_scope(text: &str) -> Result<(), Wrong> {
    if !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~')) {
        return Ok(());
    }
    Err(wrong(
        code::INVALID_NAME,
        "is not a scope",
        "not a scope",
        "write one scope per item, without spaces: `[read, write]`",
    ))
}

pub(super) fn check_document(text: &str) -> Result<(), Wrong> {
    let bad = || {
        let example = "write it as in `https://id.example.org/.well-known/jwks.json`";
        wrong(code::INVALID_URL, "is not the URL of a document", "not a URL for this", example)
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let plain = !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#');
    // A user's name and password would be shown wherever the URL is.
    let fine = matches!(scheme, "http" | "https") && !authority.is_empty() && !authority.contains('@') && plain;
    if fine { Ok(()) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_taken_as_browsers_write_them() {
        for good in
            ["*", "https://a.org", "http://localhost:3000", "https://*.a.org", "http://[::1]:80", "https://A.org"]
        {
            assert!(check_origin(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a.org",
            "ftp://a.org",
            "https://",
            "https://a.org/",
            "https://*.org",
            "https://a b",
            "null",
            "https://a:b",
        ] {
            assert!(check_origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hash_has_sixty_four_digits() {
        assert_eq!(parse_sha256(&"0f".repeat(32)), Some([15; 32]));
        assert!(parse_sha256(&"0f".repeat(31)).is_none() && parse_sha256(&"+f".repeat(32)).is_none());
        assert!(parse_sha256(&"ää".repeat(16)).is_none());
    }
}
