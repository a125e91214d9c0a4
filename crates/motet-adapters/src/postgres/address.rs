//! The server's address as the administrator wrote it, and the address that a service is given. The first holds the
//! administrator's password, so errors name the place where it was written and never quote it.

use motet_datastore::{
    Credentials, Secret, StoreError,
    error::{EncryptionUnsupported, InvalidAddress},
    record::Remembered,
};
use std::{collections::BTreeMap, fmt, time::Duration};
use tokio_postgres::config::{Config, Host, SslMode};

/// How long a server may take to accept a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

const PORT: u16 = 5432;

/// One server, and how its administrator logs in.
#[derive(Clone)]
pub(super) struct Server {
    admin: Config,
    host: String,
    port: u16,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Server {
    /// Reads `postgres://user:password@host:port/database`, or PostgreSQL's `key=value` form.
    pub(super) fn parse(url: &Secret, origin: &str) -> Result<Self, StoreError> {
        let invalid = |reason: String| InvalidAddress { origin: origin.to_owned(), reason };
        refuse_encryption(url.expose(), origin)?;
        let mut admin: Config = url.expose().parse().map_err(|error| invalid(reason_of(&error)))?;
        if admin.get_ssl_mode() == SslMode::Require {
            return Err(EncryptionUnsupported { origin: origin.to_owned(), asked: "sslmode=require".into() }.into());
        }
        let host = match admin.get_hosts() {
            [Host::Tcp(host)] => host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            [Host::Unix(directory)] => directory.display().to_string(),
            [] => return Err(invalid("it names no host".into()).into()),
            _ => return Err(invalid("it names several hosts, and stores are made on one".into()).into()),
        };
        if admin.get_user().is_none() {
            return Err(invalid("it names no user".into()).into());
        }
        let port = admin.get_ports().first().copied().unwrap_or(PORT);
        admin.ssl_mode(SslMode::Disable).connect_timeout(CONNECT).application_name("motet");
        if admin.get_dbname().is_none() {
            admin.dbname("postgres");
        }
        Ok(Self { admin, host, port })
    }

    /// How the administrator logs in, to the database that the address names.
    pub(super) fn admin(&self) -> Config {
        self.admin.clone()
    }

    /// How the administrator logs in to another database.
    pub(super) fn admin_in(&self, database: &str) -> Config {
        let mut config = self.admin();
        config.dbname(database);
        config
    }

    /// How a service logs in.
    pub(super) fn service(&self, it: &Remembered, database: &str) -> Config {
        let mut config = self.admin_in(database);
        config.user(&it.role).password(it.password.expose());
        config
    }

    /// What a service is given: the URL, and the variables that libpq and everything built on it read.
    pub(super) fn credentials(&self, it: &Remembered) -> Credentials {
        let Remembered { role, database, password, .. } = it;
        let password = password.expose();
        let url = if self.host.starts_with('/') {
            let host = self.host.replace('%', "%25").replace('/', "%2F").replace('&', "%26").replace(' ', "%20");
            format!("postgresql://{role}:{password}@/{database}?host={host}&port={}", self.port)
        } else {
            format!("postgresql://{role}:{password}@{self}/{database}")
        };
        Credentials::new(Secret::new(url), self.libpq(it, database))
    }

    /// The variables of libpq for one database, which is not always the service's own: a restore fills another one first.
    pub(super) fn libpq(&self, it: &Remembered, database: &str) -> BTreeMap<String, Secret> {
        [
            ("PGHOST", self.host.clone()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", it.role.clone()),
            ("PGPASSWORD", it.password.expose().to_owned()),
            ("PGDATABASE", database.to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Secret::new(value)))
        .collect()
    }
}

/// The library knows some of PostgreSQL's parameters for encryption and calls the others unknown; here all of them say the
/// same: a connection that was asked to be private is never made in the clear.
fn refuse_encryption(url: &str, origin: &str) -> Result<(), StoreError> {
    let parameters = url.split(['?', '&', ' ']).filter_map(|part| part.split_once('='));
    for (key, value) in parameters {
        let wanted = match key {
            "sslmode" => !matches!(value, "disable" | "prefer" | "allow"),
            "sslrootcert" | "sslcert" | "sslkey" | "sslnegotiation" => true,
            "channel_binding" => value == "require",
            _ => false,
        };
        if wanted {
            return Err(EncryptionUnsupported { origin: origin.to_owned(), asked: format!("{key}={value}") }.into());
        }
    }
    Ok(())
}

/// The last cause says what is wrong; the ones before it say that something is.
fn reason_of(error: &tokio_postgres::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Server, StoreError> {
        Server::parse(&Secret::new(url), "`engines.stores.postgres.url`")
    }

    fn remembered() -> Remembered {
        let name = || "askdocs_library".to_owned();
        Remembered { server: String::new(), role: name(), database: name(), password: Secret::new("hush") }
    }

    #[test]
    fn an_address_that_asks_for_encryption_is_refused_and_never_used_in_the_clear() {
        for asked in ["sslmode=require", "sslmode=verify-full", "sslmode=verify-ca", "sslrootcert=/ca.pem"] {
            let error = parse(&format!("postgres://a:hush@db/postgres?{asked}")).expect_err(asked);
            assert!(matches!(error, StoreError::EncryptionUnsupported(_)), "{error}");
            assert!(error.to_string().contains(asked) && !error.to_string().contains("hush"), "{error}");
        }
        let error = parse("host=db user=a password=hush sslmode=require").expect_err("the other form");
        assert!(matches!(error, StoreError::EncryptionUnsupported(_)), "{error}");
        parse("postgres://a:hush@db/postgres?sslmode=disable").expect("asks for none");
    }

    #[test]
    fn an_invalid_address_is_explained_without_its_password() {
        for url in
            ["postgres://", "postgres://a:hush@h1,h2/db", "nonsense", "postgres://a:hush@db:port/x", "postgres://db/x"]
        {
            let error = parse(url).expect_err(url);
            assert!(matches!(error, StoreError::InvalidAddress(_)), "{url}: {error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        assert!(!format!("{:?}", parse("postgres://a:hush@db/x").expect("valid")).contains("hush"));
    }

    #[test]
    fn a_service_gets_a_url_for_every_kind_of_host() {
        let url = |admin: &str| parse(admin).expect("valid").credentials(&remembered()).url.expose().to_owned();
        assert_eq!(url("postgres://a:b@db"), "postgresql://askdocs_library:hush@db:5432/askdocs_library");
        assert_eq!(url("postgres://a:b@[::1]:6/x"), "postgresql://askdocs_library:hush@[::1]:6/askdocs_library");
        assert_eq!(
            url("postgres://a:b@%2Frun%2Fpostgresql/x"),
            "postgresql://askdocs_library:hush@/askdocs_library?host=%2Frun%2Fpostgresql&port=5432"
        );
    }
}
