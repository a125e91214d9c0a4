//! What people may do with topics and subscriptions: everything that services may, and what only an operator should.

use crate::{
    error::Refusal,
    wire::events::{DeadLetters, Events, Receipt, Start, Watched},
};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use motet_cloudevents::{Event, Filter};

/// Which dead letters are meant.
#[derive(Debug, Clone, PartialEq)]
pub enum Letters {
    /// All that are there when this is asked.
    All,
    /// Those with these numbers, each named once.
    Numbers(Vec<u64>),
    /// Those that this takes.
    Where(Filter),
    /// One, with another event in its place. Dropping takes it as its number.
    Edited(u64, Event),
}

/// The events of a running system.
#[async_trait]
pub trait EventsControl: Send + Sync + 'static {
    /// Topics and subscriptions as they are.
    async fn events(&self) -> Result<Events, Refusal>;

    /// Publishes all or, if it fails, none; durable when it answers. One receipt for each, in order.
    async fn publish(&self, topic: &str, events: Vec<Event>) -> Result<Vec<Receipt>, Refusal>;

    /// Shows what is published, from `start` on. The stream holds a bounded number of events, and reads on as it is read.
    async fn watch_topic(&self, topic: &str, start: Start) -> Result<BoxStream<'static, Watched>, Refusal>;

    /// Dead letters from a number on, the oldest first, up to `most` and to a bounded number of bytes. A filter is shown each event with what
    /// became of it as attributes: `motetreason`, `motetattempt`, `motetstatus`.
    async fn dead_letters(
        &self,
        subscription: &str,
        filter: Option<Filter>,
        from: u64,
        most: usize,
    ) -> Result<DeadLetters, Refusal>;

    /// Tries dead letters again, as new. How many.
    async fn redrive(&self, subscription: &str, letters: Letters) -> Result<u64, Refusal>;

    /// Drops dead letters for good. How many.
    async fn drop_dead_letters(&self, subscription: &str, letters: Letters) -> Result<u64, Refusal>;

    /// Stops sending (`on`) or goes on; what is in flight goes on anyway.
    async fn pause(&self, subscription: &str, on: bool) -> Result<(), Refusal>;

    /// Begins again at `start`; the position.
    async fn replay(&self, subscription: &str, start: Start) -> Result<u64, Refusal>;
}
