//! Views in real SQLite files, beside a service that reads and writes the same file.

use async_trait::async_trait;
use motet_relay::view::{ViewSpec, ViewTable, Writer, sqlite::SqliteView};
use motet_testkit::views::{Client, Seen, Subject, conformance};
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

struct Service(PathBuf);

fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("a file");
    connection.busy_timeout(Duration::from_secs(5)).expect("a limit");
    connection
}

#[async_trait]
impl Client for Service {
    async fn execute(&self, sql: &str) -> Result<(), String> {
        connect(&self.0).execute_batch(sql).map_err(|error| error.to_string())
    }

    async fn rows(&self, table: &str) -> Vec<Seen> {
        let connection = connect(&self.0);
        let sql = format!("SELECT key, value, event_id, position FROM {table} ORDER BY key");
        let mut statement = connection.prepare(&sql).expect(&sql);
        let rows = statement.query_map([], |row| {
            Ok(Seen { key: row.get(0)?, value: row.get(1)?, id: row.get(2)?, position: row.get(3)? })
        });
        rows.expect(&sql).collect::<Result<_, _>>().expect(&sql)
    }
}

fn store(dir: &tempfile::TempDir) -> PathBuf {
    let path = dir.path().join("web.db");
    connect(&path).execute_batch("PRAGMA journal_mode = WAL").expect("made");
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_what_the_port_promises() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = store(&dir);
    let open = |spec: &ViewSpec| Arc::new(SqliteView::new(&path, spec)) as Arc<dyn ViewTable>;
    conformance(&Subject { open: &open, client: &Service(path.clone()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_one_state_while_it_is_written_and_a_writer_of_the_service_is_waited_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = store(&dir);
    let spec = ViewSpec { table: "main.customers".into(), subscription: "web.c".into(), refills: true };
    let writer = Writer::new(spec.clone(), Arc::new(SqliteView::new(&path, &spec)));
    writer.open().await.expect("made");
    let reader = connect(&path);
    reader.execute_batch("BEGIN").expect("begun");
    let count = |connection: &Connection| -> i64 {
        connection.query_row("SELECT count(*) FROM customers", [], |row| row.get(0)).expect("readable")
    };
    assert_eq!(count(&reader), 0);
    let service = connect(&path);
    service.execute_batch("BEGIN IMMEDIATE; CREATE TABLE own (n INTEGER)").expect("written");
    let run = motet_relay::view::Run { id: 1, lineage: 1, begins: 0, until: 0, acked: None };
    let row =
        motet_relay::view::Row { value: "1".into(), id: "i".into(), source: "s".into(), kind: "t".into(), time: None };
    let change = motet_relay::view::Change { key: "a".into(), position: 0, row: Some(row) };
    let given = vec![motet_relay::view::Given { position: Some(0), again: false, change: Ok(change) }];
    let writing = writer.write(run, given);
    tokio::pin!(writing);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut writing).await.is_err(), "it waits");
    service.execute_batch("COMMIT").expect("written");
    writing.await.expect("written");
    assert_eq!((count(&reader), count(&service)), (0, 1), "the reader's transaction sees what it saw");
}
