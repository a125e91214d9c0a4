//! Subscriptions: who gets which events, how many at once, and what happens when they are not taken.

use crate::{
    name::{SubscriptionName, TopicName},
    outcome::Permanent,
    topic::Start,
};
use motet_cloudevents::Event;
use motet_kernel::backoff::Backoff;
use std::{fmt, sync::Arc, time::Duration};

/// Which events a subscription takes. Those that it does not take count as done with.
#[derive(Clone)]
pub struct Filter(Arc<dyn Fn(&Event) -> bool + Send + Sync>);

impl Filter {
    /// A filter that takes what `takes` says. It is asked once per event and must be quick.
    pub fn new(takes: impl Fn(&Event) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(takes))
    }

    /// Whether the event is taken.
    pub fn takes(&self, event: &Event) -> bool {
        (self.0)(event)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter")
    }
}

/// How events reach the subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Motet sends them ([`crate::port::Deliver`]).
    Push,
    /// Workers fetch them ([`crate::Handle::next`]).
    Pull,
}

/// Several events in one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchRule {
    /// At most so many. Of one key there is at most one, because the next depends on what becomes of it.
    pub items: usize,
    /// How long the first one waits for the others.
    pub wait: Duration,
    /// At most so many bytes, as [`Event::size`] counts them; an event that is larger goes alone.
    pub bytes: usize,
}

/// How often and how long an event is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// The waits between attempts.
    pub backoff: Backoff,
    /// After so many attempts it is a dead letter. Default 20, which with the default waits is about six hours.
    pub attempts: u32,
    /// Tried no longer than this after it was published, however few attempts there were. Default: no limit.
    pub max_age: Option<Duration>,
}

impl Default for Retry {
    fn default() -> Self {
        let backoff = Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(3600), factor: 2.0 };
        Self { backoff, attempts: 20, max_age: None }
    }
}

/// A subscription as it is declared.
#[derive(Debug, Clone)]
pub struct SubscriptionSpec {
    /// Its name. All members of one subscription share its events; each subscription sees all events.
    pub name: SubscriptionName,
    /// To what.
    pub topic: TopicName,
    /// How events reach the subscriber. Default push.
    pub mode: Mode,
    /// So many deliveries at once (pull: so many leased events). Default 16.
    pub in_flight: usize,
    /// How long one push may take. Default 30 s.
    pub timeout: Duration,
    /// For how long an event belongs to who fetched it, or answered 202. Default 60 s.
    pub lease: Duration,
    /// How often and how long an event is tried.
    pub retry: Retry,
    /// Which statuses mean that trying again cannot help; read by who delivers.
    pub permanent: Permanent,
    /// Which events it takes. Default all.
    pub filter: Option<Filter>,
    /// Several events in one push. Default one.
    pub batch: Option<BatchRule>,
    /// Whether events with the same key wait for each other. Default yes.
    pub ordered: bool,
    /// Where it begins when it is new. Default with the oldest event that is kept.
    pub from: Start,
}

impl SubscriptionSpec {
    /// A subscription with the defaults.
    pub fn new(name: SubscriptionName, topic: TopicName) -> Self {
        Self {
            name,
            topic,
            mode: Mode::Push,
            in_flight: 16,
            timeout: Duration::from_secs(30),
            lease: Duration::from_secs(60),
            retry: Retry::default(),
            permanent: Permanent::default(),
            filter: None,
            batch: None,
            ordered: true,
            from: Start::Earliest,
        }
    }
}
