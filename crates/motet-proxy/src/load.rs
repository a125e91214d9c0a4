//! How many requests each instance has, over all workers, edges and routes: for balancing, and for knowing when it is drained.

use motet_kernel::id::InstanceId;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering, fence},
    },
};
use tokio::sync::Notify;

/// The requests of one instance.
#[derive(Debug, Default)]
pub(crate) struct Load {
    outstanding: AtomicU32,
    idle: Notify,
}

impl Load {
    /// How many requests it has now.
    pub(crate) fn outstanding(&self) -> u32 {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// Counts one request until the ticket is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Ticket {
        self.outstanding.fetch_add(1, Ordering::SeqCst);
        // With the fence in `drained`: either whoever drains sees this count, or the worker that has just counted sees the set
        // in which the instance is draining. So no request slips in between.
        fence(Ordering::SeqCst);
        Ticket { load: Arc::clone(self) }
    }

    /// Waits until it has none.
    pub(crate) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            fence(Ordering::SeqCst);
            if self.outstanding.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// One request that an instance has.
#[derive(Debug)]
pub(crate) struct Ticket {
    load: Arc<Load>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.load.outstanding.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.load.idle.notify_waiters();
        }
    }
}

/// The loads of all instances that anybody refers to.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    by_instance: Mutex<HashMap<InstanceId, Arc<Load>>>,
}

impl Loads {
    /// The load of an instance. Forgets those that nobody refers to any more.
    pub(crate) fn of(&self, instance: InstanceId) -> Arc<Load> {
        let mut loads = self.by_instance.lock();
        if let Some(load) = loads.get(&instance) {
            return Arc::clone(load);
        }
        loads.retain(|_, load| Arc::strong_count(load) > 1);
        Arc::clone(loads.entry(instance).or_default())
    }

    /// The load of an instance that somebody has referred to.
    pub(crate) fn known(&self, instance: InstanceId) -> Option<Arc<Load>> {
        self.by_instance.lock().get(&instance).cloned()
    }
}
