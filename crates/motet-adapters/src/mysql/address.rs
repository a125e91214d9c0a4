//! The server's address as the administrator wrote it, and the address that a service is given. The first holds the
//! administrator's password, so errors name the place where it was written and never quote it.

use motet_datastore::{
    Credentials, Secret, StoreError,
    error::{EncryptionUnsupported, InvalidAddress},
    record::Remembered,
};
use mysql_async::{Opts, OptsBuilder};
use std::{fmt, time::Duration};

/// How long a server may take to accept a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// The variable that the programs of MySQL and MariaDB take the password from.
pub(super) const PASSWORD: &str = "MYSQL_PWD";

const PORT: u16 = 3306;

/// One server, and how its administrator logs in.
#[derive(Clone)]
pub(super) struct Server {
    admin: Opts,
    host: String,
    port: u16,
    socket: Option<String>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => f.write_str(socket),
            None if self.host.contains(':') => write!(f, "[{}]:{}", self.host, self.port),
            None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Server {
    /// Reads `mysql://user:password@host:port/database?socket=/path`; `mariadb://` says the same.
    pub(super) fn parse(url: &Secret, origin: &str) -> Result<Self, StoreError> {
        let invalid = |reason: &str| InvalidAddress { origin: origin.to_owned(), reason: reason.to_owned() };
        let (plain, query) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
        let rest = plain.strip_prefix("mysql://").or_else(|| plain.strip_prefix("mariadb://"));
        let rest = rest.ok_or_else(|| invalid("it does not begin with mysql:// or mariadb://"))?;
        let socket = parameters(query, origin)?;
        // What the parser says may repeat a piece of the address.
        let admin = Opts::from_url(&format!("mysql://{rest}")).map_err(|_| invalid("it is no URL"))?;
        if admin.user().is_none_or(str::is_empty) {
            return Err(invalid("it names no user").into());
        }
        let host = admin.ip_or_hostname().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.contains(',') {
            return Err(invalid("it names several hosts, and stores are made on one").into());
        }
        let port = if admin.tcp_port() == 0 { PORT } else { admin.tcp_port() };
        Ok(Self { admin, host, port, socket })
    }

    /// How the administrator logs in.
    pub(super) fn admin(&self) -> Opts {
        plain(OptsBuilder::from_opts(self.admin.clone()).socket(self.socket.clone()))
    }

    /// How a service logs in.
    pub(super) fn service(&self, it: &Remembered) -> Opts {
        let opts = OptsBuilder::from_opts(self.admin()).user(Some(it.role.as_str()));
        opts.pass(Some(it.password.expose())).db_name(Some(it.database.as_str())).into()
    }

    /// What a service is given: the URL, and the variables that images, frameworks and the programs of both servers read.
    pub(super) fn credentials(&self, it: &Remembered) -> Credentials {
        let Remembered { role, database, password, .. } = it;
        let secret = password.expose();
        let url = match &self.socket {
            Some(socket) => {
                let path = socket.replace('%', "%25").replace('&', "%26").replace('#', "%23").replace(' ', "%20");
                format!("mysql://{role}:{secret}@localhost/{database}?socket={path}")
            }
            None => format!("mysql://{role}:{secret}@{self}/{database}"),
        };
        let mut env = vec![
            ("MYSQL_HOST", if self.socket.is_some() { "localhost".to_owned() } else { self.host.clone() }),
            ("MYSQL_USER", role.clone()),
            ("MYSQL_PASSWORD", secret.to_owned()),
            (PASSWORD, secret.to_owned()),
            ("MYSQL_DATABASE", database.clone()),
        ];
        match &self.socket {
            Some(socket) => env.push(("MYSQL_UNIX_PORT", socket.clone())),
            None => env.extend([("MYSQL_PORT", self.port.to_string()), ("MYSQL_TCP_PORT", self.port.to_string())]),
        }
        Credentials::new(Secret::new(url), env.into_iter().map(|(key, value)| (key, Secret::new(value))))
    }

    /// What tells a program of the server where to log in. First of all that files of settings, which could lead elsewhere, are not read.
    pub(super) fn arguments(&self, user: &str) -> Vec<String> {
        let mut arguments = vec!["--no-defaults".to_owned(), format!("--user={user}")];
        match &self.socket {
            Some(socket) => arguments.extend(["--protocol=socket".to_owned(), format!("--socket={socket}")]),
            None => arguments.extend([
                "--protocol=tcp".to_owned(),
                format!("--host={}", self.host),
                format!("--port={}", self.port),
            ]),
        }
        arguments
    }
}

/// A connection to the server that was named: the library would prefer the socket that the server tells of, which on this machine may be
/// another server's.
pub(super) fn plain(opts: OptsBuilder) -> Opts {
    opts.prefer_socket(false).tcp_keepalive(Some(Duration::from_secs(10))).into()
}

/// The socket, if there is one. A connection that was asked to be private is never made in the clear.
fn parameters(query: &str, origin: &str) -> Result<Option<String>, StoreError> {
    let mut socket = None;
    for (key, value) in
        query.split('&').filter(|part| !part.is_empty()).map(|it| it.split_once('=').unwrap_or((it, "")))
    {
        let key = key.to_ascii_lowercase().replace('_', "-");
        let off = ["disable", "disabled", "false", "0", "prefer", "preferred"];
        match key.as_str() {
            "socket" => socket = Some(decoded(value)),
            "ssl-mode" | "sslmode" | "ssl" | "tls" | "usessl" | "require-ssl"
                if off.contains(&value.to_ascii_lowercase().as_str()) => {}
            key if key.contains("ssl") || key.contains("tls") => {
                let asked = format!("{key}={value}");
                return Err(EncryptionUnsupported { origin: origin.to_owned(), asked }.into());
            }
            "charset" => {}
            _ => {
                let reason = format!("it has the parameter `{key}`, which means nothing here");
                return Err(InvalidAddress { origin: origin.to_owned(), reason }.into());
            }
        }
    }
    Ok(socket)
}

/// Without `%2F` and the like. What is no such pair stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let pair = tail.get(..2).filter(|_| *first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Server, StoreError> {
        Server::parse(&Secret::new(url), "`engines.stores.mysql.url`")
    }

    fn remembered() -> Remembered {
        let name = || "askdocs_library".to_owned();
        Remembered { server: String::new(), role: name(), database: name(), password: Secret::new("hush") }
    }

    #[test]
    fn an_address_that_asks_for_encryption_is_refused_and_never_used_in_the_clear() {
        for asked in ["ssl-mode=REQUIRED", "sslmode=verify-full", "require_ssl=true", "ssl-ca=/ca.pem", "useSSL=true"] {
            let error = parse(&format!("mysql://a:hush@db/mysql?{asked}")).expect_err(asked);
            assert!(matches!(error, StoreError::EncryptionUnsupported(_)), "{error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        parse("mysql://a:hush@db/mysql?ssl-mode=DISABLED").expect("asks for none");
    }

    #[test]
    fn an_invalid_address_is_explained_without_its_password() {
        for url in [
            "mysql://",
            "postgres://a:hush@db/x",
            "mysql://a:hush@h1,h2/db",
            "nonsense",
            "mysql://a:hush@db:port/x",
            "mysql://db/x",
            "mysql://a:hush@db/x?wait_timeout=hush",
        ] {
            let error = parse(url).expect_err(url);
            assert!(matches!(error, StoreError::InvalidAddress(_)), "{url}: {error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        assert!(!format!("{:?}", parse("mysql://a:hush@db/x").expect("valid")).contains("hush"));
    }

    #[test]
    fn a_service_gets_a_url_for_every_kind_of_host() {
        let url = |admin: &str| parse(admin).expect("valid").credentials(&remembered()).url.expose().to_owned();
        assert_eq!(url("mysql://a:b@db"), "mysql://askdocs_library:hush@db:3306/askdocs_library");
        assert_eq!(url("mariadb://a:b%40@[::1]:6/x"), "mysql://askdocs_library:hush@[::1]:6/askdocs_library");
        let through_socket = "mysql://askdocs_library:hush@localhost/askdocs_library?socket=/run/my sql.sock";
        assert_eq!(url("mysql://a:b@localhost/x?socket=%2Frun%2Fmy%20sql.sock"), through_socket.replace(' ', "%20"));
    }
}
