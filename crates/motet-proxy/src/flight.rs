//! A request that an instance is answering: everything that must be let go when its answer ends, and in which way.

use crate::{
    body::{Cut, InboundError},
    bulkhead::Permit,
    grpc,
    lane::Member,
    load::Ticket,
    pool::Lease,
    stage::record::Record,
};
use bytes::Bytes;
use http_body::Frame;
use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// What an answer holds until its body ends. An answer of our own holds nothing.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) lease: Option<Lease>,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) permit: Option<Permit>,
    /// Who gave it, so that its circuit hears of an answer that breaks off.
    pub(crate) member: Option<Rc<Member>>,
}

/// Dropped without having been told how it ended, it means that the caller went away: the upstream connection is closed (HTTP/1) or
/// the stream reset (HTTP/2).
pub(crate) struct Flight {
    record: Record,
    held: Held,
    end: End,
    /// When something passed last, of an answer that streams.
    last: Instant,
    /// Made when the answer first keeps us waiting: most never do.
    timer: Option<Pin<Box<Sleep>>>,
}

/// What bounds an answer's body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// It must be complete by then.
    By(Instant),
    /// It may go on, but not be silent for so long.
    Quiet(Duration),
}

impl Flight {
    pub(crate) fn new(record: Record, held: Held, end: End) -> Self {
        let last = match end {
            End::By(at) => at,
            End::Quiet(_) => Instant::now(),
        };
        Self { record, held, end, last, timer: None }
    }

    /// The answer is complete: the connection can be used again.
    pub(crate) fn complete(self) {
        let Held { lease, ticket, permit, .. } = self.held;
        drop((ticket, permit));
        if let Some(lease) = lease {
            lease.finish();
        }
        self.record.ended();
    }

    /// The answer will never be complete, and not by the caller's wish.
    pub(crate) fn broken(self, cut: &Cut) {
        let is_first = match (&self.held.lease, cut) {
            (Some(lease), Cut::Upstream(InboundError::Live(error))) => lease.is_first_to_fail(error),
            _ => true,
        };
        if is_first {
            self.blame();
        }
        self.record.cut();
    }

    /// The answer has turned into a stream of bytes that hyper no longer owns: what has to live until that ends.
    pub(crate) fn upgrade(mut self) -> (Record, Held) {
        if let Some(lease) = self.held.lease.take() {
            lease.detach();
        }
        (self.record, self.held)
    }

    /// A frame went to the caller.
    pub(crate) fn passed(&mut self, frame: &Frame<Bytes>) {
        let End::Quiet(_) = self.end else { return };
        self.last = Instant::now();
        if let Some(status) = frame.trailers_ref().and_then(grpc::status)
            && self.record.rules().policy.retry.grpc.contains(&status)
        {
            self.blame();
        }
    }

    fn blame(&self) {
        if let (Some(member), Some(breaker)) = (&self.held.member, &self.record.rules().policy.breaker) {
            self.record.lane().failed(member, breaker);
        }
    }

    /// Ready when the answer has to be cut.
    pub(crate) fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        loop {
            let at = match self.end {
                End::By(at) => at,
                End::Quiet(limit) => self.last + limit,
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            ready!(timer.as_mut().poll(cx));
            match self.end {
                End::By(_) => return Poll::Ready(Cut::Deadline),
                // Something has passed since the timer was set: it is set once per silence, not once per frame.
                End::Quiet(_) if at > Instant::now() => timer.as_mut().reset(at),
                End::Quiet(_) => return Poll::Ready(Cut::Idle),
            }
        }
    }
}
