//! The broker at work: what is declared, and the loops that serve it.

mod body;
mod declare;
mod describe;
mod graves;
mod housekeeping;
mod operate;
mod runner;

use crate::{
    config::Config,
    dead::Graveyard,
    delay::Delayed,
    error::{BrokerError, PublishError, SubscriptionError, UnknownSubscription, UnknownTopic},
    machine::{Counts, Id, Token},
    name::{SubscriptionName, TopicName},
    observed::Observed,
    outcome::Outcome,
    port::{Deliver, Engine, Parcel, Stored, Transport, TransportError},
    publish::{self, Topic},
    rate::Rate,
    record::RetryRecord,
    subscription::SubscriptionSpec,
    time::{Clock, Time},
    topic::{Position, Receipt},
};
use arc_swap::ArcSwap;
use motet_cloudevents::Event;
use motet_kernel::task::{Kind, TaskGroup};
use motet_store::{Keyspace, Limits, Store};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot, watch};

pub use declare::Declaration;
pub use describe::{Description, SubscriptionStatus, TopicStatus};

/// Where the numbers of names are.
const META: &str = "broker.meta";

/// What all parts of the broker share.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) transport: Arc<dyn Transport>,
    /// The same, for the question how it is.
    observed: Arc<Observed>,
    pub(crate) deliver: Arc<dyn Deliver>,
    pub(crate) group: TaskGroup,
    /// Looked at with each publish, so without a lock that publishers would share.
    pub(crate) topics: ArcSwap<HashMap<TopicName, Arc<Topic>>>,
    pub(crate) delayed: Delayed,
    pub(crate) dedup: Keyspace,
    /// Which numbers topics and subscriptions have.
    meta: Keyspace,
    /// How far subscriptions are.
    state: Keyspace,
    graveyard: Graveyard,
    subscriptions: RwLock<HashMap<SubscriptionName, Arc<Subscription>>>,
    rates: Mutex<HashMap<TopicName, Rate>>,
    stopping: AtomicBool,
    /// Delayed events are published only when it is known which topics there are.
    delays_run: AtomicBool,
}

/// What others see of a subscription that is served.
struct Subscription {
    id: u32,
    spec: RwLock<Arc<SubscriptionSpec>>,
    commands: mpsc::Sender<Command>,
    next_letter: AtomicU64,
    /// How many dead letters there are; changes with them, under `graves`.
    letters: AtomicU64,
    /// How many were dropped since the start because there were too many.
    letters_gone: AtomicU64,
    /// Closed when its loop has ended and how far it came is on disk.
    ended: watch::Receiver<()>,
    /// Held by who writes dead letters or takes them away: two orders at once would both find the same one.
    graves: tokio::sync::Mutex<graves::Tally>,
}

/// What a subscription's loop is asked for.
enum Command {
    Pull { max: usize, until: Time, reply: oneshot::Sender<Vec<Parcel>> },
    Answer { tokens: Vec<Token>, outcome: Outcome, reply: oneshot::Sender<Vec<bool>> },
    Extend { token: Token, more: Duration, reply: oneshot::Sender<bool> },
    Pause { on: bool, reply: oneshot::Sender<()> },
    Seek { position: Position, reply: oneshot::Sender<()> },
    Redriven(Vec<(Id, RetryRecord)>),
    Change(Arc<SubscriptionSpec>),
    Look(oneshot::Sender<(Counts, f64)>),
    Stop,
}

/// The broker. Cheap to clone; all clones are the same broker.
#[derive(Clone)]
pub struct Handle {
    core: Arc<Core>,
}

/// The broker, before it is started.
#[derive(Debug)]
pub struct Broker;

impl Broker {
    /// Whether nothing was ever declared on this store.
    pub fn is_unused(store: &Store) -> Result<bool, BrokerError> {
        let meta = store.keyspace(META)?;
        Ok(meta.get(declare::LAST)?.is_none())
    }

    /// Starts a broker that keeps its state in `store` and topics in `transport`. It serves nothing until something is declared. Its loops
    /// belong to a child of `group`.
    pub fn start(
        config: Config,
        store: Store,
        transport: Arc<dyn Transport>,
        deliver: Arc<dyn Deliver>,
        group: &TaskGroup,
    ) -> Result<Handle, BrokerError> {
        let keyspace = |name| store.keyspace(name);
        let graveyard = Graveyard { letters: keyspace("broker.dead-letters")?, retries: keyspace("broker.retries")? };
        let observed = Arc::new(Observed::new(transport));
        let core = Arc::new(Core {
            config,
            clock: Clock::start(),
            delayed: Delayed::new(store.clone(), keyspace("broker.delayed")?),
            dedup: keyspace("broker.published")?,
            meta: keyspace(META)?,
            state: keyspace("broker.subscriptions")?,
            graveyard,
            store,
            transport: Arc::clone(&observed) as Arc<dyn Transport>,
            observed,
            deliver,
            group: group.child(),
            topics: ArcSwap::default(),
            subscriptions: RwLock::default(),
            rates: Mutex::default(),
            stopping: AtomicBool::new(false),
            delays_run: AtomicBool::new(false),
        });
        core.group.spawn(Kind::Periodic, "retention", housekeeping::run(Arc::clone(&core)));
        Ok(Handle { core })
    }
}

impl Handle {
    /// Publishes, and answers when all of it is durable: a receipt per event, in order. Events whose source and id were published within
    /// the topic's window are not published again. With an error nothing is acknowledged, and the same request may be repeated.
    pub async fn publish(&self, topic: &TopicName, events: Vec<Event>) -> Result<Vec<Receipt>, PublishError> {
        if self.core.stopping.load(Relaxed) {
            return Err(PublishError::Stopping);
        }
        let topic = self.core.topic(topic)?;
        publish::publish(&self.core, topic, events).await
    }

    /// Fetches up to `max` events for a worker, each leased by itself for the subscription's lease. Waits up to `wait` for the first.
    pub async fn next(
        &self,
        subscription: &SubscriptionName,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Parcel>, SubscriptionError> {
        let served = self.core.subscription(subscription)?;
        if served.spec.read().mode != crate::subscription::Mode::Pull {
            return Err(SubscriptionError::NotPull(subscription.clone()));
        }
        let until = self.core.clock.now().after(wait);
        let parcels = ask(&served, |reply| Command::Pull { max: max.max(1), until, reply }).await?;
        let mut fetched = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            let (parcel, error) = body::whole(parcel).await;
            let Some(error) = error else {
                fetched.push(parcel);
                continue;
            };
            let spec = served.spec.read().clone();
            let outcome = body::unread(&self.core, &spec, body::in_topic(&parcel), &error).await;
            // Should the lease be over by now, the next one finds out the same.
            let _ = self.settle(subscription, &parcel.token, outcome).await;
        }
        Ok(fetched)
    }

    /// The event of this token is done with.
    pub async fn ack(&self, subscription: &SubscriptionName, token: &str) -> Result<(), SubscriptionError> {
        self.settle(subscription, token, Outcome::Ack).await
    }

    /// What became of the event of this token; [`Outcome::Accepted`] lengthens the lease.
    pub async fn settle(
        &self,
        subscription: &SubscriptionName,
        token: &str,
        outcome: Outcome,
    ) -> Result<(), SubscriptionError> {
        let over = self.settle_all(subscription, vec![token.to_owned()], outcome).await?;
        leased(over.is_empty())
    }

    /// The same for several events at once; those of the tokens whose lease is over.
    pub async fn settle_all(
        &self,
        subscription: &SubscriptionName,
        tokens: Vec<String>,
        outcome: Outcome,
    ) -> Result<Vec<String>, SubscriptionError> {
        let served = self.core.subscription(subscription)?;
        let parsed: Vec<Option<Token>> = tokens.iter().map(|token| token.parse().ok()).collect();
        let known = parsed.iter().flatten().copied().collect();
        let mut held = ask(&served, |reply| Command::Answer { tokens: known, outcome, reply }).await?.into_iter();
        let is_held = parsed.iter().map(|token| token.is_some() && held.next().unwrap_or_default());
        Ok(tokens.into_iter().zip(is_held).filter_map(|(token, is_held)| (!is_held).then_some(token)).collect())
    }

    /// The lease of this token goes on for `more` from now.
    pub async fn extend(
        &self,
        subscription: &SubscriptionName,
        token: &str,
        more: Duration,
    ) -> Result<(), SubscriptionError> {
        let served = self.core.subscription(subscription)?;
        let token = token.parse().map_err(|()| SubscriptionError::LeaseGone)?;
        leased(ask(&served, |reply| Command::Extend { token, more, reply }).await?)
    }

    /// What stands in a topic at a position and behind it, without being a subscriber.
    pub async fn read(&self, topic: &TopicName, from: Position, limits: Limits) -> Result<Vec<Stored>, PublishError> {
        self.core.topic(topic)?;
        let stored = self.core.transport.read(topic, from, limits).await?;
        let (mut read, mut bytes) = (Vec::with_capacity(stored.len()), 0);
        for Stored { position, entry } in stored {
            if bytes >= limits.bytes {
                break;
            }
            bytes = bytes.saturating_add(entry.size());
            let entry = entry.whole(&self.core.store).await.map_err(|error| TransportError::Unreadable {
                topic: topic.clone(),
                position,
                reason: error.to_string().into(),
            })?;
            read.push(Stored { position, entry });
        }
        Ok(read)
    }

    /// The end of a topic, as a watch: for who follows it.
    pub fn head(&self, topic: &TopicName) -> Result<watch::Receiver<Position>, PublishError> {
        self.core.topic(topic)?;
        Ok(self.core.transport.head(topic)?)
    }

    /// The declaration of a topic, where there is one.
    pub fn topic(&self, topic: &TopicName) -> Option<Arc<crate::topic::TopicSpec>> {
        Some(self.core.topics.load().get(topic)?.spec())
    }

    /// The declaration of a subscription, where there is one.
    pub fn subscription(&self, name: &SubscriptionName) -> Option<Arc<SubscriptionSpec>> {
        Some(self.core.subscriptions.read().get(name)?.spec.read().clone())
    }

    /// Why nothing can be published or read, if so: the disk, or the engine. It goes away by itself when what it says is over.
    pub fn trouble(&self) -> Option<String> {
        let store = self.core.store.trouble().map(|error| error.to_string());
        store.or_else(|| self.core.observed.trouble())
    }

    /// The engine that keeps the topics.
    pub fn engine(&self) -> Engine {
        self.core.transport.engine()
    }

    /// The time of day as the broker sees it.
    pub fn now(&self) -> Time {
        self.core.clock.now()
    }

    /// Sends nothing more, lets what is under way end within the grace, and writes down how far each subscription is. Events are still
    /// taken: for the time in which those who publish them stop.
    pub async fn drain(&self) {
        let served: Vec<_> = self.core.subscriptions.read().values().cloned().collect();
        let ended = served.iter().map(|subscription| async {
            // A loop that has ended already needs no order to end.
            let _ = subscription.commands.send(Command::Stop).await;
            let _ = subscription.ended.clone().changed().await;
        });
        futures_util::future::join_all(ended).await;
    }

    /// Stops in good order: nothing new is taken or sent, what is under way may end within the grace, and how far everything is, is written
    /// down durably.
    pub async fn stop(&self) {
        self.core.stopping.store(true, Relaxed);
        self.core.group.cancel();
        self.core.group.wait().await;
        if let Err(error) = self.core.store.flush().await {
            tracing::error!(%error, "the broker's last words could not be written; some events are delivered again");
        }
    }
}

fn leased(held: bool) -> Result<(), SubscriptionError> {
    if held { Ok(()) } else { Err(SubscriptionError::LeaseGone) }
}

async fn ask<T>(
    served: &Subscription,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, SubscriptionError> {
    let (reply, answer) = oneshot::channel();
    served.commands.send(command(reply)).await.map_err(|_| SubscriptionError::Stopping)?;
    answer.await.map_err(|_| SubscriptionError::Stopping)
}

impl Core {
    fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, UnknownTopic> {
        let topics = self.topics.load();
        topics.get(name).cloned().ok_or_else(|| {
            let mut known: Vec<_> = topics.keys().map(ToString::to_string).collect();
            known.sort();
            UnknownTopic { topic: name.to_string(), known }
        })
    }

    fn subscription(&self, name: &SubscriptionName) -> Result<Arc<Subscription>, UnknownSubscription> {
        let subscriptions = self.subscriptions.read();
        subscriptions.get(name).cloned().ok_or_else(|| {
            let mut known: Vec<_> = subscriptions.keys().map(ToString::to_string).collect();
            known.sort();
            UnknownSubscription { subscription: name.to_string(), known }
        })
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("engine", &self.core.transport.engine()).finish_non_exhaustive()
    }
}
