//! What services say: live to whoever listens, and into rotated files.
//!
//! A service that floods must cost no memory and must not slow the supervisor down. So everything between the pipe and its readers is
//! bounded, each in the way that suits it: a live subscriber that is too slow loses the oldest lines and is told how many; the files lose
//! nothing, and a disk that is too slow makes the service wait in its own `write`.

mod file;
mod lines;

pub(crate) use lines::read_lines;

use crate::spec::LogPolicy;
use file::{Batch, Message};
use motet_kernel::{
    clock::{self, Timestamp},
    name::ServiceName,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// A line is cut after so many bytes.
pub const LINE_MAX: usize = 64 << 10;
/// A subscriber may fall behind by so many bytes.
const SUBSCRIBER_BYTES: usize = 1 << 20;
/// So many lines of an instance are kept to explain its end.
const LAST_LINES: usize = 30;
/// The lines kept to explain an end are cut shorter.
const LAST_LINE_MAX: usize = 2 << 10;
/// Batches on their way to the files.
const BATCHES: usize = 64;
/// The longest wait for the files before they are read back.
const FILES_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// Output of the build.
    Build,
    /// The supervisor, about the service.
    Motet,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read.
    pub at: Timestamp,
    /// Of which service.
    pub service: ServiceName,
    /// Of which instance: `embedder-2`.
    pub label: Arc<str>,
    /// Where it came from.
    pub stream: Stream,
    /// Without the line break; what was not UTF-8 is replaced; what was too long says how much is missing.
    pub text: String,
}

/// What a subscriber gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A line.
    Line(Arc<LogLine>),
    /// So many lines were lost here because the subscriber was too slow.
    Lost(u64),
}

/// The logs of all services. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Logs {
    dir: Arc<Path>,
    hub: Arc<Hub>,
    files: mpsc::Sender<Message>,
}

#[derive(Debug, Default)]
struct Hub {
    queues: Mutex<Vec<Weak<Queue>>>,
}

#[derive(Debug)]
struct Queue {
    services: Option<BTreeSet<ServiceName>>,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
    lost: u64,
}

/// Lines as they come.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
}

impl Logs {
    /// Logs in files below `dir`, one folder per service. The writer ends when the last clone is dropped.
    pub fn open(dir: PathBuf) -> Self {
        let (files, received) = mpsc::channel(BATCHES);
        let root = dir.clone();
        tokio::task::spawn_blocking(move || file::write_all(&root, received));
        Self { dir: dir.into(), hub: Arc::default(), files }
    }

    /// Follows the lines of some services, or of all, from now on.
    pub fn subscribe(&self, services: Option<BTreeSet<ServiceName>>) -> Subscription {
        let queue = Arc::new(Queue { services, waiting: Mutex::default(), arrived: Notify::new() });
        let mut queues = self.hub.queues.lock();
        queues.retain(|queue| queue.strong_count() > 0);
        queues.push(Arc::downgrade(&queue));
        Subscription { queue }
    }

    /// The last `count` lines of a service, oldest first, from the files. At most 8 MiB are read.
    ///
    /// # Errors
    /// When the files cannot be read. A service without files has no lines.
    pub async fn last(&self, service: &ServiceName, count: usize) -> std::io::Result<Vec<LogLine>> {
        let (written, wait) = oneshot::channel();
        if self.files.send_timeout(Message::Barrier(written), FILES_TIMEOUT).await.is_ok() {
            // Lines that are still on their way are worth a moment, not an error.
            let _ = tokio::time::timeout(FILES_TIMEOUT, wait).await;
        }
        let (dir, service) = (self.dir.join(service.as_str()), service.clone());
        let read = tokio::task::spawn_blocking(move || file::read_last(&dir, &service, count));
        read.await.map_err(std::io::Error::other)?
    }

    /// An outlet for one instance, build or preparation.
    pub fn output(&self, service: ServiceName, label: &str, policy: LogPolicy) -> Output {
        let last = Arc::new(Mutex::new(VecDeque::with_capacity(LAST_LINES)));
        Output { logs: self.clone(), service, label: label.into(), policy, last, pattern: None }
    }
}

impl Subscription {
    /// The next line. Waits for as long as nobody says anything; may be dropped while it waits.
    pub async fn next(&mut self) -> Received {
        loop {
            if let Some(received) = self.try_next() {
                return received;
            }
            self.queue.arrived.notified().await;
        }
    }

    /// The next line, if one is there.
    pub fn try_next(&mut self) -> Option<Received> {
        let mut waiting = self.queue.waiting.lock();
        if waiting.lost > 0 {
            return Some(Received::Lost(std::mem::take(&mut waiting.lost)));
        }
        let line = waiting.lines.pop_front()?;
        waiting.bytes -= weight(&line);
        Some(Received::Line(line))
    }
}

fn weight(line: &LogLine) -> usize {
    line.text.len() + size_of::<LogLine>()
}

impl Hub {
    fn publish(&self, lines: &[Arc<LogLine>]) {
        let queues: Vec<_> = self.queues.lock().iter().filter_map(Weak::upgrade).collect();
        for queue in queues {
            let wants =
                |line: &&Arc<LogLine>| queue.services.as_ref().is_none_or(|services| services.contains(&line.service));
            let mut waiting = queue.waiting.lock();
            for line in lines.iter().filter(wants) {
                waiting.bytes += weight(line);
                waiting.lines.push_back(Arc::clone(line));
            }
            while waiting.bytes > SUBSCRIBER_BYTES {
                let Some(oldest) = waiting.lines.pop_front() else { break };
                waiting.bytes -= weight(&oldest);
                waiting.lost += 1;
            }
            drop(waiting);
            queue.arrived.notify_one();
        }
    }
}

/// Takes the lines of one instance, build or preparation. Clones are the same outlet.
#[derive(Debug, Clone)]
pub struct Output {
    logs: Logs,
    service: ServiceName,
    label: Arc<str>,
    policy: LogPolicy,
    last: Arc<Mutex<VecDeque<String>>>,
    pattern: Option<Arc<Pattern>>,
}

#[derive(Debug)]
struct Pattern {
    expression: regex::Regex,
    seen: watch::Sender<bool>,
}

impl Output {
    /// The same outlet, which also looks for a line that matches.
    pub(crate) fn looking_for(mut self, expression: regex::Regex) -> (Self, watch::Receiver<bool>) {
        let (seen, receiver) = watch::channel(false);
        self.pattern = Some(Arc::new(Pattern { expression, seen }));
        (self, receiver)
    }

    /// Takes lines. Waits while the disk is behind: whoever produces them has to wait too.
    pub async fn write(&self, stream: Stream, texts: Vec<String>) {
        if let Some(bytes) = self.publish(stream, texts) {
            // The writer ends after everybody who could send.
            let _ = self.logs.files.send(Message::Batch(bytes)).await;
        }
    }

    /// Says something about the service in the supervisor's name. Does not wait: the line is missing in the file if the disk is behind.
    pub(crate) fn note(&self, text: impl Into<String>) {
        if let Some(bytes) = self.publish(Stream::Motet, vec![text.into()]) {
            let _ = self.logs.files.try_send(Message::Batch(bytes));
        }
    }

    /// The last lines that were taken, oldest first.
    pub fn last_lines(&self) -> Vec<String> {
        self.last.lock().iter().cloned().collect()
    }

    fn publish(&self, stream: Stream, texts: Vec<String>) -> Option<Batch> {
        let at = clock::now();
        let lines: Vec<_> = texts
            .into_iter()
            .map(|text| {
                Arc::new(LogLine { at, service: self.service.clone(), label: Arc::clone(&self.label), stream, text })
            })
            .collect();
        if stream != Stream::Motet {
            self.remember(&lines);
        }
        if let Some(pattern) = &self.pattern
            && !*pattern.seen.borrow()
            && lines.iter().any(|line| pattern.expression.is_match(&line.text))
        {
            pattern.seen.send_replace(true);
        }
        self.logs.hub.publish(&lines);
        (!lines.is_empty()).then(|| Batch::of(&self.service, self.policy, &lines))
    }

    fn remember(&self, lines: &[Arc<LogLine>]) {
        let mut last = self.last.lock();
        for line in lines {
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            let end = line.text.floor_char_boundary(LAST_LINE_MAX);
            last.push_back(line.text[..end].to_owned());
        }
    }
}
