//! What is known about a request while it is on its way: kept apart from the future that carries it, so that it can still be told
//! when that future was dropped by the deadline.

use crate::lane::Member;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How many tries were made, told to the caller when it was more than one.
pub(crate) const ATTEMPTS: HeaderName = HeaderName::from_static("x-motet-attempts");

/// One request's way so far.
pub(crate) struct Journey {
    started: Instant,
    attempts: Cell<u32>,
    instance: RefCell<Option<Arc<str>>>,
    /// Whose answers are awaited: one, or two when a copy was sent.
    pending: RefCell<[Option<Rc<Member>>; 2]>,
}

impl Journey {
    pub(crate) fn begin() -> Self {
        Self {
            started: Instant::now(),
            attempts: Cell::new(0),
            instance: RefCell::new(None),
            pending: RefCell::default(),
        }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.get()
    }

    /// Counts a try and remembers where it went; the number of it.
    pub(crate) fn attempt(&self, instance: &Arc<str>) -> u32 {
        self.attempts.set(self.attempts.get() + 1);
        *self.instance.borrow_mut() = Some(Arc::clone(instance));
        self.attempts.get()
    }

    /// An answer of this instance is awaited from now on.
    pub(crate) fn expect_of(&self, member: &Rc<Member>) -> usize {
        let mut pending = self.pending.borrow_mut();
        let place = usize::from(pending[0].is_some());
        pending[place] = Some(Rc::clone(member));
        place
    }

    /// It is not awaited any more.
    pub(crate) fn heard_of(&self, place: usize) {
        self.pending.borrow_mut()[place] = None;
    }

    /// Whose answer is awaited.
    pub(crate) fn pending(&self) -> Option<Rc<Member>> {
        self.pending.borrow()[0].clone()
    }

    /// All whose answers are awaited; the time for them is over.
    pub(crate) fn overdue(&self) -> impl Iterator<Item = Rc<Member>> {
        self.pending.take().into_iter().flatten()
    }

    pub(crate) fn last_instance(&self) -> Option<Arc<str>> {
        self.instance.borrow().clone()
    }

    /// Tells the caller how many tries it took, when it was more than one.
    pub(crate) fn stamp(&self, headers: &mut HeaderMap) {
        if self.attempts() > 1 {
            headers.insert(ATTEMPTS, HeaderValue::from(self.attempts()));
        }
    }
}
