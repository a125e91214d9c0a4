//! Stores on a real PostgreSQL with password authentication (Debian: `apt install postgresql`).

mod conformance;
mod convergence;
mod failures;
mod isolation;
mod outbox;
mod views;

use motet_adapters::postgres::{Options, Postgres};
use motet_datastore::{Credentials, Secret};
use motet_kernel::{
    name::ServiceName,
    task::{Kind, TaskGroup},
};
use motet_testkit::postgres::Postgres as Server;
use std::{path::Path, sync::Arc};
use tokio_postgres::{Client, NoTls};

fn service(name: &str) -> ServiceName {
    name.parse().expect("a name")
}

/// A server that all tests of this process share: each uses a system of its own.
fn server() -> Option<Arc<Server>> {
    Server::shared()
}

fn options(system: &str, state: &Path, admin_url: String) -> Options {
    Options {
        system: system.parse().expect("a name"),
        state: state.to_owned(),
        admin_url: Secret::new(admin_url),
        origin: "the test".into(),
        installation: None,
        take_over: false,
    }
}

fn engine(system: &str, state: &Path, server: &Server) -> Postgres {
    Postgres::new(options(system, state, server.admin_url())).expect("a valid address")
}

/// A plain connection, as a service opens it. Ends when it is dropped.
async fn connect(url: &str) -> Result<Client, String> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(|error| show(&error))?;
    TaskGroup::new().spawn(Kind::Connection, "test", async move {
        let _ = connection.await;
    });
    Ok(client)
}

fn show(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |said| format!("{} {}", said.code().code(), said.message()))
}

async fn admin(server: &Server, sql: &str) {
    let client = connect(&server.admin_url()).await.expect("the administrator may connect");
    client.batch_execute(sql).await.map_err(|error| show(&error)).expect(sql);
}

async fn run(credentials: &Credentials, sql: &str) -> Result<(), String> {
    let client = connect(credentials.url.expose()).await?;
    client.batch_execute(sql).await.map_err(|error| show(&error))
}

async fn number(credentials: &Credentials, sql: &str) -> i64 {
    let client = connect(credentials.url.expose()).await.expect("connected");
    client.query_one(sql, &[]).await.expect(sql).get(0)
}
