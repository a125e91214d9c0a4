//! Outboxes on a real server: transactions that commit out of order, connections that die, tables of all layouts.

use super::{connect, server};
use async_trait::async_trait;
use motet_adapters::postgres::outbox::PostgresTable;
use motet_datastore::Secret;
use motet_kernel::task::TaskGroup;
use motet_relay::{Columns, Handle, Limits, PublishError, Refusal, Row, Spec, State, port::Publish, start};
use motet_testkit::postgres::Postgres as Server;
use parking_lot::Mutex;
use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_postgres::Client;

/// The table of the book.
const NATIVE: &str = "
CREATE TABLE outbox (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text NOT NULL UNIQUE,
  topic text NOT NULL,
  type text NOT NULL,
  key text,
  data jsonb,
  content_type text NOT NULL DEFAULT 'application/json',
  extensions jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  published_at timestamptz
);
CREATE INDEX outbox_unpublished ON outbox (seq) WHERE published_at IS NULL;
";

/// The trigger of the book.
const TRIGGER: &str = "
CREATE FUNCTION outbox_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NOTIFY motet_outbox;
  RETURN NULL;
END $$;
CREATE TRIGGER outbox_written AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_written();
";

#[test]
fn the_book_shows_what_is_tested() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let text = fs::read_to_string(book).expect("a page");
    assert!(text.contains(NATIVE.trim()) && text.contains(TRIGGER.trim()));
}

#[derive(Default)]
struct Engine(Mutex<Vec<Row>>);

#[async_trait]
impl Publish for Engine {
    fn check(&self, row: &Row) -> Result<(), Refusal> {
        match row.topic.as_deref() {
            Some("no.such") => Err(Refusal("there is no topic `no.such`".into())),
            _ => Ok(()),
        }
    }

    async fn publish(&self, rows: &[Row]) -> Result<(), PublishError> {
        self.0.lock().extend_from_slice(rows);
        Ok(())
    }
}

/// A database of its own, a service that is connected to it, and a relay.
struct World {
    _server: Arc<Server>,
    url: String,
    shop: Client,
    engine: Arc<Engine>,
    group: TaskGroup,
    handle: Handle,
}

fn spec(columns: Columns) -> Spec {
    let limits = Limits { slow: Duration::from_millis(300), ..Limits::default() };
    Spec { table: "outbox".into(), columns, keep: Duration::from_secs(3600), limits }
}

fn relay(url: &str, spec: &Spec, engine: &Arc<Engine>) -> (TaskGroup, Handle) {
    let group = TaskGroup::new();
    let table = Arc::new(PostgresTable::new(Secret::new(url), spec));
    let handle = start(&group, spec, table, Arc::clone(engine) as Arc<dyn Publish>);
    (group, handle)
}

impl World {
    async fn start(name: &str, ddl: &str, spec: &Spec) -> Option<Self> {
        let server = server()?;
        let admin = connect(&server.admin_url()).await.expect("the server is up");
        admin.batch_execute(&format!("CREATE DATABASE outbox_{name}")).await.expect("made");
        let url = server.admin_url();
        let url = format!("{}/outbox_{name}", url.strip_suffix("/postgres").expect("the administrator's database"));
        let shop = connect(&url).await.expect("the database is there");
        shop.batch_execute(ddl).await.expect("valid");
        let engine = Arc::new(Engine::default());
        let (group, handle) = relay(&url, spec, &engine);
        Some(Self { _server: server, url, shop, engine, group, handle })
    }

    fn ids(&self) -> Vec<String> {
        self.engine.0.lock().iter().map(|row| row.place.id.clone()).collect()
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self).await {
            assert!(start.elapsed() < Duration::from_secs(30), "{what}: {:?}, {:?}", self.ids(), self.handle.status());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn published(&self, ids: &[&str]) {
        self.until("publishes", async |world| world.ids().len() >= ids.len()).await;
        assert_eq!(self.ids(), ids);
    }

    async fn waiting(&self, rest: &str) -> i64 {
        self.shop.query_one(&format!("SELECT count(*) FROM outbox {rest}"), &[]).await.expect("readable").get(0)
    }
}

async fn insert(client: &impl tokio_postgres::GenericClient, id: &str, topic: &str, key: Option<&str>) {
    client
        .execute(
            "INSERT INTO outbox (id, topic, type, key, data) VALUES ($1, $2, 'placed', $3, '{\"a\": 1}')",
            &[&id, &topic, &key],
        )
        .await
        .expect("written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_committed_late_with_an_early_number_is_not_skipped() {
    let Some(world) = World::start("late", NATIVE, &spec(Columns::native())).await else { return };
    let mut other = connect(&world.url).await.expect("up");
    let late = other.transaction().await.expect("free");
    insert(&late, "early number", "order.placed", Some("a")).await;
    insert(&world.shop, "late number", "order.placed", Some("b")).await;
    world.published(&["late number"]).await;
    world.until("settles", async |world| world.waiting("WHERE published_at IS NULL").await == 0).await;
    late.commit().await.expect("written");
    world.published(&["late number", "early number"]).await;
    let rows = world.engine.0.lock();
    assert_eq!(rows[0].data.as_deref(), Some(&b"{\"a\": 1}"[..]));
    assert!(rows[0].time.as_ref().is_some_and(|time| time.ends_with('Z') && time.contains('T')), "{:?}", rows[0].time);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_wakes_it_at_the_commit() {
    let Some(world) = World::start("notify", &[NATIVE, TRIGGER].concat(), &spec(Columns::native())).await else {
        return;
    };
    world.until("rests", async |world| world.handle.status().state == State::Idle).await;
    let mut waits = Vec::new();
    for n in 0..10 {
        let start = Instant::now();
        insert(&world.shop, &format!("{n}"), "order.placed", None).await;
        world.until("publishes", async |world| world.ids().len() == n + 1).await;
        waits.push(start.elapsed());
    }
    waits.sort();
    println!("published after {:?} (median of 10)", waits[5]);
    assert!(waits[5] < Duration::from_millis(250), "{waits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_debezium_table_with_a_time_works_and_one_without_any_order_says_so() {
    let ddl = "CREATE TABLE outbox (id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL, aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb)";
    let Some(world) = World::start("debezium", ddl, &spec(Columns::debezium())).await else { return };
    let failing = async |world: &World| matches!(world.handle.status().state, State::Failing(why) if why.contains("in which order"));
    world.until("says so", failing).await;
    world.group.cancel();
    world
        .shop
        .batch_execute("ALTER TABLE outbox ADD COLUMN at timestamptz NOT NULL DEFAULT now()")
        .await
        .expect("valid");
    let timed = spec(Columns { time: Some("at".into()), ..Columns::debezium() });
    let (_group, _handle) = relay(&world.url, &timed, &world.engine);
    let (first, second) = ("ffffffff-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000000");
    // Both of one transaction, so of one time.
    let row = |id: &str| {
        format!(
            "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES ('{id}', 'order.placed', 'o-1', 'placed', NULL);"
        )
    };
    world.shop.batch_execute(&format!("BEGIN; {} {} COMMIT;", row(first), row(second))).await.expect("written");
    world.published(&[first, second]).await;
    world.until("settles", async |world| world.waiting("").await == 0).await;
    assert_eq!(world.engine.0.lock()[0].data, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_in_place_of_a_time_is_understood_and_bytes_stay_bytes() {
    let ddl = "CREATE TABLE outbox (n serial, message_id uuid PRIMARY KEY, destination text, kind text, body bytea, headers text, processed boolean NOT NULL DEFAULT false)";
    let some = |name: &str| Some(name.to_owned());
    let columns = Columns {
        order: some("n"),
        id: "message_id".into(),
        topic: some("destination"),
        kind: "kind".into(),
        key: None,
        data: "body".into(),
        content_type: None,
        time: None,
        extensions: some("headers"),
        published: some("processed"),
    };
    let Some(world) = World::start("flag", ddl, &spec(columns)).await else { return };
    world.shop.batch_execute("INSERT INTO outbox (message_id, destination, kind, body, headers) VALUES ('00000000-0000-4000-8000-000000000001', 'a.b', 'x', '\\x00ff', '{\"traceparent\": \"t\"}')").await.expect("written");
    world.published(&["00000000-0000-4000-8000-000000000001"]).await;
    world.until("settles", async |world| world.waiting("WHERE processed").await == 1).await;
    let rows = world.engine.0.lock();
    assert_eq!(rows[0].data.as_deref(), Some(&[0, 255][..]));
    assert_eq!(rows[0].extensions, [("traceparent".to_owned(), "t".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_up_holds_up_no_other_key_and_the_lag_is_known() {
    let Some(world) = World::start("held", NATIVE, &spec(Columns::native())).await else { return };
    for (id, topic, key) in [
        ("a1", "no.such", Some("a")),
        ("a2", "x", Some("a")),
        ("b1", "x", Some("b")),
        ("n1", "no.such", None),
        ("n2", "x", None),
    ] {
        insert(&world.shop, id, topic, key).await;
    }
    world.until("publishes", async |world| world.ids().len() == 2).await;
    assert_eq!(world.ids(), ["b1", "n2"]);
    world.until("tells", async |world| world.handle.status().held == 2 && world.handle.status().lag.rows == 3).await;
    assert!(world.handle.status().lag.oldest.is_some());
    world.shop.batch_execute("UPDATE outbox SET topic = 'x' WHERE topic = 'no.such'").await.expect("written");
    world.until("publishes", async |world| world.ids().len() == 5).await;
    let ids = world.ids();
    let at = |id: &str| ids.iter().position(|known| known == id);
    assert!(at("a1") < at("a2"), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_is_made_again_and_nothing_is_lost() {
    let Some(world) = World::start("cut", NATIVE, &spec(Columns::native())).await else { return };
    for n in 0..20 {
        insert(&world.shop, &format!("{n}"), "order.placed", Some("k")).await;
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'motet outbox relay'";
        if n % 4 == 0 {
            world.shop.batch_execute(cut).await.expect("allowed");
        }
    }
    world.until("settles", async |world| world.waiting("WHERE published_at IS NULL").await == 0).await;
    let mut seen = std::collections::BTreeSet::new();
    let first: Vec<u32> =
        world.ids().iter().map(|id| id.parse().expect("a number")).filter(|id| seen.insert(*id)).collect();
    assert_eq!(first, (0..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_relays_one_publishes_and_the_other_goes_on_when_it_is_gone() {
    let Some(world) = World::start("two", NATIVE, &spec(Columns::native())).await else { return };
    insert(&world.shop, "a", "order.placed", None).await;
    world.published(&["a"]).await;
    let (_group, second) = relay(&world.url, &spec(Columns::native()), &world.engine);
    let waits = async |_: &World| matches!(second.status().state, State::Failing(why) if why.contains("another Motet"));
    world.until("waits", waits).await;
    insert(&world.shop, "b", "order.placed", None).await;
    world.published(&["a", "b"]).await;
    // A relay that is stopped between publishing and settling leaves the row to the next one, which is right and another test.
    world.until("settles", async |world| world.waiting("WHERE published_at IS NULL").await == 0).await;
    world.group.cancel();
    world.group.wait().await;
    insert(&world.shop, "c", "order.placed", None).await;
    world.published(&["a", "b", "c"]).await;
    world.until("settles", async |world| world.waiting("WHERE published_at IS NULL").await == 0).await;
    // Counted once the rows are settled, a moment after they can be seen to be.
    world.until("counts", async |_| second.status().published == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rows_go_quickly_and_old_ones_are_deleted() {
    let mut spec = spec(Columns::native());
    spec.keep = Duration::from_secs(60);
    let Some(world) = World::start("many", NATIVE, &spec).await else { return };
    let old = "INSERT INTO outbox (id, topic, type, published_at) SELECT 'old' || n, 'x', 'x', now() - interval '1 hour' FROM generate_series(1, 2500) n";
    world.shop.batch_execute(old).await.expect("written");
    let many = "INSERT INTO outbox (id, topic, type, key, data) SELECT n::text, 'x', 'x', (n % 7)::text, jsonb_build_object('text', repeat('x', 1000)) FROM generate_series(1, 20000) n";
    world.shop.batch_execute(many).await.expect("written");
    let start = Instant::now();
    world.until("publishes", async |world| world.ids().len() >= 20_000).await;
    println!("20,000 rows of 1 KiB published after {:?}", start.elapsed());
    let ids: Vec<u32> = world.ids().iter().map(|id| id.parse().expect("a number")).collect();
    assert!(ids.is_sorted() && ids.len() == 20_000);
    world.until("sweeps", async |world| world.waiting("").await == 20_000).await;
}
