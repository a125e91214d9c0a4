//! One connection with limits: on connecting, on each statement, and on waiting for locks. Every error becomes one of the store's
//! failures here. What a server calls itself, and whether it is one that Motet knows, is found out when it is opened.

use super::address::CONNECT;
use motet_datastore::{
    StoreError,
    error::{Refused, TooLate, Unreachable},
};
use mysql_async::{Conn, Error, Opts, OptsBuilder, Params, prelude::*};
use std::{future::Future, time::Duration};

/// The limit of one statement.
const STATEMENT: Duration = Duration::from_secs(60);
const CLOSE: Duration = Duration::from_secs(2);

/// How every session begins: nothing of the server's own settings changes what a statement means, and no lock is waited for all day.
const SETTINGS: &str = "SET NAMES utf8mb4, SESSION sql_mode = 'STRICT_TRANS_TABLES', SESSION time_zone = '+00:00', \
                        SESSION lock_wait_timeout = 50";

/// Whose server it is. They differ in what they are told about passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    Mariadb,
    Mysql,
}

pub(super) struct Session {
    conn: Conn,
    server: String,
    flavour: Flavour,
    version: String,
}

impl Session {
    pub(super) async fn open(config: Opts, server: &str) -> Result<Self, StoreError> {
        let user = config.user().unwrap_or_default().to_owned();
        let config: Opts = OptsBuilder::from_opts(config).init(vec![SETTINGS]).into();
        let unreachable = |reason: String| Unreachable { server: server.to_owned(), reason };
        let connecting = tokio::time::timeout(CONNECT, Conn::new(config)).await;
        let connected = connecting.map_err(|_| unreachable(format!("no answer within {} s", CONNECT.as_secs())))?;
        let conn = connected.map_err(|error| explain(server, &format!("let `{user}` in"), &error))?;
        let mut it = Self { conn, server: server.to_owned(), flavour: Flavour::Mysql, version: String::new() };
        let said: String = it.row("tell its version", "SELECT VERSION()", ()).await?.unwrap_or_default();
        (it.flavour, it.version) = known(&said).ok_or_else(|| Refused {
            server: server.to_owned(),
            action: "keep stores".to_owned(),
            reason: format!("it is version {said}, and stores need MariaDB 10.6 or MySQL 8.0.19, or newer"),
        })?;
        Ok(it)
    }

    pub(super) fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// `MariaDB 10.11.14`, `MySQL 8.4.3`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Runs one statement.
    pub(super) async fn run(&mut self, action: &str, sql: &str) -> Result<(), StoreError> {
        limited(&self.server, action, self.conn.query_drop(sql)).await
    }

    /// Runs one statement with values.
    pub(super) async fn run_with(
        &mut self,
        action: &str,
        sql: &str,
        with: impl Into<Params> + Send,
    ) -> Result<(), StoreError> {
        limited(&self.server, action, self.conn.exec_drop(sql, with.into())).await
    }

    /// The first row, if there is one.
    pub(super) async fn row<T: FromRow + Send + 'static>(
        &mut self,
        action: &str,
        sql: &str,
        with: impl Into<Params> + Send,
    ) -> Result<Option<T>, StoreError> {
        limited(&self.server, action, self.conn.exec_first(sql, with.into())).await
    }

    /// All rows of a question without values.
    pub(super) async fn rows<T: FromRow + Send + 'static>(
        &mut self,
        action: &str,
        sql: &str,
    ) -> Result<Vec<T>, StoreError> {
        limited(&self.server, action, self.conn.query(sql)).await
    }

    /// An answer of the server that is not an error to it.
    pub(super) fn refuse(&self, action: &str, reason: &str) -> StoreError {
        Refused { server: self.server.clone(), action: action.to_owned(), reason: reason.to_owned() }.into()
    }

    /// Ends the connection so that the server knows it.
    pub(super) async fn close(self) {
        let _ = tokio::time::timeout(CLOSE, self.conn.disconnect()).await;
    }
}

async fn limited<T>(server: &str, action: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(STATEMENT, work).await {
        Ok(done) => done.map_err(|error| explain(server, action, &error)),
        Err(_) => Err(too_late(server, action)),
    }
}

fn too_late(server: &str, action: &str) -> StoreError {
    TooLate { action: format!("the server {server} to {action}"), limit: STATEMENT }.into()
}

fn explain(server: &str, action: &str, error: &Error) -> StoreError {
    const LOCK_WAIT_TIMEOUT: u16 = 1205;
    match error {
        Error::Server(said) if said.code == LOCK_WAIT_TIMEOUT => too_late(server, action),
        Error::Server(said) => {
            let reason = format!("{} (error {}, SQLSTATE {})", said.message, said.code, said.state);
            Refused { server: server.to_owned(), action: action.to_owned(), reason }.into()
        }
        error => Unreachable { server: server.to_owned(), reason: causes(error) }.into(),
    }
}

/// An error and what is behind it.
pub(super) fn causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        let said = deeper.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = deeper.source();
    }
    text
}

/// Which server says so, and in a few words, when it is new enough.
fn known(version: &str) -> Option<(Flavour, String)> {
    let (flavour, name, least) = match version.contains("MariaDB") {
        true => (Flavour::Mariadb, "MariaDB", [10, 6, 0]),
        false => (Flavour::Mysql, "MySQL", [8, 0, 19]),
    };
    let number = version.split('-').next().unwrap_or_default();
    let mut parts = number.split('.').map_while(|part| part.parse::<u32>().ok());
    let parts = [parts.next()?, parts.next()?, parts.next().unwrap_or(0)];
    (parts >= least).then(|| (flavour, format!("{name} {number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_known_by_what_they_call_themselves() {
        assert_eq!(known("10.11.14-MariaDB-0+deb12u2"), Some((Flavour::Mariadb, "MariaDB 10.11.14".into())));
        assert_eq!(known("8.4.3"), Some((Flavour::Mysql, "MySQL 8.4.3".into())));
        assert_eq!(known("8.0.41-0ubuntu0.24.04.1"), Some((Flavour::Mysql, "MySQL 8.0.41".into())));
        for old in ["10.5.29-MariaDB", "5.7.44-log", "8.0.11", "", "nonsense"] {
            assert_eq!(known(old), None, "{old}");
        }
    }
}
