//! API keys: long random texts that name whoever sends them.
//!
//! Only hashes are kept. A plain SHA-256 is enough for a key, other than for a password, because a random text of 128 bits and more cannot be
//! found by trying. Each presented key is hashed and compared with every kept hash in constant time.

use http::{HeaderMap, HeaderName, header};
use ring::digest::{SHA256, digest};
use std::{collections::BTreeSet, fmt};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// The header for keys; `Authorization: Bearer` takes them too.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A key that lets in.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Whom it names: what services see in `x-motet-subject`.
    pub name: String,
    /// The SHA-256 of the key.
    pub sha256: [u8; 32],
    /// What it may be used for; see [`super::Need::scopes`].
    pub scopes: BTreeSet<String>,
}

impl ApiKey {
    /// From the key itself, which is not kept.
    pub fn from_secret(name: &str, secret: &str) -> Self {
        Self { name: name.to_owned(), sha256: hash(secret.as_bytes()), scopes: BTreeSet::new() }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("name", &self.name).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// What a request shows for itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    Nothing,
    /// In `x-api-key`.
    Key(&'a str),
    /// In `Authorization`: a key or a token.
    Bearer(&'a str),
    /// More than one, or something that is none.
    Unclear,
}

/// Finds out what a request shows. An `Authorization` of another scheme is the service's business and shows nothing.
pub(crate) fn presented(headers: &HeaderMap) -> Presented<'_> {
    let mut keys = headers.get_all(API_KEY).into_iter();
    if let Some(key) = keys.next() {
        return match (key.to_str(), keys.next()) {
            (Ok(key), None) if !key.is_empty() => Presented::Key(key),
            _ => Presented::Unclear,
        };
    }
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let Some(value) = values.next() else { return Presented::Nothing };
    if values.next().is_some() {
        return Presented::Unclear;
    }
    let Ok(value) = value.to_str() else { return Presented::Unclear };
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Presented::Nothing;
    }
    match rest.trim_matches(' ') {
        token if is_token68(token) => Presented::Bearer(token),
        _ => Presented::Unclear,
    }
}

/// RFC 9110, section 11.2.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// All keys of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Keyring(Vec<ApiKey>);

impl Keyring {
    pub(crate) fn new(keys: Vec<ApiKey>) -> Self {
        Self(keys)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that was shown. Takes as long for each, known or not.
    pub(crate) fn find(&self, shown: &str) -> Option<&ApiKey> {
        let shown = hash(shown.as_bytes());
        let mut found = u32::MAX;
        for (place, key) in (0_u32..).zip(&self.0) {
            let same: Choice = key.sha256.ct_eq(&shown);
            found = u32::conditional_select(&found, &place, same);
        }
        self.0.get(usize::try_from(found).ok()?)
    }
}

fn hash(secret: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        fields.iter().map(pair).collect()
    }

    #[test]
    fn each_key_is_found_and_nothing_else_is() {
        let ring =
            Keyring::new((0..9).map(|n| ApiKey::from_secret(&format!("k{n}"), &format!("secret-{n}"))).collect());
        for n in 0..9 {
            assert_eq!(ring.find(&format!("secret-{n}")).unwrap().name, format!("k{n}"));
        }
        assert!(ring.find("secret-9").is_none() && ring.find("").is_none());
        assert!(Keyring::default().find("secret-0").is_none());
    }

    #[test]
    fn neither_a_key_nor_its_hash_shows_in_debug() {
        let key = ApiKey::from_secret("ci", "hunter2-hunter2");
        let shown = format!("{key:?} {:?}", Keyring::new(vec![key.clone()]));
        assert!(shown.contains("ci") && !shown.contains("hunter2") && !shown.contains("sha256"), "{shown}");
    }

    #[test]
    fn what_is_shown_is_taken_from_one_place_only() {
        let cases: [(&[(&'static str, &str)], Presented<'_>); 9] = [
            (&[], Presented::Nothing),
            (&[("x-api-key", "k")], Presented::Key("k")),
            (&[("x-api-key", "k"), ("authorization", "Bearer t")], Presented::Key("k")),
            (&[("x-api-key", "k"), ("x-api-key", "l")], Presented::Unclear),
            (&[("authorization", "bEaReR  t.t_t==")], Presented::Bearer("t.t_t==")),
            (&[("authorization", "Bearer t"), ("authorization", "Bearer u")], Presented::Unclear),
            (&[("authorization", "Bearer")], Presented::Unclear),
            (&[("authorization", "Bearer a b")], Presented::Unclear),
            (&[("authorization", "Basic dTpw")], Presented::Nothing),
        ];
        for (fields, expected) in cases {
            assert!(presented(&headers(fields)) == expected, "{fields:?}");
        }
    }

    proptest! {
        #[test]
        fn no_authorization_makes_it_panic(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            let map: HeaderMap = [(header::AUTHORIZATION, value)].into_iter().collect();
            if let Presented::Bearer(token) = presented(&map) {
                prop_assert!(is_token68(token));
            }
        }
    }
}
