//! Appends to one topic: one after the other, many at once.
//!
//! What waits is sent in one window without waiting for each acknowledgement; then all of them are waited for. Three things can come between:
//! a foreign publisher, a server that refuses one message and takes the next, a connection that breaks with half of it under way. None of
//! them may leave a later event of an append without the earlier ones, because a subscriber would see them turned round when the append is
//! repeated. So each message names its predecessor (`Nats-Expected-Last-Msg-Id`), and the server takes it only directly behind that one; the
//! first of those that are missing is sent again without the condition, since all before it are known to be stored. And each message has an
//! id of its own (`Nats-Msg-Id`), so that sending it again after a broken connection stores it once and tells where it stands.

use super::{
    api::{self, NOT_BEHIND},
    link::{Link, Trouble},
    message::Outgoing,
    topic::Topic,
};
use async_nats::{HeaderMap, Message, Subscriber};
use futures_util::StreamExt;
use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

/// How many messages are under way at once, and how many of their bytes.
const WINDOW_MESSAGES: usize = 1024;
const WINDOW_BYTES: usize = 4 << 20;
/// An acknowledgement that does not come in this time is asked for again.
const ACKNOWLEDGED_IN: Duration = Duration::from_secs(4);
/// A message that is refused for no fault of its own is sent again after this.
const REFUSED_AGAIN: Duration = Duration::from_millis(100);

/// Events to be appended, and whom to tell.
pub(super) struct Job {
    /// What is not stored yet, with the number that its id is made of.
    messages: VecDeque<(u64, Outgoing)>,
    /// Where those before it stand.
    stored: Vec<u64>,
    /// The stream was so far when it came: what is stored for it stands there or behind.
    least: u64,
    until: Instant,
    reply: oneshot::Sender<Result<Vec<u64>, Arc<str>>>,
    /// What went wrong last.
    trouble: Option<Arc<str>>,
}

impl Job {
    pub(super) fn new(
        messages: Vec<Outgoing>,
        least: u64,
        until: Instant,
        reply: oneshot::Sender<Result<Vec<u64>, Arc<str>>>,
    ) -> Self {
        let stored = Vec::with_capacity(messages.len());
        // Numbers are given by the writer.
        let messages = messages.into_iter().map(|message| (0, message)).collect();
        Self { messages, stored, least, until, reply, trouble: None }
    }

    fn fail(self) {
        let reason = self.trouble.unwrap_or_else(|| "events could not be stored in time".into());
        // Whoever wanted it may be gone.
        let _ = self.reply.send(Err(reason));
    }
}

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Stored(u64),
    /// Something stands between it and its predecessor.
    NotBehind,
    Failed(Arc<str>),
    Unknown,
}

/// The one who writes.
pub(super) struct Writer {
    link: Link,
    /// What all ids of this writer begin with.
    name: String,
    number: u64,
    window: u64,
    inbox: String,
    answers: Option<Subscriber>,
}

impl Writer {
    pub(super) fn new(link: Link) -> Self {
        let name: String = std::iter::repeat_with(fastrand::alphanumeric).take(10).collect();
        let inbox = link.client.new_inbox();
        Self { link, name, number: 0, window: 0, inbox, answers: None }
    }

    /// Until nobody can hand in jobs any more. Dropped in between, it leaves what is under way undecided.
    pub(super) async fn run(mut self, topic: Weak<Topic>, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting: VecDeque<Job> = VecDeque::new();
        loop {
            if waiting.is_empty() {
                let Some(job) = jobs.recv().await else { return };
                self.admit(job, &mut waiting);
            }
            while waiting.iter().map(|job| job.messages.len()).sum::<usize>() < WINDOW_MESSAGES {
                let Ok(job) = jobs.try_recv() else { break };
                self.admit(job, &mut waiting);
            }
            let now = Instant::now();
            let Some(known) = topic.upgrade() else { return };
            let lost = known.trouble();
            for mut job in std::mem::take(&mut waiting) {
                if let Some(reason) = &lost {
                    job.trouble = Some(Arc::clone(reason));
                    job.fail();
                } else if job.until <= now {
                    job.fail();
                } else {
                    waiting.push_back(job);
                }
            }
            if waiting.is_empty() {
                continue;
            }
            let pause = self.window(&known, &mut waiting).await;
            drop(known);
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
    }

    fn admit(&mut self, mut job: Job, waiting: &mut VecDeque<Job>) {
        for (number, _) in &mut job.messages {
            self.number += 1;
            *number = self.number;
        }
        waiting.push_back(job);
    }

    /// Sends a window, waits for what becomes of it, and tells those whose events are all stored. How long to wait before the next.
    async fn window(&mut self, topic: &Topic, waiting: &mut VecDeque<Job>) -> Option<Duration> {
        let sent = self.send(topic, waiting).await;
        let (counts, fates) = match sent {
            Ok(counts) => {
                let count = counts.iter().sum();
                (counts, self.gather(count).await)
            }
            Err(trouble) => {
                let reason: Arc<str> = trouble.to_string().into();
                waiting.iter_mut().for_each(|job| job.trouble = Some(Arc::clone(&reason)));
                return Some(REFUSED_AGAIN);
            }
        };
        settle(topic, waiting, &counts, &fates)
    }

    /// How many messages of each job were sent.
    async fn send(&mut self, topic: &Topic, waiting: &VecDeque<Job>) -> Result<Vec<usize>, Trouble> {
        let until = waiting.iter().map(|job| job.until).max().unwrap_or_else(Instant::now);
        let deadline = until.min(Instant::now() + ACKNOWLEDGED_IN);
        self.link.up(deadline).await?;
        if self.answers.is_none() {
            let subscribed = self.link.client.subscribe(format!("{}.*.*", self.inbox)).await;
            self.answers = Some(subscribed.map_err(|error| Trouble::away(error.to_string()))?);
        }
        self.window += 1;
        let (mut sent, mut bytes) = (0, 0);
        let mut counts = Vec::with_capacity(waiting.len());
        for job in waiting {
            let mut count = 0;
            let mut before: Option<u64> = None;
            for (number, message) in &job.messages {
                let size = message.bytes();
                if sent > 0 && (sent >= WINDOW_MESSAGES || bytes + size > WINDOW_BYTES) {
                    break;
                }
                let reply = format!("{}.{}.{sent}", self.inbox, self.window);
                let headers = self.conditions(&message.headers, *number, before);
                let sending = self.link.send(&topic.subject, reply, headers, message.payload.clone());
                match timeout_at(deadline, sending).await {
                    Ok(result) => result?,
                    Err(_) => return Err(Trouble::away("the server takes nothing more")),
                }
                before = Some(*number);
                (sent, bytes, count) = (sent + 1, bytes + size, count + 1);
            }
            counts.push(count);
        }
        Ok(counts)
    }

    fn conditions(&self, headers: &HeaderMap, number: u64, before: Option<u64>) -> HeaderMap {
        let mut headers = headers.clone();
        headers.insert("Nats-Msg-Id", format!("{}{number}", self.name));
        if let Some(before) = before {
            headers.insert("Nats-Expected-Last-Msg-Id", format!("{}{before}", self.name));
        }
        headers
    }

    /// What became of the window's messages, as far as it is heard in time.
    async fn gather(&mut self, count: usize) -> Vec<Fate> {
        let mut fates = vec![Fate::Unknown; count];
        let Some(answers) = self.answers.as_mut() else { return fates };
        let breaks = self.link.breaks();
        let mut weather = self.link.weather();
        let until = Instant::now() + ACKNOWLEDGED_IN;
        let mut heard = 0;
        while heard < count {
            let message = tokio::select! {
                biased;
                message = timeout_at(until, answers.next()) => message,
                _ = weather.wait_for(|now| now.breaks != breaks) => break,
            };
            let Ok(Some(message)) = message else { break };
            let Some(at) = place_in(&message.subject, self.window).filter(|at| *at < count) else { continue };
            if fates[at] == Fate::Unknown {
                heard += 1;
            }
            fates[at] = fate(&message);
        }
        fates
    }
}

/// `inbox.<window>.<place>`; nothing if it answers an earlier window.
fn place_in(subject: &str, window: u64) -> Option<usize> {
    let mut parts = subject.rsplit('.');
    let at = parts.next()?.parse().ok()?;
    (parts.next()?.parse() == Ok(window)).then_some(at)
}

fn fate(message: &Message) -> Fate {
    if message.status.map(|status| status.as_u16()) == Some(503) {
        return Fate::Failed(
            "no stream takes this topic's events: it was deleted, or its leader is being chosen".into(),
        );
    }
    match api::acknowledged(&message.payload) {
        Ok(sequence) => Fate::Stored(sequence),
        Err(trouble) if trouble.is(NOT_BEHIND) => Fate::NotBehind,
        Err(trouble) => Fate::Failed(trouble.to_string().into()),
    }
}

/// Tells those whose events are all stored, and keeps the others with what is missing. How long to wait before that is sent.
fn settle(topic: &Topic, waiting: &mut VecDeque<Job>, counts: &[usize], fates: &[Fate]) -> Option<Duration> {
    let (mut at, mut pause) = (0, None);
    for (index, mut job) in std::mem::take(waiting).into_iter().enumerate() {
        let count = counts.get(index).copied().unwrap_or(0);
        for fate in &fates[at..at + count] {
            match fate {
                Fate::Stored(sequence) if *sequence < job.least => {
                    job.trouble = Some(topic.lose("gives sequences that it has given before"));
                }
                Fate::Stored(sequence) => {
                    job.messages.pop_front();
                    job.stored.push(*sequence);
                    continue;
                }
                Fate::NotBehind => {}
                Fate::Failed(reason) => {
                    job.trouble = Some(Arc::clone(reason));
                    pause = Some(REFUSED_AGAIN);
                }
                Fate::Unknown => {
                    let reason = "the server did not acknowledge the events in time; they may be stored or not";
                    job.trouble = Some(reason.into());
                }
            }
            break;
        }
        at += count;
        if !job.messages.is_empty() {
            waiting.push_back(job);
            continue;
        }
        if let Some(last) = job.stored.last() {
            topic.reached(last + 1);
        }
        let _ = job.reply.send(Ok(job.stored));
    }
    pause
}
