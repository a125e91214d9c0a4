//! The machine over a table whose transactions commit out of order, with failures and restarts: nothing is skipped, keys keep their order.

use motet_relay::{
    Limits, Place, Refusal, Row,
    machine::{Action, Machine},
    port::Ask,
};
use std::collections::{BTreeMap, BTreeSet};

/// A row of the simulated table.
struct Stored {
    key: Option<String>,
    committed: bool,
    published: bool,
    refused: bool,
}

struct World {
    random: fastrand::Rng,
    rows: Vec<Stored>,
    /// Transactions that have their numbers and are not committed.
    open: Vec<Vec<usize>>,
    /// Rows in the order in which they became durable, those that came twice included.
    out: Vec<usize>,
    /// The order of commits of each key.
    committed: BTreeMap<String, Vec<usize>>,
}

fn id(row: usize) -> String {
    format!("r{row}")
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            rows: Vec::new(),
            open: Vec::new(),
            out: Vec::new(),
            committed: BTreeMap::new(),
        }
    }

    /// A transaction takes numbers for its rows; or one commits. Two that write the same key do so one after the other, as they do in
    /// a service that locks what it changes.
    fn service(&mut self) {
        if self.rows.len() < 200 && (self.open.is_empty() || self.random.bool()) {
            let taken: BTreeSet<_> = self.open.iter().flatten().filter_map(|row| self.rows[*row].key.clone()).collect();
            let mut rows = Vec::new();
            for _ in 0..self.random.usize(1..5) {
                let key = (self.random.u8(0..10) > 0).then(|| format!("k{}", self.random.u8(0..8)));
                if key.as_ref().is_some_and(|key| taken.contains(key)) {
                    continue;
                }
                rows.push(self.rows.len());
                let refused = self.random.u8(0..40) == 0;
                self.rows.push(Stored { key, committed: false, published: false, refused });
            }
            self.open.push(rows);
        } else if !self.open.is_empty() {
            let at = self.random.usize(0..self.open.len());
            for row in self.open.swap_remove(at) {
                self.rows[row].committed = true;
                if let Some(key) = &self.rows[row].key {
                    self.committed.entry(key.clone()).or_default().push(row);
                }
            }
        }
    }

    fn claim(&self, ask: &Ask) -> Vec<(Row, Result<(), Refusal>)> {
        let waiting = self.rows.iter().enumerate().filter(|(_, row)| row.committed && !row.published);
        let wanted = waiting.filter(|(at, row)| match &row.key {
            Some(key) => !ask.without_keys.contains(key),
            None => !ask.without_ids.contains(&id(*at)),
        });
        let rows = wanted.take(ask.rows).map(|(at, row)| {
            let verdict = if row.refused { Err(Refusal("no".into())) } else { Ok(()) };
            (self::row(at, row.key.clone()), verdict)
        });
        rows.collect()
    }

    fn repair(&mut self) {
        for row in &mut self.rows {
            row.refused = row.refused && self.random.u8(0..3) > 0;
        }
    }
}

fn row(number: usize, key: Option<String>) -> Row {
    Row {
        place: Place { number: number as i64, id: id(number) },
        topic: None,
        kind: "t".into(),
        key,
        data: None,
        content_type: None,
        time: None,
        extensions: Vec::new(),
        broken: None,
    }
}

fn limits() -> Limits {
    Limits { rows: 7, held: 50, ..Limits::default() }
}

/// One step of the machine, with failures, and the restart of it.
fn step(world: &mut World, machine: &mut Machine, action: Action) -> Action {
    let fails = world.random.u8(0..10) == 0;
    if world.random.u8(0..60) == 0 {
        *machine = Machine::new(limits());
        return machine.woken(true);
    }
    match action {
        Action::Claim(_) if fails => machine.failed(0.5),
        Action::Claim(ask) => machine.claimed(world.claim(&ask)),
        Action::Publish(rows) => {
            // Of a publishing that fails it is unknown how much of it is durable: the first ones, for the engine keeps their order.
            let durable = if fails { world.random.usize(0..=rows.len()) } else { rows.len() };
            world.out.extend(rows[..durable].iter().map(|row| row.place.number as usize));
            if fails { machine.failed(0.5) } else { machine.published() }
        }
        Action::Settle(_) if fails => machine.failed(0.5),
        Action::Settle(places) => {
            places.iter().for_each(|place| world.rows[place.number as usize].published = true);
            machine.settled()
        }
        Action::Pause(_) => machine.again(),
        Action::Rest => machine.woken(world.random.bool()),
    }
}

#[test]
fn whatever_commits_fails_and_restarts_in_whatever_order_nothing_is_skipped_and_keys_keep_their_order() {
    for seed in 0..300 {
        let mut world = World::new(seed);
        let mut machine = Machine::new(limits());
        let mut action = machine.woken(true);
        for round in 0..20_000 {
            if world.random.bool() {
                world.service();
            }
            if world.random.u8(0..50) == 0 {
                world.repair();
            }
            action = step(&mut world, &mut machine, action);
            let all_in = world.rows.len() >= 200 && world.open.is_empty();
            if all_in && world.rows.iter().all(|row| row.published) {
                break;
            }
            assert!(round < 19_999, "seed {seed}: does not come to an end");
        }
        let mut seen = BTreeSet::new();
        let first: Vec<usize> = world.out.iter().copied().filter(|row| seen.insert(*row)).collect();
        assert_eq!(first.len(), world.rows.len(), "seed {seed}: some were skipped");
        for (key, committed) in &world.committed {
            let published: Vec<_> =
                first.iter().copied().filter(|row| world.rows[*row].key.as_ref() == Some(key)).collect();
            assert_eq!(&published, committed, "seed {seed}: the order of {key}");
        }
    }
}

#[test]
fn what_is_durable_is_not_published_again_because_it_cannot_be_settled() {
    let mut machine = Machine::new(limits());
    machine.woken(true);
    let Action::Publish(rows) = machine.claimed(vec![(row(1, None), Ok(()))]) else { panic!("rows are there") };
    assert_eq!(rows.len(), 1);
    let Action::Settle(places) = machine.published() else { panic!("durable") };
    for _ in 0..10 {
        assert!(matches!(machine.failed(1.0), Action::Pause(_)));
        assert_eq!(machine.again(), Action::Settle(places.clone()));
    }
    assert!(matches!(machine.settled(), Action::Claim(_)));
}

#[test]
fn a_row_that_comes_again_although_it_was_settled_is_held_up_and_not_published_for_ever() {
    let mut machine = Machine::new(limits());
    machine.woken(true);
    machine.claimed(vec![(row(1, None), Ok(()))]);
    machine.published();
    machine.settled();
    let Action::Claim(ask) = machine.claimed(vec![(row(1, None), Ok(()))]) else { panic!("held up") };
    assert!(ask.without_ids.contains("r1"));
    assert_eq!(machine.claimed(Vec::new()), Action::Rest);
}

#[test]
fn pauses_grow_and_end() {
    let mut machine = Machine::new(limits());
    machine.woken(true);
    let pauses: Vec<_> = (0..20)
        .map(|_| match machine.failed(1.0) {
            Action::Pause(pause) => pause,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(pauses.is_sorted() && pauses[0].as_millis() == 100 && pauses[19].as_secs() == 10);
}

#[test]
fn with_more_held_up_than_it_keeps_in_mind_it_rests_until_it_looks_anew() {
    let mut machine = Machine::new(Limits { held: 3, ..limits() });
    machine.woken(true);
    let refused = |n: usize| (row(n, None), Err(Refusal("no".into())));
    assert_eq!(machine.claimed((0..5).map(refused).collect()), Action::Rest);
    assert!(machine.is_stuck());
    assert!(matches!(machine.woken(true), Action::Claim(_)) && !machine.is_stuck());
}
