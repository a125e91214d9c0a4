//! Waiting for what mostly comes at once: timers that cost nothing when it does.
//!
//! A server that bounds every wait makes two timers for each request: one for its head, one for its body. On a connection that is busy both
//! are made and dropped within microseconds, and each is an entry in a wheel that all threads share. Here one timer stays in the wheel from
//! wait to wait, and is moved only when it rings too early.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::time::{Sleep, sleep_until};

/// It took too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Late;

/// The timer of one connection, for hyper and for its bodies.
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
    /// Waits for something that is probably there, `limit` at most.
    pub(crate) async fn within<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, Late> {
        let mut future = pin!(future);
        let mut wait: Option<Wait> = None;
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => {
                let wait = wait.get_or_insert_with(|| self.until(tokio::time::Instant::now() + limit));
                Pin::new(wait).poll(context).map(|()| Err(Late))
            }
        })
        .await
    }

    fn until(&self, until: tokio::time::Instant) -> Wait {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        // One that would ring too late is of no use.
        let spare = spare.filter(|sleep| sleep.deadline() <= until);
        Wait { sleep: Some(spare.unwrap_or_else(|| Box::pin(sleep_until(until)))), until, patience: self.clone() }
    }
}

impl hyper::rt::Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(self.until(tokio::time::Instant::from_std(deadline)))
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
        assert!(tokio::time::timeout(Duration::from_secs(7), first).await.is_err());
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
        let patience = Patience::default();
        // With a timer that is in the wheel already, too.
        for _ in 0..2 {
            let begun = tokio::time::Instant::now();
            assert_eq!(patience.within(limit, std::future::pending::<()>()).await, Err(Late));
            assert!(begun.elapsed() >= limit && begun.elapsed() < limit * 2);
        }
        assert_eq!(patience.within(limit, async { 1 }).await, Ok(1));
        let late = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            2
        };
        assert_eq!(patience.within(limit, late).await, Ok(2));
    }
}
