//! Where the servers are and as whom to come. Whatever is printed about this is made of hosts and ports, never of what stood before the `@`.

use async_nats::ServerAddr;
use std::fmt;

/// The engine's address and what the topics are called there.
#[derive(Clone)]
pub struct Settings {
    pub(super) servers: Vec<ServerAddr>,
    pub(super) login: Login,
    /// The first part of each stream's and each subject's name: the system's name.
    pub prefix: String,
    /// How many servers keep each event, 1 to 5. Default 1.
    pub replicas: u8,
}

/// As whom to come.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) enum Login {
    #[default]
    Nobody,
    Token(String),
    User(String, String),
}

/// An address that cannot be used. Says nothing about credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the address of NATS cannot be used: {0}; write it as nats://user:password@host:4222, several with commas between"
)]
pub struct InvalidAddress(pub &'static str);

impl Settings {
    /// Reads `nats://user:password@host:4222`, or `tls://…`, or `nats://token@host`; several servers of one cluster with commas between.
    /// The credentials of the first address that has some are used for all. What is percent-encoded in them is decoded.
    ///
    /// # Errors
    /// When it is no such address.
    pub fn new(url: &str, prefix: impl Into<String>) -> Result<Self, InvalidAddress> {
        let mut servers = Vec::new();
        let mut login = Login::Nobody;
        for one in url.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            let (scheme, rest) = one.split_once("://").unwrap_or(("nats", one));
            if !matches!(scheme, "nats" | "tls") {
                return Err(InvalidAddress("its scheme is neither nats nor tls"));
            }
            let rest = rest.trim_end_matches('/');
            let (before, host) = rest.rsplit_once('@').map_or((None, rest), |(before, host)| (Some(before), host));
            if let (Some(before), Login::Nobody) = (before, &login) {
                login = match before.split_once(':') {
                    Some((user, password)) => Login::User(decoded(user)?, decoded(password)?),
                    None => Login::Token(decoded(before)?),
                };
            }
            let address = format!("{scheme}://{host}").parse::<ServerAddr>();
            let address = address.map_err(|_| InvalidAddress("its host or port cannot be read"))?;
            if address.host().is_empty() {
                return Err(InvalidAddress("it has no host"));
            }
            servers.push(address);
        }
        if servers.is_empty() {
            return Err(InvalidAddress("it is empty"));
        }
        Ok(Self { servers, login, prefix: prefix.into(), replicas: 1 })
    }

    /// The hosts and ports, for people.
    pub(super) fn place(&self) -> String {
        let one = |server: &ServerAddr| format!("{}:{}", server.host(), server.port());
        self.servers.iter().map(one).collect::<Vec<_>>().join(",")
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = match self.login {
            Login::Nobody => "nobody",
            Login::Token(_) => "a token",
            Login::User(..) => "a user and a password",
        };
        f.debug_struct("Settings")
            .field("servers", &self.place())
            .field("login", &login)
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .finish()
    }
}

fn decoded(text: &str) -> Result<String, InvalidAddress> {
    const WRONG: InvalidAddress =
        InvalidAddress("a % in its credentials does not begin an encoded byte; write % itself as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = behind;
            continue;
        }
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or(WRONG)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| WRONG)?);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).map_err(|_| InvalidAddress("its credentials are not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_out_of_the_address_and_are_never_shown() {
        let settings = Settings::new("nats://us%40er:se%3Acret@one:4223,nats://two", "shop").unwrap();
        assert!(settings.login == Login::User("us@er".into(), "se:cret".into()));
        assert_eq!(settings.place(), "one:4223,two:4222");
        let shown = format!("{settings:?}");
        assert!(!shown.contains("cret") && !shown.contains("us@er"), "{shown}");
        assert!(Settings::new("tls://tok%2Den@host", "shop").unwrap().login == Login::Token("tok-en".into()));
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for bad in ["", "http://host", "nats://", "nats://u:p%zz@host", "nats://u:secret@host:port"] {
            let error = Settings::new(bad, "shop").expect_err(bad).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
