//! How many requests may be under way at once, over all workers, and the queue of those that wait for their turn.
//!
//! Below the limit a request costs one atomic addition. Above it, it waits in a bounded queue ordered by urgency and age; when the queue is
//! full, whoever is least urgent and came last is refused, which may be somebody who waits already.

use crate::{
    adaptive::Adaptive,
    policy::{Concurrency, Limit},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Bulkhead {
    in_use: AtomicU32,
    /// What `queue` holds, readable without its lock.
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
    adaptive: Adaptive,
}

#[derive(Debug, Default)]
struct Queue {
    /// By urgency, then by age.
    waiters: BTreeMap<Place, oneshot::Sender<Permit>>,
    last: u64,
}

type Place = (u8, u64);

/// Why a request may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue is full of requests that are as urgent, or a more urgent one took the place.
    Full,
    /// Its turn did not come in time.
    Waited,
}

/// One of the places. Dropped, it is passed on to whoever waits.
#[derive(Debug)]
pub(crate) struct Permit {
    /// Gone when it was given back.
    bulkhead: Option<Arc<Bulkhead>>,
    limit: Limit,
}

impl Bulkhead {
    /// A place, now or when it is this request's turn.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        policy: &Concurrency,
        urgency: u8,
        deadline: Instant,
    ) -> Result<Permit, Refused> {
        if let Some(permit) = self.try_enter(policy.limit) {
            return Ok(permit);
        }
        Box::pin(self.wait(policy, urgency, deadline)).await
    }

    /// How many may be under way now.
    pub(crate) fn limit(&self, limit: Limit) -> u32 {
        match limit {
            Limit::Fixed(limit) => limit,
            Limit::Adaptive { min, max } => self.adaptive.limit(min, max),
        }
    }

    pub(crate) fn in_use(&self) -> u32 {
        self.in_use.load(SeqCst)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// Never past those who wait already.
    fn try_enter(self: &Arc<Self>, limit: Limit) -> Option<Permit> {
        if self.waiting() > 0 { None } else { self.take(limit) }
    }

    fn take(self: &Arc<Self>, limit: Limit) -> Option<Permit> {
        let most = self.limit(limit);
        let taken = self.in_use.fetch_update(SeqCst, SeqCst, |in_use| (in_use < most).then_some(in_use + 1));
        taken.ok().map(|_| Permit { bulkhead: Some(Arc::clone(self)), limit })
    }

    async fn wait(self: &Arc<Self>, policy: &Concurrency, urgency: u8, deadline: Instant) -> Result<Permit, Refused> {
        let (turn, called) = oneshot::channel();
        let place = self.line_up(policy, urgency, turn).ok_or(Refused::Full)?;
        let _waiting = Waiting { bulkhead: self, place };
        // Somebody may have left between the refusal and our lining up, and have seen no queue.
        self.call(policy.limit);
        let until = deadline.min(Instant::now() + policy.queue_wait);
        match timeout_at(until, called).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Refused::Full),
            Err(_) => Err(Refused::Waited),
        }
    }

    fn line_up(&self, policy: &Concurrency, urgency: u8, turn: oneshot::Sender<Permit>) -> Option<Place> {
        let mut queue = self.queue.lock();
        if queue.waiters.len() >= policy.queue_max as usize {
            let last = *queue.waiters.last_key_value()?.0;
            if last.0 <= urgency {
                return None;
            }
            queue.waiters.remove(&last);
        }
        queue.last += 1;
        let place = (urgency, queue.last);
        queue.waiters.insert(place, turn);
        self.waiting.store(queue.waiters.len(), SeqCst);
        Some(place)
    }

    /// Gives free places to those whose turn it is.
    fn call(self: &Arc<Self>, limit: Limit) {
        while self.waiting() > 0 {
            let Some(permit) = self.take(limit) else { return };
            let next = {
                let mut queue = self.queue.lock();
                let next = queue.waiters.pop_first();
                self.waiting.store(queue.waiters.len(), SeqCst);
                next
            };
            let unused = match next {
                Some((_, turn)) => turn.send(permit).err(),
                None => Some(permit),
            };
            // Given back without calling anybody: this loop does that.
            if let Some(unused) = unused {
                unused.give_back();
            }
        }
    }
}

impl Permit {
    /// How long an answer took, which tells an adaptive limit whether requests slow each other down.
    pub(crate) fn answered(&self, latency: Duration) {
        if let (Limit::Adaptive { min, max }, Some(bulkhead)) = (self.limit, &self.bulkhead) {
            bulkhead.adaptive.observe(latency, bulkhead.in_use(), min, max);
        }
    }

    /// Passes it on to nobody.
    fn give_back(mut self) {
        if let Some(bulkhead) = self.bulkhead.take() {
            bulkhead.in_use.fetch_sub(1, SeqCst);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(bulkhead) = self.bulkhead.take() {
            bulkhead.in_use.fetch_sub(1, SeqCst);
            bulkhead.call(self.limit);
        }
    }
}

/// A request that waits. Dropped, with its caller or its deadline, it leaves the queue.
struct Waiting<'a> {
    bulkhead: &'a Bulkhead,
    place: Place,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut queue = self.bulkhead.queue.lock();
        queue.waiters.remove(&self.place);
        self.bulkhead.waiting.store(queue.waiters.len(), SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::{LocalSet, spawn_local};

    const MINUTE: Duration = Duration::from_secs(60);

    fn policy(limit: u32, queue_max: u32) -> Concurrency {
        Concurrency { limit: Limit::Fixed(limit), queue_max, queue_wait: Duration::from_secs(1) }
    }

    fn later() -> Instant {
        Instant::now() + MINUTE
    }

    #[tokio::test(start_paused = true)]
    async fn below_the_limit_nobody_waits_and_above_it_as_long_as_the_policy_says() {
        let bulkhead = Arc::<Bulkhead>::default();
        let first = bulkhead.enter(&policy(1, 8), 3, later()).await.unwrap();
        let began = Instant::now();
        let refused = bulkhead.enter(&policy(1, 8), 3, later()).await.unwrap_err();
        assert_eq!((refused, began.elapsed()), (Refused::Waited, Duration::from_secs(1)));
        assert_eq!(bulkhead.waiting(), 0);
        drop(first);
        assert!(bulkhead.enter(&policy(1, 8), 3, later()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_urgent_goes_first_and_among_equals_the_oldest() {
        LocalSet::new()
            .run_until(async {
                let bulkhead = Arc::<Bulkhead>::default();
                let held = bulkhead.enter(&policy(1, 8), 3, later()).await.unwrap();
                let order = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
                let tasks: Vec<_> = [(5, "late"), (3, "first"), (3, "second"), (0, "urgent")]
                    .map(|(urgency, name)| {
                        let (bulkhead, order) = (Arc::clone(&bulkhead), std::rc::Rc::clone(&order));
                        spawn_local(async move {
                            let _permit = bulkhead.enter(&policy(1, 8), urgency, later()).await.unwrap();
                            order.borrow_mut().push(name);
                        })
                    })
                    .into();
                while bulkhead.waiting() < 4 {
                    tokio::task::yield_now().await;
                }
                drop(held);
                for task in tasks {
                    task.await.unwrap();
                }
                assert_eq!(*order.borrow(), ["urgent", "first", "second", "late"]);
                assert_eq!(bulkhead.in_use(), 0);
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_the_least_urgent_even_one_that_waits_already() {
        LocalSet::new()
            .run_until(async {
                let bulkhead = Arc::<Bulkhead>::default();
                let _held = bulkhead.enter(&policy(1, 1), 3, later()).await.unwrap();
                let waiting = spawn_local({
                    let bulkhead = Arc::clone(&bulkhead);
                    async move { bulkhead.enter(&policy(1, 1), 5, later()).await.map(drop) }
                });
                while bulkhead.waiting() < 1 {
                    tokio::task::yield_now().await;
                }
                assert_eq!(bulkhead.enter(&policy(1, 1), 5, later()).await.unwrap_err(), Refused::Full);
                let urgent = spawn_local({
                    let bulkhead = Arc::clone(&bulkhead);
                    async move { bulkhead.enter(&policy(1, 1), 1, later()).await.map(drop) }
                });
                assert_eq!(waiting.await.unwrap(), Err(Refused::Full));
                assert!(matches!(urgent.await.unwrap(), Err(Refused::Waited)));
                assert_eq!(bulkhead.waiting(), 0);
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_leaves_the_queue_takes_no_place_with_it() {
        let bulkhead = Arc::<Bulkhead>::default();
        let held = bulkhead.enter(&policy(1, 8), 3, later()).await.unwrap();
        {
            let limits = policy(1, 8);
            let mut waiting = std::pin::pin!(bulkhead.enter(&limits, 3, later()));
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
            // Its turn comes, and it goes away before it has noticed.
            drop(held);
        }
        assert_eq!((bulkhead.in_use(), bulkhead.waiting()), (0, 0));
    }
}
