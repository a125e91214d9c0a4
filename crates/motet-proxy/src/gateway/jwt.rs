//! Signed tokens (JWT, RFC 7519 in the compact form of RFC 7515), checked as RFC 8725 advises.
//!
//! There are only algorithms with public keys: a token that is signed with a shared secret, or with none, is refused before any key
//! is looked for, so that a public key can never be taken for a secret. Which algorithm a key is good for is decided by the key, and
//! claims are believed only after the signature. Checked with `ring`, on which TLS stands already.

use super::keyset::{KeySet, Material};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Map, Value};
use std::{
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How a token may be signed (RFC 7518, section 3.1, and RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the RFCs")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    /// Each of them.
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// As tokens name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::RS384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::RS512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::PS256 => &RSA_PSS_2048_8192_SHA256,
            Self::PS384 => &RSA_PSS_2048_8192_SHA384,
            Self::PS512 => &RSA_PSS_2048_8192_SHA512,
            Self::ES256 | Self::ES384 | Self::EdDSA => return None,
        })
    }

    /// Whether a key of this kind can be meant.
    pub(crate) fn fits(self, key: &Material) -> bool {
        match key {
            Material::Rsa { .. } => self.rsa().is_some(),
            Material::P256(_) => self == Self::ES256,
            Material::P384(_) => self == Self::ES384,
            Material::Ed25519(_) => self == Self::EdDSA,
        }
    }

    fn verifies(self, key: &Material, message: &[u8], signature: &[u8]) -> bool {
        let verified = match (key, self.rsa()) {
            (Material::Rsa { n, e }, Some(parameters)) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (Material::P256(point), None) if self == Self::ES256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Material::P384(point), None) if self == Self::ES384 => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature)
            }
            (Material::Ed25519(point), None) if self == Self::EdDSA => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
            _ => return false,
        };
        verified.is_ok()
    }
}

/// It is none of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an algorithm that tokens may be signed with")]
pub struct NotAnAlgorithm(pub String);

impl FromStr for Algorithm {
    type Err = NotAnAlgorithm;

    fn from_str(text: &str) -> Result<Self, NotAnAlgorithm> {
        Self::ALL.into_iter().find(|known| known.name() == text).ok_or_else(|| NotAnAlgorithm(text.to_owned()))
    }
}

/// What a token has to say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rules {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) leeway: Duration,
}

/// Why a token is not believed: for the log, not for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it is no token")]
    Form,
    #[error("its algorithm is not allowed")]
    Algorithm,
    #[error("it asks for an extension that is not understood")]
    Critical,
    #[error("no key fits it")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("its issuer is another one")]
    Issuer,
    #[error("it is for somebody else")]
    Audience,
    #[error("it has no time of expiry, or one that is no time")]
    NoExpiry,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Early,
}

/// A token, taken apart. Nothing of it is believed yet.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    message: &'a str,
    signature: Vec<u8>,
    claims: Map<String, Value>,
}

/// What a verified token says.
#[derive(Debug)]
pub(crate) struct Claims(Map<String, Value>);

/// Longer ones are no tokens. Heads are limited anyway, but this is read before anybody is known.
const LENGTH_MAX: usize = 16 * 1024;

/// Whether it has the three parts of a token.
pub(crate) fn looks_like_one(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl<'a> Token<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, Refusal> {
        if text.len() > LENGTH_MAX {
            return Err(Refusal::Form);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(Refusal::Form)?;
        let (header, claims) = message.split_once('.').filter(|(_, rest)| !rest.contains('.')).ok_or(Refusal::Form)?;
        let header = object(header)?;
        let named = header.get("alg").and_then(Value::as_str).ok_or(Refusal::Form)?;
        let algorithm = named.parse().map_err(|_| Refusal::Algorithm)?;
        // RFC 7515, section 4.1.11: what is critical and not understood must be refused, and we understand no extension.
        if header.contains_key("crit") {
            return Err(Refusal::Critical);
        }
        let key_id = match header.get("kid") {
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(Refusal::Form),
            None => None,
        };
        Ok(Self { algorithm, key_id, message, signature: bytes(signature)?, claims: object(claims)? })
    }

    /// Whom it names as its issuer: good for choosing the keys, and for nothing else yet.
    pub(crate) fn claims_to_be_from(&self, issuer: &str) -> bool {
        self.claims.get("iss").and_then(Value::as_str) == Some(issuer)
    }

    pub(crate) fn verify(&self, keys: &KeySet, rules: &Rules, now: SystemTime) -> Result<Claims, Refusal> {
        if !rules.algorithms.contains(&self.algorithm) {
            return Err(Refusal::Algorithm);
        }
        let mut fitting = keys.fitting(self.algorithm, self.key_id.as_deref()).peekable();
        if fitting.peek().is_none() {
            return Err(Refusal::UnknownKey);
        }
        if !fitting.any(|key| self.algorithm.verifies(key, self.message.as_bytes(), &self.signature)) {
            // Without a key's name, or with one that was used again, it may be a newer key's.
            return Err(if self.key_id.is_none() { Refusal::UnknownKey } else { Refusal::Signature });
        }
        self.check_claims(rules, now)?;
        Ok(Claims(self.claims.clone()))
    }

    fn check_claims(&self, rules: &Rules, now: SystemTime) -> Result<(), Refusal> {
        let claims = &self.claims;
        if !self.claims_to_be_from(&rules.issuer) {
            return Err(Refusal::Issuer);
        }
        if !claims.get("aud").is_some_and(|audience| is_or_holds(audience, &rules.audience)) {
            return Err(Refusal::Audience);
        }
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let leeway = rules.leeway.as_secs_f64();
        let expiry = claims.get("exp").and_then(Value::as_f64).ok_or(Refusal::NoExpiry)?;
        if now >= expiry + leeway {
            return Err(Refusal::Expired);
        }
        match claims.get("nbf") {
            None => Ok(()),
            // A time that is no time is not the same as none.
            Some(from) => match from.as_f64() {
                Some(from) if now + leeway >= from => Ok(()),
                _ => Err(Refusal::Early),
            },
        }
    }
}

impl Claims {
    /// Who it is; empty when the token says nothing about it.
    pub(crate) fn subject(&self) -> &str {
        self.0.get("sub").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether a claim has the value, or holds it in its list.
    pub(crate) fn has(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_some_and(|claim| is_or_holds(claim, value))
    }

    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        let in_claim = |name: &str| match self.0.get(name) {
            Some(Value::String(list)) => list.split(' ').any(|one| one == scope),
            Some(list) => is_or_holds(list, scope),
            None => false,
        };
        in_claim("scope") || in_claim("scp")
    }
}

fn is_or_holds(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(text) => text == wanted,
        Value::Number(number) => number.to_string() == wanted,
        Value::Bool(flag) => (if *flag { "true" } else { "false" }) == wanted,
        Value::Array(items) => items.iter().any(|item| !item.is_array() && is_or_holds(item, wanted)),
        Value::Null | Value::Object(_) => false,
    }
}

fn bytes(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Form)
}

fn object(part: &str) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(&bytes(part)?) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(Refusal::Form),
    }
}

#[cfg(test)]
mod tests;
