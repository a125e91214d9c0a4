//! Whatever state a store is found in, provisioning ends in a whole one, or says whose it is.

use super::{admin, connect, engine, number, options, run, server, service};
use motet_adapters::postgres::Postgres;
use motet_datastore::{Occupancy, Provision, StoreError};
use std::{fs, path::Path, time::Duration};

const ROW: &str = "CREATE TABLE notes (body TEXT); INSERT INTO notes VALUES ('kept')";
const COUNT: &str = "SELECT count(*) FROM notes";

fn credentials_file(state: &Path) -> std::path::PathBuf {
    state.join("stores/library/credentials.json")
}

#[tokio::test]
async fn a_provision_killed_at_any_line_is_finished_by_the_next() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("killed", state.path(), &server);
    let library = service("library");
    let credentials = engine.provision(&library).await.expect("provisioned");
    let drop_all = "DROP DATABASE killed_library";
    for left in [
        // The file is written, and nothing is on the server.
        &[drop_all, "DROP ROLE killed_library"][..],
        // The role is made, and the database is not.
        &[drop_all],
        // The database is made, and neither opened, closed to others, nor marked.
        &[
            "ALTER DATABASE killed_library CONNECTION LIMIT 0",
            "GRANT ALL ON DATABASE killed_library TO PUBLIC",
            "COMMENT ON DATABASE killed_library IS NULL",
        ],
        // All is made and marked, but the schema is not guarded and the password is another one.
        &["ALTER ROLE killed_library PASSWORD 'another' NOLOGIN"],
        // A restore was killed before and after the swap.
        &[
            "CREATE DATABASE killed_library__restoring OWNER killed_library",
            "CREATE DATABASE killed_library__replaced OWNER killed_library",
        ],
    ] {
        for sql in left {
            admin(&server, sql).await;
        }
        assert_eq!(engine.provision(&library).await.expect("finished"), credentials, "{left:?}");
        run(&credentials, "CREATE TABLE IF NOT EXISTS works (n INT)").await.expect("it works");
        let others = "SELECT count(*) FROM pg_database WHERE datname LIKE 'killed%'";
        assert_eq!(number(&credentials, others).await, 1, "{left:?}");
        let closed = "SELECT count(*) FROM pg_database WHERE datname = 'killed_library' \
                      AND NOT has_database_privilege('public', oid, 'CONNECT') \
                      AND shobj_description(oid, 'pg_database') LIKE 'motet: %' AND datconnlimit = -1";
        assert_eq!(number(&credentials, closed).await, 1, "{left:?}");
    }
}

#[tokio::test]
async fn a_lost_credentials_file_gives_a_new_password_and_keeps_the_data() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("lost", state.path(), &server);
    let before = engine.provision(&service("library")).await.expect("provisioned");
    run(&before, ROW).await.expect("filled");
    fs::remove_dir_all(state.path().join("stores")).expect("lost");
    let after = engine.provision(&service("library")).await.expect("provisioned");
    assert_ne!(before.env["PGPASSWORD"], after.env["PGPASSWORD"]);
    assert!(connect(before.url.expose()).await.expect_err("the old password").starts_with("28P01"));
    assert_eq!(number(&after, COUNT).await, 1);
}

#[tokio::test]
async fn the_store_of_another_copy_of_the_system_is_left_alone_until_it_is_taken_over() {
    let Some(server) = server() else { return };
    let (ours, theirs) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    let (library, anas) = (service("library"), engine("shared", theirs.path(), &server));
    let credentials = anas.provision(&library).await.expect("provisioned");
    run(&credentials, ROW).await.expect("filled");

    let error = engine("shared", ours.path(), &server).provision(&library).await.expect_err("theirs");
    assert!(matches!(error, StoreError::ForeignStore(_)), "{error}");
    assert!(error.to_string().contains(&theirs.path().display().to_string()), "{error}");
    assert_eq!(number(&credentials, COUNT).await, 1, "their password still works");
    assert!(engine("shared", ours.path(), &server).remove(&library, Occupancy::Forced).await.is_err());

    let taking = Postgres::new(motet_adapters::postgres::Options {
        take_over: true,
        ..options("shared", ours.path(), server.admin_url())
    });
    let taken = taking.expect("valid").provision(&library).await.expect("taken over");
    assert_eq!(number(&taken, COUNT).await, 1);
    let error = anas.provision(&library).await.expect_err("they learn of it");
    assert!(matches!(error, StoreError::ForeignStore(_)), "{error}");
}

#[tokio::test]
async fn a_state_directory_that_moved_with_its_password_keeps_its_store() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let (old, new) = (state.path().join("old"), state.path().join("new"));
    let credentials = engine("moved", &old, &server).provision(&service("library")).await.expect("provisioned");
    fs::rename(&old, &new).expect("moved");
    let moved = engine("moved", &new, &server).provision(&service("library")).await.expect("provisioned");
    assert_eq!(moved, credentials);
    fs::remove_dir_all(&new).expect("lost, after the mark was renewed");
    engine("moved", &new, &server).provision(&service("library")).await.expect("it is known to be ours");
}

#[tokio::test]
async fn what_motet_did_not_make_is_never_touched() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    admin(&server, "CREATE ROLE persons_library LOGIN PASSWORD 'by hand'").await;
    admin(&server, "CREATE DATABASE persons_index").await;
    let taking =
        motet_adapters::postgres::Options { take_over: true, ..options("persons", state.path(), server.admin_url()) };
    let engine = Postgres::new(taking).expect("valid");
    for name in ["library", "index"] {
        let error = engine.provision(&service(name)).await.expect_err(name);
        assert!(error.to_string().contains("somebody else"), "{error}");
    }
    let url = format!("postgres://persons_library:by%20hand@127.0.0.1:{}/postgres", server.port());
    connect(&url).await.expect("the password is still the person's");
}

#[tokio::test]
async fn the_credentials_file_of_another_system_is_not_overwritten() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    engine("first", state.path(), &server).provision(&service("library")).await.expect("provisioned");
    let before = fs::read(credentials_file(state.path())).expect("written");
    let error = engine("second", state.path(), &server).provision(&service("library")).await.expect_err("first's");
    assert!(matches!(error, StoreError::ForeignCredentials(_)), "{error}");
    assert_eq!(fs::read(credentials_file(state.path())).expect("still there"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provision_broken_off_at_any_moment_is_finished_by_the_next() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("broken", state.path(), &server);
    let library = service("library");
    for moment in (0..150).step_by(6).map(Duration::from_millis) {
        if tokio::time::timeout(moment, engine.provision(&library)).await.is_ok() {
            engine.remove(&library, Occupancy::Forced).await.expect("removed, to begin again");
        }
    }
    let credentials = engine.provision(&library).await.expect("finished");
    run(&credentials, ROW).await.expect("it works");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_broken_off_at_any_moment_leaves_all_of_the_old_or_all_of_the_new() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("half", state.path(), &server);
    let library = service("library");
    let credentials = engine.provision(&library).await.expect("provisioned");
    run(&credentials, ROW).await.expect("filled");
    let backup = state.path().join("one.dump");
    engine.backup(&library, &backup).await.expect("backed up");
    for moment in (0..600).step_by(40).map(Duration::from_millis) {
        run(&credentials, "INSERT INTO notes VALUES ('more')").await.expect("inserted");
        let before = number(&credentials, COUNT).await;
        let _ = tokio::time::timeout(moment, engine.restore(&library, &backup, Occupancy::Forced)).await;
        engine.provision(&library).await.expect("the next start");
        let after = number(&credentials, COUNT).await;
        assert!(after == before || after == 1, "{before} rows became {after}");
    }
}
