//! A broker that keeps everything in memory and can be told to be slow or unwilling.

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use motet_api::services::{
    Refusal,
    port::{Admitted, Events, From, Leased, Receipt, Seen, Settle},
};
use motet_cloudevents::Event;
use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::timeout,
};

pub(super) struct Double {
    pub(super) published: Mutex<Vec<Event>>,
    /// What is to be fetched.
    pub(super) waiting: Mutex<VecDeque<Event>>,
    pub(super) leased: Mutex<HashMap<String, Event>>,
    pub(super) settled: Mutex<Vec<(String, Settle)>>,
    pub(super) changed: Notify,
    /// How many publishes may pass; more wait.
    pub(super) gate: Semaphore,
    pub(super) lease: Mutex<Duration>,
}

impl Default for Double {
    fn default() -> Self {
        Self {
            published: Mutex::default(),
            waiting: Mutex::default(),
            leased: Mutex::default(),
            settled: Mutex::default(),
            changed: Notify::new(),
            gate: Semaphore::new(1_000_000),
            lease: Mutex::new(Duration::from_secs(60)),
        }
    }
}

impl Double {
    pub(super) fn ids(&self) -> Vec<String> {
        self.published.lock().expect("sound").iter().map(|event| event.id().to_owned()).collect()
    }

    pub(super) fn offer(&self, ids: impl IntoIterator<Item = usize>) {
        for id in ids {
            let id = id.to_string();
            let event = Event::builder(&id, "/s", "t").content_type("application/json").data("{\"a\":\n1}");
            self.waiting.lock().expect("sound").push_back(event.build().expect("valid"));
        }
        self.changed.notify_waiters();
    }
}

#[async_trait]
impl Events for Double {
    fn admit(&self, topic: &str) -> Result<Admitted, Refusal> {
        match topic {
            "parsed" => Ok(Admitted { event_bytes: 4096, source: "/parser".into() }),
            "secret" => Err(Refusal::NotAllowed("`parser` does not list `secret` under `publishes:`".into())),
            other => Err(Refusal::UnknownTopic { name: other.to_owned(), nearest: Some("parsed".into()) }),
        }
    }

    async fn publish(&self, _: &str, events: Vec<Event>) -> Result<Vec<Receipt>, Refusal> {
        self.gate.acquire().await.expect("open").forget();
        if events.iter().any(|event| event.ty() == "bad") {
            let code = motet_kernel::code::ErrorCode("MO-api-204");
            return Err(Refusal::NotTaken { detail: "at /pages: it has to be a number".into(), code });
        }
        let mut published = self.published.lock().expect("sound");
        let mut receipts = Vec::new();
        for event in events {
            let duplicate = published.iter().any(|other| other.id() == event.id());
            let is_later = event.extension("delay").or(event.extension("deliverat")).is_some();
            let position = (!duplicate && !is_later).then_some(published.len() as u64);
            receipts.push(Receipt { position, duplicate, deliver_at_ms: is_later.then_some(1_896_091_200_000) });
            if !duplicate {
                published.push(event);
            }
        }
        Ok(receipts)
    }

    async fn next(&self, subscription: &str, max: usize, wait: Duration) -> Result<Vec<Leased>, Refusal> {
        if subscription != "index" {
            return Err(Refusal::UnknownSubscription { name: subscription.to_owned(), nearest: Some("index".into()) });
        }
        let fetched = timeout(wait, async {
            loop {
                let changed = self.changed.notified();
                let mut taken = Vec::new();
                while taken.len() < max {
                    let Some(event) = self.waiting.lock().expect("sound").pop_front() else { break };
                    let token = format!("t{}", event.id());
                    self.leased.lock().expect("sound").insert(token.clone(), event.clone());
                    let lease = *self.lease.lock().expect("sound");
                    taken.push(Leased { event, token, attempt: 2, position: Some(u64::MAX), lease });
                }
                if !taken.is_empty() {
                    return taken;
                }
                changed.await;
            }
        });
        Ok(fetched.await.unwrap_or_default())
    }

    async fn settle(&self, _: &str, tokens: Vec<String>, settle: Settle) -> Result<Vec<String>, Refusal> {
        let mut over = Vec::new();
        for token in tokens {
            let is_held = self.leased.lock().expect("sound").contains_key(&token);
            if !is_held {
                over.push(token);
                continue;
            }
            if !matches!(settle, Settle::Extend(_)) {
                self.leased.lock().expect("sound").remove(&token);
            }
            self.settled.lock().expect("sound").push((token, settle.clone()));
        }
        Ok(over)
    }

    async fn watch(&self, topic: &str, from: From) -> Result<BoxStream<'static, Result<Seen, Refusal>>, Refusal> {
        self.admit(topic)?;
        let first = match from {
            From::Earliest => 0,
            From::Latest => 100,
            From::Position(position) => position,
        };
        let seen = move |position: u64| {
            let id = position.to_string();
            let event =
                Event::builder(&id, "/s", if position.is_multiple_of(2) { "even" } else { "odd" }).data("[1,\n2]");
            Ok(Seen { position, event: event.build().expect("valid") })
        };
        Ok(stream::iter((first..first + 4).map(seen)).chain(stream::pending()).boxed())
    }
}
