//! Publishing: checked, known or new, and durable before it is acknowledged.

use crate::{
    dedup::{self, Dedup, Known, Mark},
    error::{InvalidDelay, PublishError, TooLarge},
    key,
    name::TopicName,
    port::{Entry, TransportError},
    record::{Key, number_at},
    service::Core,
    time::Time,
    topic::{Position, Receipt, TopicSpec},
};
use arc_swap::ArcSwap;
use bytes::Bytes;
use motet_cloudevents::{Event, Value};
use motet_kernel::{
    clock::Timestamp,
    quantity,
    task::{Kind, TaskGroup},
};
use motet_store::{Batch, Limits};
use parking_lot::Mutex;
use std::{
    future::Future,
    ops::Bound,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use tokio::sync::Notify;

/// A declared topic.
pub(crate) struct Topic {
    pub(crate) id: u32,
    pub(crate) name: TopicName,
    spec: ArcSwap<TopicSpec>,
    dedup: Mutex<Dedup>,
    /// Something that was pending is decided.
    decided: Notify,
    pub(crate) published: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    /// That ids are forgotten before their time was said.
    pub(crate) told_of_window: AtomicBool,
}

impl Topic {
    pub(crate) fn new(id: u32, spec: TopicSpec, dedup: Dedup) -> Self {
        Self {
            id,
            name: spec.name.clone(),
            spec: ArcSwap::from_pointee(spec),
            dedup: Mutex::new(dedup),
            decided: Notify::new(),
            published: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            told_of_window: AtomicBool::new(false),
        }
    }

    pub(crate) fn spec(&self) -> Arc<TopicSpec> {
        self.spec.load_full()
    }

    pub(crate) fn change(&self, spec: TopicSpec) {
        self.dedup.lock().set_window(spec.dedup);
        self.spec.store(Arc::new(spec));
    }

    /// Notes what became of something that was pending, and wakes who waits for that.
    fn decide<T>(&self, note: impl FnOnce(&mut Dedup) -> T) -> T {
        let (noted, is_awaited) = {
            let mut dedup = self.dedup.lock();
            (note(&mut dedup), dedup.take_awaited())
        };
        if is_awaited {
            self.decided.notify_waiters();
        }
        noted
    }

    /// How many ids are remembered, and whether memory was too short for the window.
    pub(crate) fn remembered(&self) -> (usize, bool) {
        self.dedup.lock().size()
    }
}

/// A future that is finished in the background when whoever waits for it goes away: what was begun is decided either way.
struct Finished<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    group: TaskGroup,
}

impl<T: Send + 'static> Future for Finished<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = self.work.as_mut() else { return Poll::Pending };
        let result = std::task::ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(result)
    }
}

impl<T: Send + 'static> Drop for Finished<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.group.spawn(Kind::Job, "finish a publish", work);
        }
    }
}

/// Publishes; see [`crate::Handle::publish`].
pub(crate) async fn publish(
    core: &Arc<Core>,
    topic: Arc<Topic>,
    events: Vec<Event>,
) -> Result<Vec<Receipt>, PublishError> {
    let now = core.clock.now();
    // By index, in order. Nearly all events are for now, and cost nothing here.
    let mut due: Vec<(usize, Time)> = Vec::new();
    let (most, is_deduplicated) = {
        let spec = topic.spec.load();
        (spec.event_max_bytes, !spec.dedup.is_zero())
    };
    // Which is the smaller one for the engine's attributes too, where a topic takes as much as the engine does.
    let most = core.transport.event_max_bytes().map_or(most, |engine| engine.min(most));
    for (index, event) in events.iter().enumerate() {
        let bytes = event.size();
        if bytes > most {
            return Err(TooLarge { topic: topic.name.clone(), index, bytes, most }.into());
        }
        due.extend(due_at(event, index, now)?.map(|due| (index, due)));
    }
    let marks: Vec<Mark> = if is_deduplicated { events.iter().map(dedup::mark).collect() } else { Vec::new() };
    let mut receipts = if marks.is_empty() { vec![FRESH; events.len()] } else { claim(core, &topic, &marks).await };

    let mut now_marks = Vec::with_capacity(marks.len());
    let mut now_entries = Vec::with_capacity(events.len());
    let mut later = Vec::new();
    let mut later_marks = Vec::new();
    let mut duplicates = 0;
    let mut due = due.into_iter().peekable();
    let spec = topic.spec.load();
    for (index, (event, receipt)) in events.into_iter().zip(&mut receipts).enumerate() {
        let due = due.next_if(|(at, _)| *at == index).map(|(_, due)| due);
        if receipt.duplicate {
            duplicates += 1;
            continue;
        }
        let key = key::of(&event, spec.key.as_ref());
        let entry = Entry::new(event, key, now);
        let mark = marks.get(index);
        match due {
            None => {
                now_marks.extend(mark);
                now_entries.push(entry);
            }
            Some(due) => {
                later_marks.extend(mark);
                later.push((due, entry));
                receipt.deliver_at = Some(due);
            }
        }
    }
    drop(spec);
    if duplicates > 0 {
        topic.duplicates.fetch_add(duplicates, Relaxed);
    }
    if now_entries.is_empty() && later.is_empty() {
        return Ok(receipts);
    }
    let work = decide(Arc::clone(core), topic, now_entries, now_marks, later, later_marks);
    let positions = Finished { work: Some(Box::pin(work)), group: core.group.clone() }.await?;
    let appended = receipts.iter_mut().filter(|receipt| !receipt.duplicate && receipt.deliver_at.is_none());
    for (receipt, position) in appended.zip(positions) {
        receipt.position = Some(position);
    }
    Ok(receipts)
}

/// The receipt of an event that nothing has become of yet.
const FRESH: Receipt = Receipt { position: None, duplicate: false, deliver_at: None };

/// Which of the events are the first of their name, as receipts that say so; waits for those that are being written by others.
async fn claim(core: &Core, topic: &Topic, marks: &[Mark]) -> Vec<Receipt> {
    loop {
        let decided = topic.decided.notified();
        tokio::pin!(decided);
        {
            let mut dedup = topic.dedup.lock();
            let now = core.clock.now();
            let mut receipts: Vec<Receipt> = Vec::with_capacity(marks.len());
            let mut wait = false;
            for mark in marks {
                let known = dedup.begin(*mark, now);
                // Twice in one request: the first of them is the one.
                let is_claimed = || marks.iter().zip(&receipts).any(|(own, receipt)| own == mark && !receipt.duplicate);
                wait |= known == Known::Pending && !is_claimed();
                receipts.push(Receipt { duplicate: known != Known::New, ..FRESH });
            }
            if !wait {
                return receipts;
            }
            // Two requests that hold a part and wait for the other's would wait for ever: take nothing, then try again.
            let claimed = marks.iter().zip(&receipts).filter(|(_, receipt)| !receipt.duplicate);
            dedup.failed(claimed.map(|(mark, _)| mark));
            dedup.wait();
            decided.as_mut().enable();
        }
        decided.await;
    }
}

/// Writes what is new, and notes what became of it.
async fn decide(
    core: Arc<Core>,
    topic: Arc<Topic>,
    entries: Vec<Entry>,
    marks: Vec<Mark>,
    later: Vec<(Time, Entry)>,
    later_marks: Vec<Mark>,
) -> Result<Vec<Position>, PublishError> {
    let mut pending = Pending { topic: &topic, now: &marks, later: &later_marks };
    if !later.is_empty() {
        // Boxed, so that publishing at once does not keep the room for it.
        Box::pin(delay(&core, &topic, later, &later_marks)).await?;
        topic.decide(|dedup| dedup.published(&later_marks, &[], core.clock.now()));
        pending.later = &[];
    }
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let positions = core.transport.append(&topic.name, entries, None).await?;
    topic.published.fetch_add(positions.len() as u64, Relaxed);
    if !marks.is_empty() {
        let (page, now) = topic.decide(|dedup| {
            let now = core.clock.now();
            dedup.published(&marks, &positions, now);
            (dedup.take_page(), now)
        });
        pending.now = &[];
        if let Some(page) = page {
            let mut batch = Batch::new();
            batch.insert(&core.dedup, page_key(topic.id, now, fastrand::u64(..)), page);
            // Without it the restart reads more of the topic; the events stand.
            let _ = Box::pin(core.store.write(batch)).await;
        }
    }
    Ok(positions)
}

/// Keeps events until their time, together with their marks.
async fn delay(core: &Core, topic: &Topic, later: Vec<(Time, Entry)>, marks: &[Mark]) -> Result<(), PublishError> {
    let mut batch = core.delayed.keep(topic.id, later).await?;
    if !marks.is_empty() {
        let at = core.clock.now();
        batch.insert(&core.dedup, page_key(topic.id, at, fastrand::u64(..)), dedup::write_page(marks, None));
    }
    core.store.commit(batch).await?;
    core.delayed.wake();
    Ok(())
}

/// What is not decided when this is dropped has failed.
struct Pending<'a> {
    topic: &'a Topic,
    now: &'a [Mark],
    later: &'a [Mark],
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !(self.now.is_empty() && self.later.is_empty()) {
            self.topic.decide(|dedup| dedup.failed(self.now.iter().chain(self.later)));
        }
    }
}

/// `topic | time | anything that differs`.
fn page_key(topic: u32, at: Time, salt: u64) -> Bytes {
    Key::of(topic).u64(at.0).u64(salt).bytes()
}

/// What was published within the window before a restart.
pub(crate) async fn restore(core: &Core, id: u32, spec: &TopicSpec) -> Result<Dedup, TransportError> {
    let mut dedup = Dedup::new(spec.dedup, core.config.dedup_ids_max);
    if dedup.is_off() {
        return Ok(dedup);
    }
    let since = core.clock.now().before(spec.dedup);
    let unreadable = |error: &dyn std::fmt::Display| TransportError::Unreadable {
        topic: spec.name.clone(),
        position: Position(0),
        reason: error.to_string().into(),
    };
    let mut from = page_key(id, since, 0);
    let end = page_key(id, Time(u64::MAX), u64::MAX);
    loop {
        let pages = core.dedup.range(&from, Bound::Included(&end), Limits::items(64)).map_err(|e| unreadable(&e))?;
        let Some((last, _)) = pages.last() else { break };
        from = [last.as_ref(), &[0]].concat().into();
        for (key, page) in pages {
            let at = Time(number_at(&key, 4).unwrap_or_default());
            dedup.restore(dedup::read_page(page).map_err(|error| unreadable(&error))?, at);
        }
    }
    let begin = core.transport.at_time(&spec.name, since).await?;
    let mut at = begin.max(Position(dedup.noted()));
    loop {
        let found = core.transport.read(&spec.name, at, Limits { items: 4096, bytes: 8 << 20 }).await?;
        let Some(last) = found.last() else { break };
        at = last.position.next();
        for stored in &found {
            dedup.reread(stored.position.0, &stored.entry);
        }
    }
    Ok(dedup)
}

/// Removes pages that no window reaches any more.
pub(crate) async fn forget_pages(core: &Core, topic: &Topic) -> Result<(), PublishError> {
    let window = topic.dedup.lock().window();
    let old = page_key(topic.id, core.clock.now().before(window * 2), 0);
    let pages = core.dedup.range(&page_key(topic.id, Time(0), 0), Bound::Excluded(&old), Limits::items(4096));
    let pages = pages.map_err(|error| TransportError::Unreadable {
        topic: topic.name.clone(),
        position: Position(0),
        reason: error.to_string().into(),
    })?;
    let mut batch = Batch::with_capacity(pages.len());
    pages.into_iter().for_each(|(key, _)| batch.remove(&core.dedup, key));
    Ok(core.store.write(batch).await?)
}

/// When an event wants to be delivered: extension `deliverat` (a time, RFC 3339) or `delay` (`30s`). Nothing for at once.
fn due_at(event: &Event, index: usize, now: Time) -> Result<Option<Time>, InvalidDelay> {
    let text = |name| event.extension(name).map(|value: Value<'_>| value.to_string());
    if let Some(value) = text("deliverat") {
        let invalid = || InvalidDelay {
            index,
            attribute: "deliverat",
            value: value.clone(),
            expected: "which is not a time as in RFC 3339: 2026-01-31T09:00:00Z",
        };
        let time = value.parse::<Timestamp>().map_err(|_| invalid())?.as_millisecond();
        let time = Time(u64::try_from(time).unwrap_or_default());
        return Ok((time > now).then_some(time));
    }
    if let Some(value) = text("delay") {
        let delay = quantity::parse_duration(&value).map_err(|_| InvalidDelay {
            index,
            attribute: "delay",
            value,
            expected: "which is not a duration: write a number with a unit, as in 30s or 1h30m",
        })?;
        return Ok((!delay.is_zero()).then(|| now.after(delay)));
    }
    Ok(None)
}
