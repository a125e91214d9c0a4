//! Outboxes on a real server: transactions that commit out of order, connections that die, rows that are too much.

use super::{connect, server, show};
use async_trait::async_trait;
use motet_adapters::mysql::outbox::MysqlTable;
use motet_datastore::Secret;
use motet_kernel::task::TaskGroup;
use motet_relay::{Columns, Handle, Limits, PublishError, Refusal, Row, Spec, State, port::Publish, start};
use motet_testkit::mysql::Mysql as Server;
use mysql_async::{Conn, TxOpts, prelude::*};
use parking_lot::Mutex;
use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// The table of the book.
pub(super) const NATIVE: &str = "
CREATE TABLE outbox (
  seq BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  id VARCHAR(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL UNIQUE,
  topic VARCHAR(191) NOT NULL,
  type VARCHAR(191) NOT NULL,
  `key` VARCHAR(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  data JSON,
  content_type VARCHAR(191) NOT NULL DEFAULT 'application/json',
  extensions JSON,
  created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  published_at TIMESTAMP(6) NULL DEFAULT NULL,
  KEY outbox_unpublished (published_at, seq)
);
";

#[test]
fn the_book_shows_what_is_tested() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    assert!(fs::read_to_string(book).expect("a page").contains(NATIVE.trim()));
}

#[derive(Default)]
pub(super) struct Engine(pub(super) Mutex<Vec<Row>>);

#[async_trait]
impl Publish for Engine {
    fn check(&self, row: &Row) -> Result<(), Refusal> {
        match (row.topic.as_deref(), &row.broken) {
            (Some("no.such"), _) => Err(Refusal("there is no topic `no.such`".into())),
            (_, Some(broken)) => Err(Refusal(broken.clone())),
            _ => Ok(()),
        }
    }

    async fn publish(&self, rows: &[Row]) -> Result<(), PublishError> {
        self.0.lock().extend_from_slice(rows);
        Ok(())
    }
}

/// A database of its own, a service that is connected to it, and a relay.
pub(super) struct World {
    _server: Arc<Server>,
    pub(super) url: String,
    pub(super) shop: Conn,
    pub(super) engine: Arc<Engine>,
    pub(super) group: TaskGroup,
    pub(super) handle: Handle,
}

pub(super) fn spec(columns: Columns) -> Spec {
    let limits = Limits { slow: Duration::from_millis(300), ..Limits::default() };
    Spec { table: "outbox".into(), columns, keep: Duration::from_secs(3600), limits }
}

pub(super) fn relay(url: &str, spec: &Spec, engine: &Arc<Engine>) -> (TaskGroup, Handle) {
    let group = TaskGroup::new();
    let table = Arc::new(MysqlTable::new(Secret::new(url), spec));
    let handle = start(&group, spec, table, Arc::clone(engine) as Arc<dyn Publish>);
    (group, handle)
}

impl World {
    pub(super) async fn start(name: &str, ddl: &str, spec: &Spec) -> Option<Self> {
        let server = server()?;
        super::admin(&server, &format!("CREATE DATABASE outbox_{name} CHARACTER SET utf8mb4")).await;
        let url = format!("{}/outbox_{name}", server.admin_url());
        let mut shop = connect(&url).await.expect("the database is there");
        shop.query_drop(ddl).await.map_err(|error| show(&error)).expect("valid");
        let engine = Arc::new(Engine::default());
        let (group, handle) = relay(&url, spec, &engine);
        Some(Self { _server: server, url, shop, engine, group, handle })
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.engine.0.lock().iter().map(|row| row.place.id.clone()).collect()
    }

    pub(super) async fn until(&mut self, what: &str, mut holds: impl AsyncFnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !holds(self).await {
            assert!(start.elapsed() < Duration::from_secs(30), "{what}: {:?}, {:?}", self.ids(), self.handle.status());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) async fn published(&mut self, ids: &[&str]) {
        self.until("publishes", async |world| world.ids().len() >= ids.len()).await;
        assert_eq!(self.ids(), ids);
    }

    pub(super) async fn waiting(&mut self, rest: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM outbox {rest}");
        self.shop.query_first(sql).await.expect("readable").expect("a number")
    }

    pub(super) async fn settled(&mut self) {
        self.until("settles", async |world| world.waiting("WHERE published_at IS NULL").await == 0).await;
    }

    pub(super) async fn run(&mut self, sql: &str) {
        self.shop.query_drop(sql).await.map_err(|error| show(&error)).expect(sql);
    }
}

async fn insert(client: &mut impl Queryable, id: &str, topic: &str, key: Option<&str>) {
    client
        .exec_drop(
            "INSERT INTO outbox (id, topic, type, `key`, data) VALUES (?, ?, 'placed', ?, '{\"a\": 1}')",
            (id, topic, key),
        )
        .await
        .expect("written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_committed_late_with_an_early_number_is_not_skipped() {
    let Some(mut world) = World::start("late", NATIVE, &spec(Columns::native())).await else { return };
    let mut other = connect(&world.url).await.expect("up");
    let mut third = connect(&world.url).await.expect("up");
    let mut late = other.start_transaction(TxOpts::default()).await.expect("free");
    insert(&mut late, "early number", "order.placed", Some("a")).await;
    let mut never = third.start_transaction(TxOpts::default()).await.expect("free");
    insert(&mut never, "rolled back", "order.placed", Some("c")).await;
    insert(&mut world.shop, "late number", "order.placed", Some("b")).await;
    world.published(&["late number"]).await;
    world.until("settles", async |world| world.waiting("WHERE published_at IS NULL").await == 0).await;
    never.rollback().await.expect("undone");
    late.commit().await.expect("written");
    world.published(&["late number", "early number"]).await;
    world.settled().await;
    assert_eq!(world.ids().len(), 2);
    // The server's own clock is not UTC, and what a row says about its time is.
    let rows = world.engine.0.lock().clone();
    assert_eq!(rows[0].data.as_deref(), Some(&b"{\"a\": 1}"[..]));
    let time = rows[0].time.clone().expect("a time");
    let now: String =
        world.shop.query_first("SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H')").await.expect("now").expect("now");
    let earlier: String = world
        .shop
        .query_first("SELECT DATE_FORMAT(UTC_TIMESTAMP() - INTERVAL 1 MINUTE, '%Y-%m-%dT%H')")
        .await
        .expect("now")
        .expect("now");
    assert!(time.ends_with('Z') && (time.starts_with(&now) || time.starts_with(&earlier)), "{time}, and now is {now}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_with_long_transactions_lose_nothing_and_keep_the_order_of_their_keys() {
    let Some(mut world) = World::start("writers", NATIVE, &spec(Columns::native())).await else { return };
    let url = &world.url;
    let writer = async |writer: u32| {
        let mut conn = connect(url).await.expect("up");
        for round in 0..15 {
            let mut open = conn.start_transaction(TxOpts::default()).await.expect("free");
            for n in 0..3 {
                insert(&mut open, &format!("{writer}-{:02}", round * 3 + n), "x", Some(&writer.to_string())).await;
                tokio::time::sleep(Duration::from_millis(u64::from(writer * 3))).await;
            }
            match round % 3 {
                2 => open.rollback().await.expect("undone"),
                _ => open.commit().await.expect("written"),
            }
        }
    };
    let writers: Vec<_> = (0..6).map(&writer).collect();
    futures_util::future::join_all(writers).await;
    world.until("publishes", async |world| world.ids().len() >= 6 * 30).await;
    world.settled().await;
    let ids = world.ids();
    assert_eq!(ids.len(), 6 * 30, "{ids:?}");
    for writer in 0..6 {
        let of: Vec<_> = ids.iter().filter(|id| id.starts_with(&format!("{writer}-"))).collect();
        assert!(of.len() == 30 && of.is_sorted(), "{of:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_up_holds_up_no_other_key_and_the_lag_is_known() {
    let Some(mut world) = World::start("held", NATIVE, &spec(Columns::native())).await else { return };
    for (id, topic, key) in [
        ("a1", "no.such", Some("a")),
        ("a2", "x", Some("a")),
        // To the server's usual comparison these are the key `a`.
        ("b1", "x", Some("A")),
        ("b2", "x", Some("\u{e1}")),
        ("n1", "no.such", None),
        ("n2", "x", None),
    ] {
        insert(&mut world.shop, id, topic, key).await;
    }
    world.until("publishes", async |world| world.ids().len() == 3).await;
    assert_eq!(world.ids(), ["b1", "b2", "n2"]);
    world.until("tells", async |world| world.handle.status().held == 2 && world.handle.status().lag.rows == 3).await;
    assert!(world.handle.status().lag.oldest.is_some_and(|oldest| oldest < Duration::from_secs(120)));
    world.run("UPDATE outbox SET topic = 'x' WHERE topic = 'no.such'").await;
    world.until("publishes", async |world| world.ids().len() == 6).await;
    let ids = world.ids();
    let at = |id: &str| ids.iter().position(|known| known == id);
    assert!(at("a1") < at("a2"), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_is_made_again_and_nothing_is_lost() {
    let Some(mut world) = World::start("cut", NATIVE, &spec(Columns::native())).await else { return };
    for n in 0..20 {
        insert(&mut world.shop, &format!("{n}"), "order.placed", Some("k")).await;
        if n % 4 == 0 {
            let others =
                "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()";
            let ids: Vec<u64> = world.shop.query(others).await.expect("visible");
            for id in ids {
                let _ = world.shop.query_drop(format!("KILL {id}")).await;
            }
        }
    }
    world.settled().await;
    let mut seen = std::collections::BTreeSet::new();
    let first: Vec<u32> =
        world.ids().iter().map(|id| id.parse().expect("a number")).filter(|id| seen.insert(*id)).collect();
    assert_eq!(first, (0..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_relays_one_publishes_and_the_other_goes_on_when_it_is_gone() {
    let Some(mut world) = World::start("two", NATIVE, &spec(Columns::native())).await else { return };
    insert(&mut world.shop, "a", "order.placed", None).await;
    world.published(&["a"]).await;
    let (_group, second) = relay(&world.url, &spec(Columns::native()), &world.engine);
    let waits =
        async |_: &mut World| matches!(second.status().state, State::Failing(why) if why.contains("another Motet"));
    world.until("waits", waits).await;
    insert(&mut world.shop, "b", "order.placed", None).await;
    world.published(&["a", "b"]).await;
    // A relay that is stopped between publishing and settling leaves the row to the next one, which is right and another test.
    world.settled().await;
    world.group.cancel();
    world.group.wait().await;
    insert(&mut world.shop, "c", "order.placed", None).await;
    world.published(&["a", "b", "c"]).await;
    world.settled().await;
    // Counted once the rows are settled, a moment after they can be seen to be.
    world.until("counts", async |_: &mut World| second.status().published == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rows_go_quickly_and_old_ones_are_deleted() {
    let mut spec = spec(Columns::native());
    spec.keep = Duration::from_secs(60);
    let Some(mut world) = World::start("many", NATIVE, &spec).await else { return };
    let old = "INSERT INTO outbox (id, topic, type, published_at) SELECT CONCAT('old', seq), 'x', 'x', NOW() - INTERVAL 1 HOUR FROM seq_1_to_2500";
    world.run(old).await;
    let many = "INSERT INTO outbox (id, topic, type, `key`, data) SELECT seq, 'x', 'x', seq % 7, JSON_OBJECT('text', REPEAT('x', 1000)) FROM seq_1_to_10000";
    world.run(many).await;
    let start = Instant::now();
    world.until("publishes", async |world| world.ids().len() >= 10_000).await;
    println!("10,000 rows of 1 KiB published after {:?}", start.elapsed());
    let ids: Vec<u32> = world.ids().iter().map(|id| id.parse().expect("a number")).collect();
    assert!(ids.is_sorted() && ids.len() == 10_000);
    world.until("sweeps", async |world| world.waiting("").await == 10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_larger_than_a_packet_is_held_up_and_told_and_the_others_go() {
    let ddl = NATIVE.replace("data JSON", "data LONGBLOB");
    let Some(mut world) = World::start("large", &ddl, &spec(Columns::native())).await else { return };
    // The server sends 4 MiB at most, and can be made to keep more.
    let grow = "INSERT INTO outbox (id, topic, type, data, `key`) VALUES ('large', 'x', 'x', REPEAT('x', 3000000), 'l'), ('small', 'x', 'x', 'y', 's'); \
                UPDATE outbox SET data = CONCAT(data, REPEAT('x', 1100000)) WHERE id = 'large'";
    world.group.cancel();
    world.group.wait().await;
    world.run("DELETE FROM outbox").await;
    world.run(grow).await;
    let (_group, handle) = relay(&world.url, &spec(Columns::native()), &world.engine);
    world.published(&["small"]).await;
    let told =
        async |_: &mut World| handle.status().examples.iter().any(|held| held.reason.contains("max_allowed_packet"));
    world.until("tells", told).await;
}
