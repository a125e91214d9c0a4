//! Over real files, with a service that writes to them.

use async_trait::async_trait;
use motet_kernel::task::TaskGroup;
use motet_relay::{
    Columns, Handle, Limits, PublishError, Refusal, Row, Spec, State, port::Publish, sqlite::SqliteTable, start,
};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// The table of the book.
pub(crate) const NATIVE: &str = "
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  topic TEXT NOT NULL,
  type TEXT NOT NULL,
  key TEXT,
  data TEXT,
  content_type TEXT NOT NULL DEFAULT 'application/json',
  extensions TEXT,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  published_at TEXT
);
CREATE INDEX outbox_unpublished ON outbox (seq) WHERE published_at IS NULL;
";

/// What was published; topics that begin with `no` are refused, and nothing is published while it is down.
#[derive(Default)]
struct Engine {
    rows: Mutex<Vec<Row>>,
    down: Mutex<bool>,
}

#[async_trait]
impl Publish for Engine {
    fn check(&self, row: &Row) -> Result<(), Refusal> {
        match row.topic.as_deref() {
            Some(topic) if topic.starts_with("no") => Err(Refusal(format!("there is no topic `{topic}`"))),
            _ => Ok(()),
        }
    }

    async fn publish(&self, rows: &[Row]) -> Result<(), PublishError> {
        if *self.down.lock() {
            return Err(PublishError("down".into()));
        }
        self.rows.lock().extend_from_slice(rows);
        Ok(())
    }
}

struct World {
    _folder: tempfile::TempDir,
    path: PathBuf,
    group: TaskGroup,
    engine: Arc<Engine>,
    handle: Handle,
}

fn spec(columns: Columns) -> Spec {
    let limits = Limits { slow: Duration::from_millis(200), ..Limits::default() };
    Spec { table: "outbox".into(), columns, keep: Duration::from_secs(3600), limits }
}

fn service(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("writable");
    connection.pragma_update(None, "journal_mode", "WAL").expect("a local disk");
    connection.busy_timeout(Duration::from_secs(5)).expect("settable");
    connection
}

impl World {
    fn start(ddl: &str, spec: &Spec) -> Self {
        let folder = tempfile::tempdir().expect("writable");
        let path = folder.path().join("shop.db");
        if !ddl.is_empty() {
            service(&path).execute_batch(ddl).expect("valid");
        }
        let (group, engine) = (TaskGroup::new(), Arc::new(Engine::default()));
        let table = Arc::new(SqliteTable::new(&path, spec));
        let handle = start(&group, spec, table, Arc::clone(&engine) as Arc<dyn Publish>);
        Self { _folder: folder, path, group, engine, handle }
    }

    fn ids(&self) -> Vec<String> {
        self.engine.rows.lock().iter().map(|row| row.place.id.clone()).collect()
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}: {:?}, {:?}", self.ids(), self.handle.status());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn published(&self, ids: &[&str]) {
        self.until("publishes", |world| world.ids().len() >= ids.len()).await;
        assert_eq!(self.ids(), ids);
    }
}

fn insert(connection: &Connection, id: &str, topic: &str, key: Option<&str>) {
    connection
        .execute(
            "INSERT INTO outbox (id, topic, type, key, data) VALUES (?1, ?2, 'order.placed', ?3, '{\"a\":1}')",
            (id, topic, key),
        )
        .expect("written");
}

fn count(path: &Path, rest: &str) -> i64 {
    service(path).query_row(&format!("SELECT count(*) FROM outbox {rest}"), [], |row| row.get(0)).expect("readable")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_become_events_in_their_order_and_are_stamped() {
    let world = World::start(NATIVE, &spec(Columns::native()));
    let shop = service(&world.path);
    insert(&shop, "a", "order.placed", Some("o-1"));
    shop.execute("INSERT INTO outbox (id, topic, type, key, data, extensions) VALUES ('b', 'order.paid', 'paid', 7, x'00ff', '{\"traceparent\": \"t\", \"retries\": 2, \"none\": null}')", [])
        .expect("written");
    world.published(&["a", "b"]).await;
    {
        let rows = world.engine.rows.lock();
        assert_eq!((rows[0].topic.as_deref(), rows[0].key.as_deref()), (Some("order.placed"), Some("o-1")));
        assert_eq!(rows[0].data.as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(rows[0].content_type.as_deref(), Some("application/json"));
        assert!(rows[0].time.is_some());
        assert_eq!((rows[1].key.as_deref(), rows[1].data.as_deref()), (Some("7"), Some(&[0, 255][..])));
        let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(rows[1].extensions, [attribute("retries", "2"), attribute("traceparent", "t")]);
    }
    world.until("settles", |world| count(&world.path, "WHERE published_at IS NULL") == 0).await;
    assert_eq!(count(&world.path, "WHERE published_at LIKE '20%Z'"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_wakes_it_without_waiting_for_the_next_look() {
    let mut spec = spec(Columns::native());
    spec.limits.slow = Duration::from_secs(3600);
    let world = World::start(NATIVE, &spec);
    world.until("rests", |world| world.handle.status().state == State::Idle).await;
    let mut shop = service(&world.path);
    let transaction = shop.transaction().expect("free");
    insert(&transaction, "a", "order.placed", None);
    assert!(world.ids().is_empty(), "nothing is committed");
    let start = Instant::now();
    transaction.commit().expect("written");
    world.published(&["a"]).await;
    println!("published {:?} after its commit", start.elapsed());
    insert(&shop, "b", "order.placed", None);
    world.published(&["a", "b"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_refused_holds_up_its_key_and_no_other_until_it_is_repaired() {
    let world = World::start(NATIVE, &spec(Columns::native()));
    let shop = service(&world.path);
    shop.execute_batch("BEGIN").expect("free");
    for (id, topic, key) in [
        ("a1", "no.such", Some("a")),
        ("a2", "order.placed", Some("a")),
        ("b1", "order.placed", Some("b")),
        ("n1", "no.such", None),
        ("n2", "order.placed", None),
    ] {
        insert(&shop, id, topic, key);
    }
    shop.execute_batch("COMMIT").expect("written");
    world.published(&["b1", "n2"]).await;
    world.until("tells", |world| world.handle.status().held == 2 && world.handle.status().lag.rows == 3).await;
    let status = world.handle.status();
    assert_eq!(status.examples[0].reason, "there is no topic `no.such`");
    assert!(status.lag.oldest.is_some_and(|age| age < Duration::from_secs(60)));
    shop.execute("UPDATE outbox SET topic = 'order.placed' WHERE id = 'a1'", []).expect("written");
    world.published(&["b1", "n2", "a1", "a2"]).await;
    shop.execute("DELETE FROM outbox WHERE id = 'n1'", []).expect("written");
    world.until("is free", |world| world.handle.status().held == 0 && world.handle.status().lag.rows == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_debezium_table_works_as_it_is_and_its_rows_go_once_they_are_published() {
    let ddl = "CREATE TABLE outbox (id BLOB NOT NULL PRIMARY KEY, aggregatetype TEXT NOT NULL, aggregateid TEXT NOT NULL, type TEXT NOT NULL, payload TEXT)";
    let world = World::start(ddl, &spec(Columns::debezium()));
    let shop = service(&world.path);
    for id in ["9", "1"] {
        shop.execute("INSERT INTO outbox VALUES (?1, 'order.placed', 'o-1', 'placed', NULL)", [id]).expect("written");
    }
    shop.execute("INSERT INTO outbox VALUES (x'ff01', 'order.placed', 'o-1', 'placed', '{}')", []).expect("written");
    world.published(&["9", "1", "ff01"]).await;
    world.until("settles", |world| count(&world.path, "") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_and_the_table_may_come_later_and_the_file_may_be_replaced() {
    let world = World::start("", &spec(Columns::native()));
    world.until("waits", |world| world.handle.status().state == State::NoTable).await;
    let shop = service(&world.path);
    shop.execute_batch("CREATE TABLE other (a)").expect("valid");
    shop.execute_batch(NATIVE).expect("valid");
    insert(&shop, "a", "order.placed", None);
    world.published(&["a"]).await;
    world.until("settles", |world| count(&world.path, "WHERE published_at IS NULL") == 0).await;
    drop(shop);
    // What a restore does: another file under the same name.
    let copy = world.path.with_extension("copy");
    let restored = service(&copy);
    restored.execute_batch(NATIVE).expect("valid");
    insert(&restored, "z", "order.placed", None);
    restored.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("possible");
    drop(restored);
    for extension in ["db-wal", "db-shm"] {
        let _ = std::fs::remove_file(world.path.with_extension(extension));
    }
    std::fs::rename(&copy, &world.path).expect("writable");
    world.published(&["a", "z"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_not_as_described_is_named_with_what_is_wrong() {
    let failing = |world: &World| match world.handle.status().state {
        State::Failing(reason) => Some(reason),
        _ => None,
    };
    let world =
        World::start("CREATE TABLE outbox (seq INTEGER PRIMARY KEY, id TEXT, body TEXT)", &spec(Columns::native()));
    world.until("fails", |world| failing(world).is_some()).await;
    let reason = failing(&world).expect("fails");
    assert!(reason.contains("no column type, data, topic") && reason.contains("it has seq, id, body"), "{reason}");

    let filled = NATIVE.replace("published_at TEXT", "published_at INTEGER NOT NULL DEFAULT 0");
    let world = World::start(&filled.replace("WHERE published_at IS NULL", ""), &spec(Columns::native()));
    world.until("fails", |world| failing(world).is_some_and(|reason| reason.contains("NOT NULL"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_cannot_be_events_are_held_up_and_not_lost() {
    let ddl = NATIVE.replace("id TEXT NOT NULL UNIQUE", "id TEXT");
    let world = World::start(&ddl, &spec(Columns::native()));
    let shop = service(&world.path);
    shop.execute_batch(
        "INSERT INTO outbox (id, topic, type) VALUES (NULL, 't', 'x');
         INSERT INTO outbox (id, topic, type) VALUES ('e', 't', '');
         INSERT INTO outbox (id, topic, type, extensions) VALUES ('f', 't', 'x', '[1]');
         INSERT INTO outbox (id, topic, type) VALUES ('g', 't', 'x');",
    )
    .expect("written");
    world.published(&["g"]).await;
    world.until("tells", |world| world.handle.status().held == 3).await;
    assert_eq!(count(&world.path, "WHERE published_at IS NULL"), 3);
}

/// With more rows behind what is held up than are read at once, the relay has to leave them out by the name that it read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_bytes_and_rows_without_ids_hold_up_no_others_however_many_they_are() {
    let ddl = NATIVE.replace("id TEXT NOT NULL UNIQUE", "id BLOB").replace("key TEXT", "key BLOB");
    let mut spec = spec(Columns::native());
    spec.limits.rows = 2;
    let world = World::start(&ddl, &spec);
    let shop = service(&world.path);
    shop.execute_batch(
        "BEGIN;
         INSERT INTO outbox (id, topic, type, key) VALUES (x'ff01', 'no', 'x', x'ffaa'), ('2', 't', 'x', x'ffaa'), ('3', 't', 'x', x'ffaa');
         INSERT INTO outbox (id, topic, type) VALUES (x'ff02', 'no', 'x'), (x'ff03', 'no', 'x'), (x'ff04', 'no', 'x');
         INSERT INTO outbox (id, topic, type) VALUES ('', 't', 'x'), (NULL, 't', 'x'), ('', 't', 'x');
         INSERT INTO outbox (id, topic, type, key) VALUES ('good', 't', 'x', 'other');
         COMMIT;",
    )
    .expect("written");
    world.published(&["good"]).await;
    world.until("tells", |world| world.handle.status().held == 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nothing_can_be_published_rows_wait_and_then_go_in_order() {
    let world = World::start(NATIVE, &spec(Columns::native()));
    *world.engine.down.lock() = true;
    let shop = service(&world.path);
    insert(&shop, "a", "order.placed", Some("k"));
    world.until("fails", |world| matches!(world.handle.status().state, State::Failing(_))).await;
    insert(&shop, "b", "order.placed", Some("k"));
    *world.engine.down.lock() = false;
    world.published(&["a", "b"]).await;
    world.until("settles", |world| count(&world.path, "WHERE published_at IS NULL") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_was_killed_before_it_settled_publishes_again_and_loses_nothing() {
    let world = World::start(NATIVE, &spec(Columns::native()));
    let shop = service(&world.path);
    for n in 0..50 {
        insert(&shop, &format!("{n}"), "order.placed", Some("k"));
    }
    world.until("begins", |world| !world.ids().is_empty()).await;
    // As if the settling had been lost with the power.
    shop.execute("UPDATE outbox SET published_at = NULL", []).expect("written");
    world.group.cancel();
    world.group.wait().await;
    let spec = spec(Columns::native());
    let table = Arc::new(SqliteTable::new(&world.path, &spec));
    let group = TaskGroup::new();
    let _handle = start(&group, &spec, table, Arc::clone(&world.engine) as Arc<dyn Publish>);
    world.until("settles", |world| count(&world.path, "WHERE published_at IS NULL") == 0).await;
    let ids = world.ids();
    let last: Vec<_> = ids[ids.len() - 50..].iter().map(|id| id.parse::<u32>().expect("a number")).collect();
    assert!(last.is_sorted(), "{last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_deleted_when_they_have_been_kept_long_enough() {
    let mut spec = spec(Columns::native());
    spec.keep = Duration::from_secs(60);
    let world = World::start(NATIVE, &spec);
    let shop = service(&world.path);
    shop.execute_batch(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2500)
         INSERT INTO outbox (id, topic, type, published_at) SELECT n, 't', 'x', '2026-01-01T00:00:00.000Z' FROM n;",
    )
    .expect("written");
    insert(&shop, "new", "order.placed", None);
    world.published(&["new"]).await;
    world.until("sweeps", |world| count(&world.path, "") == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rows_go_quickly_beside_a_service_that_goes_on_writing() {
    const ROWS: usize = 20_000;
    let world = World::start(NATIVE, &spec(Columns::native()));
    let mut shop = service(&world.path);
    let start = Instant::now();
    for chunk in 0..ROWS / 100 {
        let transaction = shop.transaction().expect("free");
        (0..100).for_each(|n| {
            insert(&transaction, &format!("{}", chunk * 100 + n), "order.placed", Some(&format!("k{}", n % 7)))
        });
        transaction.commit().expect("written");
    }
    let written = start.elapsed();
    world.until("publishes all", |world| world.engine.rows.lock().len() >= ROWS).await;
    println!("{ROWS} rows, written in {written:?}, all published after {:?}", start.elapsed());
    let ids: Vec<usize> = world.ids().iter().map(|id| id.parse().expect("a number")).collect();
    assert!(ids.is_sorted() && ids.len() == ROWS);
    assert!(start.elapsed() < Duration::from_secs(20));
}
