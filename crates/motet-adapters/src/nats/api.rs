//! JetStream's requests, as JSON over plain requests.
//!
//! Spoken by hand, because there are eight of them and because versions differ: an old server does not know the fields of new ones, and a new
//! server refuses fields that it does not know. What a stream's configuration has besides what is ours is handed back as it came.
//! Source: the NATS documentation, "JetStream wire API reference".

use super::link::{Link, Trouble};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use motet_kernel::clock::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// There is no such stream.
pub(super) const NO_STREAM: u64 = 10059;
/// There is a stream of that name with another configuration.
pub(super) const STREAM_EXISTS: u64 = 10058;
/// There is less room than the stream may take: the server sets aside as much as that from the start.
pub(super) const NO_ROOM: u64 = 10047;
/// There is no message there.
pub(super) const NO_MESSAGE: u64 = 10037;
/// The message is not published, because the one before it is not the last one.
pub(super) const NOT_BEHIND: u64 = 10070;

/// The configuration of a stream, with all that the server says.
pub(super) type Config = Map<String, Value>;

/// A stream as it is now.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Stream {
    pub(super) config: Config,
    /// When it was made: by this it is told from another one of the same name.
    pub(super) created: String,
    pub(super) state: State,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct State {
    #[serde(default)]
    pub(super) messages: u64,
    #[serde(default)]
    pub(super) first_seq: u64,
    #[serde(default)]
    pub(super) last_seq: u64,
    #[serde(default)]
    first_ts: String,
    #[serde(default)]
    last_ts: String,
}

impl State {
    pub(super) fn first(&self) -> u64 {
        self.first_seq.max(1)
    }

    pub(super) fn next(&self) -> u64 {
        (self.last_seq + 1).max(self.first())
    }

    /// When the oldest message was stored, in milliseconds since 1970, by the server's clock.
    pub(super) fn first_millis(&self) -> u64 {
        millis(&self.first_ts)
    }

    /// When the newest message was stored.
    pub(super) fn last_millis(&self) -> u64 {
        millis(&self.last_ts)
    }
}

fn millis(time: &str) -> u64 {
    time.parse::<Timestamp>().map_or(0, |time| u64::try_from(time.as_millisecond()).unwrap_or_default())
}

/// A message as the stream keeps it, its headers not yet read.
pub(super) struct Kept {
    pub(super) sequence: u64,
    pub(super) subject: String,
    pub(super) headers: Vec<u8>,
    pub(super) data: Bytes,
    pub(super) millis: u64,
}

/// Where a consumer begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Begin {
    /// With this sequence or the first behind it.
    At(u64),
    /// With the first message that was stored at this time or later; milliseconds since 1970.
    Time(u64),
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// A consumer that the server made.
#[derive(Deserialize)]
pub(super) struct Consumer {
    pub(super) name: String,
    delivered: Delivered,
}

#[derive(Deserialize)]
struct Delivered {
    stream_seq: u64,
}

impl Consumer {
    /// The sequence behind which it begins.
    pub(super) fn begins(&self) -> u64 {
        self.delivered.stream_seq + 1
    }
}

/// What a stream's server said to a published message.
pub(super) fn acknowledged(payload: &[u8]) -> Result<u64, Trouble> {
    #[derive(Deserialize)]
    struct Stored {
        seq: u64,
    }
    read::<Stored>(payload).map(|stored| stored.seq)
}

fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Trouble> {
    #[derive(Deserialize)]
    struct Head {
        error: Option<Refusal>,
    }
    let nonsense = |error: serde_json::Error| Trouble::away(format!("the server's answer makes no sense: {error}"));
    if let Some(Refusal { err_code, description }) = serde_json::from_slice::<Head>(payload).map_err(nonsense)?.error {
        return Err(Trouble::Refused(err_code, description.into()));
    }
    serde_json::from_slice(payload).map_err(nonsense)
}

/// The requests, over one link.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) link: Link,
}

impl Api {
    async fn ask<T: DeserializeOwned>(&self, what: &str, body: &Value, until: Instant) -> Result<T, Trouble> {
        let payload = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let answer = self.link.request(format!("$JS.API.{what}"), payload, until).await?;
        read(&answer.payload)
    }

    /// Whether JetStream is there for this user.
    pub(super) async fn account(&self, until: Instant) -> Result<(), Trouble> {
        self.ask::<Value>("INFO", &Value::Null, until).await.map(drop)
    }

    pub(super) async fn stream(&self, name: &str, until: Instant) -> Result<Stream, Trouble> {
        self.ask(&format!("STREAM.INFO.{name}"), &Value::Null, until).await
    }

    pub(super) async fn make_stream(&self, name: &str, config: Config, until: Instant) -> Result<Stream, Trouble> {
        self.ask(&format!("STREAM.CREATE.{name}"), &Value::Object(config), until).await
    }

    pub(super) async fn change_stream(&self, name: &str, config: Config, until: Instant) -> Result<Stream, Trouble> {
        self.ask(&format!("STREAM.UPDATE.{name}"), &Value::Object(config), until).await
    }

    /// Deletes all that is before `first`.
    pub(super) async fn purge(&self, name: &str, first: u64, until: Instant) -> Result<(), Trouble> {
        self.ask::<Value>(&format!("STREAM.PURGE.{name}"), &json!({ "seq": first }), until).await.map(drop)
    }

    /// The first message at `sequence` or behind it. Slow, but nothing in it can break the connection.
    pub(super) async fn message(
        &self,
        name: &str,
        sequence: u64,
        subject: &str,
        until: Instant,
    ) -> Result<Kept, Trouble> {
        #[derive(Deserialize)]
        struct Answer {
            message: Message,
        }
        #[derive(Deserialize)]
        struct Message {
            seq: u64,
            subject: String,
            #[serde(default)]
            hdrs: String,
            #[serde(default)]
            data: String,
            #[serde(default)]
            time: String,
        }
        let body = json!({ "seq": sequence, "next_by_subj": subject });
        let Answer { message } = self.ask(&format!("STREAM.MSG.GET.{name}"), &body, until).await?;
        let decode = |text: &str| {
            BASE64_STANDARD
                .decode(text)
                .map_err(|_| Trouble::away("the server's answer makes no sense: it is no base64"))
        };
        Ok(Kept {
            sequence: message.seq,
            subject: message.subject,
            headers: decode(&message.hdrs)?,
            data: decode(&message.data)?.into(),
            millis: millis(&message.time),
        })
    }

    /// A consumer for one reader: in the server's memory, without acknowledgements, forgotten when nobody asks it for `idle`.
    pub(super) async fn make_consumer(
        &self,
        stream: &str,
        begin: Begin,
        headers_only: bool,
        idle: Duration,
        until: Instant,
    ) -> Result<Consumer, Trouble> {
        let mut config = json!({
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": true,
            "num_replicas": 1,
            "inactive_threshold": nanos(idle),
        });
        match begin {
            Begin::At(sequence) => {
                config["deliver_policy"] = "by_start_sequence".into();
                config["opt_start_seq"] = sequence.max(1).into();
            }
            Begin::Time(millis) => {
                let time =
                    Timestamp::from_millisecond(i64::try_from(millis).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
                config["deliver_policy"] = "by_start_time".into();
                config["opt_start_time"] = time.to_string().into();
            }
        }
        if headers_only {
            config["headers_only"] = true.into();
        }
        let body = json!({ "stream_name": stream, "config": config });
        self.ask(&format!("CONSUMER.CREATE.{stream}"), &body, until).await
    }

    /// Lets the server forget a consumer; that it does so by itself later makes the answer worthless.
    pub(super) async fn forget_consumer(&self, stream: &str, consumer: &str) {
        let subject = format!("$JS.API.CONSUMER.DELETE.{stream}.{consumer}");
        let _ = self.link.client.publish(subject, Bytes::new()).await;
    }
}

/// As JetStream writes durations.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_was_asked_for_or_a_refusal_or_nonsense() {
        assert_eq!(acknowledged(br#"{"stream":"s","seq":7,"domain":"d"}"#), Ok(7));
        assert_eq!(acknowledged(br#"{"stream":"s","seq":7,"duplicate":true}"#), Ok(7));
        let refused =
            acknowledged(br#"{"error":{"code":400,"err_code":10070,"description":"wrong last msg ID: x"},"seq":0}"#);
        assert!(refused.is_err_and(|trouble| trouble.is(NOT_BEHIND)));
        assert!(matches!(acknowledged(b"<html>"), Err(Trouble::Away(_))));
    }

    #[test]
    fn a_stream_that_is_empty_begins_where_it_goes_on() {
        let state = |text: &str| serde_json::from_str::<State>(text).unwrap();
        let fresh = state(r#"{"messages":0,"first_seq":0,"last_seq":0,"first_ts":"0001-01-01T00:00:00Z"}"#);
        assert_eq!((fresh.first(), fresh.next(), fresh.first_millis()), (1, 1, 0));
        let purged = state(r#"{"messages":0,"first_seq":8,"last_seq":7}"#);
        assert_eq!((purged.first(), purged.next()), (8, 8));
    }
}
