//! Waiting for what mostly comes at once: timers that cost nothing when it does.
//!
//! A server that bounds every wait makes two timers for each request: one for its head, one for its body. On a connection that is busy both
//! are made and dropped within microseconds, and each is an entry in a wheel that all threads share. Here the timer for heads stays in the wheel
//! from request to request and is moved only when it rings too early, and a body gets a timer only if it did not come with its head.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::time::{Sleep, error::Elapsed, sleep_until, timeout};

/// How often something is asked for again before a timer is made. A body that came with its head is handed over in the connection's next turn, and
/// its end in the one after it.
const TURNS: usize = 2;

/// Waits for something that is probably there, `limit` at most.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut turns = 0;
    let there = poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if turns < TURNS => {
            turns += 1;
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(None),
    });
    match there.await {
        Some(output) => Ok(output),
        None => timeout(limit, future).await,
    }
}

/// The timer of one connection, for hyper.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patience {
    /// What the last wait left behind.
    spare: Arc<Mutex<Option<Pin<Box<Sleep>>>>>,
}

/// A wait that gives its timer back.
struct Wait {
    /// Rings at `until` or before.
    sleep: Option<Pin<Box<Sleep>>>,
    until: tokio::time::Instant,
    patience: Patience,
}

impl Patience {
    fn spare(&self) -> Option<Pin<Box<Sleep>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl hyper::rt::Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let until = tokio::time::Instant::from_std(deadline);
        // One that would ring too late is of no use.
        let spare = self.spare().filter(|sleep| sleep.deadline() <= until);
        let sleep = spare.unwrap_or_else(|| Box::pin(sleep_until(until)));
        Box::pin(Wait { sleep: Some(sleep), until, patience: self.clone() })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl hyper::rt::Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let until = self.until;
        let Some(sleep) = &mut self.sleep else { return Poll::Ready(()) };
        loop {
            ready!(sleep.as_mut().poll(context));
            if tokio::time::Instant::now() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until);
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        *self.patience.spare.lock().unwrap_or_else(PoisonError::into_inner) = self.sleep.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::rt::Timer as _;

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_takes_over_an_older_timer_is_as_long_as_it_says() {
        let patience = Patience::default();
        let begun = tokio::time::Instant::now();
        let first = patience.sleep(Duration::from_secs(10));
        assert!(timeout(Duration::from_secs(7), first).await.is_err());
        patience.sleep(Duration::from_secs(10)).await;
        let taken = begun.elapsed();
        assert!(taken >= Duration::from_secs(17) && taken < Duration::from_secs(18), "{taken:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_wait_does_not_ring_with_the_longer_one_before_it() {
        let patience = Patience::default();
        drop(patience.sleep(Duration::from_secs(100)));
        let begun = tokio::time::Instant::now();
        patience.sleep(Duration::from_secs(1)).await;
        assert!(begun.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_is_given_up_and_what_comes_late_is_taken() {
        let limit = Duration::from_secs(5);
        assert!(within(limit, std::future::pending::<()>()).await.is_err());
        assert_eq!(within(limit, async { 1 }).await.ok(), Some(1));
        let late = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            2
        };
        assert_eq!(within(limit, late).await.ok(), Some(2));
    }
}
