//! What a subscription does next, as a pure value: inputs go in, actions come out. No clock, disk, network or task is in here.
//!
//! The rule of the house is order per key without blocking others. A key is busy from the moment one of its events is handed on until that
//! event is settled, through all its retries; what follows on that key is parked meanwhile, and the reader goes on. So at any time an event
//! is in exactly one place: not read yet, ready, in flight, retrying, parked behind its key, being buried, or settled. Each place has a
//! bound: when too many wait for retries or keys, the reader stops. What is parked or retried may lose its body and is read again when its
//! turn comes, so bodies in memory are bounded in bytes however many events wait.

mod flight;
mod input;
mod item;
mod keys;
mod ledger;
mod status;

use crate::{
    record::{Checkpoint, DeadRecord, RetryRecord},
    run::Run,
    subscription::SubscriptionSpec,
    time::Time,
    topic::Position,
};
use flight::Flights;
use item::Retrying;
use keys::Keys;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

pub(crate) use flight::{Dispatch, Token};
pub use item::Attempts;
pub(crate) use item::{Id, Item};
pub(crate) use ledger::Ledger;
pub use status::Counts;

/// Bounds that are not the subscription's but the broker's.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// So many events may wait for a retry or behind a busy key; then the reader stops. 48 to 200 bytes each.
    pub waiting: usize,
    /// Bodies in memory, in bytes, above which what waits loses its body.
    pub held_bytes: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { waiting: 65_536, held_bytes: 8 << 20 }
    }
}

/// What the shell has to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Send, and report with [`Machine::outcome`].
    Deliver(Dispatch),
    /// Read on, and report with [`Machine::fetched`].
    Fetch {
        /// From here.
        from: Position,
        /// So many events.
        items: usize,
        /// So many bytes, roughly.
        bytes: usize,
        /// To be given back with the answer.
        epoch: u64,
    },
    /// Read one event again, and report with [`Machine::refetched`].
    Refetch(Id),
    /// Write down that it is tried again. May be lost by a crash.
    SaveRetry(Id, Box<RetryRecord>),
    /// Remove what [`Action::SaveRetry`] wrote.
    ForgetRetry(Id),
    /// Write the dead letter durably, removing the retry, and report with [`Machine::buried`].
    Bury(Id, Box<DeadRecord>),
}

/// The state of a subscription.
#[derive(Debug)]
pub(crate) struct Machine {
    spec: Arc<SubscriptionSpec>,
    caps: Caps,
    random: fastrand::Rng,
    ledger: Ledger,
    paused: bool,
    run: Run,
    /// What the checkpoint on disk does not say yet.
    dirty: bool,
    /// Rises when the subscription is moved: answers to older questions mean nothing then.
    epoch: u64,
    /// The next position to read, and the end of the topic.
    read_at: u64,
    head: u64,
    fetching: bool,
    ready: VecDeque<Item>,
    keys: Keys,
    flights: Flights,
    retrying: Retrying,
    /// Without their bodies, which are being read again.
    refetching: HashMap<Id, Item>,
    burying: HashMap<Id, Item>,
    held_bytes: usize,
    counts: Counts,
}

impl Machine {
    /// A subscription as the disk remembers it. `retries` are what [`Action::SaveRetry`] wrote.
    pub(crate) fn new(
        spec: Arc<SubscriptionSpec>,
        caps: Caps,
        seed: u64,
        checkpoint: Checkpoint,
        retries: Vec<(Id, RetryRecord)>,
    ) -> Self {
        let Checkpoint { ledger, paused, run } = checkpoint;
        let mut machine = Self {
            spec,
            caps,
            random: fastrand::Rng::with_seed(seed),
            read_at: ledger.cursor(),
            head: ledger.cursor(),
            ledger,
            paused,
            run,
            dirty: false,
            epoch: 0,
            fetching: false,
            ready: VecDeque::new(),
            keys: Keys::default(),
            flights: Flights::default(),
            retrying: Retrying::default(),
            refetching: HashMap::new(),
            burying: HashMap::new(),
            held_bytes: 0,
            counts: Counts::default(),
        };
        for (id, record) in retries {
            machine.restore(id, &record);
        }
        machine
    }

    /// An event that was tried before the restart. It holds its key, as it did.
    fn restore(&mut self, id: Id, record: &RetryRecord) {
        if id.position().is_some_and(|position| self.ledger.is_settled(position.0)) {
            return;
        }
        let item = Item::remembered(id, record);
        match item.key.filter(|key| self.keys.is_busy(*key)) {
            Some(key) => self.keys.park(key, item),
            None => {
                self.keys.occupy(item.key);
                self.retrying.insert(record.due, item);
            }
        }
    }

    /// What would have to be on disk now.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint { ledger: self.ledger.clone(), paused: self.paused, run: self.run }
    }

    /// The run through the topic that it is on.
    pub(crate) fn run(&self) -> Run {
        self.run
    }

    /// Whether the checkpoint has changed since this was asked last.
    pub(crate) fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// When [`Machine::tick`] has something to do next.
    pub(crate) fn wake_at(&self) -> Option<Time> {
        let retry = if self.paused { None } else { self.retrying.first_due() };
        let batch = match (self.spec.batch, self.ready.front()) {
            (Some(rule), Some(first)) if !self.paused && self.flights.len() < self.spec.in_flight => {
                Some(first.ready_at.after(rule.wait))
            }
            _ => None,
        };
        [retry, batch, self.flights.first_due()].into_iter().flatten().min()
    }

    /// Does what can be done now: sends what is ready, reads on.
    fn go_on(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.paused {
            return;
        }
        self.send(now, out);
        self.read_on(out);
    }

    fn read_on(&mut self, out: &mut Vec<Action>) {
        let per_delivery = self.spec.batch.map_or(1, |rule| rule.items);
        let wanted = (2 * self.spec.in_flight * per_delivery).clamp(64, 2048);
        let waiting = self.retrying.len() + self.keys.parked() + self.refetching.len() + self.burying.len();
        self.read_at = self.ledger.first_open(self.read_at);
        let full = waiting >= self.caps.waiting || self.held_bytes >= self.caps.held_bytes;
        if self.fetching || self.read_at >= self.head || self.ready.len() > wanted / 2 || full && !self.starving() {
            return;
        }
        self.fetching = true;
        let bytes = (self.caps.held_bytes / 4).max(64 << 10);
        out.push(Action::Fetch { from: Position(self.read_at), items: wanted, bytes, epoch: self.epoch });
    }

    /// Bodies in flight may fill the memory by themselves: one more is read when nothing else is left to do.
    fn starving(&self) -> bool {
        let waiting = self.retrying.len() + self.keys.parked() + self.refetching.len();
        self.ready.is_empty() && self.flights.len() < self.spec.in_flight && waiting < self.caps.waiting
    }

    fn send(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.spec.mode != crate::subscription::Mode::Push {
            return;
        }
        while self.flights.len() < self.spec.in_flight {
            let Some(first) = self.ready.front() else { return };
            let (most, bytes, due) = match self.spec.batch {
                None => (1, usize::MAX, first.ready_at),
                Some(rule) => (rule.items.max(1), rule.bytes, first.ready_at.after(rule.wait)),
            };
            if due > now && !self.fills(most, bytes) {
                return;
            }
            let items = self.take_ready(most, bytes, now, out);
            if !items.is_empty() {
                self.counts.delivered += items.len() as u64;
                out.push(Action::Deliver(self.flights.launch(items, None, &mut self.random)));
            }
        }
    }

    /// Whether what is ready makes a whole batch.
    fn fills(&self, most: usize, bytes: usize) -> bool {
        self.ready.len() >= most || self.ready.iter().map(|item| item.size).sum::<usize>() >= bytes
    }

    /// Takes events that are ready, up to `bytes` but at least one, burying those that became too old meanwhile.
    fn take_ready(&mut self, most: usize, mut bytes: usize, now: Time, out: &mut Vec<Action>) -> Vec<Item> {
        let mut items = Vec::with_capacity(most.min(self.ready.len()));
        while items.len() < most {
            let Some(item) = self.ready.pop_front_if(|item| items.is_empty() || item.size <= bytes) else { break };
            bytes = bytes.saturating_sub(item.size);
            let too_old = self.spec.retry.max_age.is_some_and(|age| now.since(item.published_at) >= age);
            if too_old {
                self.bury(item, crate::dead::Reason::Age, now, out);
            } else {
                items.push(item);
            }
        }
        items
    }

    /// An event that is not settled goes to its place: ready, or behind its key.
    fn admit(&mut self, item: Item, now: Time, out: &mut Vec<Action>) {
        match item.key {
            Some(key) if self.keys.is_busy(key) => {
                let item = self.slim(item);
                self.keys.park(key, item);
            }
            key => {
                self.keys.occupy(key);
                self.make_ready(item, now, out);
            }
        }
    }

    fn make_ready(&mut self, mut item: Item, now: Time, out: &mut Vec<Action>) {
        item.ready_at = now;
        if item.entry.is_some() {
            self.ready.push_back(item);
        } else {
            out.push(Action::Refetch(item.id));
            self.refetching.insert(item.id, item);
        }
    }

    /// Drops the body of what has to wait, if memory is short.
    fn slim(&mut self, mut item: Item) -> Item {
        if self.held_bytes > self.caps.held_bytes / 2 && item.entry.take().is_some() {
            self.held_bytes -= item.size;
        }
        item
    }

    /// The event is done with, for good.
    fn settle(&mut self, item: &Item, now: Time, out: &mut Vec<Action>) {
        match item.id.position() {
            Some(position) => self.ledger.settle(position.0..position.0 + 1),
            None => out.push(Action::ForgetRetry(item.id)),
        }
        if item.id.position().is_some() && item.attempts.made > 0 {
            out.push(Action::ForgetRetry(item.id));
        }
        self.dirty = true;
        self.release(item, now, out);
    }

    /// The event's key is free: the next one parked behind it is ready.
    fn release(&mut self, item: &Item, now: Time, out: &mut Vec<Action>) {
        if item.entry.is_some() {
            self.held_bytes -= item.size;
        }
        if let Some(next) = item.key.and_then(|key| self.keys.release(key)) {
            self.make_ready(next, now, out);
        }
    }
}
