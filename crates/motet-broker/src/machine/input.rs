//! What can happen to a subscription. Each of these changes the state and then does whatever has become possible.

use super::{Action, Dispatch, Id, Item, Machine, Token, flight::Landed, ledger::Ledger};
use crate::{
    dead::Reason,
    outcome::{Outcome, Refusal},
    port::{Entry, Stored},
    record::{DeadRecord, RetryRecord},
    subscription::SubscriptionSpec,
    time::Time,
    topic::Position,
};
use std::{sync::Arc, time::Duration};

/// `Retry-After` may be nonsense; nothing waits longer than this for one.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// A worker gets no more bytes than this at once; an event that is larger comes alone.
const PULL_BYTES: usize = 8 << 20;

impl Machine {
    /// The topic has events up to here.
    pub(crate) fn head(&mut self, head: Position, now: Time, out: &mut Vec<Action>) {
        self.head = self.head.max(head.0);
        self.go_on(now, out);
    }

    /// What [`Action::Fetch`] asked for. Positions between the events never held one; below `first`, the oldest that
    /// the topic still has, they are missed.
    pub(crate) fn fetched(
        &mut self,
        found: Vec<Stored>,
        first: Position,
        epoch: u64,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        if epoch != self.epoch {
            return;
        }
        self.fetching = false;
        self.counts.missed += first.0.saturating_sub(self.read_at);
        if first.0 > self.read_at {
            self.run.begins = self.run.begins.max(first);
        }
        self.skip_to(first.0);
        for stored in found {
            let position = stored.position.0;
            self.skip_to(position);
            self.read_at = self.read_at.max(position + 1);
            if self.restored.remove(&Id::of(stored.position)) || self.ledger.is_settled(position) {
                continue;
            }
            if self.spec.filter.as_ref().is_some_and(|filter| !filter.takes(&stored.entry.event)) {
                self.counts.filtered += 1;
                self.ledger.settle(position..position + 1);
                self.dirty = true;
                continue;
            }
            let item = Item::fresh(stored, self.spec.ordered);
            self.held_bytes += item.held_bytes();
            self.admit(item, now);
        }
        self.go_on(now, out);
    }

    /// The last [`Action::Fetch`] gave nothing; it is asked for again. The caller takes its time before it says so.
    pub(crate) fn not_fetched(&mut self, epoch: u64, now: Time, out: &mut Vec<Action>) {
        if epoch == self.epoch {
            self.fetching = false;
            self.go_on(now, out);
        }
    }

    fn skip_to(&mut self, position: u64) {
        if position > self.read_at {
            self.ledger.settle(self.read_at..position);
            self.read_at = position;
            self.dirty = true;
        }
    }

    /// What [`Action::Refetch`] asked for; nothing if it is gone.
    pub(crate) fn refetched(&mut self, id: Id, entry: Option<Entry>, now: Time, out: &mut Vec<Action>) {
        let Some(mut item) = self.refetching.remove(&id) else { return };
        match entry {
            Some(entry) => {
                item.size = entry.size();
                item.entry = Some(entry);
                self.held_bytes += item.held_bytes();
                self.ready.push_back(item);
            }
            None => {
                self.counts.missed += 1;
                self.settle(&item, now, out);
            }
        }
        self.go_on(now, out);
    }

    /// A push was answered. What is missing in `outcomes` counts as failed.
    pub(crate) fn outcome(&mut self, flight: u64, outcomes: Vec<Outcome>, now: Time, out: &mut Vec<Action>) {
        let stays = |index: usize| matches!(outcomes.get(index), Some(Outcome::Accepted));
        let landed = self.flights.answered(flight, stays, now.after(self.spec.lease));
        let mut outcomes: Vec<_> = outcomes.into_iter().map(Some).collect();
        for (index, landed) in landed {
            let outcome = outcomes.get_mut(index).and_then(Option::take);
            let outcome = outcome.unwrap_or_else(|| Outcome::retry("the answer did not say what became of it"));
            self.land(landed, outcome, now, out);
        }
        self.go_on(now, out);
    }

    /// A worker asks for events: up to `max`, each leased by itself.
    pub(crate) fn pull(&mut self, max: usize, now: Time, out: &mut Vec<Action>) -> Vec<Dispatch> {
        let mut taken = Vec::new();
        if !self.paused {
            let room = self.spec.in_flight.saturating_sub(self.flights.len());
            for item in self.take_ready(max.min(room), PULL_BYTES, now, out) {
                self.counts.delivered += 1;
                let due = now.after(self.spec.lease);
                taken.push(self.flights.launch(vec![item], Some(due), &mut self.random));
            }
        }
        self.go_on(now, out);
        taken
    }

    /// What becomes of an event that is leased. False if the token stands for none: the lease is over, or it was answered already.
    pub(crate) fn answer(&mut self, token: Token, outcome: Outcome, now: Time, out: &mut Vec<Action>) -> bool {
        if outcome == Outcome::Accepted {
            return self.flights.extend(token, now.after(self.spec.lease));
        }
        let Some(landed) = self.flights.take(token) else { return false };
        self.land(landed, outcome, now, out);
        self.go_on(now, out);
        true
    }

    /// The lease goes on for `more` from now. False if the token stands for none.
    pub(crate) fn extend(&mut self, token: Token, more: Duration, now: Time) -> bool {
        self.flights.extend(token, now.after(more))
    }

    /// Time has passed: leases that are over, retries that are due.
    pub(crate) fn tick(&mut self, now: Time, out: &mut Vec<Action>) {
        while let Some(landed) = self.flights.pop_due(now) {
            for landed in landed {
                self.land(landed, Outcome::retry("the lease was over before it was acknowledged"), now, out);
            }
        }
        while !self.paused
            && let Some(item) = self.retrying.pop_due(now)
        {
            self.make_ready(item, now);
        }
        self.go_on(now, out);
    }

    /// What [`Action::Bury`] asked for is durable.
    pub(crate) fn buried(&mut self, id: Id, now: Time, out: &mut Vec<Action>) {
        if let Some(item) = self.burying.remove(&id) {
            self.counts.buried += 1;
            // Its retry was removed with the burial.
            if let Some(position) = item.id.position() {
                self.ledger.settle(position.0..position.0 + 1);
                self.run.settled(position);
            }
            self.dirty = true;
            self.release(&item, now);
        }
        self.go_on(now, out);
    }

    /// Stops sending and reading; what is in flight goes on.
    pub(crate) fn pause(&mut self) {
        self.dirty |= !self.paused;
        self.paused = true;
    }

    /// Goes on.
    pub(crate) fn resume(&mut self, now: Time, out: &mut Vec<Action>) {
        self.dirty |= self.paused;
        self.paused = false;
        self.tick(now, out);
    }

    /// The declaration changed.
    pub(crate) fn change(&mut self, spec: Arc<SubscriptionSpec>, now: Time, out: &mut Vec<Action>) {
        self.spec = spec;
        self.go_on(now, out);
    }

    /// Dead letters are tried again. Their retry records are on disk already.
    pub(crate) fn redriven(&mut self, items: Vec<(Id, RetryRecord)>, now: Time, out: &mut Vec<Action>) {
        for (id, record) in items {
            let mut item = Item::remembered(id, &record);
            if let Some(entry) = record.entry {
                item.size = entry.size();
                item.entry = Some(entry);
                self.held_bytes += item.held_bytes();
            }
            let item = self.slim(item);
            self.admit(item, now);
        }
        self.go_on(now, out);
    }

    /// Begins again at a position: everything below counts as settled, everything from there on as not. What is in flight is let go; what
    /// becomes of it is not recorded, so that it comes again in its turn. Redriven events are not touched. It is another run: that has to be
    /// on disk before anything of it is sent.
    pub(crate) fn seek(&mut self, position: Position, now: Time, out: &mut Vec<Action>) {
        self.epoch += 1;
        self.run = self.run.next(position, Position(self.head), now);
        self.fetching = false;
        self.ledger = Ledger::new(position.0);
        self.read_at = position.0;
        self.dirty = true;
        out.extend(self.retrying.take_of_topic().iter().map(|item| Action::ForgetRetry(item.id)));
        self.flights.make_stale();
        let mut waiting: Vec<Item> = std::mem::take(&mut self.ready).into();
        waiting.extend(std::mem::take(&mut self.lacking));
        waiting.extend(std::mem::take(&mut self.refetching).into_values());
        self.restored.clear();
        waiting.extend(self.keys.clear());
        for item in self.flights.items().chain(self.burying.values()).chain(self.retrying.items()) {
            self.keys.occupy(item.key);
        }
        let in_use = self.flights.items().chain(self.burying.values()).chain(self.retrying.items());
        self.held_bytes = in_use.chain(&waiting).map(Item::held_bytes).sum();
        waiting.sort_by_key(|item| item.id);
        for item in waiting {
            match item.id.position() {
                None => self.admit(item, now),
                Some(_) => self.held_bytes -= item.held_bytes(),
            }
        }
        self.go_on(now, out);
    }

    fn land(&mut self, landed: Landed, outcome: Outcome, now: Time, out: &mut Vec<Action>) {
        let Landed { mut item, stale } = landed;
        if stale {
            return self.release(&item, now);
        }
        match outcome {
            Outcome::Ack | Outcome::Accepted => {
                self.counts.acknowledged += 1;
                item.id.position().into_iter().for_each(|position| self.run.settled(position));
                self.settle(&item, now, out);
            }
            Outcome::Gone => {
                self.counts.missed += 1;
                self.settle(&item, now, out);
            }
            Outcome::Permanent(refusal) => {
                note(&mut item, refusal, now);
                self.bury(item, Reason::Permanent, now, out);
            }
            Outcome::Retry { refusal, after } => {
                note(&mut item, refusal, now);
                if item.attempts.made >= self.spec.retry.attempts {
                    return self.bury(item, Reason::Attempts, now, out);
                }
                self.counts.failed += 1;
                let backoff = || self.spec.retry.backoff.wait(item.attempts.made, self.random.f64());
                let mut due = now.after(after.map_or_else(backoff, |after| after.min(RETRY_AFTER_MAX)));
                if let Some(age) = self.spec.retry.max_age {
                    due = due.min(item.published_at.after(age));
                }
                let entry = if item.id.position().is_none() { item.entry.clone() } else { None };
                let attempts = (*item.attempts).clone();
                let (key, published_at, stood) = (item.key, item.published_at, item.stood);
                let record = RetryRecord { attempts, due, key, published_at, stood, entry };
                out.push(Action::SaveRetry(item.id, Box::new(record)));
                let item = self.slim(item);
                self.retrying.insert(due, item);
            }
        }
    }

    pub(super) fn bury(&mut self, item: Item, reason: Reason, now: Time, out: &mut Vec<Action>) {
        // What is ready or in flight has its body.
        let Some(entry) = item.entry.clone() else { return self.make_ready(item, now) };
        let position = item.place();
        let attempts = (*item.attempts).clone();
        let dead = DeadRecord { reason, attempts, buried_at: now, position, entry };
        out.push(Action::Bury(item.id, Box::new(dead)));
        self.burying.insert(item.id, item);
    }
}

fn note(item: &mut Item, refusal: Refusal, now: Time) {
    let attempts = &mut item.attempts;
    if attempts.made == 0 {
        attempts.first_at = now;
    }
    attempts.made = attempts.made.saturating_add(1);
    attempts.last_at = now;
    attempts.last = refusal;
}
