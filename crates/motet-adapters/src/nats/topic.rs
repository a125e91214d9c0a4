//! One topic: its stream, how far it is, and whether the stream is still the one that it was.
//!
//! A position is the sequence in the stream. Should somebody delete the stream, or should its server come back without its last messages,
//! everything fails with a clear word until the topic is ensured again. Then sequences are given a second time, and positions may not be: so
//! the store remembers the stream, and what is new begins an epoch, which is the upper sixteen bits of a position.

use super::{api::Stream, writer::Job};
use motet_broker::{Keep, Position, TopicName, TopicSpec, port::TransportError};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Sequences below, epochs above.
const EPOCH_SHIFT: u32 = 48;
/// So many cursors are kept for the next read; those that were used least recently go.
const CURSORS_MAX: usize = 32;

/// Which positions the sequences of a stream have. Kept in the store, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Epochs {
    /// When the stream was made, in the server's words.
    pub(super) created: String,
    /// The epochs of this stream and the sequence with which each begins; never empty, both rising.
    pub(super) begins: Vec<(u16, u64)>,
    /// The position behind the last event that was seen.
    pub(super) head: u64,
}

impl Epochs {
    /// Of a stream that is seen for the first time.
    pub(super) fn first(created: String) -> Self {
        Self { created, begins: vec![(0, 1)], head: 0 }
    }

    fn last(&self) -> (u16, u64) {
        self.begins.last().copied().unwrap_or((0, 1))
    }

    pub(super) fn position(&self, sequence: u64) -> Position {
        let epoch = self.begins.iter().rev().find(|(_, begin)| *begin <= sequence);
        let (number, _) = epoch.or(self.begins.first()).copied().unwrap_or((0, 1));
        Position((u64::from(number) << EPOCH_SHIFT) | sequence)
    }

    /// The sequence of a position: where there is none (any more), the one that comes next.
    pub(super) fn sequence(&self, position: Position) -> u64 {
        let (number, sequence) = (position.0 >> EPOCH_SHIFT, position.0 & ((1 << EPOCH_SHIFT) - 1));
        let at = self.begins.partition_point(|(epoch, _)| u64::from(*epoch) < number);
        let is_there = self.begins.get(at).is_some_and(|(epoch, _)| u64::from(*epoch) == number);
        let (begin, end) = match (is_there, self.begins.get(at), self.begins.get(at + 1)) {
            (true, Some((_, begin)), next) => (*begin, next.map_or(u64::MAX, |(_, end)| *end)),
            // Of a stream that was here before this one.
            (_, Some((_, begin)), _) => return *begin,
            _ => return u64::MAX >> 1,
        };
        sequence.clamp(begin.max(1), end)
    }

    /// The epochs of what the server has now: the same, or one more if sequences are given again.
    pub(super) fn then(&self, stream: &Stream) -> Self {
        let (number, next) = (self.last().0.saturating_add(1), stream.state.next());
        let mut then = self.clone();
        if stream.created != self.created {
            then.created.clone_from(&stream.created);
            then.begins = vec![(number, 1)];
        } else if self.position(next).0 < self.head {
            then.begins.retain(|(_, begin)| *begin < next);
            then.begins.push((number, next));
        }
        then
    }
}

pub(super) struct Topic {
    pub(super) name: TopicName,
    pub(super) stream: String,
    pub(super) subject: String,
    pub(super) spec: RwLock<TopicSpec>,
    epochs: RwLock<Epochs>,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) cursors: Mutex<Vec<super::cursor::Cursor>>,
    /// What the stream was told last to keep.
    pub(super) kept: Mutex<Keep>,
    head: watch::Sender<Position>,
    /// Why nothing can be done with the stream.
    lost: RwLock<Option<Arc<str>>>,
}

impl Topic {
    pub(super) fn new(
        spec: &TopicSpec,
        names: (String, String),
        epochs: Epochs,
        next: u64,
        jobs: mpsc::Sender<Job>,
    ) -> Self {
        let head = watch::Sender::new(epochs.position(next));
        Self {
            name: spec.name.clone(),
            stream: names.0,
            subject: names.1,
            spec: RwLock::new(spec.clone()),
            epochs: RwLock::new(epochs),
            jobs,
            cursors: Mutex::default(),
            kept: Mutex::new(spec.keep),
            head,
            lost: RwLock::default(),
        }
    }

    pub(super) fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    pub(super) fn position(&self, sequence: u64) -> Position {
        self.epochs.read().position(sequence)
    }

    pub(super) fn sequence(&self, position: Position) -> u64 {
        self.epochs.read().sequence(position)
    }

    /// The next message will have this sequence at least.
    pub(super) fn reached(&self, next: u64) {
        let next = self.position(next);
        self.head.send_if_modified(|head| {
            let is_later = next > *head;
            *head = next.max(*head);
            is_later
        });
    }

    /// Nothing if all is well.
    pub(super) fn trouble(&self) -> Option<Arc<str>> {
        self.lost.read().clone()
    }

    /// Holds what the server says about the stream against what was known of it when it was asked: `head_before`.
    pub(super) fn see(&self, stream: &Stream, head_before: Position) -> Result<(), Arc<str>> {
        let next = self.position(stream.state.next());
        let known = self.epochs.read().created.clone();
        if stream.created != known {
            return Err(self.lose(&format!("was made again at {}", stream.created)));
        }
        if next < head_before {
            return Err(self.lose("was put back to an earlier state: it ends before events that it had acknowledged"));
        }
        self.reached(stream.state.next());
        Ok(())
    }

    /// From now on everything fails with this reason, until the topic is ensured.
    pub(super) fn lose(&self, what: &str) -> Arc<str> {
        let reason: Arc<str> = format!(
            "stream `{}` of topic `{}` {what}; motet did not do that, and what was in it is gone. Start the system again to go on with the stream that is there, or restore it from a backup first",
            self.stream, self.name
        )
        .into();
        let mut lost = self.lost.write();
        if lost.is_none() {
            tracing::error!(topic = %self.name, %reason, "events are lost");
            self.cursors.lock().clear();
        }
        *lost = Some(Arc::clone(&reason));
        reason
    }

    /// What the store has to remember, the head included.
    pub(super) fn remembered(&self) -> Epochs {
        Epochs { head: self.head.borrow().0, ..self.epochs.read().clone() }
    }

    /// All is well again, with this stream.
    pub(super) fn found(&self, spec: &TopicSpec, epochs: Epochs, next: u64) {
        *self.spec.write() = spec.clone();
        *self.kept.lock() = spec.keep;
        if self.epochs.read().begins != epochs.begins {
            self.cursors.lock().clear();
        }
        *self.epochs.write() = epochs;
        *self.lost.write() = None;
        self.reached(next);
    }

    /// A cursor that stands at `sequence`, if there is one.
    pub(super) fn take_cursor(&self, sequence: u64) -> Option<super::cursor::Cursor> {
        let mut cursors = self.cursors.lock();
        let fresh = |cursor: &super::cursor::Cursor| cursor.used_at.elapsed() < super::cursor::IDLE / 2;
        cursors.retain(fresh);
        let at = cursors.iter().position(|cursor| cursor.next == sequence)?;
        Some(cursors.swap_remove(at))
    }

    /// Keeps a cursor for the next read. What has no place any more is given back to be closed.
    pub(super) fn keep_cursor(&self, cursor: super::cursor::Cursor) -> Option<super::cursor::Cursor> {
        let mut cursors = self.cursors.lock();
        cursors.push(cursor);
        if cursors.len() <= CURSORS_MAX {
            return None;
        }
        let oldest = cursors.iter().enumerate().min_by_key(|(_, cursor)| cursor.used_at).map(|(at, _)| at)?;
        Some(cursors.swap_remove(oldest))
    }
}

/// As `TransportError` says it.
pub(super) fn unavailable(place: &str, reason: impl Into<Arc<str>>) -> TransportError {
    TransportError::Unavailable { engine: format!("nats at {place}"), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(created: &str, last: u64) -> Stream {
        let text = format!(r#"{{"config":{{}},"created":"{created}","state":{{"first_seq":1,"last_seq":{last}}}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn positions_of_a_stream_that_was_made_again_come_behind_those_of_the_first() {
        let first = Epochs { head: 901, ..Epochs::first("a".into()) };
        assert_eq!(first.then(&stream("a", 900)), first);
        let second = first.then(&stream("b", 0));
        assert!(second.position(1) > first.position((1 << EPOCH_SHIFT) - 1));
        assert_eq!((first.sequence(Position(17)), first.sequence(Position(0))), (17, 1));
        assert_eq!(second.sequence(second.position(5)), 5);
        assert_eq!(second.sequence(first.position(900)), 1, "whoever had read the first reads all of the second");
    }

    #[test]
    fn what_a_stream_has_lost_is_not_given_the_same_positions_again() {
        let before = Epochs { head: 121, ..Epochs::first("a".into()) };
        let after = before.then(&stream("a", 100));
        assert_eq!(after.position(100), before.position(100), "what is still there keeps its place");
        assert!(after.position(101) > before.position(u64::from(u32::MAX)));
        assert_eq!(after.sequence(before.position(50)), 50);
        assert_eq!(
            after.sequence(before.position(120)),
            101,
            "whoever had read what is lost reads on with what is new"
        );
        assert_eq!(after.sequence(after.position(105)), 105);
        let again = Epochs { head: after.position(111).0, ..after.clone() }.then(&stream("a", 90));
        assert_eq!((again.begins.len(), again.sequence(after.position(105))), (2, 91));
    }
}
