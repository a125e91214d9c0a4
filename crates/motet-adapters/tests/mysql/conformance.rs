//! The suite of the store port, as an administrator who may do everything and as the lesser one that managed servers give.

use super::{connect, engine, options, server, show};
use async_trait::async_trait;
use motet_adapters::mysql::Mysql;
use motet_datastore::{Credentials, Provision};
use motet_testkit::datastore::{Client, Session, Subject, conformance};
use mysql_async::{Conn, prelude::*};
use std::sync::Arc;

struct Plain;

#[async_trait]
impl Client for Plain {
    async fn connect(&self, credentials: &Credentials) -> Result<Box<dyn Session>, String> {
        Ok(Box::new(Open(connect(credentials.url.expose()).await?)))
    }
}

struct Open(Conn);

#[async_trait]
impl Session for Open {
    async fn execute(&mut self, sql: &str) -> Result<(), String> {
        self.0.query_drop(sql).await.map_err(|error| show(&error))
    }

    async fn number(&mut self, sql: &str) -> Result<i64, String> {
        let found: Option<i64> = self.0.query_first(sql).await.map_err(|error| show(&error))?;
        found.ok_or_else(|| "no row".to_owned())
    }

    async fn close(self: Box<Self>) {
        let _ = self.0.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_keeps_the_promises_of_the_port() {
    let Some(server) = server() else { return };
    let (state, scratch) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    let engine = || -> Arc<dyn Provision> { Arc::new(engine("suite", state.path(), &server)) };
    conformance(&Subject { engine: &engine, client: &Plain, scratch: scratch.path() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_with_the_rights_of_the_book_suffices() {
    let Some(server) = server() else { return };
    let book = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/stores-mysql.md");
    let book = std::fs::read_to_string(book).expect("a page");
    let grants = book.split("```sql\n").find(|block| block.starts_with("CREATE USER")).expect("the rights");
    let grants = grants.split("```").next().expect("its end");
    super::admin(&server, grants).await;
    let url = format!("mysql://motet:a-long-password@127.0.0.1:{}", server.port());
    let (state, scratch) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    let engine = || -> Arc<dyn Provision> {
        Arc::new(Mysql::new(options("askdocs", state.path(), url.clone())).expect("a valid address"))
    };
    conformance(&Subject { engine: &engine, client: &Plain, scratch: scratch.path() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_behind_a_socket_serves_as_well() {
    let Some(server) = server() else { return };
    let address = server.admin_url().replace(&format!("127.0.0.1:{}", server.port()), "localhost");
    let address = format!("{address}?socket={}", server.socket().display());
    let state = tempfile::tempdir().expect("directory");
    let engine = Mysql::new(options("socket", state.path(), address)).expect("a valid address");
    let credentials = engine.provision(&super::service("library")).await.expect("provisioned");
    super::run(&credentials, "CREATE TABLE notes (body TEXT)").await.expect("its url leads through the socket");
    let to = state.path().join("backup");
    engine.backup(&super::service("library"), &to).await.expect("so do the programs");
}
