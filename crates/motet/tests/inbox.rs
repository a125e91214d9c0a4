//! The inbox in Rust, which stands on the page in the book, and the tables of that page on the servers that are no part of the example
//! system. The other languages are tested there, as services (`examples/cloudevents/tests`).

mod snippet;

use crate::scratch::PATIENCE;
use motet_testkit::postgres::Postgres;
use rusqlite::Connection;
use snippet::once;
use std::{fs, future::Future, path::Path, thread};
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

const SNIPPET: &str = include_str!("inbox/snippet.rs");
const DELIVERIES: usize = 8;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/inbox.md");
    fs::read_to_string(path).expect("the page")
}

/// The blocks of a language on the page.
fn blocks(language: &str) -> Vec<String> {
    let (page, begin) = (page(), format!("```{language}\n"));
    page.split(&begin).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

#[test]
fn the_page_has_the_inbox_that_is_tested() {
    assert!(SNIPPET.replace("pub(crate) fn", "fn").ends_with(&blocks("rust")[0]), "docs/inbox.md has another one");
}

fn open(path: &Path) -> Connection {
    let store = Connection::open(path).expect("a store");
    store.busy_timeout(PATIENCE).expect("a limit");
    store
}

fn count(store: &Connection) -> i64 {
    store.query_row("SELECT count(*) FROM work", (), |row| row.get(0)).expect("a number")
}

#[test]
fn an_event_that_is_delivered_by_many_at_once_is_handled_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let store = open(&path);
    store.execute_batch(&format!("{}CREATE TABLE work (id TEXT);", blocks("sql")[0])).expect("tables");
    let handle = |handler: &str| {
        once(&mut open(&path), (handler, "/shop", "e-1"), |store| {
            store.execute("INSERT INTO work VALUES ('e-1')", ()).map(|_| ())
        })
    };
    let handled: usize = thread::scope(|scope| {
        let all: Vec<_> = (0..DELIVERIES).map(|_| scope.spawn(|| handle("/on/order"))).collect();
        all.into_iter().map(|one| usize::from(one.join().expect("no panic").expect("no error"))).sum()
    });
    assert_eq!((handled, count(&store)), (1, 1));
    assert!(!handle("/on/order").expect("no error"), "it was handled before");
    assert!(handle("/on/order-too").expect("no error"), "another handler has not had it");
    assert_eq!(count(&store), 2);
}

#[test]
fn work_that_fails_is_done_again() {
    let mut store = Connection::open_in_memory().expect("a store");
    store.execute_batch(&format!("{}CREATE TABLE work (id TEXT);", blocks("sql")[0])).expect("tables");
    let event = ("/on/order", "/shop", "e-1");
    let failed = once(&mut store, event, |store| {
        store.execute("INSERT INTO work VALUES ('e-1')", ())?;
        Err(rusqlite::Error::InvalidQuery)
    });
    assert_eq!((failed.is_err(), count(&store)), (true, 0));
    assert!(once(&mut store, event, |_| Ok(())).expect("no error"));
}

/// The statement of the page, as it is written for PostgreSQL.
const ENTER: &str = "INSERT INTO inbox (handler, source, id) VALUES ('/on/order', '/shop', $1) ON CONFLICT DO NOTHING";

async fn connect(url: &str) -> (Client, impl Future<Output = ()>) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    (client, async move { connection.await.expect("a connection that lasts") })
}

/// Waits until somebody waits for a row that another transaction has entered.
async fn until_one_waits(client: &Client) {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO inbox%'";
    while client.query_one(waiting, &[]).await.expect("a number").get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn in_postgresql_a_second_delivery_waits_for_the_first_and_works_only_if_that_failed() {
    let Some(server) = Postgres::shared() else { return };
    let url = server.admin_url();
    let ((mut first, one), (mut second, two)) = (connect(&url).await, connect(&url).await);
    let (looking, three) = connect(&url).await;
    let deliveries = async {
        first.batch_execute(&blocks("sql")[0]).await.expect("the table of the page");
        for (id, first_works) in [("e-1", true), ("e-2", false)] {
            let transaction = first.transaction().await.expect("begun");
            assert_eq!(transaction.execute(ENTER, &[&id]).await.expect("entered"), 1);
            let again = async {
                let transaction = second.transaction().await.expect("begun");
                let entered = transaction.execute(ENTER, &[&id]).await.expect("no error");
                transaction.commit().await.expect("committed");
                entered
            };
            let end = async {
                until_one_waits(&looking).await;
                if first_works { transaction.commit().await } else { transaction.rollback().await }.expect("ended");
            };
            let (entered, ()) = tokio::join!(again, end);
            assert_eq!(entered, u64::from(!first_works), "{id}");
        }
        drop((first, second, looking));
    };
    timeout(PATIENCE, async { tokio::join!(deliveries, one, two, three) }).await.expect("in time");
}
