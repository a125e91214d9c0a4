//! A request body as it comes from outside: measured, and cut when it is too long or comes too slowly.
//!
//! Slowness is measured as an allowance of time. Waiting for the caller spends it, bytes earn it, and there is never more of it than the
//! grace. Time in which nobody asks for the body (its service takes no more just now) costs nothing. Once the answer has begun, the
//! two talk to each other at their own pace, and only the length still counts.

use super::limits::BodyLimits;
use crate::rescue::Cause;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// A body under watch, or, on an edge, one that is not.
pub(crate) struct Upload<B> {
    body: B,
    watch: Option<Box<Measure>>,
}

/// What can be asked about a body from elsewhere.
#[derive(Clone, Default)]
pub(crate) struct Watch(Option<Rc<Shared>>);

#[derive(Default)]
struct Shared {
    verdict: Cell<Option<Verdict>>,
    answered: Cell<bool>,
}

#[derive(Clone, Copy)]
enum Verdict {
    TooLong { limit: u64 },
    TooSlow { rate: u32 },
}

struct Measure {
    limits: BodyLimits,
    shared: Rc<Shared>,
    bytes: u64,
    allowance: Duration,
    /// Since when the caller has been waited for.
    waiting: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// The body ended before it was complete: the caller broke off, or it was cut.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broke<E> {
    #[error("the caller broke off")]
    Caller(#[source] E),
    #[error("the request body is longer than {limit} bytes")]
    TooLong { limit: u64 },
    #[error("the request body came slower than {rate} bytes per second")]
    TooSlow { rate: u32 },
}

impl Watch {
    /// Why the body was cut, if it was: the cause of all that failed after it.
    pub(crate) fn verdict(&self) -> Option<Cause> {
        Some(match self.0.as_ref()?.verdict.get()? {
            Verdict::TooLong { limit } => Cause::BodyTooLong { limit },
            Verdict::TooSlow { rate } => Cause::TooSlow { rate },
        })
    }

    /// The answer has begun.
    pub(crate) fn answered(&self) {
        if let Some(shared) = &self.0 {
            shared.answered.set(true);
        }
    }
}

impl<B: Body> Upload<B> {
    /// A body that is passed on as it is.
    pub(crate) fn unwatched(body: B) -> Self {
        Self { body, watch: None }
    }

    /// A body within limits.
    pub(crate) fn watched(body: B, limits: BodyLimits) -> (Self, Watch) {
        if body.is_end_stream() || limits.max.is_none() && limits.rate_min.is_none() {
            return (Self::unwatched(body), Watch(None));
        }
        let shared = Rc::<Shared>::default();
        let allowance = limits.grace;
        let measure = Measure { limits, shared: Rc::clone(&shared), bytes: 0, allowance, waiting: None, timer: None };
        (Self { body, watch: Some(Box::new(measure)) }, Watch(Some(shared)))
    }
}

impl Measure {
    /// Counts what came, or cuts.
    fn came(&mut self, length: usize) -> Result<(), Verdict> {
        if let Some(since) = self.waiting.take() {
            self.allowance = self.allowance.saturating_sub(since.elapsed());
        }
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(length);
        if let Some(rate) = self.limits.rate_min {
            let earned = Duration::from_nanos(length.saturating_mul(1_000_000_000) / u64::from(rate.max(1)));
            self.allowance = self.allowance.saturating_add(earned).min(self.limits.grace);
        }
        match self.limits.max {
            Some(limit) if self.bytes > limit => Err(Verdict::TooLong { limit }),
            _ => Ok(()),
        }
    }

    /// Ready when the caller has been waited for too long.
    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<Verdict> {
        let Some(rate) = self.limits.rate_min else { return Poll::Pending };
        if self.shared.answered.get() {
            return Poll::Pending;
        }
        let since = *self.waiting.get_or_insert_with(Instant::now);
        let until = since + self.allowance;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        ready!(timer.as_mut().poll(cx));
        // The answer may have begun while the timer ran, without anybody asking for the body since.
        if self.shared.answered.get() { Poll::Pending } else { Poll::Ready(Verdict::TooSlow { rate }) }
    }
}

impl<B> Body for Upload<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = Broke<B::Error>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Self { body, watch } = self.get_mut();
        let polled = Pin::new(body).poll_frame(cx).map_err(Broke::Caller);
        let Some(measure) = watch else { return polled };
        let judged = match &polled {
            Poll::Ready(Some(Ok(frame))) => measure.came(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(_) => Ok(()),
            Poll::Pending => Err(ready!(measure.poll_slow(cx))),
        };
        let Err(verdict) = judged else { return polled };
        measure.shared.verdict.set(Some(verdict));
        Poll::Ready(Some(Err(match verdict {
            Verdict::TooLong { limit } => Broke::TooLong { limit },
            Verdict::TooSlow { rate } => Broke::TooSlow { rate },
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};
    use std::convert::Infallible;
    use tokio::time::sleep;

    /// A body of so many pieces, each of so many bytes after so much time.
    fn pieces(count: usize, length: usize, pause: Duration) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        StreamBody::new(Box::pin(stream::unfold(count, move |left| async move {
            let left = left.checked_sub(1)?;
            sleep(pause).await;
            Some((Ok(Frame::data(Bytes::from(vec![b'x'; length]))), left))
        })))
    }

    fn limits(max: u64, rate_min: u32) -> BodyLimits {
        BodyLimits { max: Some(max), rate_min: Some(rate_min), grace: Duration::from_secs(10) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_the_longest_length_passes_and_one_byte_more_is_cut() {
        for (count, passes) in [(10, true), (11, false)] {
            let (body, watch) = Upload::watched(pieces(count, 1, Duration::ZERO), limits(10, 1));
            assert_eq!(body.collect().await.is_ok(), passes);
            assert_eq!(matches!(watch.verdict(), Some(Cause::BodyTooLong { limit: 10 })), !passes);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_cut_when_its_allowance_is_spent() {
        let started = Instant::now();
        // One byte per second where two are asked for: half a second of the allowance is lost with each.
        let (body, watch) = Upload::watched(pieces(1000, 1, Duration::from_secs(1)), limits(1 << 20, 2));
        assert!(body.collect().await.is_err());
        assert!(matches!(watch.verdict(), Some(Cause::TooSlow { rate: 2 })));
        let took = started.elapsed();
        assert!(took >= Duration::from_secs(15) && took <= Duration::from_secs(21), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_keeps_the_pace_may_take_for_ever_but_not_pause_for_ever() {
        let (body, watch) = Upload::watched(pieces(1000, 2, Duration::from_secs(1)), limits(1 << 20, 2));
        assert!(body.collect().await.is_ok() && watch.verdict().is_none());
        // However much came before, more than the grace is not saved up.
        let burst = pieces(1, 1 << 19, Duration::ZERO);
        let (mut body, _watch) = Upload::watched(burst, limits(1 << 20, 2));
        assert!(body.frame().await.is_some());
        assert_eq!(body.watch.as_ref().unwrap().allowance, Duration::from_secs(10));
        let started = Instant::now();
        let (body, _watch) = Upload::watched(pieces(1, 1, Duration::from_secs(3600)), limits(1 << 20, 2));
        assert!(body.collect().await.is_err());
        assert_eq!(started.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_asks_costs_nothing() {
        let (mut body, watch) = Upload::watched(pieces(100, 2, Duration::from_secs(1)), limits(1 << 20, 2));
        while body.frame().await.transpose().unwrap().is_some() {
            sleep(Duration::from_secs(60)).await;
        }
        assert!(watch.verdict().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_answer_has_begun_only_the_length_counts() {
        let (body, watch) = Upload::watched(pieces(3, 1, Duration::from_secs(3600)), limits(2, 2));
        watch.answered();
        assert!(body.collect().await.is_err());
        assert!(matches!(watch.verdict(), Some(Cause::BodyTooLong { .. })));
    }
}
