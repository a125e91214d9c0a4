//! The suite of the port [`ViewTable`]: a table that is a copy of a topic, through everything that happens to it.
//!
//! Each case writes through a [`Writer`] as the product does, to a table of its own, and looks at what is there with a plain client of the
//! engine, as the service would.

mod trouble;

use async_trait::async_trait;
use motet_relay::view::{Change, Given, Row, Run, Verdict, ViewSpec, ViewTable, Writer};
use std::sync::Arc;

/// A row as a service reads it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// `key`.
    pub key: String,
    /// `value`, as text. Engines may write JSON with other spaces.
    pub value: String,
    /// `event_id`.
    pub id: String,
    /// `position`.
    pub position: i64,
}

/// A plain client of the store.
#[async_trait]
pub trait Client: Send + Sync {
    /// Runs statements whose rows nobody wants.
    async fn execute(&self, sql: &str) -> Result<(), String>;
    /// All rows of a view, by key.
    async fn rows(&self, table: &str) -> Vec<Seen>;
}

/// A store under test.
pub struct Subject<'a> {
    /// Opens a view anew, as a restarted Motet would.
    pub open: &'a (dyn Fn(&ViewSpec) -> Arc<dyn ViewTable> + Send + Sync),
    /// A service's view of it.
    pub client: &'a dyn Client,
}

/// The run of a subscription that is new.
const FIRST: Run = Run { id: 10, lineage: 10, begins: 0, until: 0, acked: None };

fn spec(table: &str) -> ViewSpec {
    ViewSpec { table: table.into(), subscription: "web.customer.changed".into(), refills: true }
}

fn put(key: &str, position: u64, value: &str) -> Given {
    let row = Row {
        value: value.into(),
        id: format!("e-{position}"),
        source: "/crm".into(),
        kind: "customer.changed".into(),
        time: Some("2026-02-03T04:05:06.789Z".into()),
    };
    given(key, position, Some(row))
}

fn remove(key: &str, position: u64) -> Given {
    given(key, position, None)
}

fn given(key: &str, position: u64, row: Option<Row>) -> Given {
    let at = i64::try_from(position).expect("a small number");
    Given { position: Some(position), again: false, change: Ok(Change { key: key.into(), position: at, row }) }
}

impl Subject<'_> {
    fn writer(&self, table: &str) -> Writer {
        Writer::new(spec(table), (self.open)(&spec(table)))
    }

    async fn written(&self, table: &str, run: Run, given: Vec<Given>) {
        let count = given.len();
        let verdicts = self.writer(table).write(run, given).await.expect("nothing is missing");
        assert_eq!(verdicts, vec![Verdict::Done; count]);
    }

    /// Keys and positions.
    async fn places(&self, table: &str) -> Vec<(String, i64)> {
        self.client.rows(table).await.into_iter().map(|row| (row.key, row.position)).collect()
    }

    async fn run(&self, sql: &str) {
        self.client.execute(sql).await.expect(sql);
    }
}

fn at(places: &[(&str, i64)]) -> Vec<(String, i64)> {
    places.iter().map(|(key, position)| ((*key).to_owned(), *position)).collect()
}

/// Runs every case. Each uses a table of its own, so that one store serves all.
pub async fn conformance(subject: &Subject<'_>) {
    a_table_is_made_and_holds_the_last_event_of_each_key(subject).await;
    whatever_stands_in_an_event_stands_in_the_row(subject).await;
    what_comes_again_after_a_crash_changes_nothing(subject).await;
    what_was_given_up_and_comes_late_gives_way_to_what_is_newer(subject).await;
    a_replay_fills_what_is_missing_goes_back_nowhere_and_sweeps_what_is_left(subject).await;
    a_topic_that_was_made_again_begins_at_low_positions(subject).await;
    trouble::a_row_that_is_refused_is_found_among_many(subject).await;
    trouble::rows_and_place_change_together_or_not_at_all(subject).await;
    trouble::of_two_that_write_at_once_each_event_is_written_once(subject).await;
    trouble::work_that_is_dropped_anywhere_leaves_all_or_nothing(subject).await;
    trouble::a_table_that_is_dropped_is_filled_again(subject).await;
    trouble::a_store_that_was_set_back_asks_for_what_is_missing(subject).await;
    trouble::a_table_that_is_something_else_is_not_touched(subject).await;
    trouble::a_table_may_have_more_columns_and_indexes(subject).await;
    many_events_are_written_quickly(subject).await;
}

async fn a_table_is_made_and_holds_the_last_event_of_each_key(subject: &Subject<'_>) {
    let writer = subject.writer("made");
    writer.open().await.expect("made");
    assert_eq!(subject.client.rows("made").await, []);
    let given = vec![put("a", 0, "1"), put("b", 1, "2"), put("a", 2, "3"), remove("b", 3), put("c", 4, "4")];
    assert_eq!(writer.write(FIRST, given).await.expect("nothing is missing"), vec![Verdict::Done; 5]);
    let rows = subject.client.rows("made").await;
    let rows: Vec<_> = rows.iter().map(|row| (row.key.as_str(), row.value.as_str(), row.id.as_str())).collect();
    assert_eq!(rows, [("a", "3", "e-2"), ("c", "4", "e-4")]);
    let next = vec![put("b", 5, "5"), remove("c", 6), remove("nobody", 7)];
    assert_eq!(writer.write(FIRST, next).await.expect("nothing is missing"), vec![Verdict::Done; 3]);
    assert_eq!(subject.places("made").await, at(&[("a", 2), ("b", 5)]));
}

async fn whatever_stands_in_an_event_stands_in_the_row(subject: &Subject<'_>) {
    let long = "k".repeat(motet_relay::view::KEY_MAX_BYTES);
    let large = format!("\"{}\"", "ä".repeat(1 << 19));
    let quotes = "it's \"x\"; DROP TABLE odd; -- \\ %_ ünï \u{1F600}";
    let value = serde_json::json!({ "text": quotes, "n": [1, 2.5, null, true] }).to_string();
    let mut timeless = put("no time", 3, "{}");
    timeless.change.as_mut().expect("a row").row.as_mut().expect("a row").time = None;
    let given = vec![put(quotes, 0, &value), put(&long, 1, &large), put("", 2, "[]"), timeless];
    subject.written("odd", FIRST, given).await;
    let rows = subject.client.rows("odd").await;
    let of = |key: &str| rows.iter().find(|row| row.key == key).map(|row| row.value.clone()).expect("the row");
    let read = |text: String| -> serde_json::Value { serde_json::from_str(&text).expect("JSON") };
    assert_eq!((rows.len(), read(of(quotes))["text"].as_str()), (4, Some(quotes)));
    assert_eq!((of(&long), of(""), of("no time")), (large, "[]".into(), "{}".into()));
}

async fn what_comes_again_after_a_crash_changes_nothing(subject: &Subject<'_>) {
    let all = || vec![put("a", 0, "1"), remove("a", 1), put("b", 2, "2"), put("b", 3, "3")];
    subject.written("again", FIRST, all()).await;
    subject.run("UPDATE again SET value = '\"touched\"'").await;
    // Whoever was killed before it answered gets all of it again, or the end of it; a row that is gone does not come back for a moment.
    for from in 0..4 {
        subject.written("again", FIRST, all().split_off(from)).await;
        let rows = subject.client.rows("again").await;
        assert_eq!((rows.len(), rows[0].value.as_str()), (1, "\"touched\""), "from {from}");
    }
    let acked = Run { acked: Some(3), ..FIRST };
    subject.written("again", acked, vec![put("b", 3, "3"), put("c", 4, "4")]).await;
    assert_eq!(subject.places("again").await, at(&[("b", 3), ("c", 4)]));
}

async fn what_was_given_up_and_comes_late_gives_way_to_what_is_newer(subject: &Subject<'_>) {
    subject.written("late", FIRST, vec![put("a", 1, "1"), put("c", 4, "4")]).await;
    let late = |given: Given| Given { again: true, ..given };
    let redriven = vec![late(put("a", 0, "0")), late(remove("c", 3)), late(put("b", 2, "2"))];
    subject.written("late", FIRST, redriven).await;
    assert_eq!(subject.places("late").await, at(&[("a", 1), ("b", 2), ("c", 4)]));
    // They did not move the place: what comes next is not taken for something that comes again.
    subject.written("late", FIRST, vec![put("a", 5, "5")]).await;
    assert_eq!(subject.places("late").await, at(&[("a", 5), ("b", 2), ("c", 4)]));
}

async fn a_replay_fills_what_is_missing_goes_back_nowhere_and_sweeps_what_is_left(subject: &Subject<'_>) {
    let first = vec![put("old", 0, "0"), put("a", 1, "1"), put("b", 2, "2"), put("gone", 3, "3"), put("a", 4, "4")];
    subject.written("replayed", FIRST, first).await;
    subject.run("DELETE FROM replayed WHERE position = 2").await;
    // The topic keeps what stands from 1 on, and a new filter does not take `gone` any more.
    let run = Run { id: 11, begins: 1, until: 5, ..FIRST };
    subject.written("replayed", run, vec![put("a", 1, "1"), put("b", 2, "2")]).await;
    assert_eq!(subject.places("replayed").await, at(&[("a", 4), ("b", 2), ("gone", 3), ("old", 0)]));
    // Meanwhile Motet dies, and some of it comes again.
    subject.written("replayed", run, vec![put("b", 2, "2"), put("a", 4, "4")]).await;
    assert_eq!(subject.places("replayed").await, at(&[("a", 4), ("b", 2), ("old", 0)]));
    subject.written("replayed", Run { acked: Some(4), ..run }, vec![put("c", 5, "5")]).await;
    assert_eq!(subject.places("replayed").await, at(&[("a", 4), ("b", 2), ("c", 5), ("old", 0)]));
}

async fn a_topic_that_was_made_again_begins_at_low_positions(subject: &Subject<'_>) {
    subject.written("anew", FIRST, vec![put("a", 500, "1"), put("b", 501, "2")]).await;
    let run = Run { id: 20, lineage: 20, begins: 0, until: 0, acked: None };
    subject.written("anew", run, vec![put("a", 0, "3")]).await;
    subject.written("anew", Run { acked: Some(0), ..run }, vec![put("a", 1, "4")]).await;
    // What the new topic says nothing about stays, as older than anything.
    assert_eq!(subject.places("anew").await, at(&[("a", 1), ("b", -1)]));
}

async fn many_events_are_written_quickly(subject: &Subject<'_>) {
    const EVENTS: u64 = 20_000;
    let writer = subject.writer("many");
    let value = format!("{{\"text\":\"{}\"}}", "x".repeat(200));
    for from in (0..EVENTS).step_by(1000) {
        let given = (from..from + 1000).map(|n| put(&format!("k{}", n % 15_000), n, &value)).collect();
        let run = Run { acked: from.checked_sub(1), ..FIRST };
        writer.write(run, given).await.expect("nothing is missing");
    }
    let rows = subject.places("many").await;
    let last = |key: &str| rows.iter().find(|(name, _)| name == key).map(|(_, position)| *position);
    assert_eq!((rows.len(), last("k0"), last("k14999")), (15_000, Some(15_000), Some(14_999)));
}
