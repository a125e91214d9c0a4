//! What is to be done with what was delivered, as a pure function of how far the table is.

use super::{Batch, Change, Given, Place, Run, Sweep};
use std::collections::HashMap;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Something is missing that is not delivered any more: it has to be begun anew.
    Rewind(Rewind),
    /// This, in one transaction.
    Write(Batch),
}

/// From where it has to be begun anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewind {
    /// From where the subscription is declared to begin: nothing of it is in the table.
    Start,
    /// From this position: the table has what stands before it.
    To(u64),
}

/// Decides. `refills`: whether a table that nothing was written to gets what was delivered before.
pub fn plan(place: Option<Place>, run: Run, given: &[Given], refills: bool) -> Plan {
    let fresh = Place { run: run.id, lineage: run.lineage, begins: run.begins, until: 0, position: -1 };
    let (from, forget) = match place {
        Some(place) if place.run == run.id => {
            if run.acked.is_some_and(|acked| signed(acked) > place.position) {
                return Plan::Rewind(Rewind::To(u64::try_from(place.position + 1).unwrap_or(0)));
            }
            // The topic may have given up what the run was to repeat.
            (Place { begins: place.begins.max(run.begins), ..place }, false)
        }
        // What was answered for in this run is not in this table.
        _ if run.acked.is_some() && refills => return Plan::Rewind(Rewind::Start),
        // A replay: what is there is written over where it is not newer, and what does not come by is swept at its end.
        Some(place) if place.lineage == run.lineage => (Place { until: run.until, ..fresh }, false),
        _ => (fresh, true),
    };
    let mut changes: HashMap<&str, &Change> = HashMap::with_capacity(given.len());
    let mut position = from.position;
    for event in given {
        let at = event.position.map_or(-1, signed);
        let is_known = !event.again && at <= from.position;
        if let (false, Ok(change)) = (is_known, &event.change) {
            let last = changes.entry(&change.key).or_insert(change);
            if change.position >= last.position {
                *last = change;
            }
        }
        if !event.again {
            position = position.max(at);
        }
    }
    let is_through = from.until > 0 && position + 1 >= signed(from.until);
    let sweep = is_through.then_some(Sweep { run: from.run, from: from.begins, until: from.until });
    let until = if is_through { 0 } else { from.until };
    let mut changes: Vec<Change> = changes.into_values().cloned().collect();
    // Always in one order, so that what is refused is found again, and two that write at once do not wait for each other.
    changes.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    Plan::Write(Batch { before: place, after: Place { until, position, ..from }, forget, changes, sweep })
}

fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Row;

    const RUN: Run = Run { id: 5, lineage: 5, begins: 0, until: 0, acked: None };
    const AT_3: Place = Place { run: 5, lineage: 5, begins: 0, until: 0, position: 3 };

    fn put(key: &str, position: u64) -> Given {
        let row = Row { value: "1".into(), id: "i".into(), source: "s".into(), kind: "t".into(), time: None };
        let change = Change { key: key.into(), position: signed(position), row: Some(row) };
        Given { position: Some(position), again: false, change: Ok(change) }
    }

    fn written(plan: Plan) -> (Vec<(String, i64)>, Place, bool, Option<Sweep>) {
        let Plan::Write(batch) = plan else { panic!("{plan:?}") };
        let changes = batch.changes.into_iter().map(|change| (change.key, change.position));
        (changes.collect(), batch.after, batch.forget, batch.sweep)
    }

    #[test]
    fn of_each_key_the_last_event_is_written_and_what_came_before_is_passed_over() {
        let given = [put("a", 2), put("b", 3), put("a", 4), put("a", 6), put("c", 5)];
        let (changes, after, forget, sweep) = written(plan(Some(AT_3), RUN, &given, true));
        assert_eq!(changes, [("a".into(), 6), ("c".into(), 5)]);
        assert_eq!((after, forget, sweep), (Place { position: 6, ..AT_3 }, false, None));
        // One that was tried before is not measured by the place: nobody knows whether it is in.
        let again = Given { again: true, ..put("b", 2) };
        let (changes, after, ..) = written(plan(Some(AT_3), RUN, &[again], true));
        assert_eq!((changes, after), (vec![("b".into(), 2)], AT_3));
        // One that cannot be a row is done with all the same.
        let broken = Given { change: Err("no key".into()), ..put("x", 9) };
        let (changes, after, ..) = written(plan(Some(AT_3), RUN, &[broken], true));
        assert_eq!((changes, after.position), (vec![], 9));
    }

    #[test]
    fn a_table_that_lost_something_asks_for_it() {
        let acked = |position| Run { acked: Some(position), ..RUN };
        let given = [put("a", 9)];
        assert_eq!(plan(Some(AT_3), acked(7), &given, true), Plan::Rewind(Rewind::To(4)));
        assert_eq!(plan(None, acked(7), &given, true), Plan::Rewind(Rewind::Start));
        let other = Place { run: 4, ..AT_3 };
        assert_eq!(plan(Some(other), acked(0), &given, true), Plan::Rewind(Rewind::Start));
        assert!(matches!(plan(Some(AT_3), acked(3), &given, true), Plan::Write(_)));
        // Who wanted only what comes gets only that.
        let (_, after, forget, _) = written(plan(None, acked(7), &given, false));
        assert_eq!((after.position, forget), (9, true));
    }

    #[test]
    fn a_replay_writes_again_and_sweeps_when_it_is_through() {
        let run = Run { id: 8, lineage: 5, begins: 2, until: 6, acked: None };
        let (changes, place, forget, sweep) = written(plan(Some(AT_3), run, &[put("a", 2), put("b", 3)], true));
        assert_eq!((changes.len(), forget, sweep), (2, false, None));
        assert_eq!(place, Place { run: 8, lineage: 5, begins: 2, until: 6, position: 3 });
        // Positions 0 to 3 are older than what the topic keeps by now: their rows are not swept.
        let trimmed = Run { begins: 4, ..run };
        let (_, place, _, sweep) = written(plan(Some(place), trimmed, &[put("a", 5)], true));
        assert_eq!(sweep, Some(Sweep { run: 8, from: 4, until: 6 }));
        let (_, _, _, sweep) = written(plan(Some(place), trimmed, &[put("a", 6)], true));
        assert_eq!((place.until, sweep), (0, None));
    }

    #[test]
    fn positions_of_a_topic_that_was_made_again_are_not_compared() {
        let run = Run { id: 9, lineage: 9, begins: 0, until: 4, acked: None };
        let (changes, after, forget, sweep) = written(plan(Some(AT_3), run, &[put("a", 0)], true));
        assert_eq!((changes.len(), forget, sweep), (1, true, None));
        assert_eq!(after, Place { run: 9, lineage: 9, begins: 0, until: 0, position: 0 });
    }
}
