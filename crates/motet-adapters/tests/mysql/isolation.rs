//! What a service cannot do with what it was given.

use super::{admin, connect, engine, run, server, service};
use motet_datastore::{Credentials, Provision};

/// The address of one service's store with the key of another.
fn swapped(key: &Credentials, database: &str) -> String {
    let (head, _) = key.url.expose().rsplit_once('/').expect("a url with a database");
    format!("{head}/{database}")
}

#[tokio::test]
async fn a_service_cannot_connect_to_the_store_of_another_nor_to_one_whose_name_is_like_its_own() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("apart", state.path(), &server);
    let library = engine.provision(&service("library")).await.expect("provisioned");
    let index = engine.provision(&service("index")).await.expect("provisioned");
    run(&library, "CREATE TABLE notes (body TEXT)").await.expect("its own store is open to it");
    // In a right an underscore stands for any character, unless that is prevented.
    admin(&server, "CREATE DATABASE `apartxlibrary`").await;
    for (key, lock) in
        [(&index, "apart_library"), (&library, "apart_index"), (&library, "apartxlibrary"), (&library, "motet__stores")]
    {
        let error = connect(&swapped(key, lock)).await.expect_err(lock);
        assert!(error.starts_with("1044"), "refused for lack of the right and for nothing else: {error}");
    }
    let stolen = library.url.expose().replace("apart_library:", "apart_index:");
    let error = connect(&stolen).await.expect_err("the passwords are different ones");
    assert!(error.starts_with("1045"), "{error}");
}

#[tokio::test]
async fn a_service_cannot_become_another_or_raise_itself() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("humble", state.path(), &server);
    let library = engine.provision(&service("library")).await.expect("provisioned");
    engine.provision(&service("index")).await.expect("provisioned");
    for sql in [
        "CREATE USER more",
        "CREATE DATABASE humble_more",
        "GRANT ALL ON *.* TO humble_library",
        "GRANT SELECT ON humble_library.* TO humble_index",
        "ALTER USER humble_index IDENTIFIED BY 'mine'",
        "SET PASSWORD FOR humble_index = PASSWORD('mine')",
        "DROP DATABASE humble_index",
        "SELECT * FROM mysql.global_priv",
        "SELECT * FROM motet__stores.marks",
        "SELECT LOAD_FILE('/etc/passwd') INTO OUTFILE 'humble'",
        "SET GLOBAL general_log = ON",
        "CREATE DEFINER = root@localhost VIEW v AS SELECT 1",
        "SHOW BINARY LOGS",
    ] {
        let error = run(&library, sql).await.expect_err(sql);
        let denied = ["1044", "1045", "1142", "1227", "1410", "1290"].iter().any(|code| error.starts_with(code));
        assert!(denied, "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_store_that_everybody_could_enter_is_not_made() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    admin(&server, "GRANT SELECT ON `open\\_%`.* TO PUBLIC").await;
    let engine = engine("open", state.path(), &server);
    let error = engine.provision(&service("library")).await.expect_err("open to all");
    assert!(error.to_string().contains("everybody may enter databases called like `open"), "{error}");
    admin(&server, "REVOKE SELECT ON `open\\_%`.* FROM PUBLIC").await;
    engine.provision(&service("library")).await.expect("for one service now");
}

#[tokio::test]
async fn rights_that_somebody_gave_are_taken_away_by_the_next_provision() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("doors", state.path(), &server);
    let library = engine.provision(&service("library")).await.expect("provisioned");
    let index = engine.provision(&service("index")).await.expect("provisioned");
    admin(
        &server,
        "GRANT SELECT ON doors_library.* TO doors_index; GRANT CREATE ON *.* TO doors_library WITH GRANT OPTION",
    )
    .await;
    connect(&swapped(&index, "doors_library")).await.expect("the door is open now");
    engine.provision(&service("library")).await.expect("provisioned");
    engine.provision(&service("index")).await.expect("provisioned");
    connect(&swapped(&index, "doors_library")).await.expect_err("closed again");
    let error = run(&library, "CREATE DATABASE doors_more").await.expect_err("taken away again");
    assert!(error.starts_with("1044"), "{error}");
    run(&library, "CREATE TABLE notes (body TEXT)").await.expect("its own rights stay");
}
