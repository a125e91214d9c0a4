//! The suite of the port, run over SQLite.

use async_trait::async_trait;
use motet_datastore::{Credentials, Provision, Sqlite};
use motet_testkit::datastore::{Client, Session, Subject, conformance};
use rusqlite::Connection;
use std::sync::Arc;

struct Plain;

#[async_trait]
impl Client for Plain {
    async fn connect(&self, credentials: &Credentials) -> Result<Box<dyn Session>, String> {
        let path = credentials.env["SQLITE_PATH"].expose();
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| error.to_string())?;
        Ok(Box::new(Open(connection)))
    }
}

struct Open(Connection);

#[async_trait]
impl Session for Open {
    async fn execute(&mut self, sql: &str) -> Result<(), String> {
        self.0.execute_batch(sql).map_err(|error| error.to_string())
    }

    async fn number(&mut self, sql: &str) -> Result<i64, String> {
        self.0.query_row(sql, [], |row| row.get(0)).map_err(|error| error.to_string())
    }

    async fn close(self: Box<Self>) {}
}

#[tokio::test]
async fn sqlite_keeps_the_promises_of_the_port() {
    let (state, scratch) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    let engine = || -> Arc<dyn Provision> { Arc::new(Sqlite::new(state.path()).expect("path")) };
    conformance(&Subject { engine: &engine, client: &Plain, scratch: scratch.path() }).await;
}
