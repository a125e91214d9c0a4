//! Whatever state a store is found in, provisioning ends in a whole one, or says whose it is.

use super::{admin, connect, engine, number, options, run, server, service};
use motet_adapters::mysql::{Mysql, Options};
use motet_datastore::{Occupancy, Provision, StoreError};
use std::{fs, time::Duration};

const ROW: &str = "CREATE TABLE notes (body TEXT); INSERT INTO notes VALUES ('kept')";
const COUNT: &str = "SELECT count(*) FROM notes";

#[tokio::test]
async fn a_provision_killed_at_any_line_is_finished_by_the_next() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("killed", state.path(), &server);
    let library = service("library");
    let credentials = engine.provision(&library).await.expect("provisioned");
    for left in [
        // The file is written, and nothing is on the server.
        "DROP DATABASE killed_library; DROP USER killed_library; DELETE FROM motet__stores.marks WHERE name = 'killed_library'",
        // The mark is there, the user and the database are not.
        "DROP DATABASE killed_library; DROP USER killed_library",
        // The user is made, and has neither a database nor rights.
        "DROP DATABASE killed_library; REVOKE ALL PRIVILEGES, GRANT OPTION FROM killed_library",
        // All is there, and a restore that was killed has taken the password; somebody has locked the user.
        "ALTER USER killed_library IDENTIFIED BY 'another' ACCOUNT LOCK",
    ] {
        admin(&server, left).await;
        assert_eq!(engine.provision(&library).await.expect("finished"), credentials, "{left}");
        run(&credentials, "CREATE TABLE IF NOT EXISTS works (n INT)").await.expect("it works");
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
    assert_ne!(before.env["MYSQL_PASSWORD"], after.env["MYSQL_PASSWORD"]);
    assert!(connect(before.url.expose()).await.expect_err("the old password").starts_with("1045"));
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

    let taking = Options { take_over: true, ..options("shared", ours.path(), server.admin_url()) };
    let taken = Mysql::new(taking).expect("valid").provision(&library).await.expect("taken over");
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
}

#[tokio::test]
async fn what_motet_did_not_make_is_never_touched() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    admin(&server, "CREATE USER persons_library IDENTIFIED BY 'by hand'; CREATE DATABASE persons_index").await;
    let taking = Options { take_over: true, ..options("persons", state.path(), server.admin_url()) };
    let engine = Mysql::new(taking).expect("valid");
    for name in ["library", "index"] {
        let error = engine.provision(&service(name)).await.expect_err(name);
        assert!(error.to_string().contains("somebody else"), "{error}");
    }
    let url = format!("mysql://persons_library:by%20hand@127.0.0.1:{}", server.port());
    connect(&url).await.expect("the password is still the person's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provision_broken_off_at_any_moment_is_finished_by_the_next() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("broken", state.path(), &server);
    let library = service("library");
    for moment in (0..60).step_by(6).map(Duration::from_millis) {
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
    let backup = state.path().join("one.sql");
    engine.backup(&library, &backup).await.expect("backed up");
    for moment in (0..440).step_by(40).map(Duration::from_millis) {
        run(&credentials, "INSERT INTO notes VALUES ('more')").await.expect("inserted");
        let before = number(&credentials, COUNT).await;
        let _ = tokio::time::timeout(moment, engine.restore(&library, &backup, Occupancy::Forced)).await;
        engine.provision(&library).await.expect("the next start");
        let after = number(&credentials, COUNT).await;
        assert!(after == before || after == 1, "{before} rows became {after}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_fails_half_way_brings_back_what_was_there() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("failed", state.path(), &server);
    let library = service("library");
    let credentials = engine.provision(&library).await.expect("provisioned");
    let all = "CREATE TABLE notes (body TEXT); INSERT INTO notes VALUES ('kept'); CREATE VIEW seen AS SELECT * FROM notes; \
               CREATE TRIGGER shout BEFORE INSERT ON notes FOR EACH ROW SET NEW.body = UPPER(NEW.body); \
               CREATE FUNCTION two() RETURNS INT DETERMINISTIC RETURN 2";
    run(&credentials, all).await.expect("filled");
    let backup = state.path().join("whole.sql");
    engine.backup(&library, &backup).await.expect("backed up");
    // A backup of a server that knows something that this one does not: it is whole, and fails in the middle.
    let text = fs::read_to_string(&backup).expect("text");
    let (head, rest) = text.split_once('\n').expect("a first line");
    let (body, _) = rest.rsplit_once("-- motet whole ").expect("a last line");
    let body = format!("{body}CREATE TABLE other (n NUMBERS_OF_TOMORROW);\n");
    let broken = state.path().join("broken.sql");
    let digest = blake3::hash(body.as_bytes()).to_hex();
    fs::write(&broken, format!("{head}\n{body}-- motet whole {digest}\n")).expect("written");
    run(&credentials, "INSERT INTO notes VALUES ('of now')").await.expect("inserted");
    let error = engine.restore(&library, &broken, Occupancy::Free).await.expect_err("it cannot be loaded");
    assert!(matches!(error, StoreError::ToolFailed(_)), "{error}");
    let now = "SELECT count(*) FROM seen WHERE body IN ('kept', 'OF NOW')";
    assert_eq!(number(&credentials, now).await, 2, "the view, the trigger's work and the rows are back");
    assert_eq!(number(&credentials, "SELECT two()").await, 2);
    // To another store, where its objects belong to another user.
    let copy = engine.provision(&service("copy")).await.expect("provisioned");
    engine.restore(&service("copy"), &backup, Occupancy::Free).await.expect("restored");
    run(&copy, "INSERT INTO notes VALUES ('of the copy')").await.expect("its trigger runs as its own user");
    assert_eq!(number(&copy, "SELECT count(*) FROM seen WHERE BINARY body = 'OF THE COPY'").await, 1);
}
