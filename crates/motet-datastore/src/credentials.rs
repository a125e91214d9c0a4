//! What a service is given to reach its store. A secret that prints as `***` cannot reach a log by accident: whoever wants
//! its text has to write `expose`, which is easy to search for.

use std::{collections::BTreeMap, fmt};

/// Letters, digits, `-` and `_`: 64 characters that need no quoting in a URL, in SQL or in a shell.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// How many characters a generated secret has: six bits each, 192 bits together.
const LENGTH: usize = 32;

/// The environment variable that holds [`Credentials::url`].
pub const URL_VARIABLE: &str = "DATABASE_URL";

/// A text that is shown to nobody who does not ask for it by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text that must not be shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Makes a secret of 192 random bits from the operating system's generator.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; LENGTH];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect()))
    }

    /// The text itself. Put it into an environment or a connection, never into a message or on a command line.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What one service is given to reach its own store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The store's address with everything that is needed to use it.
    pub url: Secret,
    /// Every variable that goes into the service's environment, [`URL_VARIABLE`] among them.
    pub env: BTreeMap<String, Secret>,
}

impl Credentials {
    /// Credentials with an address, under `DATABASE_URL`, and further variables.
    pub fn new<K: Into<String>>(url: Secret, further: impl IntoIterator<Item = (K, Secret)>) -> Self {
        let mut env: BTreeMap<String, Secret> = further.into_iter().map(|(key, value)| (key.into(), value)).collect();
        env.insert(URL_VARIABLE.to_owned(), url.clone());
        Self { url, env }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_its_text_unasked() {
        let credentials =
            Credentials::new(Secret::new("postgresql://me:hush@h/d"), [("PGPASSWORD", Secret::new("hush"))]);
        let shown = format!("{credentials:?} {:#?} {}", credentials, credentials.url);
        assert!(!shown.contains("hush"), "{shown}");
        assert_eq!(credentials.env[URL_VARIABLE].expose(), "postgresql://me:hush@h/d");
    }

    #[test]
    fn generated_secrets_differ_and_need_no_quoting() {
        let (one, other) = (Secret::generate().expect("random"), Secret::generate().expect("random"));
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), LENGTH);
        assert!(one.expose().bytes().all(|byte| ALPHABET.contains(&byte)));
    }
}
