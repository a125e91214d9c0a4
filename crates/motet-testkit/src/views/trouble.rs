//! What goes wrong with a view: rows that are refused, writers that die or come twice, tables that are gone or were never one.

use super::{FIRST, Subject, at, put, remove, spec};
use motet_relay::view::{Batch, Place, Plan, Rewind, Run, Verdict, ViewError, ViewSpec, plan::plan};
use std::{sync::Arc, time::Duration};

pub(super) async fn a_row_that_is_refused_is_found_among_many(subject: &Subject<'_>) {
    let writer = subject.writer("refusing");
    writer.open().await.expect("made");
    subject.run("CREATE UNIQUE INDEX refusing_ids ON refusing (event_id)").await;
    let mut given: Vec<_> = (0..40).map(|n| put(&format!("k{n:02}"), n, "1")).collect();
    for (wrong, like) in [(7, 3), (8, 3), (31, 5)] {
        let row = given[wrong].change.as_mut().expect("a change").row.as_mut().expect("a row");
        row.id = format!("e-{like}");
    }
    // An older event of a key whose newest is refused is in the table.
    let mut again = put("k05", 40, "2");
    again.change.as_mut().expect("a change").row.as_mut().expect("a row").id = "e-6".into();
    given.push(again);
    let verdicts = writer.write(FIRST, given).await.expect("nothing is missing");
    let refused: Vec<_> = (0..).zip(&verdicts).filter(|(_, verdict)| **verdict != Verdict::Done).collect();
    assert_eq!(refused.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [7, 8, 31, 40], "{refused:?}");
    let Verdict::Refused(why) = refused[0].1 else { panic!("{refused:?}") };
    assert!(!why.is_empty());
    let places = subject.places("refusing").await;
    assert_eq!((places.len(), &places[5]), (37, &("k05".to_owned(), 5)));
    // The table is behind all of them.
    subject.written("refusing", Run { acked: Some(40), ..FIRST }, vec![put("next", 41, "1")]).await;
}

pub(super) async fn rows_and_place_change_together_or_not_at_all(subject: &Subject<'_>) {
    let table = (subject.open)(&spec("whole"));
    assert_eq!(table.open().await.expect("made"), None);
    subject.run("CREATE UNIQUE INDEX whole_ids ON whole (event_id)").await;
    let written = batch(None, FIRST, &[put("a", 0, "1"), put("b", 1, "2")]);
    table.apply(&written).await.expect("written");
    let mut same = put("z", 3, "4");
    same.change.as_mut().expect("a change").row.as_mut().expect("a row").id = "e-2".into();
    let refused = batch(Some(written.after), FIRST, &[put("a", 2, "3"), same, remove("b", 4)]);
    let error = table.apply(&refused).await.expect_err("an id that is there");
    assert!(matches!(error, ViewError::Refused(_)), "{error}");
    assert_eq!(subject.places("whole").await, at(&[("a", 0), ("b", 1)]));
    let place = (subject.open)(&spec("whole")).open().await.expect("there");
    assert_eq!(place, Some(written.after), "after a restart too");
    table.apply(&batch(place, FIRST, &[put("a", 2, "3")])).await.expect("the same connection goes on");
}

fn batch(place: Option<Place>, run: Run, given: &[motet_relay::view::Given]) -> Batch {
    match plan(place, run, given, true) {
        Plan::Write(batch) => batch,
        Plan::Rewind(rewind) => panic!("{rewind:?}"),
    }
}

pub(super) async fn of_two_that_write_at_once_each_event_is_written_once(subject: &Subject<'_>) {
    let one = (subject.open)(&spec("twice"));
    let other = (subject.open)(&spec("twice"));
    let (first, second) = tokio::join!(one.open(), other.open());
    assert_eq!((first.expect("made"), second.expect("made")), (None, None));
    let batches = |n: u64| batch(None, FIRST, &[put("a", 0, &n.to_string())]);
    let (first, second) = (batches(1), batches(2));
    let (first, second) = tokio::join!(one.apply(&first), other.apply(&second));
    let moved =
        |result: &Result<(), ViewError>| matches!(result, Err(ViewError::Moved(Some(place))) if place.position == 0);
    assert!(first.is_ok() && moved(&second) || second.is_ok() && moved(&first), "{first:?} {second:?}");
    // Two writers that are handed the same, as when a killed Motet has not let go yet.
    let writers = [subject.writer("twice"), subject.writer("twice")];
    for from in (1..200).step_by(20) {
        let given: Vec<_> = (from..from + 20).map(|n| put(&format!("k{}", n % 7), n, "1")).collect();
        let (one, other) = tokio::join!(writers[0].write(FIRST, given.clone()), writers[1].write(FIRST, given));
        assert_eq!((one.expect("written").len(), other.expect("written").len()), (20, 20));
    }
    let last = (194..=200).map(|n| (format!("k{}", n % 7), n));
    let mut last: Vec<_> = last.chain([("a".to_owned(), 0)]).collect();
    last.sort();
    assert_eq!(subject.places("twice").await, last);
}

pub(super) async fn work_that_is_dropped_anywhere_leaves_all_or_nothing(subject: &Subject<'_>) {
    let table = (subject.open)(&spec("dropped"));
    let mut place = table.open().await.expect("made");
    for round in 0..40_u64 {
        let given: Vec<_> = (0..50).map(|n| put(&format!("k{n:02}"), round * 50 + n, "1")).collect();
        let next = batch(place, FIRST, &given);
        // Whatever it was doing, it is not polled any more; what was begun may still end.
        let _ = tokio::time::timeout(Duration::from_micros(1500 * round), table.apply(&next)).await;
        place = loop {
            let found = table.open().await.expect("there");
            let rows = subject.places("dropped").await;
            if table.open().await.expect("there") == found {
                let position = found.map_or(-1, |place| place.position);
                let newest = rows.iter().map(|(_, position)| *position).max().unwrap_or(-1);
                assert_eq!((newest, rows.len() % 50), (position, 0), "round {round}: {rows:?}");
                let oldest = rows.iter().map(|(_, position)| *position).min().unwrap_or(-1);
                assert_eq!(oldest, if position < 0 { -1 } else { position - 49 }, "round {round}: {rows:?}");
                break found;
            }
        };
    }
}

pub(super) async fn a_table_that_is_dropped_is_filled_again(subject: &Subject<'_>) {
    let writer = subject.writer("lost");
    let write = |run, given| writer.write(run, given);
    write(FIRST, vec![put("a", 0, "1"), put("b", 1, "2")]).await.expect("nothing is missing");
    subject.run("DROP TABLE lost").await;
    let acked = Run { acked: Some(1), ..FIRST };
    assert_eq!(write(acked, vec![put("c", 2, "3")]).await, Err(Rewind::Start));
    let run = Run { id: 12, until: 3, ..FIRST };
    let all = vec![put("a", 0, "1"), put("b", 1, "2"), put("c", 2, "3")];
    write(run, all).await.expect("it begins anew");
    assert_eq!(subject.places("lost").await, at(&[("a", 0), ("b", 1), ("c", 2)]));
    // Who wants only what comes does not ask for more.
    subject.run("DROP TABLE lost").await;
    let latest = ViewSpec { refills: false, ..spec("lost") };
    let writer = motet_relay::view::Writer::new(latest.clone(), (subject.open)(&latest));
    writer.write(Run { acked: Some(2), ..run }, vec![put("d", 3, "4")]).await.expect("goes on");
    assert_eq!(subject.places("lost").await, at(&[("d", 3)]));
}

pub(super) async fn a_store_that_was_set_back_asks_for_what_is_missing(subject: &Subject<'_>) {
    subject.written("restored", FIRST, vec![put("a", 0, "1"), put("a", 4, "2")]).await;
    let writer = subject.writer("restored");
    writer.write(FIRST, vec![put("b", 5, "3"), put("b", 9, "4")]).await.expect("nothing is missing");
    // As an older backup would have it.
    subject.run("DELETE FROM restored WHERE position > 4").await;
    subject.run("UPDATE motet_views SET position = 4 WHERE name = 'restored'").await;
    let acked = Run { acked: Some(9), ..FIRST };
    assert_eq!(writer.write(acked, vec![put("c", 10, "5")]).await, Err(Rewind::To(5)));
    let run = Run { id: 13, begins: 5, until: 11, ..FIRST };
    writer.write(run, vec![put("b", 5, "3"), put("b", 9, "4"), put("c", 10, "5")]).await.expect("it is repeated");
    assert_eq!(subject.places("restored").await, at(&[("a", 4), ("b", 9), ("c", 10)]));
}

pub(super) async fn a_table_that_is_something_else_is_not_touched(subject: &Subject<'_>) {
    let refused = async |table: &str, needle: &str| {
        let error = (subject.open)(&spec(table)).open().await.expect_err(table);
        assert!(matches!(&error, ViewError::Shape { reason, .. } if reason.contains(needle)), "{error}");
    };
    subject.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(20))").await;
    refused("customers", "no column key").await;
    subject.written("filling", FIRST, vec![put("a", 0, "1")]).await;
    let other = ViewSpec { subscription: "web.other".into(), ..spec("filling") };
    let error = (subject.open)(&other).open().await.expect_err("it is taken");
    assert!(error.to_string().contains("web.customer.changed"), "{error}");
    subject.run("CREATE TABLE keyless AS SELECT * FROM filling").await;
    refused("keyless", "neither the primary key nor unique").await;
    // A writer waits until somebody has repaired it, and says so meanwhile.
    let writer = Arc::new(subject.writer("keyless"));
    let waits = writer.write(FIRST, vec![put("a", 0, "1")]);
    assert!(tokio::time::timeout(Duration::from_millis(300), waits).await.is_err());
    assert!(writer.trouble().is_some_and(|trouble| trouble.contains("MO-relay-201")), "{:?}", writer.trouble());
    subject.run("DROP TABLE keyless").await;
    writer.write(FIRST, vec![put("a", 0, "1")]).await.expect("it is made");
    assert_eq!(writer.trouble(), None);
}

pub(super) async fn a_table_may_have_more_columns_and_indexes(subject: &Subject<'_>) {
    subject.writer("wider").open().await.expect("made");
    subject.run("ALTER TABLE wider ADD COLUMN note VARCHAR(20) DEFAULT 'none'").await;
    subject.run("CREATE INDEX wider_types ON wider (event_type)").await;
    subject.written("wider", FIRST, vec![put("a", 0, "1")]).await;
    subject.run("UPDATE wider SET note = 'mine'").await;
    subject.written("wider", FIRST, vec![put("a", 1, "2")]).await;
    subject.run("DELETE FROM wider WHERE note <> 'mine'").await;
    assert_eq!(subject.places("wider").await, at(&[("a", 1)]), "what the service wrote beside it stays");
}
