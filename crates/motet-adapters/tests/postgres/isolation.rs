//! What a service cannot do with what it was given.

use super::{admin, connect, engine, number, run, server, service};
use motet_datastore::{Credentials, Provision};

/// The address of one service's store with the key of another.
fn swapped(key: &Credentials, lock: &Credentials) -> String {
    let url = key.url.expose();
    let (head, _) = url.rsplit_once('/').expect("a url with a database");
    format!("{head}/{}", lock.env["PGDATABASE"].expose())
}

#[tokio::test]
async fn a_service_cannot_connect_to_the_store_of_another() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("apart", state.path(), &server);
    let library = engine.provision(&service("library")).await.expect("provisioned");
    let index = engine.provision(&service("index")).await.expect("provisioned");
    run(&library, "CREATE TABLE notes (body TEXT)").await.expect("its own store is open to it");
    for (key, lock) in [(&index, &library), (&library, &index)] {
        let error = connect(&swapped(key, lock)).await.expect_err("a door to another service's store");
        assert!(error.starts_with("42501"), "refused for lack of the right and for nothing else: {error}");
    }
    let stolen = library.url.expose().replace("apart_library:", "apart_index:");
    let error = connect(&stolen).await.expect_err("the passwords are different ones");
    assert!(error.starts_with("28P01"), "{error}");
}

#[tokio::test]
async fn a_service_cannot_become_another_or_raise_itself() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("humble", state.path(), &server);
    let library = engine.provision(&service("library")).await.expect("provisioned");
    engine.provision(&service("index")).await.expect("provisioned");
    for sql in [
        "SET ROLE humble_index",
        "SET SESSION AUTHORIZATION humble_index",
        "CREATE ROLE more",
        "CREATE DATABASE more",
        "ALTER ROLE humble_library SUPERUSER",
        "ALTER ROLE humble_index PASSWORD 'mine'",
        "GRANT humble_index TO humble_library",
        "GRANT CONNECT ON DATABASE humble_index TO humble_library",
        "DROP DATABASE humble_index",
        "ALTER DATABASE humble_index RENAME TO mine",
        "SELECT rolpassword FROM pg_authid",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "SELECT pg_read_file('/etc/passwd')",
    ] {
        let error = run(&library, sql).await.expect_err(sql);
        let denied = ["42501", "55006"].iter().any(|code| error.starts_with(code));
        assert!(denied, "{sql}: {error}");
    }
    let powers = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'humble%' \
                  AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)";
    assert_eq!(number(&library, powers).await, 0);
}

#[tokio::test]
async fn a_door_that_somebody_opened_is_closed_by_the_next_provision() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("doors", state.path(), &server);
    let library = engine.provision(&service("library")).await.expect("provisioned");
    let index = engine.provision(&service("index")).await.expect("provisioned");
    admin(&server, "GRANT CONNECT ON DATABASE doors_library TO PUBLIC; ALTER ROLE doors_index CREATEDB").await;
    connect(&swapped(&index, &library)).await.expect("the door is open now");
    engine.provision(&service("library")).await.expect("provisioned");
    engine.provision(&service("index")).await.expect("provisioned");
    connect(&swapped(&index, &library)).await.expect_err("closed again");
    let error = run(&index, "CREATE DATABASE doors_more").await.expect_err("taken away again");
    assert!(error.starts_with("42501"), "{error}");
}

#[tokio::test]
async fn nobody_else_has_rights_on_the_schema_public() {
    let Some(server) = server() else { return };
    let state = tempfile::tempdir().expect("directory");
    let engine = engine("schema", state.path(), &server);
    let library = engine.provision(&service("library")).await.expect("provisioned");
    admin(
        &server,
        "CREATE ROLE stranger LOGIN PASSWORD 'stranger'; GRANT CONNECT ON DATABASE schema_library TO stranger",
    )
    .await;
    run(&library, "CREATE TABLE notes (body TEXT); GRANT SELECT ON notes TO PUBLIC").await.expect("created");
    let url = format!("postgres://stranger:stranger@127.0.0.1:{}/schema_library", server.port());
    let client = connect(&url).await.expect("let in by the administrator");
    client.batch_execute("SELECT * FROM public.notes").await.expect_err("the schema is closed");
    client.batch_execute("CREATE TABLE public.mine (n INT)").await.expect_err("the schema is closed");
}
