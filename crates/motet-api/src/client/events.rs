//! Topics, subscriptions and dead letters.

use super::{ANSWER_WITHIN, Client, encode, events, read};
use crate::{
    error::CallError,
    wire::events::{DeadLetters, Events, Letters, Published, ReplayRequest, Replayed, Settled, Start, Watched},
};
use futures_util::Stream;
use motet_cloudevents::{Event, json};
use reqwest::Method;
use std::time::Duration;

/// How long a great many dead letters may take.
const MANY_WITHIN: Duration = Duration::from_secs(600);

impl Client {
    /// Topics and subscriptions as they are.
    pub async fn events(&self) -> Result<Events, CallError> {
        read(self.send(self.request(Method::GET, "/v1/events").timeout(ANSWER_WITHIN)).await?).await
    }

    /// Publishes events; they are on disk when this returns.
    pub async fn publish(&self, topic: &str, events: &[Event]) -> Result<Published, CallError> {
        let mut body = Vec::new();
        json::write_batch(events, &mut body);
        let request = self.request(Method::POST, &format!("/v1/topics/{}/events", encode(topic)));
        let request = request.header("content-type", "application/json").timeout(ANSWER_WITHIN).body(body);
        read(self.send(request).await?).await
    }

    /// What is published, from a place of the topic on. The stream ends when the system's process does.
    pub async fn watch_topic(
        &self,
        topic: &str,
        start: Start,
    ) -> Result<impl Stream<Item = Result<Watched, CallError>> + use<>, CallError> {
        let path = format!("/v1/topics/{}/events?from={}", encode(topic), encode(&start.to_string()));
        Ok(events(self.send(self.request(Method::GET, &path)).await?))
    }

    /// Dead letters from a number on, all or only those that an expression of CloudEvents SQL takes.
    pub async fn dead_letters(
        &self,
        subscription: &str,
        condition: Option<&str>,
        from: u64,
        most: usize,
    ) -> Result<DeadLetters, CallError> {
        let filter = condition.map(|condition| format!("&where={}", encode(condition))).unwrap_or_default();
        let path = format!("/v1/subscriptions/{}/dead-letters?from={from}&max={most}{filter}", encode(subscription));
        read(self.send(self.request(Method::GET, &path).timeout(ANSWER_WITHIN)).await?).await
    }

    /// Tries dead letters again.
    pub async fn redrive(&self, subscription: &str, letters: &Letters) -> Result<Settled, CallError> {
        self.letters(subscription, "redrive", letters).await
    }

    /// Drops dead letters for good.
    pub async fn drop_dead_letters(&self, subscription: &str, letters: &Letters) -> Result<Settled, CallError> {
        self.letters(subscription, "drop", letters).await
    }

    async fn letters(&self, subscription: &str, verb: &str, letters: &Letters) -> Result<Settled, CallError> {
        let path = format!("/v1/subscriptions/{}/dead-letters/{verb}", encode(subscription));
        let request = self.request(Method::POST, &path).timeout(MANY_WITHIN).json(letters);
        read(self.send(request).await?).await
    }

    /// Stops sending to a subscription.
    pub async fn pause(&self, subscription: &str) -> Result<(), CallError> {
        let path = format!("/v1/subscriptions/{}/pause", encode(subscription));
        self.post(&path, &serde_json::Value::Null).await.map(drop)
    }

    /// Goes on with one that was paused.
    pub async fn resume(&self, subscription: &str) -> Result<(), CallError> {
        let path = format!("/v1/subscriptions/{}/resume", encode(subscription));
        self.post(&path, &serde_json::Value::Null).await.map(drop)
    }

    /// Lets a subscription begin again at another place.
    pub async fn replay(&self, subscription: &str, start: Start) -> Result<Replayed, CallError> {
        let path = format!("/v1/subscriptions/{}/replay", encode(subscription));
        read(self.post(&path, &ReplayRequest { from: start.to_string() }).await?).await
    }
}
