//! The loop: does what the machine says, and says what came of it.

use crate::{
    error::{PublishError, TableError},
    machine::{Action, Judged, Machine},
    port::{Ask, Publish, Table},
    spec::Spec,
    status::{Lag, State, Status},
};
use motet_kernel::task::{Kind, TaskGroup};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// How many rows one sweep deletes at most.
const SWEEP_MAX: u64 = 1000;

/// How many sweeps are made in a row: a busy outbox is swept as quickly as it fills, and publishing does not wait for long.
const SWEEPS_MAX: usize = 100;

/// How often what waits is counted while something is held up.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// A relay that runs. Dropping it does not stop it; its group does.
#[derive(Debug, Clone)]
pub struct Handle {
    status: watch::Receiver<Status>,
}

impl Handle {
    /// What it tells about itself.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The same, to wait for changes.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}

/// Starts to follow a table. It ends with the group, between two steps: what was begun is published and settled, or begun again by the
/// next one.
pub fn start(group: &TaskGroup, spec: &Spec, table: Arc<dyn Table>, publish: Arc<dyn Publish>) -> Handle {
    let (tell, status) = watch::channel(Status::default());
    let relay = Relay {
        machine: Machine::new(spec.limits.clone()),
        looked: Instant::now(),
        measured: None,
        spec: spec.clone(),
        table,
        publish,
        tell,
    };
    group.spawn_dropping(Kind::Periodic, "outbox relay", relay.run());
    Handle { status }
}

struct Relay {
    spec: Spec,
    machine: Machine,
    table: Arc<dyn Table>,
    publish: Arc<dyn Publish>,
    tell: watch::Sender<Status>,
    /// When the table was last looked at as a whole.
    looked: Instant,
    /// When it was last counted and swept.
    measured: Option<Instant>,
}

impl Relay {
    async fn run(mut self) {
        let mut action = self.machine.woken(true);
        loop {
            action = match action {
                Action::Claim(ask) => self.claim(&ask).await,
                Action::Publish(rows) => {
                    self.say(State::Busy);
                    let published = self.timed(self.publish.publish(&rows)).await;
                    match published.unwrap_or_else(|late| Err(PublishError(late))) {
                        Ok(()) => self.machine.published(),
                        Err(error) => self.failed(&error, error.code().0),
                    }
                }
                Action::Settle(places) => match self.table_timed(self.table.settle(&places)).await {
                    Ok(()) => self.machine.settled(),
                    Err(error) => self.table_failed(&error),
                },
                Action::Pause(pause) => {
                    tokio::time::sleep(pause).await;
                    self.machine.again()
                }
                Action::Rest => self.rest().await,
            };
        }
    }

    async fn claim(&mut self, ask: &Ask) -> Action {
        // A busy relay never rests, and has to be looked after all the same.
        self.look(self.spec.limits.slow).await;
        match self.table_timed(self.table.claim(ask)).await {
            Ok(rows) => {
                let judge = |row| {
                    let verdict = self.publish.check(&row);
                    (row, verdict)
                };
                let judged: Vec<Judged> = rows.into_iter().map(judge).collect();
                self.machine.claimed(judged)
            }
            Err(error) => self.table_failed(&error),
        }
    }

    /// Until the table changes, or it is time for a look at all of it.
    async fn rest(&mut self) -> Action {
        let stuck = self.machine.is_stuck();
        if self.machine.is_free() {
            self.tell.send_if_modified(|status| std::mem::take(&mut status.lag) != Lag::default());
        } else {
            self.look(COUNT_EVERY).await;
        }
        self.say(if stuck { State::Stuck } else { State::Idle });
        let next = self.looked + self.spec.limits.slow;
        tokio::select! {
            () = self.table.changed(), if !stuck => self.machine.woken(false),
            () = tokio::time::sleep_until(next) => {
                self.looked = Instant::now();
                self.machine.woken(true)
            }
        }
    }

    /// How much waits, and old rows away, no more often than this. Neither is needed to go on.
    async fn look(&mut self, every: Duration) {
        if self.measured.is_some_and(|measured| measured.elapsed() < every) {
            return;
        }
        self.measured = Some(Instant::now());
        match self.table_timed(self.table.lag()).await {
            Ok(lag) => self.tell.send_modify(|status| status.lag = lag),
            Err(error) => tracing::debug!(table = self.spec.table, %error, "cannot measure the lag of an outbox"),
        }
        if self.spec.columns.published.is_none() {
            return;
        }
        for _ in 0..SWEEPS_MAX {
            match self.table_timed(self.table.sweep(self.spec.keep, SWEEP_MAX)).await {
                Ok(gone) if gone >= SWEEP_MAX => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::debug!(table = self.spec.table, %error, "cannot delete old rows of an outbox");
                    return;
                }
            }
        }
    }

    fn table_failed(&mut self, error: &TableError) -> Action {
        match error.code() {
            Some(code) => self.failed(error, code.0),
            None => {
                self.say(State::NoTable);
                let pause = self.machine.failed(fastrand::f64());
                // Nothing is wrong: a service that starts makes its tables.
                match pause {
                    Action::Pause(pause) => Action::Pause(pause.min(Duration::from_secs(1))),
                    other => other,
                }
            }
        }
    }

    fn failed(&mut self, error: &dyn std::error::Error, code: &str) -> Action {
        let text = error.to_string();
        let is_new = !matches!(&self.tell.borrow().state, State::Failing(before) if *before == text);
        if is_new {
            tracing::warn!(table = self.spec.table, code, error = text, "an outbox is not published");
        }
        self.say(State::Failing(text));
        self.machine.failed(fastrand::f64())
    }

    fn say(&self, state: State) {
        self.tell.send_if_modified(|status| {
            let before = (status.state.clone(), status.published, status.held);
            self.machine.tell(status);
            status.state = state;
            before != (status.state.clone(), status.published, status.held)
        });
    }

    async fn timed<T>(&self, work: impl Future<Output = T>) -> Result<T, String> {
        let deadline = self.spec.limits.deadline;
        tokio::time::timeout(deadline, work).await.map_err(|_| format!("it took longer than {}s", deadline.as_secs()))
    }

    async fn table_timed<T>(&self, work: impl Future<Output = Result<T, TableError>>) -> Result<T, TableError> {
        let late = |reason| TableError::Unavailable { table: self.spec.table.clone(), reason };
        self.timed(work).await.unwrap_or_else(|reason| Err(late(reason)))
    }
}
