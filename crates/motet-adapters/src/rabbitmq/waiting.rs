//! Who waits for which messages to come back.
//!
//! A queue gives no positions: an event has one when it has come back out of the queue and into the log. Whoever published it waits until then,
//! and is found by the number that its messages carry.

use motet_broker::topic::Position;
use parking_lot::Mutex;
use std::{collections::HashMap, fmt, str::FromStr, sync::Arc};
use tokio::sync::oneshot;

/// A message of an append, by the number of the append and its own in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageId {
    pub(super) append: u128,
    pub(super) index: u32,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}-{}", self.append, self.index)
    }
}

/// A text that is no [`MessageId`].
#[derive(Debug)]
pub(super) struct NotOurs;

impl FromStr for MessageId {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let (append, index) = text.split_once('-').ok_or(NotOurs)?;
        if append.len() != 32 || append.bytes().any(|byte| byte == b'+') {
            return Err(NotOurs);
        }
        let append = u128::from_str_radix(append, 16).map_err(|_| NotOurs)?;
        Ok(Self { append, index: index.parse().map_err(|_| NotOurs)? })
    }
}

/// The appends of a topic that are under way. What they hold is bounded where they are let in.
#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<HashMap<u128, Waiter>>>);

struct Waiter {
    positions: Vec<Option<Position>>,
    missing: usize,
    answer: Option<oneshot::Sender<Vec<Position>>>,
}

/// One append's place. Dropped, nobody waits any more.
pub(super) struct Ticket {
    pub(super) append: u128,
    pub(super) answer: oneshot::Receiver<Vec<Position>>,
    waiting: Waiting,
}

impl Waiting {
    /// A place for an append of `count` messages, which is not 0.
    pub(super) fn enter(&self, count: usize) -> Ticket {
        let (answer, answered) = oneshot::channel();
        let append = fastrand::u128(..);
        let waiter = Waiter { positions: vec![None; count], missing: count, answer: Some(answer) };
        self.0.lock().insert(append, waiter);
        Ticket { append, answer: answered, waiting: self.clone() }
    }

    /// The message is durable, and stands there.
    pub(super) fn arrived(&self, id: MessageId, position: Position) {
        let mut waiting = self.0.lock();
        let Some(waiter) = waiting.get_mut(&id.append) else { return };
        let Some(slot) = waiter.positions.get_mut(id.index as usize) else { return };
        if slot.replace(position).is_none() {
            waiter.missing -= 1;
        }
        if waiter.missing == 0
            && let Some(answer) = waiter.answer.take()
        {
            // Whoever waited may be gone.
            let _ = answer.send(waiter.positions.iter().copied().flatten().collect());
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.waiting.0.lock().remove(&self.append);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_is_answered_when_all_its_messages_are_there_whatever_their_order() {
        let waiting = Waiting::default();
        let mut ticket = waiting.enter(2);
        let id = |index| MessageId { append: ticket.append, index };
        let (first, second) = (id(0), id(1));
        waiting.arrived(second, Position(8));
        waiting.arrived(second, Position(8));
        waiting.arrived(MessageId { append: first.append, index: 9 }, Position(9));
        assert!(ticket.answer.try_recv().is_err());
        waiting.arrived(first, Position(7));
        assert_eq!(ticket.answer.try_recv().unwrap(), [Position(7), Position(8)]);
        drop(ticket);
        assert!(waiting.0.lock().is_empty());
        waiting.arrived(first, Position(7));
    }

    #[test]
    fn ids_read_back_and_what_others_call_a_message_is_not_one() {
        let id = MessageId { append: 7, index: 12 };
        assert_eq!(id.to_string().parse::<MessageId>().unwrap(), id);
        let others =
            ["", "7", "-1", "order-7", "00000000000000000000000000000007-", "+0000000000000000000000000000007-1"];
        for foreign in others {
            assert!(foreign.parse::<MessageId>().is_err(), "{foreign}");
        }
    }
}
