//! The public keys of an issuer: a JWK set (RFC 7517), read leniently. A key of a kind that is not known here does not spoil the others:
//! issuers add new kinds before anybody uses them.

use super::jwt::Algorithm;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

/// Keys, as one document had them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Debug, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    /// What the key says that it is for.
    algorithm: Option<String>,
    material: Material,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Material {
    /// Modulus and exponent, big-endian.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
    /// An uncompressed point.
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// More keys than an issuer has.
const KEYS_MAX: usize = 100;

/// The document is no set of keys, or no key in it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoKeySet {
    /// It is no JSON object with a list `keys`.
    #[error("it is not a JWK set: a JSON object with a list `keys`")]
    Form,
    /// It has more keys than an issuer has.
    #[error("it has more than {KEYS_MAX} keys")]
    TooMany,
    /// None of its keys is a public key for signatures.
    #[error("it has no public key for signatures (RSA, P-256, P-384, Ed25519)")]
    NoKey,
}

impl KeySet {
    pub(crate) fn read(document: &[u8]) -> Result<Self, NoKeySet> {
        let document: Value = serde_json::from_slice(document).map_err(|_| NoKeySet::Form)?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(NoKeySet::Form)?;
        if keys.len() > KEYS_MAX {
            return Err(NoKeySet::TooMany);
        }
        let keys: Vec<Key> = keys.iter().filter_map(|key| read(key.as_object()?)).collect();
        if keys.is_empty() { Err(NoKeySet::NoKey) } else { Ok(Self(keys)) }
    }

    /// The keys that can have made a signature: those with the name, or all when none is named.
    pub(crate) fn fitting<'a>(
        &'a self,
        algorithm: Algorithm,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Material> + 'a {
        // So many signatures are tried at most for a token without a key's name: each costs a tenth of a millisecond.
        const TRIED_MAX: usize = 8;
        let fits = move |key: &&Key| {
            (id.is_none() || key.id.as_deref() == id)
                && key.algorithm.as_deref().is_none_or(|named| named == algorithm.name())
                && algorithm.fits(&key.material)
        };
        self.0.iter().filter(fits).map(|key| &key.material).take(TRIED_MAX)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn read(key: &Map<String, Value>) -> Option<Key> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let verifies = |operations: &Value| operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"));
    if key.get("key_ops").is_some_and(|operations| !verifies(operations)) {
        return None;
    }
    let number = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok();
    let point = |length: usize| {
        let (x, y) = (number("x")?, number("y")?);
        (x.len() == length && y.len() == length).then(|| [&[4], &*x, &*y].concat())
    };
    let material = match (text("kty")?, text("crv")) {
        ("RSA", _) => Material::Rsa { n: number("n")?, e: number("e")? },
        ("EC", Some("P-256")) => Material::P256(point(32)?),
        ("EC", Some("P-384")) => Material::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(number("x").filter(|x| x.len() == 32)?),
        // `oct` is a shared secret: whoever could read it here could sign with it.
        _ => return None,
    };
    Some(Key { id: text("kid").map(str::to_owned), algorithm: text("alg").map(str::to_owned), material })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ED: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn set(keys: &[&str]) -> Result<KeySet, NoKeySet> {
        KeySet::read(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
    }

    #[test]
    fn keys_that_cannot_be_used_do_not_spoil_the_others() {
        let strange = [
            r#"{"kty":"oct","k":"c2VjcmV0"}"#,
            r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
            r#"{"kty":"ML-DSA","pub":"AA"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","use":"enc","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","key_ops":["sign"],"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            r#"7"#,
        ];
        assert_eq!(set(&strange).unwrap_err(), NoKeySet::NoKey);
        assert_eq!(set(&[&strange[..], &[ED]].concat()).unwrap().len(), 1);
        assert_eq!(KeySet::read(b"{}").unwrap_err(), NoKeySet::Form);
        assert_eq!(set(&[ED; KEYS_MAX + 1]).unwrap_err(), NoKeySet::TooMany);
    }

    #[test]
    fn a_key_fits_by_its_name_its_kind_and_what_it_says_it_is_for() {
        let rs256 = r#"{"kty":"RSA","alg":"RS256","kid":"b","n":"AQAB","e":"AQAB"}"#;
        let set = set(&[ED, rs256]).unwrap();
        let count = |algorithm, id| set.fitting(algorithm, id).count();
        assert_eq!((count(Algorithm::EdDSA, Some("a")), count(Algorithm::EdDSA, None)), (1, 1));
        assert_eq!((count(Algorithm::EdDSA, Some("b")), count(Algorithm::ES256, Some("a"))), (0, 0));
        assert_eq!((count(Algorithm::RS256, Some("b")), count(Algorithm::PS256, Some("b"))), (1, 0));
    }

    proptest! {
        #[test]
        fn no_document_makes_it_panic(document in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = KeySet::read(&document);
        }

        #[test]
        fn no_key_makes_it_panic(kty in "RSA|EC|OKP|oct", crv in "P-256|P-384|Ed25519", x in "[A-Za-z0-9_=-]{0,70}", y in "[A-Za-z0-9_-]{0,70}") {
            let key = format!(r#"{{"kty":"{kty}","crv":"{crv}","x":"{x}","y":"{y}","n":"{x}","e":"{y}"}}"#);
            if let Ok(set) = set(&[&key]) {
                for algorithm in Algorithm::ALL {
                    for material in set.fitting(algorithm, None) {
                        prop_assert!(algorithm.fits(material));
                    }
                }
            }
        }
    }
}
