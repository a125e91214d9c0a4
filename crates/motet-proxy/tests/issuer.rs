//! An issuer of tokens: it signs with the key that it is told, and publishes its keys in a file or over HTTP, as long as it lives.

use crate::world::{Server, full};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Response;
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{SystemTime, UNIX_EPOCH},
};

pub(crate) const ISSUER: &str = "https://id.example.org";
pub(crate) const AUDIENCE: &str = "askdocs";

/// Signing keys by name.
#[derive(Default)]
pub(crate) struct Keys(BTreeMap<&'static str, Vec<u8>>);

impl Keys {
    pub(crate) fn named(names: &[&'static str]) -> Self {
        let random = SystemRandom::new();
        let key = || Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref().to_vec();
        Self(names.iter().map(|name| (*name, key())).collect())
    }

    /// The set that has these keys' public halves.
    pub(crate) fn set(&self, names: &[&str]) -> String {
        let public = |name: &&str| {
            let key = Ed25519KeyPair::from_pkcs8(&self.0[*name]).unwrap();
            let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
            json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": name, "x": x })
        };
        json!({ "keys": names.iter().map(public).collect::<Vec<_>>() }).to_string()
    }

    /// `Bearer`, and a token with these claims beside the usual ones.
    pub(crate) fn bearer(&self, name: &str, change: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "exp": now + 300 });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = json!({ "alg": "EdDSA", "kid": name });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = Ed25519KeyPair::from_pkcs8(&self.0[name]).unwrap().sign(message.as_bytes());
        format!("Bearer {message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

/// Publishes a document over HTTP, and counts who asks.
pub(crate) struct Published {
    pub(crate) server: Server,
    pub(crate) document: Arc<Mutex<String>>,
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Published {
    pub(crate) async fn start(document: String) -> Self {
        let document = Arc::new(Mutex::new(document));
        let asked = Arc::<AtomicUsize>::default();
        let (shown, count) = (Arc::clone(&document), Arc::clone(&asked));
        let server = Server::start(move |_| {
            count.fetch_add(1, SeqCst);
            let text = shown.lock().unwrap().clone();
            async move { Response::new(full(text)) }
        })
        .await;
        Self { server, document, asked }
    }
}
