//! Publishing: into RabbitMQ, confirmed, and back out of it into the log.
//!
//! An append is answered when its messages have come back, because only then do they have positions. Whatever goes wrong before that (a lost
//! connection, a queue that is not there) is tried again under the same message ids until the time is over: those that arrive twice are recognised
//! when they come back, so a short outage costs time and no duplicates.

use super::{
    error::Trouble,
    message::{self, Draft},
    topic::Topic,
    waiting::MessageId,
};
use futures_util::poll;
use lapin::{
    Channel, Confirmation, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use motet_broker::{Entry, topic::Position};
use motet_kernel::backoff::Backoff;
use std::{task::Poll, time::Duration};
use tokio::{sync::Semaphore, time::Instant};

/// How long an append may take, all tries together.
pub(super) const APPEND_LIMIT: Duration = Duration::from_secs(10);
/// How many bytes may be under way, over all topics.
pub(super) const UNDER_WAY_BYTES_MAX: usize = 64 << 20;
/// What a message costs besides its body.
const MESSAGE_BYTES: usize = 1024;
const PERMIT_BYTES: usize = 1024;
const BACKOFF: Backoff = Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(1), factor: 2.0 };

/// Room for what is under way.
pub(super) struct Room(Semaphore);

impl Room {
    pub(super) fn new() -> Self {
        Self(Semaphore::new(UNDER_WAY_BYTES_MAX / PERMIT_BYTES))
    }
}

/// Appends; see [`motet_broker::Transport::append`].
pub(super) async fn append(topic: &Topic, room: &Room, entries: &[Entry]) -> Result<Vec<Position>, Trouble> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let until = Instant::now() + APPEND_LIMIT;
    let bytes: usize = entries.iter().map(|entry| entry.event.size() + MESSAGE_BYTES).sum();
    let permits = u32::try_from(bytes.min(UNDER_WAY_BYTES_MAX) / PERMIT_BYTES).unwrap_or(u32::MAX);
    let _room = match tokio::time::timeout_at(until, room.0.acquire_many(permits)).await {
        Ok(Ok(room)) => room,
        _ => return Err(topic.link.trouble().unwrap_or(Trouble::Full(UNDER_WAY_BYTES_MAX))),
    };
    let mut ticket = topic.waiting.enter(entries.len());
    let append = ticket.append;
    let drafts: Vec<Draft> =
        (0..).zip(entries).map(|(index, entry)| message::write(entry, MessageId { append, index })).collect();
    let mut failures = 0;
    let mut last = None;
    loop {
        match tokio::time::timeout_at(until, attempt(topic, &drafts)).await {
            Ok(Ok(())) => break,
            Ok(Err(trouble)) => last = Some(trouble),
            Err(_) => {
                // Confirmations that nobody waits for would stay in the channel's books.
                topic.leave_publisher().await;
                return Err(unknown(topic.link.trouble().or(last).or_else(|| topic.reader_trouble())));
            }
        }
        // They may have come back although the confirmation did not.
        if let Ok(positions) = ticket.answer.try_recv() {
            return Ok(positions);
        }
        failures += 1;
        let again = Instant::now() + BACKOFF.wait_jittered(failures);
        if again >= until {
            return Err(unknown(last));
        }
        tokio::select! {
            Ok(positions) = &mut ticket.answer => return Ok(positions),
            () = tokio::time::sleep_until(again) => {}
        }
    }
    match tokio::time::timeout_at(until, &mut ticket.answer).await {
        Ok(Ok(positions)) => Ok(positions),
        _ => Err(Trouble::NotBack(topic.reader_trouble().map_or_else(String::new, |trouble| format!(": {trouble}")))),
    }
}

fn unknown(trouble: Option<Trouble>) -> Trouble {
    trouble.unwrap_or(Trouble::Silent(APPEND_LIMIT))
}

/// One try. All messages are handed over in order before the first confirmation is waited for.
async fn attempt(topic: &Topic, drafts: &[Draft]) -> Result<(), Trouble> {
    let channel = topic.publisher().await?;
    let exchange = &topic.names.topic;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let publish = |draft: &Draft| {
        let (channel, exchange, body) = (channel.clone(), exchange.clone(), draft.body.clone());
        let properties = draft.properties.clone();
        Box::pin(
            async move { channel.basic_publish(exchange, ShortString::default(), options, &body, properties).await },
        )
    };
    let mut sending = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let mut one = publish(draft);
        // The first poll puts it in line.
        let polled = poll!(one.as_mut());
        sending.push((one, polled));
    }
    let mut confirms: Vec<PublisherConfirm> = Vec::with_capacity(drafts.len());
    let mut trouble = None;
    for (one, polled) in sending {
        let sent = match polled {
            Poll::Ready(sent) => sent,
            Poll::Pending => one.await,
        };
        match sent {
            Ok(confirm) => confirms.push(confirm),
            Err(error) => trouble = trouble.or(Some(Trouble::from(error))),
        }
    }
    for confirm in confirms {
        trouble = trouble.or(confirmed(confirm).await.err());
    }
    trouble.map_or(Ok(()), Err)
}

async fn confirmed(confirm: PublisherConfirm) -> Result<(), Trouble> {
    match confirm.await? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
            Err(Trouble::NotTaken(format!("no queue is bound to the exchange ({})", returned.reply_text)))
        }
        Confirmation::Nack(None) => Err(Trouble::NotTaken("the queue refused it".to_owned())),
        Confirmation::NotRequested => Err(Trouble::NotTaken("the channel does not confirm".to_owned())),
    }
}

impl Topic {
    /// The channel to publish on; a new one if the last is gone.
    async fn publisher(&self) -> Result<Channel, Trouble> {
        let mut publisher = self.publisher.lock().await;
        if let Some(channel) = publisher.as_ref().filter(|channel| channel.status().connected()) {
            return Ok(channel.clone());
        }
        let connection = self.link.connection().await;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        *publisher = Some(channel.clone());
        Ok(channel)
    }

    /// The next append takes a new channel.
    async fn leave_publisher(&self) {
        // Whoever holds it is making a new one.
        if let Ok(mut publisher) = self.publisher.try_lock() {
            *publisher = None;
        }
    }
}
