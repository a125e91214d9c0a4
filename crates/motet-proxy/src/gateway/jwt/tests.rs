//! Tokens, true and false.

use super::*;
use crate::gateway::keyset::KeySet;
use proptest::prelude::*;
use ring::{
    hmac,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    },
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::json;
use std::sync::LazyLock;

const NOW: u64 = 1_800_000_000;

/// An issuer's private keys, made once.
struct Issuer {
    random: SystemRandom,
    ed: Ed25519KeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    rsa: rsa::KeyPair,
}

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let random = SystemRandom::new();
    let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).unwrap();
    // ring makes no RSA keys.
    let pem = include_bytes!("../../../tests/keys/rsa.pem");
    let rsa = PrivateKeyDer::from_pem_slice(pem).unwrap();
    Issuer {
        ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
        p256: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, p256.as_ref(), &random).unwrap(),
        p384: EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, p384.as_ref(), &random).unwrap(),
        rsa: rsa::KeyPair::from_pkcs8(rsa.secret_der()).unwrap(),
        random,
    }
});

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public keys, each under the name of its algorithm.
fn keys() -> KeySet {
    let point = |key: &[u8]| {
        let (x, y) = key[1..].split_at((key.len() - 1) / 2);
        (b64(x), b64(y))
    };
    let (x256, y256) = point(ISSUER.p256.public_key().as_ref());
    let (x384, y384) = point(ISSUER.p384.public_key().as_ref());
    let rsa = rsa::PublicKeyComponents::<Vec<u8>>::from(ISSUER.rsa.public());
    let keys = json!({ "keys": [
        { "kty": "OKP", "crv": "Ed25519", "kid": "EdDSA", "x": b64(ISSUER.ed.public_key().as_ref()) },
        { "kty": "EC", "crv": "P-256", "kid": "ES256", "x": x256, "y": y256 },
        { "kty": "EC", "crv": "P-384", "kid": "ES384", "x": x384, "y": y384 },
        { "kty": "RSA", "kid": "RSA", "n": b64(&rsa.n), "e": b64(&rsa.e) },
    ]});
    KeySet::read(keys.to_string().as_bytes()).unwrap()
}

fn sign(algorithm: &str, message: &[u8]) -> Vec<u8> {
    let by_rsa = |padding: &'static dyn ring::signature::RsaEncoding| {
        let mut signature = vec![0; ISSUER.rsa.public().modulus_len()];
        ISSUER.rsa.sign(padding, &ISSUER.random, message, &mut signature).unwrap();
        signature
    };
    match algorithm {
        "EdDSA" => ISSUER.ed.sign(message).as_ref().to_vec(),
        "ES256" => ISSUER.p256.sign(&ISSUER.random, message).unwrap().as_ref().to_vec(),
        "ES384" => ISSUER.p384.sign(&ISSUER.random, message).unwrap().as_ref().to_vec(),
        "RS256" => by_rsa(&RSA_PKCS1_SHA256),
        "RS512" => by_rsa(&RSA_PKCS1_SHA512),
        "PS256" => by_rsa(&RSA_PSS_SHA256),
        other => panic!("nobody here signs with {other}"),
    }
}

fn token(header: &Value, claims: &Value, algorithm: &str) -> String {
    let message = format!("{}.{}", b64(header.to_string().as_bytes()), b64(claims.to_string().as_bytes()));
    let signature = sign(algorithm, message.as_bytes());
    format!("{message}.{}", b64(&signature))
}

fn claims(change: &[(&str, Value)]) -> Value {
    let mut claims = json!({ "iss": "https://id.example.org", "aud": "askdocs", "sub": "anna", "exp": NOW + 60 });
    for (name, value) in change {
        let map = claims.as_object_mut().unwrap();
        match value {
            Value::Null => drop(map.remove(*name)),
            value => drop(map.insert((*name).to_owned(), value.clone())),
        }
    }
    claims
}

fn rules() -> Rules {
    Rules {
        issuer: "https://id.example.org".to_owned(),
        audience: "askdocs".to_owned(),
        algorithms: Algorithm::ALL.to_vec(),
        leeway: Duration::from_secs(30),
    }
}

fn check(token: &str, rules: &Rules) -> Result<Claims, Refusal> {
    Token::read(token)?.verify(&keys(), rules, UNIX_EPOCH + Duration::from_secs(NOW))
}

fn refusal(header: &Value, claims: &Value, algorithm: &str) -> Refusal {
    check(&token(header, claims, algorithm), &rules()).unwrap_err()
}

#[test]
fn each_algorithm_is_verified_with_a_named_key_and_with_an_unnamed_one() {
    for (algorithm, kid) in [
        ("EdDSA", "EdDSA"),
        ("ES256", "ES256"),
        ("ES384", "ES384"),
        ("RS256", "RSA"),
        ("RS512", "RSA"),
        ("PS256", "RSA"),
    ] {
        for header in [json!({ "alg": algorithm, "kid": kid, "typ": "JWT" }), json!({ "alg": algorithm })] {
            let token = token(&header, &claims(&[]), algorithm);
            assert_eq!(check(&token, &rules()).unwrap().subject(), "anna", "{algorithm}");
            let only_another = Rules { algorithms: vec![Algorithm::RS384], ..rules() };
            assert_eq!(check(&token, &only_another).unwrap_err(), Refusal::Algorithm);
        }
    }
}

#[test]
fn a_token_without_a_signature_is_refused() {
    for algorithm in ["none", "None", "NONE", ""] {
        let message = format!(
            "{}.{}",
            b64(json!({ "alg": algorithm }).to_string().as_bytes()),
            b64(claims(&[]).to_string().as_bytes())
        );
        for signature in ["", "AAAA"] {
            assert_eq!(check(&format!("{message}.{signature}"), &rules()).unwrap_err(), Refusal::Algorithm);
        }
    }
    let stripped = token(&json!({ "alg": "EdDSA" }), &claims(&[]), "EdDSA");
    let (message, _) = stripped.rsplit_once('.').unwrap();
    assert!(check(&format!("{message}."), &rules()).is_err());
}

#[test]
fn a_public_key_is_never_taken_for_a_shared_secret() {
    let message = format!(
        "{}.{}",
        b64(json!({ "alg": "HS256", "kid": "EdDSA" }).to_string().as_bytes()),
        b64(claims(&[]).to_string().as_bytes())
    );
    let secret = hmac::Key::new(hmac::HMAC_SHA256, ISSUER.ed.public_key().as_ref());
    let signature = hmac::sign(&secret, message.as_bytes());
    assert_eq!(check(&format!("{message}.{}", b64(signature.as_ref())), &rules()).unwrap_err(), Refusal::Algorithm);
}

#[test]
fn a_key_verifies_only_what_it_is_for() {
    // The right signature under the name of another algorithm, and under the name of another key.
    assert_eq!(refusal(&json!({ "alg": "RS256", "kid": "RSA" }), &claims(&[]), "PS256"), Refusal::Signature);
    assert_eq!(refusal(&json!({ "alg": "ES256", "kid": "EdDSA" }), &claims(&[]), "ES256"), Refusal::UnknownKey);
    assert_eq!(refusal(&json!({ "alg": "EdDSA", "kid": "nobody" }), &claims(&[]), "EdDSA"), Refusal::UnknownKey);
    assert_eq!(refusal(&json!({ "alg": "EdDSA", "kid": 7 }), &claims(&[]), "EdDSA"), Refusal::Form);
    assert_eq!(
        refusal(&json!({ "alg": "EdDSA", "crit": ["b64"], "b64": false }), &claims(&[]), "EdDSA"),
        Refusal::Critical
    );
    // A key that comes with the token is nobody's key.
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(ISSUER.ed.public_key().as_ref()) });
    assert_eq!(
        refusal(&json!({ "alg": "EdDSA", "kid": "mine", "jwk": jwk }), &claims(&[]), "EdDSA"),
        Refusal::UnknownKey
    );
}

#[test]
fn nothing_of_a_token_can_be_changed() {
    let good = token(&json!({ "alg": "ES256", "kid": "ES256" }), &claims(&[]), "ES256");
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let other = b64(claims(&[("sub", "root".into())]).to_string().as_bytes());
    assert_eq!(check(&format!("{header}.{other}.{signature}"), &rules()).unwrap_err(), Refusal::Signature);
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for n in 0..bytes.len() {
        bytes[n] ^= 1;
        assert_eq!(check(&format!("{message}.{}", b64(&bytes)), &rules()).unwrap_err(), Refusal::Signature);
        bytes[n] ^= 1;
    }
}

#[test]
fn the_claims_decide_too_and_a_claim_of_another_type_is_not_a_missing_one() {
    let header = json!({ "alg": "EdDSA" });
    let refused = |change: &[(&str, Value)]| refusal(&header, &claims(change), "EdDSA");
    assert_eq!(refused(&[("iss", "https://other.example.org".into())]), Refusal::Issuer);
    assert_eq!(refused(&[("iss", Value::Null)]), Refusal::Issuer);
    assert_eq!(refused(&[("iss", json!(["https://id.example.org"]))]), Refusal::Issuer);
    assert_eq!(refused(&[("aud", "other".into())]), Refusal::Audience);
    assert_eq!(refused(&[("aud", Value::Null)]), Refusal::Audience);
    assert_eq!(refused(&[("exp", Value::Null)]), Refusal::NoExpiry);
    assert_eq!(refused(&[("exp", format!("{}", NOW + 60).into())]), Refusal::NoExpiry);
    assert_eq!(refused(&[("exp", (NOW - 31).into())]), Refusal::Expired);
    assert_eq!(refused(&[("nbf", (NOW + 31).into())]), Refusal::Early);
    assert_eq!(refused(&[("nbf", "soon".into())]), Refusal::Early);
    let passes = |change: &[(&str, Value)]| check(&token(&header, &claims(change), "EdDSA"), &rules()).is_ok();
    assert!(passes(&[("exp", (NOW - 29).into())]) && passes(&[("nbf", (NOW + 29).into())]), "clocks differ");
    assert!(passes(&[("aud", json!(["other", "askdocs"]))]));
    assert!(passes(&[("exp", json!(NOW as f64 + 0.5))]));
}

#[test]
fn scopes_and_claims_are_read_as_issuers_write_them() {
    let change = [
        ("scope", json!("read write")),
        ("scp", json!(["ask"])),
        ("groups", json!(["staff", 7])),
        ("admin", json!(true)),
        ("nested", json!([["deep"]])),
    ];
    let claims = check(&token(&json!({ "alg": "EdDSA" }), &claims(&change), "EdDSA"), &rules()).unwrap();
    assert!(claims.has_scope("read") && claims.has_scope("write") && claims.has_scope("ask"));
    assert!(!claims.has_scope("rea") && !claims.has_scope("read write") && !claims.has_scope(""));
    assert!(claims.has("groups", "staff") && claims.has("groups", "7") && claims.has("admin", "true"));
    assert!(!claims.has("groups", "staf") && !claims.has("nested", "deep") && !claims.has("none", ""));
}

#[test]
fn what_is_no_token_is_refused() {
    let good = token(&json!({ "alg": "EdDSA" }), &claims(&[]), "EdDSA");
    let long = format!("{good}{}", "A".repeat(LENGTH_MAX));
    for text in
        ["", ".", "..", "...", "a.b.c", "e30.e30.", "e30.e30.e30.e30", &format!(" {good}"), &format!("{good}="), &long]
    {
        assert!(Token::read(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_none_is_believed(text in "[A-Za-z0-9_.-]{0,120}") {
        prop_assert!(check(&text, &rules()).is_err());
    }

    #[test]
    fn no_content_makes_it_panic(header in "\\PC{0,60}", claims in "\\PC{0,60}") {
        let text = format!("{}.{}.AAAA", b64(header.as_bytes()), b64(claims.as_bytes()));
        prop_assert!(check(&text, &rules()).is_err());
    }

    #[test]
    fn a_token_with_a_byte_changed_is_not_believed(place in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
        let good = token(&json!({ "alg": "EdDSA", "kid": "EdDSA" }), &claims(&[]), "EdDSA");
        let place = place.index(good.len());
        let mut changed = good.clone();
        changed.replace_range(place..=place, &to);
        prop_assert!(changed == good || check(&changed, &rules()).is_err());
    }
}
