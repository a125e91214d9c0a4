//! A server that is away, silent or unfriendly; and who gets to see the passwords.

use super::{admin, engine, options, run, server, service};
use motet_adapters::postgres::Postgres;
use motet_datastore::{Occupancy, Provision, StoreError};
use std::{fs, os::unix::fs::PermissionsExt, time::Duration};
use tokio::net::TcpListener;

fn at(port: u16, state: &std::path::Path) -> Postgres {
    Postgres::new(options("failing", state, format!("postgres://admin:hush@127.0.0.1:{port}/postgres"))).expect("valid")
}

#[tokio::test]
async fn a_server_that_is_away_is_reported_at_once() {
    let state = tempfile::tempdir().expect("directory");
    let port = TcpListener::bind("127.0.0.1:0").await.expect("bound").local_addr().expect("address").port();
    let error = at(port, state.path()).provision(&service("library")).await.expect_err("nobody listens");
    assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_never_answers_is_given_up_after_five_seconds() {
    let state = tempfile::tempdir().expect("directory");
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = silent.local_addr().expect("address").port();
    let begun = tokio::time::Instant::now();
    let error = at(port, state.path()).provision(&service("library")).await.expect_err("silence");
    assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
    assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_wrong_password_of_the_administrator_is_the_servers_refusal_in_its_own_words() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let url = server.admin_url().replace("motet_admin:", "motet_admin:not-");
    let engine = Postgres::new(options("wrong", state.path(), url)).expect("valid");
    let error = engine.provision(&service("library")).await.expect_err("refused");
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert!(error.to_string().contains("28P01"), "{error}");
    assert!(!state.path().join("stores/library/credentials.json").exists(), "nothing was begun");
}

#[tokio::test]
async fn an_administrator_who_may_not_make_roles_is_told_so() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    admin(&server, "CREATE ROLE visitor LOGIN PASSWORD 'visitor'").await;
    let url = format!("postgres://visitor:visitor@127.0.0.1:{}/postgres", server.port());
    let engine = Postgres::new(options("visit", state.path(), url)).expect("valid");
    let error = engine.provision(&service("library")).await.expect_err("refused");
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert!(error.to_string().contains("make the role"), "{error}");
}

#[tokio::test]
async fn the_server_never_learns_a_password_and_only_the_owner_may_read_it() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    admin(&server, "ALTER SYSTEM SET log_statement = 'all'").await;
    admin(&server, "SELECT pg_reload_conf()").await;
    let engine = engine("quiet", state.path(), &server);
    let library = service("library");
    let mut credentials = engine.provision(&library).await.expect("provisioned");
    let log = server.sockets().join("server.log");
    // The server reads its configuration when it comes to it: until the statements are logged, nothing is proved.
    for _ in 0..100 {
        if fs::read_to_string(&log).expect("the server's log").contains("ALTER ROLE \"quiet_library\"") {
            break;
        }
        credentials = engine.provision(&library).await.expect("provisioned");
    }
    let log = fs::read_to_string(&log).expect("the server's log");
    assert!(log.contains("ALTER ROLE \"quiet_library\"") && log.contains("SCRAM-SHA-256$"), "statements are logged");
    assert!(!log.contains(credentials.env["PGPASSWORD"].expose()));

    let file = state.path().join("stores/library/credentials.json");
    assert_eq!(fs::metadata(&file).expect("written").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(state.path().join("stores/library")).expect("made").permissions().mode() & 0o777, 0o700);
    assert!(fs::read_to_string(file).expect("read").contains(credentials.env["PGPASSWORD"].expose()));
}

#[tokio::test]
async fn a_forced_reset_cuts_connections_and_lets_new_ones_in() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("forced", state.path(), &server);
    let credentials = engine.provision(&service("library")).await.expect("provisioned");
    let held = super::connect(credentials.url.expose()).await.expect("connected");
    engine.reset(&service("library"), Occupancy::Forced).await.expect("reset by force");
    held.batch_execute("SELECT 1").await.expect_err("cut off");
    run(&credentials, "CREATE TABLE notes (body TEXT)").await.expect("the new store is open");
}
