//! The loop of one subscription: it feeds the machine with what happens and does what the machine says.

mod act;

use super::{Command, Core, Subscription, body::parcels};
use crate::{
    machine::{Action, Machine},
    outcome::Outcome,
    port::{Entry, Parcel, Stored},
    rate::Rate,
    record::Key,
    time::Time,
    topic::Position,
};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use motet_store::Batch;
use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

/// So many results are taken before others get their turn.
const TURN: usize = 128;
/// With many holes a checkpoint is large, and is written less often.
const MANY_HOLES: usize = 2048;
const LARGE_CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// What an engine is told about settled positions, it is told this often.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// After a failure of the engine or the store it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Without anything to do the loop looks round this often.
const IDLE: Duration = Duration::from_secs(60);

type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What something that was begun came to.
enum Done {
    Delivered { flight: u64, outcomes: Vec<Outcome> },
    Fetched { found: Vec<Stored>, first: Position, epoch: u64 },
    NotFetched { epoch: u64 },
    Refetched { id: crate::machine::Id, entry: Option<Entry> },
    Buried { id: crate::machine::Id },
    Told,
}

struct Waiter {
    max: usize,
    until: Time,
    reply: oneshot::Sender<Vec<Parcel>>,
}

pub(super) struct Runner {
    core: Arc<Core>,
    subscription: Arc<Subscription>,
    machine: Machine,
    head: watch::Receiver<Position>,
    orders: mpsc::Receiver<Command>,
    work: FuturesUnordered<Work>,
    actions: Vec<Action>,
    waiters: VecDeque<Waiter>,
    pushing: usize,
    stopping: bool,
    checkpoint_due: Option<Time>,
    /// Who waits until a new run is on disk.
    sought: Vec<oneshot::Sender<()>>,
    told_at: Time,
    rate: Rate,
}

impl Runner {
    pub(super) fn new(
        core: Arc<Core>,
        subscription: Arc<Subscription>,
        machine: Machine,
        head: watch::Receiver<Position>,
        orders: mpsc::Receiver<Command>,
    ) -> Self {
        Self {
            core,
            subscription,
            machine,
            head,
            orders,
            work: FuturesUnordered::new(),
            actions: Vec::new(),
            waiters: VecDeque::new(),
            pushing: 0,
            stopping: false,
            checkpoint_due: None,
            sought: Vec::new(),
            told_at: Time(0),
            rate: Rate::default(),
        }
    }

    pub(super) async fn run(mut self) {
        self.feed(|machine, now, out| machine.tick(now, out));
        self.see_head();
        self.settle_down().await;
        let cancelled = self.core.group.token();
        loop {
            let wake = self.wake();
            tokio::select! {
                biased;
                () = cancelled.cancelled() => break,
                order = self.orders.recv() => match order {
                    Some(Command::Stop) | None => break,
                    Some(order) => self.follow(order),
                },
                Some(done) = self.work.next() => self.take(done),
                changed = self.head.changed() => match changed {
                    Ok(()) => self.see_head(),
                    // The engine is gone; the broker is being stopped.
                    Err(_) => break,
                },
                () = tokio::time::sleep_until(wake) => self.feed(|machine, now, out| machine.tick(now, out)),
            }
            for _ in 0..TURN {
                match self.work.next().now_or_never() {
                    Some(Some(done)) => self.take(done),
                    _ => break,
                }
            }
            self.settle_down().await;
        }
        self.end().await;
    }

    fn feed<T>(&mut self, input: impl FnOnce(&mut Machine, Time, &mut Vec<Action>) -> T) -> T {
        input(&mut self.machine, self.core.clock.now(), &mut self.actions)
    }

    fn see_head(&mut self) {
        let head = *self.head.borrow_and_update();
        self.feed(|machine, now, out| machine.head(head, now, out));
    }

    fn wake(&self) -> Instant {
        let waiter = self.waiters.iter().map(|waiter| waiter.until).min();
        let next = [self.machine.wake_at(), self.checkpoint_due, waiter].into_iter().flatten().min();
        next.map_or_else(|| Instant::now() + IDLE, |time| self.core.clock.instant(time))
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Delivered { flight, outcomes } => {
                self.pushing -= 1;
                self.feed(|machine, now, out| machine.outcome(flight, outcomes, now, out));
            }
            Done::Fetched { found, first, epoch } => {
                self.feed(|machine, now, out| machine.fetched(found, first, epoch, now, out));
            }
            Done::NotFetched { epoch } => self.feed(|machine, now, out| machine.not_fetched(epoch, now, out)),
            Done::Refetched { id, entry } => {
                self.feed(|machine, now, out| machine.refetched(id, entry, now, out));
            }
            Done::Buried { id } => {
                self.feed(|machine, now, out| machine.buried(id, now, out));
            }
            Done::Told => {}
        }
    }

    fn follow(&mut self, order: Command) {
        // Whoever asked may be gone by the time of the answer; what was ordered is done.
        match order {
            Command::Pull { max, until, reply } => {
                if self.waiters.len() >= self.core.config.waiters_max {
                    let _ = reply.send(Vec::new());
                } else {
                    self.waiters.push_back(Waiter { max, until, reply });
                }
            }
            Command::Answer { tokens, outcome, reply } => {
                let answer = |token| self.feed(|machine, now, out| machine.answer(token, outcome.clone(), now, out));
                let _ = reply.send(tokens.into_iter().map(answer).collect());
            }
            Command::Extend { token, more, reply } => {
                let _ = reply.send(self.feed(|machine, now, _| machine.extend(token, more, now)));
            }
            Command::Pause { on, reply } => {
                if on {
                    self.machine.pause();
                } else {
                    self.feed(|machine, now, out| machine.resume(now, out));
                }
                let _ = reply.send(());
            }
            Command::Seek { position, reply } => {
                self.feed(|machine, now, out| machine.seek(position, now, out));
                self.sought.push(reply);
            }
            Command::Redriven(items) => self.feed(|machine, now, out| machine.redriven(items, now, out)),
            Command::Change(spec) => self.feed(|machine, now, out| machine.change(spec, now, out)),
            Command::Look(reply) => {
                self.see_head();
                let counts = self.machine.counts();
                let now = self.core.clock.now();
                let rate = self.rate.per_second(now, counts.acknowledged);
                let _ = reply.send((counts, rate));
            }
            Command::Stop => {}
        }
    }

    /// Serves who waits, does what the machine says, and writes down how far it is when that is due.
    async fn settle_down(&mut self) {
        self.note_run().await;
        self.serve_waiters();
        self.act().await;
        let now = self.core.clock.now();
        if self.machine.take_dirty() && self.checkpoint_due.is_none() {
            let many = self.machine.checkpoint().ledger.holes() > MANY_HOLES;
            let wait = if many { LARGE_CHECKPOINT_EVERY } else { self.core.config.checkpoint_every };
            self.checkpoint_due = Some(now.after(wait));
        }
        if self.checkpoint_due.is_some_and(|due| due <= now) {
            self.checkpoint_due = None;
            let batch = self.checkpoint();
            if let Err(error) = self.core.store.write(batch).await {
                tracing::warn!(subscription = %self.subscription.spec.read().name, %error, "how far it is could not be written");
            }
            self.rate.look(now, self.machine.counts().acknowledged);
            self.tell(now);
        }
    }

    /// A new run is on disk before anything of it is sent: whoever took part in it would not be understood after a crash.
    async fn note_run(&mut self) {
        if self.sought.is_empty() {
            return;
        }
        while let Err(error) = self.core.store.commit(self.checkpoint()).await {
            tracing::error!(subscription = %self.subscription.spec.read().name, %error, "that it begins anew could not be written; tried again");
            tokio::time::sleep(TRY_AGAIN).await;
            if self.core.group.token().is_cancelled() {
                return self.sought.clear();
            }
        }
        for reply in self.sought.drain(..) {
            let _ = reply.send(());
        }
    }

    fn checkpoint(&self) -> Batch {
        let mut batch = Batch::new();
        let key = Key::of(self.subscription.id).bytes();
        batch.insert(&self.core.state, key, self.machine.checkpoint().write());
        batch
    }

    fn tell(&mut self, now: Time) {
        if now.since(self.told_at) < TELL_EVERY {
            return;
        }
        self.told_at = now;
        let (core, spec) = (Arc::clone(&self.core), self.subscription.spec.read().clone());
        let below = Position(self.machine.checkpoint().ledger.cursor());
        self.work.push(Box::pin(async move {
            if let Err(error) = core.transport.settled(&spec.topic, &spec.name, below).await {
                tracing::warn!(subscription = %spec.name, %error, "the engine did not hear what is settled");
            }
            Done::Told
        }));
    }

    fn serve_waiters(&mut self) {
        let now = self.core.clock.now();
        self.waiters.retain(|waiter| !waiter.reply.is_closed());
        while let Some(waiter) = self.waiters.pop_front() {
            let max = waiter.max;
            let taken = self.feed(|machine, now, out| machine.pull(max, now, out));
            if taken.is_empty() {
                self.waiters.push_front(waiter);
                break;
            }
            let parcels = taken.into_iter().flat_map(|dispatch| parcels(&self.core.store, dispatch)).collect();
            // Should the worker be gone by now, the leases end by themselves.
            let _ = waiter.reply.send(parcels);
        }
        while self.waiters.iter().any(|waiter| waiter.until <= now) {
            let at = self.waiters.iter().position(|waiter| waiter.until <= now);
            if let Some(waiter) = at.and_then(|at| self.waiters.remove(at)) {
                let _ = waiter.reply.send(Vec::new());
            }
        }
    }

    /// Lets what is under way end, and writes down how far it is.
    async fn end(mut self) {
        self.stopping = true;
        self.orders.close();
        self.waiters.clear();
        let until = Instant::now() + self.core.config.grace;
        while self.pushing > 0 {
            match tokio::time::timeout_at(until, self.work.next()).await {
                Ok(Some(done)) => {
                    self.take(done);
                    self.act().await;
                }
                Ok(None) | Err(_) => break,
            }
        }
        let batch = self.checkpoint();
        if let Err(error) = self.core.store.commit(batch).await {
            tracing::warn!(subscription = %self.subscription.spec.read().name, %error, "how far it is could not be written");
        }
    }
}
