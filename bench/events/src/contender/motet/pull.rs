//! Pull with leases: fetched, then acknowledged, one request after the other over one connection.

use std::sync::Arc;

use anyhow::{Result, ensure};
use futures_util::future::BoxFuture;

use super::write_tokens;
use crate::{
    http1::{Client, get, post},
    tally::Tally,
};

pub(super) fn consume(mut client: Client, topic: &'static str, tally: Arc<Tally>) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let next = get(&format!("/subscriptions/{topic}/next?max=256&wait=1s"));
        let path = format!("/subscriptions/{topic}/ack");
        loop {
            let (status, events) = client.ask(&next).await?;
            if status == 204 {
                continue;
            }
            ensure!(status == 200, "motet answered {status}: {}", String::from_utf8_lossy(&events));
            tally.delivered(&events);
            let mut body = b"{\"tokens\":[".to_vec();
            write_tokens(&events, &mut body);
            body.extend_from_slice(b"]}");
            let (status, answer) = client.ask(&post(&path, "application/json", &body)).await?;
            ensure!(status == 200, "motet answered {status}: {}", String::from_utf8_lossy(&answer));
        }
    })
}
