//! Whether an event was published before: by source and id, within a window, across restarts.
//!
//! One look and one note per event, at fifty thousand events a second: so what is known is in memory, as hashes of 128 bits, in generations
//! that are forgotten as a whole. For the restart, hashes are written in pages of a thousand, lazily; those of the last, unwritten page
//! are found again by reading the end of the topic. What is being written at this moment is neither known nor unknown: a second event
//! of that name waits until it is decided, because an answer before that could confirm what is lost a moment later.

use crate::{machine::Ledger, port::Entry, record::Malformed, time::Time, topic::Position};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use motet_cloudevents::Event;
use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    time::Duration,
};

const VERSION: u8 = 1;
/// A window is forgotten in so many steps.
const GENERATIONS: u32 = 8;
/// So many hashes per page.
const PAGE: usize = 1024;

/// What stands for source and id.
pub(crate) type Mark = u128;

pub(crate) fn mark(event: &Event) -> Mark {
    let mut hasher = blake3::Hasher::new();
    let source = event.source().as_bytes();
    hasher.update(&(source.len() as u64).to_le_bytes());
    hasher.update(source);
    hasher.update(event.id().as_bytes());
    u128::from_le_bytes(hasher.finalize().as_bytes()[..16].try_into().unwrap_or_default())
}

/// Marks are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, mark: u128) {
        // The lower half, whatever the platform.
        self.0 = (mark & u128::from(u64::MAX)) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Marks = HashSet<Mark, BuildHasherDefault<AsIs>>;

/// What is known of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: it is the first.
    New,
    /// It is being written.
    Pending,
    /// It was published, durably.
    Published,
}

/// The events of a topic that were published within its window.
pub(crate) struct Dedup {
    window: Duration,
    most: usize,
    generations: VecDeque<(Time, Marks)>,
    pending: Marks,
    /// Somebody waits for a pending one to be decided.
    awaited: bool,
    page: Vec<Mark>,
    /// Which positions were noted: below its cursor nothing is missing in the pages and in `page`.
    noted: Ledger,
    noted_end: u64,
    shortened: bool,
}

impl Dedup {
    pub(crate) fn new(window: Duration, most: usize) -> Self {
        Self {
            window,
            most: most.max(GENERATIONS as usize),
            generations: VecDeque::new(),
            pending: Marks::default(),
            awaited: false,
            page: Vec::new(),
            noted: Ledger::default(),
            noted_end: 0,
            shortened: false,
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.window.is_zero()
    }

    pub(crate) fn window(&self) -> Duration {
        self.window
    }

    pub(crate) fn set_window(&mut self, window: Duration) {
        self.window = window;
    }

    /// How many events are remembered, and whether more came within the window than may be.
    pub(crate) fn size(&self) -> (usize, bool) {
        (self.generations.iter().map(|(_, marks)| marks.len()).sum(), self.shortened)
    }

    /// What is known of it. What is new is pending from now on, until [`Dedup::published`] or [`Dedup::failed`].
    pub(crate) fn begin(&mut self, mark: Mark, now: Time) -> Known {
        self.forget(now);
        if self.generations.iter().any(|(_, marks)| marks.contains(&mark)) {
            Known::Published
        } else if self.pending.insert(mark) {
            Known::New
        } else {
            Known::Pending
        }
    }

    /// Whoever found a pending one will wait: [`Dedup::take_awaited`] is true once after this.
    pub(crate) fn wait(&mut self) {
        self.awaited = true;
    }

    /// Whether anybody has to be woken because something was decided.
    pub(crate) fn take_awaited(&mut self) -> bool {
        std::mem::take(&mut self.awaited)
    }

    /// These are durable, at these positions (none for delayed ones, whose page is written with them).
    pub(crate) fn published(&mut self, marks: &[Mark], positions: &[Position], now: Time) {
        for mark in marks {
            self.pending.remove(mark);
            self.remember(*mark, now);
        }
        if !positions.is_empty() {
            self.page.extend_from_slice(marks);
        }
        for position in positions {
            self.noted_end = self.noted_end.max(position.0 + 1);
            self.noted.settle(position.0..position.0 + 1);
        }
        if self.pending.is_empty() {
            // Positions that were refused leave holes that nobody will fill.
            self.noted.settle(self.noted.cursor()..self.noted_end);
        }
    }

    /// These are not.
    pub(crate) fn failed<'a>(&mut self, marks: impl IntoIterator<Item = &'a Mark>) {
        for mark in marks {
            self.pending.remove(mark);
        }
    }

    /// A full page to write, if there is one.
    pub(crate) fn take_page(&mut self) -> Option<Bytes> {
        (self.page.len() >= PAGE).then(|| {
            let page = write_page(&self.page, Some(self.noted.cursor()));
            self.page.clear();
            page
        })
    }

    /// After a restart: what a page said.
    pub(crate) fn restore(&mut self, page: Page, written_at: Time) {
        for mark in page.marks {
            self.remember(mark, written_at);
        }
        if let Some(end) = page.end {
            self.noted.settle(self.noted.cursor()..end);
        }
    }

    /// After a restart: from where on the topic has to be read.
    pub(crate) fn noted(&self) -> u64 {
        self.noted.cursor()
    }

    /// After a restart: what stood at the end of the topic.
    pub(crate) fn reread(&mut self, position: u64, entry: &Entry) {
        let mark = mark(&entry.event);
        self.remember(mark, entry.published_at);
        self.page.push(mark);
        self.noted.settle(self.noted.cursor()..position + 1);
        self.noted_end = self.noted.cursor();
    }

    fn remember(&mut self, mark: Mark, at: Time) {
        let step = self.window / GENERATIONS;
        let fits =
            |(since, marks): &(Time, Marks)| at.since(*since) < step && marks.len() < self.most / GENERATIONS as usize;
        if !self.generations.back().is_some_and(fits) {
            self.generations.push_back((at, Marks::default()));
            let total: usize = self.generations.iter().map(|(_, marks)| marks.len()).sum();
            if total >= self.most {
                self.generations.pop_front();
                self.shortened = true;
            }
        }
        if let Some((_, marks)) = self.generations.back_mut() {
            marks.insert(mark);
        }
    }

    fn forget(&mut self, now: Time) {
        // A generation goes when its youngest is too old: one step after it began.
        let step = self.window / GENERATIONS;
        while self.generations.front().is_some_and(|(since, _)| now.since(*since) > self.window + step) {
            self.generations.pop_front();
        }
    }
}

/// Hashes on disk.
pub(crate) struct Page {
    marks: Vec<Mark>,
    /// Below this position no event of the topic is missing in this and earlier pages. Nothing for a page of delayed events.
    end: Option<u64>,
}

/// `version | has end | end | marks`.
pub(crate) fn write_page(marks: &[Mark], end: Option<u64>) -> Bytes {
    let mut out = BytesMut::with_capacity(10 + 16 * marks.len());
    out.put_u8(VERSION);
    out.put_u8(u8::from(end.is_some()));
    out.put_u64_le(end.unwrap_or_default());
    for mark in marks {
        out.put_u128_le(*mark);
    }
    out.freeze()
}

pub(crate) fn read_page(mut page: Bytes) -> Result<Page, Malformed> {
    if page.len() < 10 || page[0] != VERSION || !(page.len() - 10).is_multiple_of(16) {
        let reason = format!("{} bytes of version {:?}", page.len(), page.first());
        return Err(Malformed { of: "page of published ids", reason });
    }
    page.advance(1);
    let has_end = page.get_u8() != 0;
    let end = page.get_u64_le();
    let mut marks = Vec::with_capacity(page.len() / 16);
    while page.has_remaining() {
        marks.push(page.get_u128_le());
    }
    Ok(Page { marks, end: has_end.then_some(end) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(80);

    #[test]
    fn a_mark_is_pending_then_published_then_forgotten_after_the_window_and_not_before() {
        let mut dedup = Dedup::new(WINDOW, 1000);
        assert_eq!(dedup.begin(1, Time(0)), Known::New);
        assert_eq!(dedup.begin(1, Time(0)), Known::Pending);
        dedup.published(&[1], &[Position(0)], Time(5));
        assert_eq!(dedup.begin(1, Time(80_000)), Known::Published);
        assert_eq!(dedup.begin(1, Time(91_000)), Known::New);
        dedup.failed(&[1]);
        assert_eq!(dedup.begin(1, Time(91_000)), Known::New);
    }

    #[test]
    fn what_came_at_the_end_of_a_generation_is_kept_for_the_whole_window_too() {
        let mut dedup = Dedup::new(WINDOW, 1000);
        dedup.published(&[1], &[], Time(0));
        dedup.published(&[2], &[], Time(9_999));
        assert_eq!(dedup.begin(2, Time(9_999 + 80_000)), Known::Published);
    }

    #[test]
    fn memory_is_bounded_and_it_is_said_when_that_shortened_the_window() {
        let mut dedup = Dedup::new(WINDOW, 800);
        for mark in 0..5000 {
            dedup.published(&[mark], &[], Time(1));
        }
        let (size, shortened) = dedup.size();
        assert!((700..=800).contains(&size) && shortened, "{size}");
        assert_eq!(dedup.begin(4999, Time(2)), Known::Published);
        assert_eq!(dedup.begin(0, Time(2)), Known::New);
    }

    #[test]
    fn a_page_says_no_more_than_was_noted_without_holes() {
        let mut dedup = Dedup::new(WINDOW, 100_000);
        dedup.begin(7, Time(0));
        let marks: Vec<Mark> = (10_000..12_000).collect();
        let positions: Vec<Position> = (1..2001).map(Position).collect();
        dedup.published(&marks, &positions, Time(1));
        let page = read_page(dedup.take_page().unwrap()).unwrap();
        assert_eq!((page.end, page.marks.len()), (Some(0), 2000), "position 0 is still being written");
        assert!(dedup.take_page().is_none());
        dedup.published(&[7], &[Position(0)], Time(2));
        assert_eq!(dedup.noted(), 2001);
    }
}
