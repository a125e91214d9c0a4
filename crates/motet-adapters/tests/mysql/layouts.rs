//! Tables of other layouts: Debezium's, flags in place of times, ids that are bytes, names that mean something to the server.

use super::outbox::{NATIVE, World, relay, spec};
use motet_relay::{Columns, State};

fn some(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_debezium_table_with_a_time_works_and_one_without_any_order_says_so() {
    let ddl = "CREATE TABLE outbox (id CHAR(36) PRIMARY KEY, aggregatetype VARCHAR(255) NOT NULL, aggregateid VARCHAR(255) NOT NULL, type VARCHAR(255) NOT NULL, payload JSON)";
    let Some(mut world) = World::start("debezium", ddl, &spec(Columns::debezium())).await else { return };
    let failing = async |world: &mut World| matches!(world.handle.status().state, State::Failing(why) if why.contains("in which order"));
    world.until("says so", failing).await;
    world.group.cancel();
    world.run("ALTER TABLE outbox ADD COLUMN at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)").await;
    let timed = spec(Columns { time: some("at"), ..Columns::debezium() });
    let (_group, _handle) = relay(&world.url, &timed, &world.engine);
    let (first, second) = ("ffffffff-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000000");
    let row = |id: &str| {
        format!(
            "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES ('{id}', 'order.placed', 'o-1', 'placed', NULL);"
        )
    };
    world.run(&format!("BEGIN; {} {} COMMIT;", row(first), row(second))).await;
    world.published(&[first, second]).await;
    world.until("deletes", async |world| world.waiting("").await == 0).await;
    assert_eq!(world.engine.0.lock()[0].data, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_in_place_of_a_time_is_understood_and_bytes_stay_bytes() {
    let ddl = "CREATE TABLE outbox (n INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, message_id BINARY(16) NOT NULL, destination VARCHAR(99) CHARACTER SET latin1, kind TEXT, body BLOB, headers TEXT, processed BOOLEAN NOT NULL DEFAULT FALSE)";
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
    let Some(mut world) = World::start("flag", ddl, &spec(columns)).await else { return };
    world
        .run("INSERT INTO outbox (message_id, destination, kind, body, headers) VALUES (UNHEX('00FF0000000040008000000000000001'), 'caf\u{e9}', 'x', UNHEX('00FF'), '{\"traceparent\": \"t\"}')")
        .await;
    world.published(&["00ff0000000040008000000000000001"]).await;
    world.until("settles", async |world| world.waiting("WHERE processed").await == 1).await;
    let rows = world.engine.0.lock();
    assert_eq!(rows[0].topic.as_deref(), Some("caf\u{e9}"));
    assert_eq!(rows[0].data.as_deref(), Some(&[0, 255][..]));
    assert_eq!(rows[0].extensions, [("traceparent".to_owned(), "t".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_are_the_same_to_the_server_are_two_to_motet_and_each_is_settled_alone() {
    // No unique index, and a comparison that knows no case.
    let ddl = "CREATE TABLE outbox (k INT AUTO_INCREMENT PRIMARY KEY, id VARCHAR(99), aggregatetype TEXT, aggregateid TEXT, type TEXT, payload TEXT, at DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6))";
    let timed = spec(Columns { time: some("at"), ..Columns::debezium() });
    let Some(mut world) = World::start("alike", ddl, &timed).await else { return };
    world
        .run("INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES ('a', 'no.such', 'x', 't', '1'), ('A', 'x.y', 'X', 't', '2'), ('a ', 'x.y', 'y', 't', '3')")
        .await;
    world.published(&["A", "a "]).await;
    world.until("deletes", async |world| world.waiting("").await == 1).await;
    assert_eq!(world.waiting("WHERE BINARY id = 'a'").await, 1, "the row that is held up is still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_comes_later_is_found_and_one_that_does_not_fit_says_what_is_wrong() {
    let Some(mut world) = World::start("later", "DO 0", &spec(Columns::native())).await else { return };
    world.until("waits", async |world| world.handle.status().state == State::NoTable).await;
    let says = |words: &'static str| async move |world: &mut World| matches!(world.handle.status().state, State::Failing(why) if why.contains(words));
    world.run("CREATE TABLE outbox (seq INT PRIMARY KEY, id TEXT, topic TEXT)").await;
    world.until("says", says("it has no column type, data, key")).await;
    world.run("DROP TABLE outbox").await;
    world
        .run(&NATIVE.replace(
            "published_at TIMESTAMP(6) NULL DEFAULT NULL",
            "published_at TIMESTAMP(6) NOT NULL DEFAULT NOW(6)",
        ))
        .await;
    world.until("says", says("published_at is NOT NULL")).await;
    world.run("DROP TABLE outbox").await;
    world.run(&NATIVE.replace(" PRIMARY KEY", " UNIQUE")).await;
    world.until("says", says("it has no primary key")).await;
    world.run("DROP TABLE outbox").await;
    world.run(NATIVE).await;
    world.run("INSERT INTO outbox (id, topic, type) VALUES ('1', 'x', 'x')").await;
    world.published(&["1"]).await;
}
