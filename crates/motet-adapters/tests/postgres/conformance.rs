//! The suite of the store port, as a superuser and as the lesser administrator that managed servers give.

use super::{connect, engine, options, server, show};
use async_trait::async_trait;
use motet_adapters::postgres::Postgres;
use motet_datastore::{Credentials, Provision};
use motet_testkit::datastore::{Client, Session, Subject, conformance};
use std::sync::Arc;

struct Plain;

#[async_trait]
impl Client for Plain {
    async fn connect(&self, credentials: &Credentials) -> Result<Box<dyn Session>, String> {
        Ok(Box::new(Open(connect(credentials.url.expose()).await?)))
    }
}

struct Open(tokio_postgres::Client);

#[async_trait]
impl Session for Open {
    async fn execute(&mut self, sql: &str) -> Result<(), String> {
        self.0.batch_execute(sql).await.map_err(|error| show(&error))
    }

    async fn number(&mut self, sql: &str) -> Result<i64, String> {
        self.0.query_one(sql, &[]).await.map(|row| row.get(0)).map_err(|error| show(&error))
    }

    async fn close(self: Box<Self>) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_promises_of_the_port() {
    let Some(server) = server() else { return };
    let (state, scratch) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    let engine = || -> Arc<dyn Provision> { Arc::new(engine("suite", state.path(), &server)) };
    conformance(&Subject { engine: &engine, client: &Plain, scratch: scratch.path() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_without_superpowers_suffices() {
    let Some(server) = server() else { return };
    super::admin(&server, "CREATE ROLE lesser LOGIN CREATEDB CREATEROLE PASSWORD 'lesser'").await;
    let url = format!("postgres://lesser:lesser@127.0.0.1:{}/postgres", server.port());
    let (state, scratch) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    let engine = || -> Arc<dyn Provision> {
        Arc::new(Postgres::new(options("managed", state.path(), url.clone())).expect("a valid address"))
    };
    conformance(&Subject { engine: &engine, client: &Plain, scratch: scratch.path() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_behind_a_socket_serves_as_well() {
    let Some(server) = server() else { return };
    let sockets = server.sockets().display().to_string().replace('/', "%2F");
    let address = server.admin_url().replace("127.0.0.1:", &format!("{sockets}:"));
    let state = tempfile::tempdir().expect("directory");
    let engine = Postgres::new(options("socket", state.path(), address)).expect("a valid address");
    let credentials = engine.provision(&super::service("library")).await.expect("provisioned");
    super::run(&credentials, "CREATE TABLE notes (body TEXT)").await.expect("its url leads through the socket");
    let to = state.path().join("backup");
    engine.backup(&super::service("library"), &to).await.expect("so do the variables of libpq");
}
