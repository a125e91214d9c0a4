//! A place in a stream from which messages are fetched, several at a time and without waiting for those that are not there yet.
//!
//! It is a pull consumer without acknowledgements in the server's memory. The server counts what it has sent, so a message that got lost on
//! the way shows as a hole in that count; deleted messages show as a hole in the stream's sequence and not in the count. A cursor that saw
//! anything odd is thrown away, and reading goes on with a new one from the last message that was in order: so nothing is lost or turned
//! round, whatever connection and server do.

use super::{
    api::{Api, Begin},
    link::{Link, Trouble},
};
use async_nats::{HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// The server forgets a cursor that was not used for so long.
pub(super) const IDLE: Duration = Duration::from_secs(120);
/// A server that has more to send and says nothing for this long has forgotten the request.
const SILENCE: Duration = Duration::from_secs(4);

/// A message and where it stands.
pub(super) struct Fetched {
    pub(super) sequence: u64,
    /// When it was stored, in milliseconds since 1970, by the server's clock.
    pub(super) millis: u64,
    pub(super) subject: String,
    pub(super) headers: Option<HeaderMap>,
    pub(super) payload: Bytes,
    /// Bytes of headers and data, about.
    pub(super) bytes: usize,
}

/// Why a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As many as were asked for.
    Filled,
    /// There is no more now.
    Drained,
    /// The next one has more bytes than were asked for.
    TooLarge,
}

/// How much to fetch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion {
    pub(super) items: usize,
    /// Bytes; nothing for any number.
    pub(super) bytes: Option<usize>,
}

/// See the module.
pub(super) struct Cursor {
    link: Link,
    stream: String,
    consumer: String,
    inbox: String,
    answers: Subscriber,
    /// How many requests were made.
    asked: u64,
    /// How many messages have come.
    delivered: u64,
    /// The sequence behind the last one.
    pub(super) next: u64,
    pub(super) used_at: Instant,
}

impl Cursor {
    /// A cursor that begins with `from` or the first message behind it.
    pub(super) async fn open(api: &Api, stream: &str, from: u64, until: Instant) -> Result<Self, Trouble> {
        Self::make(api, stream, from, false, until).await
    }

    /// The same, without the data of messages.
    pub(super) async fn open_headers(api: &Api, stream: &str, from: u64, until: Instant) -> Result<Self, Trouble> {
        Self::make(api, stream, from, true, until).await
    }

    async fn make(api: &Api, stream: &str, from: u64, headers_only: bool, until: Instant) -> Result<Self, Trouble> {
        let consumer = api.make_consumer(stream, Begin::At(from), headers_only, IDLE, until).await?.name;
        let link = api.link.clone();
        let inbox = link.client.new_inbox();
        let answers = link.client.subscribe(format!("{inbox}.*")).await;
        let answers = answers.map_err(|error| Trouble::away(error.to_string()))?;
        let stream = stream.to_owned();
        Ok(Self { link, stream, consumer, inbox, answers, asked: 0, delivered: 0, next: from, used_at: Instant::now() })
    }

    /// Appends what is there to `found`, up to the portion. After an error the cursor must not be used again; what is in `found` is in order.
    pub(super) async fn fetch(
        &mut self,
        portion: Portion,
        found: &mut Vec<Fetched>,
        until: Instant,
    ) -> Result<End, Trouble> {
        let mut body = serde_json::json!({ "batch": portion.items, "no_wait": true });
        if let Some(bytes) = portion.bytes {
            body["max_bytes"] = bytes.max(1).into();
        }
        let mut weather = self.ask(&body, until).await?;
        let mut left = portion.items;
        while left > 0 {
            match self.answer(&mut weather, until.min(Instant::now() + SILENCE)).await? {
                Answer::Message(message) => {
                    found.push(message);
                    left -= 1;
                }
                Answer::Ended(end) => return Ok(end),
                Answer::Alive => {}
            }
        }
        Ok(End::Filled)
    }

    /// Waits for messages, `most` at most, for `wait` at most; how many came. Tells `see` the sequence behind each.
    pub(super) async fn watch(
        &mut self,
        most: usize,
        wait: Duration,
        mut see: impl FnMut(u64),
    ) -> Result<usize, Trouble> {
        const HEARTBEAT: Duration = Duration::from_secs(2);
        let until = Instant::now() + wait + HEARTBEAT * 2;
        let body = serde_json::json!({
            "batch": most,
            "expires": super::api::nanos(wait),
            "idle_heartbeat": super::api::nanos(HEARTBEAT),
        });
        let mut weather = self.ask(&body, until).await?;
        for came in 0..most {
            loop {
                match self.answer(&mut weather, until.min(Instant::now() + HEARTBEAT * 3)).await? {
                    Answer::Message(message) => {
                        see(message.sequence + 1);
                        break;
                    }
                    Answer::Ended(_) => return Ok(came),
                    Answer::Alive => {}
                }
            }
        }
        Ok(most)
    }

    async fn ask(
        &mut self,
        body: &serde_json::Value,
        until: Instant,
    ) -> Result<watch::Receiver<super::link::Weather>, Trouble> {
        self.link.up(until).await?;
        let mut weather = self.link.weather();
        weather.mark_unchanged();
        self.asked += 1;
        self.used_at = Instant::now();
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.consumer);
        let reply = format!("{}.{}", self.inbox, self.asked);
        let asking = self.link.client.publish_with_reply(subject, reply, body.to_string().into());
        asking.await.map_err(|error| Trouble::away(error.to_string()))?;
        Ok(weather)
    }

    async fn answer(
        &mut self,
        weather: &mut watch::Receiver<super::link::Weather>,
        until: Instant,
    ) -> Result<Answer, Trouble> {
        loop {
            let message = tokio::select! {
                biased;
                message = timeout_at(until, self.answers.next()) => message,
                _ = weather.changed() => return Err(Trouble::away("the connection broke while events were read")),
            };
            let Ok(Some(message)) = message else {
                return Err(Trouble::away("the server did not send events in time"));
            };
            match message.status.map(|status| status.as_u16()) {
                None | Some(200) => return self.take(message).map(Answer::Message),
                // What ends another request says nothing about this one.
                Some(_) if !self.is_of_this_request(&message.subject) => {}
                Some(100) => return Ok(Answer::Alive),
                Some(404 | 408) => return Ok(Answer::Ended(End::Drained)),
                Some(409) if says(&message, "MaxBytes") => return Ok(Answer::Ended(End::TooLarge)),
                Some(503) => return Err(Trouble::NobodyThere),
                Some(status) => {
                    let said = message.description.as_deref().unwrap_or("nothing");
                    return Err(Trouble::away(format!("the server ended a read with {status}: {said}")));
                }
            }
        }
    }

    fn is_of_this_request(&self, subject: &str) -> bool {
        subject.rsplit('.').next().and_then(|number| number.parse().ok()) == Some(self.asked)
    }

    fn take(&mut self, message: Message) -> Result<Fetched, Trouble> {
        let place = message.reply.as_deref().and_then(Place::read);
        let place = place.ok_or_else(|| Trouble::away("the server sent a message without its place in the stream"))?;
        if place.delivered != self.delivered + 1 || place.sequence < self.next {
            return Err(Trouble::away("messages got lost on the way"));
        }
        self.delivered = place.delivered;
        self.next = place.sequence + 1;
        Ok(Fetched {
            sequence: place.sequence,
            millis: place.millis,
            bytes: message.length,
            subject: message.subject.to_string(),
            headers: message.headers,
            payload: message.payload,
        })
    }

    /// Lets the server forget it at once.
    pub(super) async fn close(self, api: &Api) {
        api.forget_consumer(&self.stream, &self.consumer).await;
    }
}

enum Answer {
    Message(Fetched),
    Ended(End),
    /// A sign of life.
    Alive,
}

fn says(message: &Message, word: &str) -> bool {
    message.description.as_deref().is_some_and(|said| said.contains(word))
}

/// Where a message stands, as its acknowledgement address says:
/// `$JS.ACK.<stream>.<consumer>.<attempts>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>`, newer ones with a domain and an
/// account before the stream (NATS architecture decision 15).
#[derive(Debug, PartialEq, Eq)]
struct Place {
    sequence: u64,
    delivered: u64,
    millis: u64,
}

impl Place {
    fn read(reply: &str) -> Option<Self> {
        let parts: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let at = match parts.len() {
            7 => 3,
            9.. => 5,
            _ => return None,
        };
        let number = |at: usize| parts.get(at)?.parse::<u64>().ok();
        Some(Self { sequence: number(at)?, delivered: number(at + 1)?, millis: number(at + 2)? / 1_000_000 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_message_is_read_from_old_and_new_servers() {
        let place = Some(Place { sequence: 22, delivered: 3, millis: 1_700_000_000_123 });
        assert_eq!(Place::read("$JS.ACK.stream.consumer.1.22.3.1700000000123456789.5"), place);
        assert_eq!(Place::read("$JS.ACK.hub.AHASH.stream.consumer.1.22.3.1700000000123456789.5"), place);
        assert_eq!(Place::read("$JS.ACK._.AHASH.stream.consumer.1.22.3.1700000000123456789.5.rnd"), place);
        for bad in ["", "$JS.ACK.", "$JS.ACK.s.c.1.x.3.4.5", "_INBOX.a.b.c.d.e.f.g.h"] {
            assert_eq!(Place::read(bad), None, "{bad}");
        }
    }
}
