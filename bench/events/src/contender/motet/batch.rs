//! Batched mode: all that may be in flight goes in one request over one connection, and is acknowledged by its one answer.

use std::sync::Arc;

use anyhow::{Result, ensure};
use futures_util::future::BoxFuture;

use super::write_event;
use crate::{
    http1::{Client, post},
    tally::Tally,
};

pub(super) fn publish(
    mut client: Client,
    topic: &'static str,
    in_flight: usize,
    tally: Arc<Tally>,
) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let path = format!("/topics/{topic}");
        while !tally.is_over() {
            let drafts: Vec<_> = (0..in_flight).map(|_| tally.draft()).collect();
            let mut body = Vec::with_capacity(in_flight * 1280);
            for (index, draft) in drafts.iter().enumerate() {
                body.push(if index == 0 { b'[' } else { b',' });
                write_event(draft.number, topic, &draft.body, &mut body);
            }
            body.push(b']');
            let (status, answer) = client.ask(&post(&path, "application/cloudevents-batch+json", &body)).await?;
            ensure!(status == 202, "motet answered {status}: {}", String::from_utf8_lossy(&answer));
            drafts.iter().for_each(|draft| tally.acknowledged(draft.at));
        }
        Ok(())
    })
}
