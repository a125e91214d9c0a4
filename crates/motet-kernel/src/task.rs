//! Background work. Every task belongs to a group and has a kind, and the table of [`Kind`]s says what its failure means: this page is
//! the concurrency policy of the whole program.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use std::future::Future;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a task is for. Its failure is what [`Kind::on_panic`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The loop that owns a context's state. Without it nothing is true any more: the process stops.
    ContextLoop,
    /// Accepts connections of an edge, the gateway or the control API.
    Listener,
    /// Serves one connection; ends with it.
    Connection,
    /// Follows one running instance: its output, its exit, its probes.
    Instance,
    /// Work asked for once, whose asker sees the result.
    Job,
    /// Repeats something at intervals; the next round repairs what this one missed.
    Periodic,
}

/// What the end of a task by panic means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPanic {
    /// Logged; the others go on.
    Log,
    /// The whole group is cancelled, which ends the process in good order.
    StopGroup,
}

impl Kind {
    /// What the end of a task of this kind by panic means.
    pub fn on_panic(self) -> OnPanic {
        match self {
            Self::ContextLoop | Self::Listener => OnPanic::StopGroup,
            Self::Connection | Self::Instance | Self::Job | Self::Periodic => OnPanic::Log,
        }
    }
}

/// Tasks that are stopped and awaited together. Clones share the group.
#[derive(Debug, Clone, Default)]
pub struct TaskGroup {
    tracker: TaskTracker,
    cancelled: CancellationToken,
}

impl TaskGroup {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// A group that is cancelled with this one and can be cancelled and awaited by itself. This one awaits the child's tasks only if the child does.
    pub fn child(&self) -> Self {
        Self { tracker: TaskTracker::new(), cancelled: self.cancelled.child_token() }
    }

    /// Starts a task that sees cancellation only through [`TaskGroup::cancelled`]: it must look for it and return soon after.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn<F>(&self, kind: Kind, name: &'static str, task: F) -> tokio::task::JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let group = self.cancelled.clone();
        let work = tokio::spawn(task);
        self.tracker.spawn(async move {
            match work.await {
                Ok(output) => Some(output),
                Err(error) => {
                    tracing::error!(task = name, ?kind, %error, "task failed");
                    if kind.on_panic() == OnPanic::StopGroup {
                        group.cancel();
                    }
                    None
                }
            }
        })
    }

    /// Starts a task that is dropped at its next await when the group is cancelled.
    pub fn spawn_dropping<F>(&self, kind: Kind, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cancelled = self.cancelled.clone();
        self.spawn(kind, name, async move {
            tokio::select! {
                () = cancelled.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Asks every task to end.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Becomes ready when the group has been asked to end.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Whether the group has been asked to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// The token behind the group, for code that wants to select on it.
    pub fn token(&self) -> CancellationToken {
        self.cancelled.clone()
    }

    /// Waits until every task has ended. New tasks may still be started meanwhile and are awaited too.
    pub async fn wait(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// A future that hardly ever becomes ready, waited for beside one that is polled all the time: it is polled when it was woken, and not
/// whenever its neighbour is. For the end of a process beside a connection: each look at a [`CancellationToken`] takes a lock that all
/// connections share.
pub async fn seldom<F: Future>(future: F) -> F::Output {
    let mut one: FuturesUnordered<F> = std::iter::once(future).collect();
    match one.next().await {
        Some(output) => output,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, future::poll_fn, task::Poll};

    #[tokio::test]
    async fn the_panic_of_a_context_loop_stops_the_group_and_that_of_a_connection_does_not() {
        let group = TaskGroup::new();
        group.spawn(Kind::Connection, "connection", async { panic!("one caller's trouble") }).await.expect("tracked");
        assert!(!group.is_cancelled());
        group.spawn(Kind::ContextLoop, "loop", async { panic!("nothing is true any more") }).await.expect("tracked");
        assert!(group.is_cancelled());
        group.wait().await;
    }

    #[tokio::test]
    async fn what_is_seldom_ready_is_polled_when_it_is_woken_and_not_with_its_neighbour() {
        let polled = Cell::new(0);
        let (ready, waits) = tokio::sync::oneshot::channel::<u8>();
        let mut waits = std::pin::pin!(waits);
        let rare = seldom(poll_fn(|context| {
            polled.set(polled.get() + 1);
            waits.as_mut().poll(context)
        }));
        let mut ready = Some(ready);
        let mut turns = 0;
        let neighbour = poll_fn(|context| {
            turns += 1;
            if turns == 100 {
                let _ = ready.take().expect("sent once").send(7);
            }
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let seen = tokio::select! {
            biased;
            () = neighbour => None,
            seen = rare => seen.ok(),
        };
        assert_eq!((seen, polled.get()), (Some(7), 2));
    }
}
