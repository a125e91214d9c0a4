//! What is around jobs in these tests: a queue that survives crashes, a service that answers as it is told, and crashes.

use async_trait::async_trait;
use bytes::Bytes;
use motet_jobs::{
    Answer, Call, Config, Handle, Job, JobId, Jobs, NotAnnounced, Order, Queue, QueueError, Reach, Retry, Spec, State,
    Target, Ticket, Verdict,
};
use motet_kernel::{backoff::Backoff, task::TaskGroup};
use motet_store::{Options, Store};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the service does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    Answers(u16),
    Breaks,
    Hangs,
}

#[derive(Default)]
pub(crate) struct Outside {
    /// What waits in the queue.
    pub(crate) tickets: Mutex<VecDeque<Ticket>>,
    /// The queue takes nothing.
    pub(crate) away: AtomicBool,
    /// What became of leased tickets.
    pub(crate) settled: Mutex<Vec<(String, Verdict)>>,
    /// What the service does next; then it answers 200.
    pub(crate) script: Mutex<VecDeque<Does>>,
    pub(crate) calls: Mutex<Vec<Call>>,
    /// Requests that were taken back.
    pub(crate) taken_back: AtomicU64,
    pub(crate) announced: Mutex<Vec<(String, JobId)>>,
    token: AtomicU64,
}

#[async_trait]
impl Queue for Outside {
    async fn put(&self, _: &str, tickets: Vec<Ticket>) -> Result<(), QueueError> {
        if self.away.load(SeqCst) {
            return Err(QueueError("the engine is away".to_owned()));
        }
        self.tickets.lock().extend(tickets);
        Ok(())
    }

    async fn settle(&self, _: &str, token: &str, verdict: Verdict) {
        self.settled.lock().push((token.to_owned(), verdict));
    }

    async fn extend(&self, _: &str, _: &str, _: Duration) {}
}

struct TakenBack<'a>(&'a AtomicU64, bool);

impl Drop for TakenBack<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.fetch_add(1, SeqCst);
        }
    }
}

#[async_trait]
impl Reach for Outside {
    async fn call(&self, call: Call) -> Result<Answer, String> {
        let does = self.script.lock().pop_front().unwrap_or(Does::Answers(200));
        let said = call.body.clone();
        self.calls.lock().push(call);
        let mut taken_back = TakenBack(&self.taken_back, false);
        let answer = match does {
            Does::Hangs => std::future::pending().await,
            Does::Breaks => Err("the connection broke".to_owned()),
            Does::Answers(status) => Ok(Answer {
                status,
                headers: vec![("content-type".to_owned(), "text/x".to_owned())],
                body: Some(said),
                retry_after_ms: None,
            }),
        };
        taken_back.1 = true;
        answer
    }

    fn notice(&self, job: &Job) -> (Vec<(String, String)>, Bytes) {
        (Vec::new(), format!("{} {}", job.id, job.state.as_str()).into())
    }

    async fn announce(&self, topic: &str, job: &Job) -> Result<(), NotAnnounced> {
        if self.away.load(SeqCst) {
            return Err(NotAnnounced::Yet("the engine is away".to_owned()));
        }
        self.announced.lock().push((topic.to_owned(), job.id));
        Ok(())
    }
}

/// Jobs on a store in a folder, and what is around them.
pub(crate) struct World {
    pub(crate) jobs: Handle,
    pub(crate) outside: Arc<Outside>,
    dir: tempfile::TempDir,
    group: TaskGroup,
}

pub(crate) fn spec() -> Spec {
    let backoff = Backoff { initial: Duration::from_millis(1), max: Duration::from_millis(2), factor: 2.0 };
    Spec { retry: Retry { attempts: 3, backoff }, ..Spec::default() }
}

pub(crate) fn config() -> Config {
    Config { tidy_every: Duration::from_millis(20), ..Config::default() }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(config(), spec())
    }

    pub(crate) fn with(config: Config, spec: Spec) -> Self {
        Self::open(tempfile::tempdir().unwrap(), Arc::default(), config, spec)
    }

    fn open(dir: tempfile::TempDir, outside: Arc<Outside>, config: Config, spec: Spec) -> Self {
        let store = Store::open(dir.path(), Options::default()).unwrap();
        let group = TaskGroup::new();
        let jobs = Jobs::start(config, &store, outside.clone(), outside.clone(), &group).unwrap();
        jobs.follow([("parser".to_owned(), spec), ("shop".to_owned(), Spec::default())]);
        Self { jobs, outside, dir, group }
    }

    /// What is left when the process is killed now: the files as they are. The queue is on disk too; who was called, knows it.
    pub(crate) fn crash(self) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_all(self.dir.path(), copy.path());
        self.group.cancel();
        let outside = Arc::new(Outside {
            tickets: Mutex::new(self.outside.tickets.lock().clone()),
            calls: Mutex::new(self.outside.calls.lock().clone()),
            announced: Mutex::new(self.outside.announced.lock().clone()),
            ..Outside::default()
        });
        Self::open(copy, outside, config(), spec())
    }

    pub(crate) async fn submit(&self, body: &str) -> JobId {
        self.jobs.submit(order(body)).await.unwrap().job.id
    }

    pub(crate) fn state(&self, id: JobId) -> State {
        self.jobs.job(id).unwrap().state
    }

    /// The next ticket, once there is one.
    pub(crate) async fn ticket(&self) -> Ticket {
        let mut ticket = None;
        until("a ticket", || {
            ticket = self.outside.tickets.lock().pop_front();
            ticket.is_some()
        })
        .await;
        ticket.unwrap()
    }

    /// Lets a ticket's turn come.
    pub(crate) async fn deliver(&self, ticket: &Ticket) -> Verdict {
        let token = self.outside.token.fetch_add(1, SeqCst).to_string();
        self.jobs.deliver(ticket.job, ticket.round, token).await
    }

    /// Works like the queue would, until the job is over.
    pub(crate) async fn work_until_over(&self, id: JobId) -> Job {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let job = self.jobs.job(id).unwrap();
            if job.state.is_over() {
                return job;
            }
            assert!(tokio::time::Instant::now() < deadline, "not over: {job:?}");
            let Some(ticket) = self.outside.tickets.lock().pop_front() else {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            };
            match self.deliver(&ticket).await {
                Verdict::Done => {}
                Verdict::Again(wait) => {
                    tokio::time::sleep(wait.min(Duration::from_millis(20))).await;
                    self.outside.tickets.lock().push_back(ticket);
                }
                // Its lease ends, or the job is over by then.
                Verdict::Leased => self.outside.tickets.lock().push_back(ticket),
            }
        }
    }
}

pub(crate) fn order(body: &str) -> Order {
    Order {
        caller: "shop".to_owned(),
        target: Target { service: "parser".to_owned(), path: "/parse".to_owned() },
        headers: vec![("x-own".to_owned(), "kept".to_owned())],
        body: Bytes::copy_from_slice(body.as_bytes()),
        idempotency_key: None,
        key: None,
        not_before: None,
        attempts: None,
        callback: None,
        event: None,
    }
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            // A file that is gone by now was not needed any more.
            let _ = fs::copy(entry.path(), target);
        }
    }
}
