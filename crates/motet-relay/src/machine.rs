//! What the relay does next, as a value: read, publish, settle, rest. No table, no clock, no network.
//!
//! Reading always begins at the beginning of what is not published. That costs nothing, because what is published is gone from there, and it is
//! the only way that cannot miss a row which was committed late with an early number. The rows that cannot be published stay there, so their
//! keys are left out of the next question: each round either publishes something or leaves one key more out, and so it ends.

use crate::{
    error::Refusal,
    port::Ask,
    row::{Place, Row},
    spec::Limits,
    status::{Held, Status},
};
use motet_kernel::backoff::Backoff;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long is waited after a failure.
const BACKOFF: Backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(10), factor: 2.0 };

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read rows, check each, and say [`Machine::claimed`].
    Claim(Ask),
    /// Publish these, and say [`Machine::published`].
    Publish(Vec<Row>),
    /// Settle these, and say [`Machine::settled`].
    Settle(Vec<Place>),
    /// Nothing until the table changes or it is time to look: [`Machine::woken`].
    Rest,
    /// Wait, then [`Machine::again`].
    Pause(Duration),
}

/// A row and what was found when it was checked.
pub type Judged = (Row, Result<(), Refusal>);

/// Whose way is blocked: a key, or a single row without one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Key(String),
    Alone(String),
}

/// What was begun and is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Resting,
    Claiming,
    Publishing(Vec<Row>),
    Settling(Vec<Place>),
}

/// The state of a relay.
#[derive(Debug)]
pub struct Machine {
    limits: Limits,
    step: Step,
    held: BTreeMap<Way, Held>,
    /// What was settled last. When it comes again, settling does nothing, and it would be published for ever.
    settled: BTreeSet<Place>,
    failures: u32,
    published: u64,
}

impl Machine {
    /// One that has not begun.
    pub fn new(limits: Limits) -> Self {
        Self { limits, step: Step::Resting, held: BTreeMap::new(), settled: BTreeSet::new(), failures: 0, published: 0 }
    }

    /// The table may have changed, or it is time to look. `anew`: what is held up is tried again too.
    pub fn woken(&mut self, anew: bool) -> Action {
        if anew {
            self.held.clear();
            self.settled.clear();
        }
        self.claim()
    }

    /// Rows came, each checked.
    pub fn claimed(&mut self, rows: Vec<Judged>) -> Action {
        self.failures = 0;
        let held_before = self.held.len();
        let mut taken = Vec::new();
        for (row, verdict) in rows {
            let way = way(&row);
            if self.held.contains_key(&way) {
                continue;
            }
            let again = self.settled.contains(&row.place).then(|| "it was published, and does not stay so".to_owned());
            match (verdict, again.or_else(|| row.broken.clone())) {
                (Ok(()), None) => taken.push(row),
                (_, Some(reason)) | (Err(Refusal(reason)), None) => {
                    if self.is_stuck() {
                        break;
                    }
                    self.held.insert(way, Held { id: row.place.id, key: row.key, reason });
                }
            }
        }
        if !taken.is_empty() {
            self.step = Step::Publishing(taken.clone());
            return Action::Publish(taken);
        }
        if self.held.len() > held_before && !self.is_stuck() {
            return self.claim();
        }
        self.step = Step::Resting;
        Action::Rest
    }

    /// The rows are durable.
    pub fn published(&mut self) -> Action {
        self.failures = 0;
        let Step::Publishing(rows) = std::mem::replace(&mut self.step, Step::Resting) else { return Action::Rest };
        self.published += rows.len() as u64;
        let places: Vec<_> = rows.into_iter().map(|row| row.place).collect();
        self.step = Step::Settling(places.clone());
        Action::Settle(places)
    }

    /// They are settled. There may be more.
    pub fn settled(&mut self) -> Action {
        self.failures = 0;
        if let Step::Settling(places) = std::mem::replace(&mut self.step, Step::Resting) {
            self.settled = places.into_iter().collect();
        }
        if self.is_stuck() {
            return Action::Rest;
        }
        self.claim()
    }

    /// What was begun failed. `random` is out of `0.0..1.0`.
    pub fn failed(&mut self, random: f64) -> Action {
        self.failures = self.failures.saturating_add(1);
        Action::Pause(BACKOFF.wait(self.failures, random))
    }

    /// The pause is over: what failed is begun again. What is durable is not published again, it only has to be settled.
    pub fn again(&mut self) -> Action {
        match &self.step {
            Step::Resting | Step::Claiming => self.claim(),
            Step::Publishing(rows) => Action::Publish(rows.clone()),
            Step::Settling(places) => Action::Settle(places.clone()),
        }
    }

    /// Whether nothing is held up.
    pub fn is_free(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether as many keys are held up as are kept in mind.
    pub fn is_stuck(&self) -> bool {
        self.held.len() >= self.limits.held
    }

    /// Writes down what it knows.
    pub fn tell(&self, status: &mut Status) {
        status.published = self.published;
        status.held = self.held.len();
        status.examples = self.held.values().take(Status::EXAMPLES).cloned().collect();
    }

    fn claim(&mut self) -> Action {
        self.step = Step::Claiming;
        let mut ask = Ask { rows: self.limits.rows, bytes: self.limits.bytes, ..Ask::default() };
        for way in self.held.keys() {
            let (set, text): (&mut BTreeSet<_>, _) = match way {
                Way::Key(key) => (&mut ask.without_keys, key),
                Way::Alone(id) => (&mut ask.without_ids, id),
            };
            set.insert(text.clone());
        }
        Action::Claim(ask)
    }
}

fn way(row: &Row) -> Way {
    match &row.key {
        Some(key) => Way::Key(key.clone()),
        None => Way::Alone(row.place.id.clone()),
    }
}
