//! What there is: topics and subscriptions as they are declared, made to be so.

use super::{Command, Core, Handle, Subscription, runner};
use crate::{
    delay,
    error::{BrokerError, EngineTakesLess},
    machine::{Id, Ledger, Machine},
    name::TopicName,
    port::Engine,
    publish::{self, Topic},
    record::{Checkpoint, Key, Malformed, RetryRecord, number_at},
    run::Run,
    subscription::SubscriptionSpec,
    topic::{Position, Start, TopicSpec},
};
use bytes::{BufMut, Bytes, BytesMut};
use motet_kernel::task::Kind;
use motet_store::{Batch, Limits};
use parking_lot::RwLock;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::sync::{mpsc, watch};

/// So many orders may wait for a subscription's loop.
const COMMANDS: usize = 256;

/// What attributes may take of an event at the edge of what its topic takes.
const ATTRIBUTES_BYTES: usize = 4096;

/// The key of the number that was given last.
pub(super) const LAST: &str = "last";

/// Everything that there is to be.
#[derive(Debug, Clone, Default)]
pub struct Declaration {
    /// All topics.
    pub topics: Vec<TopicSpec>,
    /// All subscriptions.
    pub subscriptions: Vec<SubscriptionSpec>,
}

impl Handle {
    /// Makes it so: new topics and subscriptions are begun, changed ones changed, those that are not named any more are let go (what they
    /// hold stays on disk, and a subscription that comes back goes on where it was). When it answers, a new subscription sees what is
    /// published from now on. Declaring the same twice changes nothing.
    pub async fn declare(&self, declaration: Declaration) -> Result<(), BrokerError> {
        let core = &self.core;
        let named: HashSet<TopicName> = declaration.topics.iter().map(|topic| topic.name.clone()).collect();
        for spec in &declaration.subscriptions {
            if !named.contains(&spec.topic) {
                return Err(BrokerError::NoSuchTopic(spec.name.clone(), spec.topic.clone()));
            }
        }
        for spec in &declaration.topics {
            core.fits_engine(spec)?;
        }
        for spec in declaration.topics {
            core.declare_topic(spec).await?;
        }
        let wanted: HashSet<_> = declaration.subscriptions.iter().map(|spec| spec.name.clone()).collect();
        let gone: Vec<_> = {
            let mut served = core.subscriptions.write();
            served.extract_if(|name, _| !wanted.contains(name)).map(|(_, subscription)| subscription).collect()
        };
        for subscription in gone {
            // A loop that has ended already needs no order to end.
            let _ = subscription.commands.send(Command::Stop).await;
            // Whoever is declared again reads how far it was: that has to be on disk by then.
            let _ = subscription.ended.clone().changed().await;
        }
        for spec in declaration.subscriptions {
            core.declare_subscription(spec).await?;
        }
        core.topics.rcu(|topics| {
            let mut topics = HashMap::clone(topics);
            topics.retain(|name, _| named.contains(name));
            topics
        });
        if !core.delays_run.swap(true, Relaxed) {
            core.group.spawn(Kind::ContextLoop, "delayed events", delay::run(Arc::clone(core)));
        }
        core.delayed.wake();
        Ok(())
    }
}

impl Core {
    /// Whether the engine takes what the topic does. A topic may be as large as the server's own limit, though attributes count there too:
    /// an event at that edge is refused when it is published.
    fn fits_engine(&self, spec: &TopicSpec) -> Result<(), EngineTakesLess> {
        let Some(most) = self.transport.event_max_bytes() else { return Ok(()) };
        if spec.event_max_bytes <= most.saturating_add(ATTRIBUTES_BYTES) {
            return Ok(());
        }
        let Engine { name, detail } = self.transport.engine();
        let (topic, wanted, engine) = (spec.name.clone(), spec.event_max_bytes, format!("{name} ({detail})"));
        Err(EngineTakesLess { topic, wanted, engine, most })
    }

    async fn declare_topic(self: &Arc<Self>, spec: TopicSpec) -> Result<(), BrokerError> {
        self.transport.ensure(&spec).await?;
        if let Some(topic) = self.topics.load().get(&spec.name) {
            topic.change(spec);
            return Ok(());
        }
        let (id, _) = self.number("t", spec.name.as_str(), "").await?;
        let dedup = publish::restore(self, id, &spec).await?;
        let topic = Arc::new(Topic::new(id, spec, dedup));
        self.topics.rcu(|topics| {
            let mut topics = HashMap::clone(topics);
            topics.insert(topic.name.clone(), Arc::clone(&topic));
            topics
        });
        Ok(())
    }

    async fn declare_subscription(self: &Arc<Self>, spec: SubscriptionSpec) -> Result<(), BrokerError> {
        let spec = Arc::new(spec);
        let served = self.subscriptions.read().get(&spec.name).cloned();
        if let Some(served) = served {
            let before = served.spec.read().topic.clone();
            if before != spec.topic {
                return Err(BrokerError::OtherTopic(spec.name.clone(), before.to_string()));
            }
            *served.spec.write() = Arc::clone(&spec);
            let _ = served.commands.send(Command::Change(spec)).await;
            return Ok(());
        }
        let (id, topic) = self.number("s", spec.name.as_str(), spec.topic.as_str()).await?;
        if topic != spec.topic.as_str() {
            return Err(BrokerError::OtherTopic(spec.name.clone(), topic));
        }
        let checkpoint = self.checkpoint(id, &spec).await?;
        let retries = self.retries(id)?;
        let redriven = retries.iter().filter(|(id, _)| id.position().is_none());
        let highest = redriven.map(|(id, _)| (id.raw() << 1 >> 1) + 1).max().unwrap_or(0);
        let next_letter = self.graveyard.next_number(id)?.max(highest);
        let tally = self.tally(id).await?;
        let machine = Machine::new(Arc::clone(&spec), self.config.caps, fastrand::u64(..), checkpoint, retries);
        let head = self.transport.head(&spec.topic)?;
        let (commands, orders) = mpsc::channel(COMMANDS);
        let (running, ended) = watch::channel(());
        let name = spec.name.clone();
        let subscription = Arc::new(Subscription {
            id,
            spec: RwLock::new(spec),
            commands,
            next_letter: AtomicU64::new(next_letter),
            letters: AtomicU64::new(tally.count),
            letters_gone: AtomicU64::new(0),
            ended,
            graves: tokio::sync::Mutex::new(tally),
        });
        self.subscriptions.write().insert(name, Arc::clone(&subscription));
        let runner = runner::Runner::new(Arc::clone(self), subscription, machine, head, orders);
        self.group.spawn(Kind::ContextLoop, "subscription", async move {
            runner.run().await;
            drop(running);
        });
        Ok(())
    }

    /// How far the subscription is; where one begins anew, that is durable at once.
    async fn checkpoint(&self, id: u32, spec: &SubscriptionSpec) -> Result<Checkpoint, BrokerError> {
        let now = self.clock.now();
        let checkpoint = match self.state.get(Key::of(id).bytes())? {
            Some(record) => {
                let checkpoint = Checkpoint::read(record)?;
                let (at, ends) = (checkpoint.ledger.cursor(), self.transport.ends(&spec.topic).await?);
                if at <= ends.next.0 {
                    return Ok(checkpoint);
                }
                // What was here is gone, together with the topic's numbers. All that is there now is new to the subscription.
                tracing::error!(
                    subscription = %spec.name, at, end = ends.next.0,
                    "the topic ends before the place where the subscription was: it was lost or made again in the engine; begun at its beginning"
                );
                let run = Run::first(ends.first, ends.next, now);
                Checkpoint { ledger: Ledger::new(ends.first.0), run, ..checkpoint }
            }
            None => {
                let position = self.position_of(&spec.topic, spec.from).await?;
                let run = Run::first(position, self.transport.ends(&spec.topic).await?.next, now);
                Checkpoint { ledger: Ledger::new(position.0), paused: false, run }
            }
        };
        let mut batch = Batch::new();
        batch.insert(&self.state, Key::of(id).bytes(), checkpoint.write());
        self.store.commit(batch).await?;
        Ok(checkpoint)
    }

    pub(super) async fn position_of(&self, topic: &TopicName, start: Start) -> Result<Position, BrokerError> {
        let ends = self.transport.ends(topic).await?;
        Ok(match start {
            Start::Earliest => ends.first,
            Start::Latest => ends.next,
            Start::Time(time) => self.transport.at_time(topic, time).await?.max(ends.first),
            Start::Position(position) => position.clamp(ends.first, ends.next),
        })
    }

    fn retries(&self, id: u32) -> Result<Vec<(Id, RetryRecord)>, BrokerError> {
        let found = self.graveyard.retries.prefix(&Key::of(id).bytes(), Limits::items(usize::MAX))?;
        let retries = found.into_iter().map(|(key, record)| {
            let raw = number_at(&key, 4).ok_or_else(|| Malformed { of: "retry", reason: "its key is short".into() })?;
            Ok((Id::from_raw(raw), RetryRecord::read(record)?))
        });
        retries.collect()
    }

    /// The number of a topic or subscription, given once and for ever, and what was written beside it then.
    async fn number(&self, kind: &str, name: &str, beside: &str) -> Result<(u32, String), BrokerError> {
        let key = Bytes::from(format!("{kind}.{name}"));
        let malformed = |reason: &str| Malformed { of: "number of a name", reason: reason.to_owned() };
        if let Some(value) = self.meta.get(&key)? {
            let (number, beside) = value.split_at_checked(4).ok_or_else(|| malformed("it is short"))?;
            let number = u32::from_be_bytes(number.try_into().map_err(|_| malformed("it is short"))?);
            return Ok((number, String::from_utf8_lossy(beside).into_owned()));
        }
        let last = self.meta.get(LAST)?.and_then(|value| Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?)));
        let number = last.unwrap_or(0) + 1;
        let mut value = BytesMut::from(&number.to_be_bytes()[..]);
        value.put_slice(beside.as_bytes());
        let mut batch = Batch::new();
        batch.insert(&self.meta, key, value.freeze());
        batch.insert(&self.meta, LAST, Bytes::copy_from_slice(&number.to_be_bytes()));
        self.store.commit(batch).await?;
        Ok((number, beside.to_owned()))
    }
}
