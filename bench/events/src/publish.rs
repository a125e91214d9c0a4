//! Closed loops: so many publishes are under way at any time, and each that is acknowledged makes room for the next.

use std::{future::Future, sync::Arc};

use anyhow::Result;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use crate::tally::Tally;

/// A way to publish that has one answer for each message.
pub trait Publish: Send + 'static {
    /// Publishes; returns when it is acknowledged.
    ///
    /// # Errors
    /// When it is not.
    fn publish(&mut self, body: Bytes) -> impl Future<Output = Result<()>> + Send;
}

/// Publishes with each of `slots`, again and again, until the tally says that it is over.
pub fn closed_loop<P: Publish>(tally: Arc<Tally>, slots: Vec<P>) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let mut tasks = JoinSet::new();
        for slot in slots {
            tasks.spawn(one(Arc::clone(&tally), slot));
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    })
}

async fn one<P: Publish>(tally: Arc<Tally>, mut slot: P) -> Result<()> {
    while !tally.is_over() {
        let draft = tally.draft();
        slot.publish(draft.body).await?;
        tally.acknowledged(draft.at);
    }
    Ok(())
}
