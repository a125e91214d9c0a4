//! Stores on a real MariaDB with password authentication (Debian: `apt install mariadb-server`).

mod conformance;
mod convergence;
mod failures;
mod isolation;
mod layouts;
mod outbox;

use motet_adapters::mysql::{Mysql, Options};
use motet_datastore::{Credentials, Secret};
use motet_kernel::name::ServiceName;
use motet_testkit::mysql::Mysql as Server;
use mysql_async::{Conn, Error, Opts, prelude::*};
use std::{path::Path, sync::Arc};

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

fn engine(system: &str, state: &Path, server: &Server) -> Mysql {
    Mysql::new(options(system, state, server.admin_url())).expect("a valid address")
}

/// A plain connection, as a service opens it.
async fn connect(url: &str) -> Result<Conn, String> {
    Conn::new(Opts::from_url(url).expect("a url")).await.map_err(|error| show(&error))
}

/// The number of the server's error first.
fn show(error: &Error) -> String {
    match error {
        Error::Server(said) => format!("{} {}", said.code, said.message),
        other => other.to_string(),
    }
}

async fn admin(server: &Server, sql: &str) {
    let mut conn = connect(&server.admin_url()).await.expect("the administrator may connect");
    conn.query_drop(sql).await.map_err(|error| show(&error)).expect(sql);
    let _ = conn.disconnect().await;
}

async fn run(credentials: &Credentials, sql: &str) -> Result<(), String> {
    let mut conn = connect(credentials.url.expose()).await?;
    let done = conn.query_drop(sql).await.map_err(|error| show(&error));
    let _ = conn.disconnect().await;
    done
}

async fn number(credentials: &Credentials, sql: &str) -> i64 {
    let mut conn = connect(credentials.url.expose()).await.expect("connected");
    let number = conn.query_first(sql).await.expect(sql).expect("a row");
    let _ = conn.disconnect().await;
    number
}
