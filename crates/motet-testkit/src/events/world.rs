//! A broker on the engine, with its subscriber.

use super::{
    LIMIT,
    bench::{Bench, answered, event},
    script::{Script, Seen},
};
use motet_broker::{
    Broker, Config, Declaration, Event, Handle, Outcome, Parcel, Receipt, SubscriptionSpec, SubscriptionStatus,
    TopicSpec, TopicStatus, Transport, port::Ends,
};
use motet_kernel::task::TaskGroup;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A broker that runs, with the topic `t`.
pub(super) struct World<'a> {
    pub(super) bench: &'a Bench,
    pub(super) handle: Handle,
    pub(super) script: Arc<Script>,
    pub(super) transport: Arc<dyn Transport>,
    group: TaskGroup,
    /// Everything that was published stands below this position.
    published: AtomicU64,
}

impl Bench {
    /// A broker with topic `t` and these subscriptions. After [`World::stop`] another one goes on where it was.
    pub(super) async fn broker(&self, subscriptions: Vec<SubscriptionSpec>) -> World<'_> {
        self.broker_with(vec![self.t()], subscriptions, Config::default()).await
    }

    pub(super) async fn broker_with(
        &self,
        topics: Vec<TopicSpec>,
        subscriptions: Vec<SubscriptionSpec>,
        config: Config,
    ) -> World<'_> {
        self.broker_to(Arc::default(), topics, subscriptions, config).await
    }

    /// A broker whose subscriber is there already.
    pub(super) async fn broker_to(
        &self,
        script: Arc<Script>,
        topics: Vec<TopicSpec>,
        subscriptions: Vec<SubscriptionSpec>,
        config: Config,
    ) -> World<'_> {
        let (store, group) = (self.store(), TaskGroup::new());
        let transport = self.engine.open(&store, &group).await;
        let handle = Broker::start(config, store, Arc::clone(&transport), script.clone(), &group);
        let handle = handle.unwrap_or_else(|error| panic!("the broker does not start: {error}"));
        let world = World { bench: self, handle, script, transport, group, published: AtomicU64::new(0) };
        world.declare(topics, subscriptions).await;
        world
    }
}

impl World<'_> {
    pub(super) async fn declare(&self, topics: Vec<TopicSpec>, subscriptions: Vec<SubscriptionSpec>) {
        let declaration = Declaration { topics, subscriptions };
        let declared = tokio::time::timeout(LIMIT, self.handle.declare(declaration)).await;
        declared.expect("declared in time").unwrap_or_else(|error| panic!("declare: {error}"));
    }

    /// Publishes into `t`, one by one: pairs of id and key.
    pub(super) async fn publish(&self, events: &[(&str, &str)]) {
        for (id, key) in events {
            self.publish_all(vec![event(id, key)]).await;
        }
    }

    pub(super) async fn publish_all(&self, events: Vec<Event>) -> Vec<Receipt> {
        let published = answered(self.handle.publish(&self.bench.topic("t"), events)).await;
        let receipts = published.unwrap_or_else(|error| panic!("publish: {error}"));
        if let Some(last) = receipts.iter().filter_map(|receipt| receipt.position).max() {
            self.published.fetch_max(last.next().0, Ordering::Relaxed);
        }
        receipts
    }

    /// From now on the subscription answers so.
    pub(super) fn answers(&self, name: &str, answer: impl Fn(&Parcel) -> Outcome + Send + Sync + 'static) {
        self.script.answers(&self.bench.sub(name), answer);
    }

    /// Waits until the subscription has seen so many deliveries of events.
    pub(super) async fn saw(&self, name: &str, count: usize) -> Vec<Seen> {
        self.script.saw(&self.bench.sub(name), count).await
    }

    pub(super) fn seen(&self, name: &str) -> Vec<Seen> {
        self.script.seen(&self.bench.sub(name))
    }

    /// The ids of what the subscription has seen, each attempt again.
    pub(super) fn ids(&self, name: &str) -> Vec<String> {
        self.seen(name).into_iter().map(|seen| seen.id).collect()
    }

    /// How `t` is.
    pub(super) async fn t(&self) -> TopicStatus {
        let name = self.bench.topic("t");
        let topics = answered(self.handle.describe()).await.topics;
        topics.into_iter().find(|topic| topic.name == name).expect("the topic is declared")
    }

    pub(super) async fn status(&self, name: &str) -> SubscriptionStatus {
        let name = self.bench.sub(name);
        let subscriptions = answered(self.handle.describe()).await.subscriptions;
        subscriptions.into_iter().find(|status| status.name == name).expect("the subscription is declared")
    }

    /// Waits until a look at the subscription satisfies.
    pub(super) async fn until(
        &self,
        name: &str,
        what: &str,
        satisfied: impl Fn(&SubscriptionStatus) -> bool,
    ) -> SubscriptionStatus {
        let until = Instant::now() + LIMIT;
        loop {
            let status = self.status(name).await;
            if satisfied(&status) {
                return status;
            }
            assert!(Instant::now() < until, "not seen within {LIMIT:?}: {what}; {status:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the ends of `t` satisfy.
    pub(super) async fn until_ends(&self, what: &str, satisfied: impl Fn(Ends) -> bool) {
        let (topic, until) = (self.bench.topic("t"), Instant::now() + LIMIT);
        loop {
            let ends = answered(self.transport.ends(&topic)).await.unwrap_or_else(|error| panic!("ends: {error}"));
            if satisfied(ends) {
                return;
            }
            assert!(Instant::now() < until, "not seen within {LIMIT:?}: {what}; the topic has {ends:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until everything published can be read.
    pub(super) async fn readable(&self) {
        let next = self.published.load(Ordering::Relaxed);
        self.until_ends("everything published", |ends| ends.next.0 >= next).await;
    }

    /// Waits until everything published is settled.
    pub(super) async fn drained(&self, name: &str) -> SubscriptionStatus {
        let next = self.published.load(Ordering::Relaxed);
        let settled = |status: &SubscriptionStatus| {
            status.counts.cursor >= next && status.counts.depth == 0 && status.counts.retrying == 0
        };
        self.until(name, "everything settled", settled).await
    }

    /// Stops in good order and lets go of engine and store.
    pub(super) async fn stop(self) {
        let Self { handle, transport, group, .. } = self;
        tokio::time::timeout(LIMIT, handle.stop()).await.expect("the broker stops in time");
        group.cancel();
        tokio::time::timeout(LIMIT, group.wait()).await.expect("the engine's tasks end when they are told to");
        drop(handle);
        drop(transport);
    }
}
