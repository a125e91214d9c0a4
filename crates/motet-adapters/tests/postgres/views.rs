//! Views on a real server, and what happens to one whose server hangs or goes away.

use super::{connect, server, show};
use async_trait::async_trait;
use motet_adapters::postgres::view::PostgresView;
use motet_datastore::Secret;
use motet_relay::view::{Change, Given, Row, Run, Verdict, ViewSpec, ViewTable, Writer};
use motet_testkit::{
    postgres::Postgres as Server,
    views::{Client, Seen, Subject, conformance},
};
use std::{sync::Arc, time::Duration};

struct Service(tokio_postgres::Client);

#[async_trait]
impl Client for Service {
    async fn execute(&self, sql: &str) -> Result<(), String> {
        self.0.batch_execute(sql).await.map_err(|error| show(&error))
    }

    async fn rows(&self, table: &str) -> Vec<Seen> {
        let sql = format!("SELECT key, value::text, event_id, position FROM {table} ORDER BY key COLLATE \"C\"");
        let rows = self.0.query(&sql, &[]).await.expect(&sql);
        let seen = |row: &tokio_postgres::Row| Seen {
            key: row.get(0),
            value: row.get(1),
            id: row.get(2),
            position: row.get(3),
        };
        rows.iter().map(seen).collect()
    }
}

/// A database of its own.
async fn database(name: &str) -> Option<(Arc<Server>, String, Service)> {
    let server = server()?;
    super::admin(&server, &format!("CREATE DATABASE views_{name}")).await;
    let url = server.admin_url();
    let url = format!("{}/views_{name}", url.strip_suffix("/postgres").expect("the administrator's database"));
    let client = connect(&url).await.expect("the database is there");
    Some((server, url, Service(client)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_what_the_port_promises() {
    let Some((_server, url, service)) = database("conformance").await else { return };
    let open = |spec: &ViewSpec| Arc::new(PostgresView::new(Secret::new(url.as_str()), spec)) as Arc<dyn ViewTable>;
    conformance(&Subject { open: &open, client: &service }).await;
}

fn given(position: u64, value: &str) -> Vec<Given> {
    let row = Row { value: value.into(), id: position.to_string(), source: "s".into(), kind: "t".into(), time: None };
    let at = i64::try_from(position).expect("a small number");
    let change = Change { key: format!("k{position}"), position: at, row: Some(row) };
    vec![Given { position: Some(position), again: false, change: Ok(change) }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_killed_lose_nothing_and_write_nothing_twice() {
    let Some((_server, url, service)) = database("killed").await else { return };
    service.execute("CREATE SCHEMA far; CREATE TABLE log (k text)").await.expect("made");
    let spec = ViewSpec { table: "far.customers".into(), subscription: "web.c".into(), refills: true };
    let writer = Writer::new(spec.clone(), Arc::new(PostgresView::new(Secret::new(url.as_str()), &spec)));
    writer.open().await.expect("made");
    let trigger = "CREATE FUNCTION logged() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NEW.key); RETURN NULL; END $$; \
                   CREATE TRIGGER logged AFTER INSERT OR UPDATE ON far.customers FOR EACH ROW EXECUTE FUNCTION logged()";
    service.execute(trigger).await.expect("made");
    let run = Run { id: 1, lineage: 1, begins: 0, until: 0, acked: None };
    for position in 0..60_u64 {
        if position % 3 == 0 {
            let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'motet view'";
            service.execute(cut).await.expect("allowed");
        }
        let run = Run { acked: position.checked_sub(1), ..run };
        assert_eq!(writer.write(run, given(position, "1")).await, Ok(vec![Verdict::Done]));
    }
    let written: i64 = service.0.query_one("SELECT count(*) FROM log", &[]).await.expect("readable").get(0);
    assert_eq!((written, service.rows("far.customers").await.len()), (60, 60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_json_in_postgres_cannot_hold_is_refused_and_a_lock_is_waited_for() {
    let Some((_server, url, mut service)) = database("refused").await else { return };
    let spec = ViewSpec { table: "customers".into(), subscription: "web.c".into(), refills: true };
    let writer = Writer::new(spec.clone(), Arc::new(PostgresView::new(Secret::new(url.as_str()), &spec)));
    let run = Run { id: 1, lineage: 1, begins: 0, until: 0, acked: None };
    let two = [given(0, "\"a\\u0000b\""), given(1, "1")].concat();
    let verdicts = writer.write(run, two).await.expect("nothing is missing");
    assert!(matches!(&verdicts[..], [Verdict::Refused(_), Verdict::Done]), "{verdicts:?}");
    let lock = service.0.transaction().await.expect("begun");
    lock.batch_execute("LOCK TABLE customers").await.expect("locked");
    let writing = writer.write(run, given(2, "2"));
    tokio::pin!(writing);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut writing).await.is_err(), "it waits");
    lock.commit().await.expect("committed");
    assert_eq!(writing.await, Ok(vec![Verdict::Done]));
    assert_eq!(service.rows("customers").await.len(), 2);
}
