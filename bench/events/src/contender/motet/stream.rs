//! Streams: one connection that events go into and sums come out of, and one that events come out of and acknowledgements go into.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, bail};
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::{write_event, write_tokens};
use crate::{
    http1::{Client, Receiver, Sender},
    message::after,
    tally::Tally,
};

/// So many events may be with the consumer and not acknowledged.
const HELD: usize = 1_000;

struct Window {
    /// Room for so many more.
    room: Semaphore,
    /// When those that are under way were begun, in their order.
    begun: Mutex<VecDeque<u64>>,
}

pub(super) async fn publish(
    client: Client,
    topic: &'static str,
    in_flight: usize,
    tally: Arc<Tally>,
) -> Result<BoxFuture<'static, Result<()>>> {
    let (sender, receiver) = client.open(&format!("/topics/{topic}/stream"), "application/x-ndjson").await?;
    let window = Arc::new(Window { room: Semaphore::new(in_flight), begun: Mutex::default() });
    Ok(Box::pin(async move {
        let (sending, hearing) = (send(sender, topic, &window, &tally), hear(receiver, &window, &tally));
        tokio::try_join!(sending, hearing)?;
        Ok(())
    }))
}

async fn send(mut sender: Sender, topic: &str, window: &Window, tally: &Tally) -> Result<()> {
    let (mut lines, mut room) = (Vec::new(), Vec::new());
    while !tally.is_over() {
        window.room.acquire().await.context("the window is never closed")?.forget();
        let more = window.room.forget_permits(window.room.available_permits());
        lines.clear();
        for _ in 0..=more {
            let draft = tally.draft();
            window.begun.lock().unwrap_or_else(PoisonError::into_inner).push_back(draft.at);
            write_event(draft.number, topic, &draft.body, &mut lines);
            lines.push(b'\n');
        }
        sender.send(&lines, &mut room).await?;
    }
    sender.finish().await
}

async fn hear(mut receiver: Receiver, window: &Window, tally: &Tally) -> Result<()> {
    let (mut text, mut answered) = (Vec::new(), 0_usize);
    while receiver.receive(&mut text).await? {
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = std::str::from_utf8(line)?;
            let Some(sum) = line.strip_prefix("{\"durable\":").and_then(|rest| rest.strip_suffix('}')) else {
                bail!("motet answered {line}");
            };
            let sum: usize = sum.parse()?;
            let mut begun = window.begun.lock().unwrap_or_else(PoisonError::into_inner);
            begun.drain(..sum - answered).for_each(|at| tally.acknowledged(at));
            window.room.add_permits(sum - answered);
            answered = sum;
        }
        text.drain(..whole);
    }
    Ok(())
}

pub(super) async fn consume(
    client: Client,
    topic: &'static str,
    tally: Arc<Tally>,
) -> Result<BoxFuture<'static, Result<()>>> {
    let path = format!("/subscriptions/{topic}/stream?max={HELD}");
    let (mut sender, mut receiver) = client.open(&path, "application/x-ndjson").await?;
    Ok(Box::pin(async move {
        let (mut text, mut word, mut room) = (Vec::new(), Vec::new(), Vec::new());
        while receiver.receive(&mut text).await? {
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            if whole == 0 {
                continue;
            }
            let lines = &text[..whole];
            if tally.delivered(lines) == 0 && after(lines, b"\"problem\"").is_some() {
                bail!("motet says {}", String::from_utf8_lossy(lines));
            }
            word.clear();
            word.extend_from_slice(b"{\"ack\":[");
            write_tokens(lines, &mut word);
            word.extend_from_slice(b"]}\n");
            text.drain(..whole);
            sender.send(&word, &mut room).await?;
        }
        bail!("motet ended the stream")
    }))
}
