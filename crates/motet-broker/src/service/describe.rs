//! What can be seen of the broker: for `motet topics`, the console, metrics.

use super::{Command, Handle, ask};
use crate::{
    machine::Counts,
    name::{SubscriptionName, TopicName},
    port::{Ends, Engine},
    subscription::Mode,
};
use futures_util::future::join_all;
use motet_store::Stats;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// How long an engine may take to say where a topic ends: people wait for it.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// The broker, now.
#[derive(Debug, Clone)]
pub struct Description {
    /// Where topics are kept.
    pub engine: Engine,
    /// All topics, by name.
    pub topics: Vec<TopicStatus>,
    /// All subscriptions, by name.
    pub subscriptions: Vec<SubscriptionStatus>,
    /// What the store has done and holds.
    pub store: Stats,
    /// What the store takes on disk, in bytes.
    pub disk_bytes: u64,
    /// Why nothing can be published or read, if so.
    pub trouble: Option<String>,
}

/// A topic, now.
#[derive(Debug, Clone)]
pub struct TopicStatus {
    /// Which.
    pub name: TopicName,
    /// Where it begins and ends. Nothing if the engine does not answer.
    pub ends: Option<Ends>,
    /// Events published since the broker started, duplicates not counted, and those that wait for their time not before they are due.
    pub published: u64,
    /// Events that were published before, and were not published again.
    pub duplicates: u64,
    /// Events published per second, over the last ten.
    pub per_second: f64,
    /// How many ids are remembered to find duplicates.
    pub remembered: usize,
    /// More came within the window than may be remembered: duplicates from its beginning may pass.
    pub window_shortened: bool,
}

/// A subscription, now.
#[derive(Debug, Clone)]
pub struct SubscriptionStatus {
    /// Which.
    pub name: SubscriptionName,
    /// To what.
    pub topic: TopicName,
    /// How events reach the subscriber.
    pub mode: Mode,
    /// What it has done and holds.
    pub counts: Counts,
    /// How long the oldest event that is not settled has been waiting, as far as it has been read.
    pub lag: Option<Duration>,
    /// Dead letters that nobody has redriven or dropped.
    pub dead_letters: u64,
    /// Dead letters that were dropped since the broker started, because there were too many.
    pub dead_letters_gone: u64,
    /// Events acknowledged per second, over the last ten.
    pub per_second: f64,
}

impl Handle {
    /// What there is and how it is.
    pub async fn describe(&self) -> Description {
        let core = &self.core;
        let now = core.clock.now();
        let topics: Vec<_> = core.topics.load().values().map(Arc::clone).collect();
        let mut description = Description {
            engine: core.transport.engine(),
            topics: Vec::with_capacity(topics.len()),
            subscriptions: Vec::new(),
            store: core.store.stats(),
            disk_bytes: core.store.disk_bytes(),
            trouble: None,
        };
        let ends = join_all(topics.iter().map(|topic| async {
            let name = topic.name.clone();
            tokio::time::timeout(ENDS_WITHIN, core.transport.ends(&name)).await
        }));
        let mut late = false;
        for (topic, ends) in topics.iter().zip(ends.await) {
            late |= ends.is_err();
            let name = topic.name.clone();
            let published = topic.published.load(Relaxed);
            let (remembered, window_shortened) = topic.remembered();
            description.topics.push(TopicStatus {
                ends: ends.ok().and_then(Result::ok),
                published,
                duplicates: topic.duplicates.load(Relaxed),
                per_second: core.rates.lock().get(&name).map_or(0.0, |rate| rate.per_second(now, published)),
                remembered,
                window_shortened,
                name,
            });
        }
        let silent = || format!("{} has not answered within {} s", description.engine.name, ENDS_WITHIN.as_secs());
        description.trouble = self.trouble().or_else(|| late.then(silent));
        let served: Vec<_> = core.subscriptions.read().values().map(Arc::clone).collect();
        for subscription in served {
            // One that has just been let go is not there any more.
            let Ok((counts, per_second)) = ask(&subscription, Command::Look).await else { continue };
            let spec = subscription.spec.read().clone();
            description.subscriptions.push(SubscriptionStatus {
                name: spec.name.clone(),
                topic: spec.topic.clone(),
                mode: spec.mode,
                lag: counts.oldest.map(|oldest| now.since(oldest)),
                dead_letters: subscription.letters.load(Relaxed),
                dead_letters_gone: subscription.letters_gone.load(Relaxed),
                per_second,
                counts,
            });
        }
        description.topics.sort_by(|one, other| one.name.cmp(&other.name));
        description.subscriptions.sort_by(|one, other| one.name.cmp(&other.name));
        description
    }
}
