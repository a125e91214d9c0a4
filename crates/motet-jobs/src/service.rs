//! Jobs at work: what services and people ask for, what the queue brings, and two loops that put right what a crash left.

mod attempt;
mod list;
mod relay;
mod tidy;

use crate::{
    config::Config,
    error::JobError,
    job::{Answer, Job, JobId, Order, State},
    machine::{self, Next},
    port::{Queue, Reach, Verdict},
    record::{self, Owed, Shelves},
    spec::Spec,
};
pub use list::List;

use attempt::Running;
use bytes::Bytes;
use motet_kernel::{
    clock,
    task::{Kind, TaskGroup},
};
use motet_store::{Batch, Store};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use tokio::{
    sync::{MutexGuard, Notify},
    time::Instant,
};

/// So many jobs are changed at once; two that share a place wait for each other.
const PLACES: usize = 64;
/// What a service says about its progress, in bytes of JSON.
const PROGRESS_MAX_BYTES: usize = 4096;
/// The longest key, in bytes.
const KEY_MAX_BYTES: usize = 255;
/// A lease is extended by this at most in one go.
const EXTEND_MAX: Duration = Duration::from_secs(24 * 3600);
/// The jobs of a service in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not over.
    pub open: u64,
    /// What these take, in bytes.
    pub open_bytes: u64,
    /// With the service now.
    pub running: u64,
    /// Over, and kept.
    pub kept: u64,
    /// What these take, in bytes.
    pub kept_bytes: u64,
    /// Asked for, since this was started.
    pub submitted: u64,
    /// Attempts, since this was started.
    pub attempts: u64,
    /// Done, since this was started.
    pub succeeded: u64,
    /// Given up, since this was started.
    pub failed: u64,
    /// Cancelled, since this was started.
    pub cancelled: u64,
}

/// A job that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The job.
    pub job: Job,
    /// It was there already: the same caller has asked with the same key before.
    pub is_known: bool,
}

pub(crate) struct Core {
    config: Config,
    shelves: Shelves,
    queue: Arc<dyn Queue>,
    reach: Arc<dyn Reach>,
    group: TaskGroup,
    specs: RwLock<HashMap<String, Arc<Spec>>>,
    hasher: RandomState,
    /// A job is changed by one at a time.
    places: Vec<tokio::sync::Mutex<()>>,
    /// A job in this place is over.
    over: Vec<Notify>,
    running: Mutex<HashMap<JobId, Running>>,
    /// Numbers attempts of this run.
    serial: AtomicU64,
    counts: Mutex<BTreeMap<String, Counts>>,
    /// Something new is owed.
    owes: Notify,
}

/// Jobs. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Handle {
    core: Arc<Core>,
}

/// Jobs, before they are started.
#[derive(Debug)]
pub struct Jobs;

impl Jobs {
    /// Opens what is on disk and goes on with it. No service takes jobs until [`Handle::follow`] says so.
    pub fn start(
        config: Config,
        store: &Store,
        queue: Arc<dyn Queue>,
        reach: Arc<dyn Reach>,
        group: &TaskGroup,
    ) -> Result<Handle, JobError> {
        let shelves = Shelves::open(store)?;
        let counts = tidy::count(&shelves)?;
        let core = Arc::new(Core {
            config,
            shelves,
            queue,
            reach,
            group: group.child(),
            specs: RwLock::default(),
            hasher: RandomState::new(),
            places: std::iter::repeat_with(tokio::sync::Mutex::default).take(PLACES).collect(),
            over: std::iter::repeat_with(Notify::new).take(PLACES).collect(),
            running: Mutex::default(),
            serial: AtomicU64::new(0),
            counts: Mutex::new(counts),
            owes: Notify::new(),
        });
        core.group.spawn(Kind::ContextLoop, "what is owed for jobs", relay::run(Arc::clone(&core)));
        core.group.spawn(Kind::Periodic, "jobs that are over", tidy::run(Arc::clone(&core)));
        Ok(Handle { core })
    }
}

impl Handle {
    /// Says which services take jobs from now on. Open jobs of others wait until their service takes jobs again or their age is over.
    pub fn follow(&self, specs: impl IntoIterator<Item = (String, Spec)>) {
        *self.core.specs.write() = specs.into_iter().map(|(service, spec)| (service, Arc::new(spec))).collect();
        self.core.owes.notify_one();
    }

    /// What holds for the jobs of a service, if it takes any.
    pub fn spec(&self, service: &str) -> Option<Arc<Spec>> {
        self.core.specs.read().get(service).cloned()
    }

    /// Makes a request a job. Durable when it answers; with an error there is none.
    pub async fn submit(&self, order: Order) -> Result<Submitted, JobError> {
        let core = &self.core;
        let service = order.target.service.clone();
        let spec = self.spec(&service).ok_or_else(|| JobError::NoJobs(service.clone()))?;
        if order.body.len() > spec.body_max_bytes {
            return Err(JobError::TooLarge { service, most: spec.body_max_bytes });
        }
        for (name, key) in [("Idempotency-Key", &order.idempotency_key), ("key", &order.key)] {
            if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > KEY_MAX_BYTES) {
                return Err(JobError::Unfit(format!("the {name} has to have 1 to {KEY_MAX_BYTES} bytes")));
            }
        }
        let key = order.idempotency_key.as_ref().map(|key| record::idempotency_key(&order.caller, key));
        let mut _alone = None;
        if let Some(key) = &key {
            _alone = Some(core.alone(key).await);
            if let Some(known) = core.known(key, &order)? {
                return Ok(Submitted { job: known, is_known: true });
            }
        }
        let job = new_job(&order, &spec, None);
        let size = record::size_open(&job);
        core.reserve(&service, size)?;
        let mut batch = Batch::with_capacity(5);
        core.shelves.put_open(&mut batch, &job);
        batch.insert(&core.shelves.requests, job.id.to_string(), order.body);
        if let Some(key) = key {
            batch.insert(&core.shelves.keys, key, job.id.to_string());
        }
        if let Err(error) = core.shelves.store.commit(batch).await {
            core.count(&service, |counts| {
                counts.open -= 1;
                counts.open_bytes -= size;
            });
            return Err(error.into());
        }
        core.count(&service, |counts| counts.submitted += 1);
        core.owes.notify_one();
        Ok(Submitted { job, is_known: false })
    }

    /// A job as it is.
    pub fn job(&self, id: JobId) -> Result<Job, JobError> {
        self.core.shelves.job(id)?.ok_or_else(|| JobError::Unknown(id.to_string()))
    }

    /// The body of a job's last answer, once it is over, where one is kept.
    pub fn result(&self, id: JobId) -> Result<Option<Bytes>, JobError> {
        Ok(self.core.shelves.results.get(id.to_string())?)
    }

    /// A job as soon as it is over, or as it is when `at_most` is over.
    pub async fn wait(&self, id: JobId, at_most: Duration) -> Result<Job, JobError> {
        let until = Instant::now() + at_most;
        loop {
            let over = self.core.over[self.core.place(&id)].notified();
            tokio::pin!(over);
            over.as_mut().enable();
            let job = self.job(id)?;
            if job.state.is_over() || tokio::time::timeout_at(until, over).await.is_err() {
                return Ok(job);
            }
        }
    }

    /// Jobs, those first that were asked for last; and from where on there may be more.
    pub async fn list(&self, list: List) -> Result<(Vec<Job>, Option<JobId>), JobError> {
        let shelves = self.core.shelves.clone();
        let looked = tokio::task::spawn_blocking(move || list::look(&shelves, &list)).await;
        looked.map_err(|error| JobError::Unfit(format!("the list could not be made: {error}")))?
    }

    /// Ends a job: one that is not begun never is, and the request of one that runs is taken back. The job as it is then.
    pub async fn cancel(&self, id: JobId) -> Result<Job, JobError> {
        let (done, job) = self.core.change(id, |job, _, now| (machine::cancel(job, now), None)).await?;
        if !done {
            return Err(not_now(&job, "and cannot be cancelled any more"));
        }
        let running = self.core.running.lock().remove(&id);
        if let Some(running) = running {
            running.cancel.cancel();
            self.core.settle(&job, running.leased, Verdict::Done).await;
        }
        Ok(job)
    }

    /// Begins a job that failed or was cancelled anew. The job as it is then.
    pub async fn retry(&self, id: JobId) -> Result<Job, JobError> {
        let core = &self.core;
        let _alone = core.alone(&id).await;
        let before = self.job(id)?;
        let spec = self.spec(&before.target.service);
        let spec = spec.ok_or_else(|| JobError::NoJobs(before.target.service.clone()))?;
        let mut job = before.clone();
        if !machine::retry(&mut job, &spec, now()) {
            return Err(not_now(&job, "and only one that failed or was cancelled can be begun again"));
        }
        core.reserve(&job.target.service, record::size_open(&job))?;
        let mut batch = Batch::with_capacity(6);
        core.shelves.move_to_open(&mut batch, &before, &job);
        let done = core.shelves.store.commit(batch).await;
        core.count(&job.target.service, |counts| match done {
            Ok(()) => {
                counts.kept -= 1;
                counts.kept_bytes -= record::size_kept(&before);
            }
            Err(_) => {
                counts.open -= 1;
                counts.open_bytes -= record::size_open(&job);
            }
        });
        done?;
        core.owes.notify_one();
        Ok(job)
    }

    /// The handler says what came of a job that it answered 202 for. It means what the same answer would have meant then.
    pub async fn complete(&self, id: JobId, answer: Answer) -> Result<Job, JobError> {
        if !(200..600).contains(&answer.status) || answer.status == 202 {
            let what = format!("a job cannot end with status {}: use 200 to 599, and not 202", answer.status);
            return Err(JobError::Unfit(what));
        }
        let next = self.core.change(id, |job, spec, now| {
            let next = machine::completed(job, spec, &answer, now, fastrand::f64());
            (next, answer.body.clone().filter(|_| next == Some(Next::Over)))
        });
        let (next, job) = Box::pin(next).await?;
        let verdict = match next {
            None => return Err(not_now(&job, "and no attempt of it is under way that this could end")),
            Some(Next::Again(pause)) => Verdict::Again(pause),
            Some(Next::Leased | Next::Over) => Verdict::Done,
        };
        let leased = self.core.unlease(id);
        self.core.settle(&job, leased, verdict).await;
        Ok(job)
    }

    /// The handler that answered 202 needs `more` from now on.
    pub async fn extend(&self, id: JobId, more: Duration) -> Result<Job, JobError> {
        let more = more.min(EXTEND_MAX);
        let (done, job) = self
            .core
            .change(id, |job, _, now| {
                (machine::extend(job, now.saturating_add(u64::try_from(more.as_millis()).unwrap_or(u64::MAX))), None)
            })
            .await?;
        if !done {
            return Err(not_now(&job, "and a lease there is only while it runs and was answered with 202"));
        }
        self.core.extend(&job, more).await;
        Ok(job)
    }

    /// The handler says how far it is. That extends its lease too, where it has one.
    pub async fn progress(&self, id: JobId, progress: Value) -> Result<Job, JobError> {
        if progress.to_string().len() > PROGRESS_MAX_BYTES {
            return Err(JobError::Unfit(format!("what is said about progress has at most {PROGRESS_MAX_BYTES} bytes")));
        }
        let (extended, job) = self
            .core
            .change(id, |job, spec, now| {
                if job.state != State::Running {
                    return (None, None);
                }
                job.progress = Some(progress.clone());
                let until = now.saturating_add(u64::try_from(spec.lease.as_millis()).unwrap_or(u64::MAX));
                let until = job.leased_until.map_or(until, |leased| leased.max(until));
                (Some(machine::extend(job, until).then_some(until - now)), None)
            })
            .await?;
        match extended {
            None => return Err(not_now(&job, "and progress there is only while it runs")),
            Some(Some(more)) => self.core.extend(&job, Duration::from_millis(more)).await,
            Some(None) => {}
        }
        Ok(job)
    }

    /// How many there are, by service.
    pub fn counts(&self) -> BTreeMap<String, Counts> {
        let mut counts = self.core.counts.lock().clone();
        for running in self.core.running.lock().values().filter(|running| running.is_active()) {
            counts.entry(running.service.clone()).or_default().running += 1;
        }
        counts
    }

    /// Ends the loops. Attempts that are under way are the queue's to end.
    pub async fn stop(&self) {
        self.core.group.cancel();
        self.core.group.wait().await;
    }
}

fn now() -> u64 {
    u64::try_from(clock::now().as_millisecond()).unwrap_or_default()
}

fn not_now(job: &Job, wanted: &'static str) -> JobError {
    JobError::NotNow { job: job.id.to_string(), state: job.state, wanted }
}

fn new_job(order: &Order, spec: &Spec, of: Option<JobId>) -> Job {
    let now = now();
    let counts_from = order.not_before.map_or(now, |at| at.max(now));
    Job {
        id: JobId::new(),
        target: order.target.clone(),
        headers: order.headers.clone(),
        body_bytes: order.body.len() as u64,
        caller: order.caller.clone(),
        idempotency_key: order.idempotency_key.clone(),
        key: order.key.clone(),
        attempts_max: order.attempts.unwrap_or(spec.retry.attempts).max(1),
        callback: order.callback.clone(),
        event: order.event.clone(),
        of: of.map(|id| id.to_string()),
        state: State::Queued,
        round: 1,
        attempts: 0,
        created_at: now,
        counts_from,
        deadline: machine::deadline(counts_from, spec),
        due_at: order.not_before.filter(|at| *at > now),
        begun_at: None,
        leased_until: None,
        finished_at: None,
        progress: None,
        failure: None,
        answer: None,
        callback_job: None,
    }
}

impl Core {
    fn place(&self, of: &impl Hash) -> usize {
        usize::try_from(self.hasher.hash_one(of) % PLACES as u64).unwrap_or_default()
    }

    async fn alone(&self, of: &impl Hash) -> MutexGuard<'_, ()> {
        self.places[self.place(of)].lock().await
    }

    fn spec_of(&self, service: &str) -> Arc<Spec> {
        self.specs.read().get(service).cloned().unwrap_or_default()
    }

    fn count(&self, service: &str, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.lock();
        match counts.get_mut(service) {
            Some(counts) => change(counts),
            None => change(counts.entry(service.to_owned()).or_default()),
        }
    }

    /// Room for one more open job.
    fn reserve(&self, service: &str, size: u64) -> Result<(), JobError> {
        let mut counts = self.counts.lock();
        let counts = counts.entry(service.to_owned()).or_default();
        let full = |what: String| Err(JobError::Full { service: service.to_owned(), what });
        if counts.open >= self.config.open_max {
            return full(format!("{} jobs", counts.open));
        }
        if counts.open_bytes + size > self.config.open_max_bytes {
            return full(motet_kernel::quantity::show_size(counts.open_bytes) + " of jobs");
        }
        counts.open += 1;
        counts.open_bytes += size;
        Ok(())
    }

    /// The job of this key, if there is one and it asks for the same.
    fn known(&self, key: &Bytes, order: &Order) -> Result<Option<Job>, JobError> {
        let Some(id) = self.shelves.keys.get(key)? else { return Ok(None) };
        let id = String::from_utf8_lossy(&id).into_owned();
        let Some(job) = id.parse().ok().map(|id| self.shelves.job(id)).transpose()?.flatten() else { return Ok(None) };
        let body = self.shelves.requests.get(&id)?.unwrap_or_default();
        if job.target != order.target || body != order.body {
            return Err(JobError::KeyReused { key: order.idempotency_key.clone().unwrap_or_default(), job: id });
        }
        Ok(Some(job))
    }

    /// Changes a job, alone, and answers when the change is durable. A job that the change ends is closed with the body that it returns, and
    /// what its end owes to others.
    async fn change<T>(
        &self,
        id: JobId,
        act: impl FnOnce(&mut Job, &Spec, u64) -> (T, Option<Bytes>),
    ) -> Result<(T, Job), JobError> {
        let _alone = self.alone(&id).await;
        let before = self.shelves.job(id)?.ok_or_else(|| JobError::Unknown(id.to_string()))?;
        let spec = self.spec_of(&before.target.service);
        let mut job = before.clone();
        let (result, body) = act(&mut job, &spec, now());
        if job == before {
            return Ok((result, job));
        }
        let ends = job.state.is_over() && !before.state.is_over();
        let mut batch = Batch::new();
        let callback = if ends { self.close(&mut batch, &mut job, body) } else { None };
        self.shelves.put(&mut batch, &job);
        self.shelves.store.commit(batch).await?;
        if ends {
            self.closed(&job, callback.as_ref());
        }
        Ok((result, job))
    }

    /// What is written with the end of a job: its result, its callback, and that its event is owed.
    fn close(&self, batch: &mut Batch, job: &mut Job, body: Option<Bytes>) -> Option<Job> {
        let callback = job.callback.clone().map(|target| {
            let (headers, body) = self.reach.notice(job);
            let order = Order {
                caller: job.caller.clone(),
                target,
                headers,
                body,
                idempotency_key: None,
                key: None,
                not_before: None,
                attempts: None,
                callback: None,
                event: None,
            };
            let told = new_job(&order, &self.spec_of(&order.target.service), Some(job.id));
            self.shelves.put_open(batch, &told);
            batch.insert(&self.shelves.requests, told.id.to_string(), order.body);
            told
        });
        job.callback_job = callback.as_ref().map(|told| told.id.to_string());
        if job.event.is_some() {
            batch.insert(&self.shelves.owed, record::owed_key(job.id, Owed::Event), Bytes::new());
        }
        if let Some(body) = body.filter(|_| job.answer.is_some()) {
            batch.insert(&self.shelves.results, job.id.to_string(), body);
        }
        self.shelves.move_to_kept(batch, job);
        callback
    }

    /// The end of a job is durable.
    fn closed(&self, job: &Job, callback: Option<&Job>) {
        self.count(&job.target.service, |counts| {
            counts.open -= 1;
            counts.open_bytes -= record::size_open(job);
            counts.kept += 1;
            counts.kept_bytes += record::size_kept(job);
            match job.state {
                State::Succeeded => counts.succeeded += 1,
                State::Failed => counts.failed += 1,
                _ => counts.cancelled += 1,
            }
        });
        if let Some(told) = callback {
            // It is not asked whether there is room: the end of a job has to be told.
            self.count(&told.target.service, |counts| {
                counts.open += 1;
                counts.open_bytes += record::size_open(told);
                counts.submitted += 1;
            });
        }
        if callback.is_some() || job.event.is_some() {
            self.owes.notify_one();
        }
        self.over[self.place(&job.id)].notify_waiters();
        if job.state == State::Failed {
            let last = job.failure.as_ref().map(|failure| failure.detail.as_str()).unwrap_or_default();
            tracing::warn!(job = %job.id, service = job.target.service, attempts = job.attempts, last, "a job failed");
        }
    }

    async fn settle(&self, job: &Job, leased: Option<String>, verdict: Verdict) {
        if let Some(token) = leased {
            self.queue.settle(&job.target.service, &token, verdict).await;
        }
    }

    async fn extend(&self, job: &Job, more: Duration) {
        let token = self.running.lock().get(&job.id).and_then(|running| running.leased.clone());
        if let Some(token) = token {
            self.queue.extend(&job.target.service, &token, more).await;
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("jobs::Handle")
    }
}
