//! What is particular to stores that are files: rights, the journal beside the file, a writer that never pauses, damage.

use motet_datastore::{Occupancy, Provision, Sqlite, StoreError};
use motet_kernel::name::ServiceName;
use rusqlite::Connection;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

fn library() -> ServiceName {
    "library".parse().expect("name")
}

fn rights(path: &Path) -> u32 {
    fs::metadata(path).expect("exists").permissions().mode() & 0o777
}

fn count(path: &str) -> i64 {
    let connection = Connection::open(path).expect("opened");
    connection.query_row("SELECT count(*) FROM notes", [], |row| row.get(0)).expect("counted")
}

#[tokio::test]
async fn the_file_and_its_journal_are_for_the_owner_only_and_in_wal_mode() {
    let state = tempfile::tempdir().expect("directory");
    let engine = Sqlite::new(state.path()).expect("path");
    let credentials = engine.provision(&library()).await.expect("provisioned");
    let path = credentials.env["DATABASE_PATH"].expose();
    assert_eq!(Path::new(path), state.path().join("stores/library/library.db"));
    let connection = Connection::open(path).expect("opened");
    connection.execute_batch("CREATE TABLE notes (body TEXT)").expect("created");
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).expect("asked");
    assert_eq!(mode, "wal");
    assert_eq!(rights(Path::new(path)), 0o600);
    assert_eq!(rights(Path::new(&format!("{path}-wal"))), 0o600);
    assert_eq!(rights(&state.path().join("stores/library")), 0o700);
    assert_eq!(rights(&state.path().join("stores")), 0o700);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_store_that_is_written_to_without_a_pause_is_whole() {
    let (state, scratch) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    let engine = Sqlite::new(state.path()).expect("path");
    let credentials = engine.provision(&library()).await.expect("provisioned");
    let path = credentials.env["SQLITE_PATH"].expose().to_owned();
    Connection::open(&path)
        .expect("opened")
        .execute_batch("CREATE TABLE notes (body TEXT); CREATE TABLE totals (n INTEGER); INSERT INTO totals VALUES (0)")
        .expect("created");
    let stop = Arc::new(AtomicBool::new(false));
    let (first, begun) = std::sync::mpsc::sync_channel(1);
    let writer = std::thread::spawn({
        let (stop, path) = (Arc::clone(&stop), path.clone());
        move || {
            let mut connection = Connection::open(path).expect("opened");
            connection.busy_timeout(std::time::Duration::from_secs(10)).expect("set");
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                let transaction = connection.transaction().expect("begun");
                transaction.execute("INSERT INTO notes VALUES (hex(randomblob(2000)))", []).expect("inserted");
                transaction.execute("UPDATE totals SET n = n + 1", []).expect("counted");
                transaction.commit().expect("committed");
                written += 1;
                let _ = first.try_send(());
            }
            written
        }
    });
    begun.recv().expect("the writer writes");
    for round in 0..3 {
        let target = scratch.path().join(format!("{round}.db"));
        engine.backup(&library(), &target).await.expect("backed up");
        let copy = Connection::open(&target).expect("opened");
        let notes: i64 = copy.query_row("SELECT count(*) FROM notes", [], |row| row.get(0)).expect("notes");
        assert!(notes > 0);
        let total: i64 = copy.query_row("SELECT n FROM totals", [], |row| row.get(0)).expect("total");
        assert_eq!(notes, total, "a transaction is in the copy or it is not");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.join().expect("writer") > 0);
}

#[tokio::test]
async fn a_journal_left_by_a_killed_service_does_not_play_into_what_is_restored() {
    let (state, scratch) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    let engine = Sqlite::new(state.path()).expect("path");
    let credentials = engine.provision(&library()).await.expect("provisioned");
    let path = credentials.env["SQLITE_PATH"].expose();
    let connection = Connection::open(path).expect("opened");
    connection.execute_batch("CREATE TABLE notes (body TEXT); INSERT INTO notes VALUES ('one')").expect("filled");
    let backup = scratch.path().join("one.db");
    engine.backup(&library(), &backup).await.expect("backed up");
    connection.execute_batch("INSERT INTO notes VALUES ('two'), ('three')").expect("filled");
    // What a killed process leaves: the main file and the journal as they are, without a checkpoint.
    let killed = scratch.path().join("killed");
    fs::create_dir(&killed).expect("directory");
    for suffix in ["", "-wal"] {
        fs::copy(format!("{path}{suffix}"), killed.join(format!("library.db{suffix}"))).expect("copied");
    }
    drop(connection);
    for suffix in ["", "-wal"] {
        fs::copy(killed.join(format!("library.db{suffix}")), format!("{path}{suffix}")).expect("put back");
    }
    engine.restore(&library(), &backup, Occupancy::Free).await.expect("restored");
    assert_eq!(count(path), 1);
    engine.provision(&library()).await.expect("provisioned");
    assert_eq!(count(path), 1);
}

#[tokio::test]
async fn a_damaged_store_says_so_and_is_repaired_by_a_restore_or_a_reset() {
    let (state, scratch) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    let engine = Sqlite::new(state.path()).expect("path");
    let credentials = engine.provision(&library()).await.expect("provisioned");
    let path = credentials.env["SQLITE_PATH"].expose();
    Connection::open(path).expect("opened").execute_batch("CREATE TABLE notes (body TEXT)").expect("created");
    let backup = scratch.path().join("good.db");
    engine.backup(&library(), &backup).await.expect("backed up");

    fs::write(path, "overwritten by something that is no database at all").expect("damaged");
    let error = engine.provision(&library()).await.expect_err("damaged");
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    engine.restore(&library(), &backup, Occupancy::Free).await.expect("restored");
    assert_eq!(count(path), 0);

    fs::write(path, "overwritten by something that is no database at all").expect("damaged");
    engine.reset(&library(), Occupancy::Free).await.expect("reset");
    engine.provision(&library()).await.expect("a new, empty store");
}

#[tokio::test]
async fn a_store_opened_up_to_others_is_closed_again() {
    let state = tempfile::tempdir().expect("directory");
    let engine = Sqlite::new(state.path()).expect("path");
    let credentials = engine.provision(&library()).await.expect("provisioned");
    let path = Path::new(credentials.env["SQLITE_PATH"].expose());
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("opened up");
    engine.provision(&library()).await.expect("provisioned");
    assert_eq!(rights(path), 0o600);
}

#[tokio::test]
async fn an_unfinished_copy_of_a_killed_restore_is_no_obstacle() {
    let state = tempfile::tempdir().expect("directory");
    let engine = Sqlite::new(state.path()).expect("path");
    engine.provision(&library()).await.expect("provisioned");
    let beside = state.path().join("stores/library/library.db.restoring");
    fs::write(&beside, "half a copy").expect("written");
    engine.reset(&library(), Occupancy::Free).await.expect("reset");
    assert!(!beside.exists());
}
