//! A request that an instance is answering: everything that must be let go when its answer ends, and in which way.

use crate::{load::Ticket, pool::Lease, stage::record::Record};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Dropped without having been told how it ended, it means that the caller went away: the upstream connection is closed (HTTP/1) or
/// the stream reset (HTTP/2).
pub(crate) struct Flight {
    record: Record,
    ticket: Ticket,
    lease: Lease,
    /// Until when the answer must be complete.
    until: Option<Instant>,
    /// Made when the answer first keeps us waiting: most never do.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Flight {
    pub(crate) fn new(record: Record, ticket: Ticket, lease: Lease, until: Option<Instant>) -> Self {
        Self { record, ticket, lease, until, timer: None }
    }

    /// The answer is complete: the connection can be used again.
    pub(crate) fn complete(self) {
        drop(self.ticket);
        self.lease.finish();
        self.record.ended();
    }

    /// The answer will never be complete, and not by the caller's wish.
    pub(crate) fn cut(self) {
        self.record.cut();
    }

    /// The answer has turned into a stream of bytes that hyper no longer owns: what has to live until that ends.
    pub(crate) fn upgrade(self) -> (Record, Ticket) {
        self.lease.detach();
        (self.record, self.ticket)
    }

    /// Ready when the answer should have been complete.
    pub(crate) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.until else { return Poll::Pending };
        self.timer.get_or_insert_with(|| Box::pin(sleep_until(until))).as_mut().poll(cx)
    }
}
