//! A server that is away, silent or unfriendly; and who gets to see the passwords.

use super::{admin, engine, options, run, server, service};
use motet_adapters::mysql::Mysql;
use motet_datastore::{Occupancy, Provision, StoreError};
use mysql_async::prelude::*;
use std::{fs, os::unix::fs::PermissionsExt, time::Duration};
use tokio::net::TcpListener;

fn at(port: u16, state: &std::path::Path) -> Mysql {
    Mysql::new(options("failing", state, format!("mysql://admin:hush@127.0.0.1:{port}"))).expect("valid")
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
async fn a_wrong_password_and_a_lack_of_rights_are_told_in_the_servers_own_words() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let url = server.admin_url().replace("motet_admin:", "motet_admin:not-");
    let engine = Mysql::new(options("wrong", state.path(), url)).expect("valid");
    let error = engine.provision(&service("library")).await.expect_err("refused");
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert!(error.to_string().contains("1045"), "{error}");
    assert!(!state.path().join("stores/library/credentials.json").exists(), "nothing was begun");
    admin(&server, "CREATE USER visitor IDENTIFIED BY 'visitor'").await;
    let url = format!("mysql://visitor:visitor@127.0.0.1:{}", server.port());
    let engine = Mysql::new(options("visit", state.path(), url)).expect("valid");
    let error = engine.provision(&service("library")).await.expect_err("refused");
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
}

#[tokio::test]
async fn an_administrator_who_would_see_nobody_replaces_nothing() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    admin(
        &server,
        "CREATE USER blind IDENTIFIED BY 'blind'; GRANT ALL ON *.* TO blind WITH GRANT OPTION; REVOKE PROCESS ON *.* FROM blind",
    )
    .await;
    let url = format!("mysql://blind:blind@127.0.0.1:{}", server.port());
    let engine = Mysql::new(options("blind", state.path(), url)).expect("valid");
    engine.provision(&service("library")).await.expect("provisioned");
    let error = engine.reset(&service("library"), Occupancy::Free).await.expect_err("somebody may be connected");
    assert!(error.to_string().contains("PROCESS"), "{error}");
}

#[tokio::test]
async fn the_server_never_learns_a_password_and_only_the_owner_may_read_it() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let log = server.home().join("general.log");
    admin(&server, &format!("SET GLOBAL general_log_file = '{}'; SET GLOBAL general_log = ON", log.display())).await;
    let engine = engine("quiet", state.path(), &server);
    let credentials = engine.provision(&service("library")).await.expect("provisioned");
    admin(&server, "SET GLOBAL general_log = OFF").await;
    let log = fs::read(&log).expect("the server's log");
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("ALTER USER `quiet_library`"), "statements are logged");
    assert!(!log.contains(credentials.env["MYSQL_PASSWORD"].expose()));

    let file = state.path().join("stores/library/credentials.json");
    assert_eq!(fs::metadata(&file).expect("written").permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(file).expect("read").contains(credentials.env["MYSQL_PASSWORD"].expose()));
}

#[tokio::test]
async fn a_forced_reset_cuts_connections_and_lets_new_ones_in() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("forced", state.path(), &server);
    let credentials = engine.provision(&service("library")).await.expect("provisioned");
    let mut held = super::connect(credentials.url.expose()).await.expect("connected");
    engine.reset(&service("library"), Occupancy::Forced).await.expect("reset by force");
    held.query_drop("SELECT 1").await.expect_err("cut off");
    run(&credentials, "CREATE TABLE notes (body TEXT)").await.expect("the new store is open");
}
