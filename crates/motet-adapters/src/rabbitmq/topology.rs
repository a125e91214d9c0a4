//! What Motet makes on the server: for each topic a fanout exchange and a queue of its own behind it, and one queue for what is refused.
//!
//! Anybody may publish to the exchange, and bind queues of their own to it. Motet's queue is replicated (quorum), so that what is confirmed is on
//! the disks of a majority; it has one active consumer, so that after a lost connection nothing new is handed on before what was under way is back
//! in its place; and it hands what is rejected to another queue at least once. Its arguments are the same for every version of RabbitMQ, because
//! a queue cannot be declared with other arguments than it was made with.

use super::error::Trouble;
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use motet_broker::TopicName;
use parking_lot::Mutex;
use std::sync::Arc;

/// RabbitMQ's longest name, in bytes (AMQP 0-9-1: a short string).
const NAME_BYTES_MAX: usize = 255;
/// RabbitMQ 4 gives up a message after 20 deliveries unless told otherwise, and has a word for "never" that RabbitMQ 3 does not know.
const DELIVERIES_MAX: i64 = 1_000_000_000;

/// How many nodes keep a copy of a queue when it is made. A queue that is there keeps what it was made with.
const COPIES: &str = "x-quorum-initial-group-size";

/// What a topic is called on the server.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// Exchange and queue: they live in different spaces.
    pub(super) topic: ShortString,
    /// Exchange and queue of what is refused, for all topics. No topic can be called that: it has a colon.
    rejected: ShortString,
    /// How many nodes keep a copy of each of the two queues; nothing for what the server has as its default.
    copies: Arc<Copies>,
}

#[derive(Debug)]
struct Copies {
    topic: Mutex<Option<u16>>,
    rejected: Mutex<Option<u16>>,
}

impl Names {
    pub(super) fn new(prefix: &str, topic: &TopicName, replicas: Option<u16>) -> Result<Self, Trouble> {
        let short = |name: String| {
            let long =
                || Trouble::Address("the names of system and topic together are longer than RabbitMQ's 254 characters");
            if name.len() > NAME_BYTES_MAX { Err(long()) } else { ShortString::try_new(name).map_err(|_| long()) }
        };
        Ok(Self {
            topic: short(format!("{prefix}.{topic}"))?,
            rejected: short(format!("{prefix}:rejected"))?,
            copies: Arc::new(Copies { topic: Mutex::new(replicas), rejected: Mutex::new(replicas) }),
        })
    }
}

/// Makes what is not there. The number of consumers that the queue has already.
///
/// [`Trouble::Copies`]: a queue was made with another number of copies, which is known now: the next try, on another channel, leaves it so.
pub(super) async fn declare(channel: &Channel, names: &Names) -> Result<u32, Trouble> {
    exchange(channel, &names.rejected).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    queue(channel, &names.rejected, arguments.clone(), &names.copies.rejected).await?;
    exchange(channel, &names.topic).await?;
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert("x-dead-letter-exchange".into(), text(names.rejected.as_str()));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERIES_MAX));
    queue(channel, &names.topic, arguments, &names.copies.topic).await
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

async fn exchange(channel: &Channel, name: &ShortString) -> Result<(), Trouble> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = channel.exchange_declare(name.clone(), ExchangeKind::Fanout, options, FieldTable::default()).await;
    declared.map_err(|error| Trouble::declaring(&format!("exchange {name}"), &error))
}

async fn queue(
    channel: &Channel,
    name: &ShortString,
    mut arguments: FieldTable,
    copies: &Mutex<Option<u16>>,
) -> Result<u32, Trouble> {
    if let Some(copies) = *copies.lock() {
        arguments.insert(COPIES.into(), AMQPValue::LongLongInt(copies.into()));
    }
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let declared = channel.queue_declare(name.clone(), options, arguments).await;
    let declared = declared.map_err(|error| Trouble::declaring(&format!("queue {name}"), &error));
    let queue = declared.map_err(|trouble| match &trouble {
        Trouble::Mismatch { said, .. } => match copies_of(said) {
            Some(found) if found != *copies.lock() => {
                tracing::info!(queue = %name, wanted = ?*copies.lock(), ?found, "the queue keeps the number of copies that it was made with");
                *copies.lock() = found;
                Trouble::Copies(name.to_string())
            }
            _ => trouble,
        },
        _ => trouble,
    })?;
    channel
        .queue_bind(
            name.clone(),
            name.clone(),
            ShortString::default(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    Ok(queue.consumer_count())
}

/// With how many copies a queue was made, out of what the server says to another number: `inequivalent arg 'x-quorum-initial-group-size' for queue
/// 'q' in vhost '/': received the value '3' of type 'signedint' but current is none`.
fn copies_of(said: &str) -> Option<Option<u16>> {
    let (_, said) = said.split_once(&format!("'{COPIES}'"))?;
    let (_, current) = said.rsplit_once("current is ")?;
    if current.starts_with("none") {
        return Some(None);
    }
    let number = current.split('\'').nth(1)?.parse().ok()?;
    Some(Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_copies_a_queue_has_is_found_in_what_the_server_says() {
        let said = |arg: &str, current: &str| {
            format!(
                "PRECONDITION_FAILED - inequivalent arg '{arg}' for queue 'q' in vhost '/': received the value '3' of type 'long' but current is {current}"
            )
        };
        assert_eq!(copies_of(&said(COPIES, "none")), Some(None));
        assert_eq!(copies_of(&said(COPIES, "the value '5' of type 'signedint'")), Some(Some(5)));
        assert_eq!(copies_of(&said(COPIES, "something else")), None);
        assert_eq!(copies_of(&said("x-queue-type", "none")), None);
    }
}
