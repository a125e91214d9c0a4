//! Topics, subscriptions and dead letters, as they travel. Events are in the JSON format of CloudEvents 1.0, byte for byte as they were published
//! where their data is JSON.

use super::Problem;
use motet_cloudevents::{Event, json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{fmt, str::FromStr};
use utoipa::ToSchema;

/// Events in a running system, now. Without topics all of it is empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Events {
    /// Where topics are kept: `embedded`, and what it says of itself.
    pub engine: Option<Engine>,
    /// What events take on disk.
    pub disk_bytes: u64,
    /// Why nothing can be published, if so.
    pub trouble: Option<String>,
    /// All topics, by name.
    pub topics: Vec<Topic>,
    /// All subscriptions, by name.
    pub subscriptions: Vec<Subscription>,
}

/// What keeps topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Engine {
    /// `embedded`.
    pub name: String,
    /// Which one.
    pub detail: String,
}

/// A topic, now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// What it is about, as the definition says.
    pub about: Option<String>,
    /// How many events are kept. Missing where the engine does not answer.
    pub kept: Option<u64>,
    /// The position of the oldest of them.
    pub first: Option<u64>,
    /// The position that the next event will have.
    pub next: Option<u64>,
    /// When the oldest of them was published.
    pub oldest_at: Option<String>,
    /// Events published since the system started, duplicates not counted.
    pub published: u64,
    /// Events that had been published before, and were not published again.
    pub duplicates: u64,
    /// More events came within `dedup` than can be remembered: duplicates of those at its beginning may pass.
    #[serde(default)]
    pub dedup_shortened: bool,
    /// Events published per second, over the last ten.
    pub per_second: f64,
}

/// How events reach a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Motet sends them to a path.
    Push,
    /// The service fetches them.
    Pull,
    /// Motet writes them into a table of the service's store.
    View,
}

/// A subscription, now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Subscription {
    /// Its name: that of the service, a dot, and that of the topic.
    pub name: String,
    /// Whose.
    pub service: String,
    /// To what.
    pub topic: String,
    /// How events reach it.
    pub mode: Mode,
    /// Nothing is sent until somebody resumes it.
    pub paused: bool,
    /// Events of the topic that are not settled, beyond those in flight and those that are tried again.
    pub waiting: u64,
    /// Of these, the ones that wait behind another one with the same key.
    pub parked: u64,
    /// Events with a subscriber now.
    pub in_flight: u64,
    /// Events that wait to be tried again.
    pub retrying: u64,
    /// How long the oldest event that is not settled has been waiting.
    pub lag_ms: Option<u64>,
    /// Dead letters that nobody has redriven or dropped.
    pub dead_letters: u64,
    /// Events acknowledged per second, over the last ten.
    pub per_second: f64,
    /// Everything of the topic below this position is settled.
    pub cursor: u64,
    /// Why nothing can be delivered at the moment: the store of a view is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Since the system started.
    pub totals: Totals,
}

/// What a subscription has done since the system started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Events handed to the subscriber, each attempt counted.
    pub delivered: u64,
    /// Events acknowledged.
    pub acknowledged: u64,
    /// Attempts that failed and are repeated.
    pub failed: u64,
    /// Events that became dead letters.
    pub buried: u64,
    /// Events that the filter did not take.
    pub filtered: u64,
    /// Events that were gone before they were read, because the topic did not keep them long enough.
    pub missed: u64,
}

/// What became of events that were published, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// One for each event.
    pub receipts: Vec<Receipt>,
}

/// What became of an event that was published. It is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The event's id.
    pub id: String,
    /// Where it stands in its topic. Missing for a duplicate, and for one that waits for its time.
    pub position: Option<u64>,
    /// An event with this source and id is there already: this one was not published again.
    #[serde(default)]
    pub duplicate: bool,
    /// When it will be published, where that was asked for.
    pub deliver_at: Option<String>,
}

/// What a stream of a topic carries.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Watched {
    /// An event.
    Event(Seen),
    /// The topic cannot be read now; the stream goes on or ends.
    Problem(Problem),
}

/// An event of a topic.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Seen {
    /// Where it stands.
    pub position: u64,
    /// What it is, in the JSON format of CloudEvents.
    #[schema(value_type = Object)]
    pub event: Box<RawValue>,
}

/// Dead letters, the oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct DeadLetters {
    /// As many as were asked for, or as fit.
    pub letters: Vec<DeadLetter>,
    /// Where the next page begins, if there may be more.
    pub next: Option<u64>,
}

/// An event that was given up.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// Its number within the subscription.
    pub number: u64,
    /// Why: `permanent` (its answer said that trying again cannot help), `attempts` (it was tried as often as is wanted), `age` (it became too old).
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The status of the last answer, where there was one.
    pub status: Option<u16>,
    /// What the last answer said, or what happened.
    pub detail: String,
    /// When it was published.
    pub published_at: String,
    /// When it was given up.
    pub buried_at: String,
    /// Where it stood in its topic; missing if an older version of Motet had redriven it before.
    pub position: Option<u64>,
    /// The event, in the JSON format of CloudEvents.
    #[schema(value_type = Object)]
    pub event: Box<RawValue>,
}

/// Which dead letters are meant.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Letters {
    /// Those with these numbers.
    #[serde(default)]
    pub numbers: Vec<u64>,
    /// All that are there when this is asked.
    #[serde(default)]
    pub all: bool,
    /// Those that this takes: an expression of CloudEvents SQL over the attributes of the event and three more, `motetreason`, `motetattempt`
    /// (how often it was tried) and `motetstatus` (of the last answer, where there was one).
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// For redriving one: the event that is delivered in its place, in the JSON format of CloudEvents.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub event: Option<Box<RawValue>>,
}

/// How many dead letters were redriven or dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settled {
    /// How many. Fewer than numbers were given: the others are not there (any more).
    pub count: u64,
}

/// Where a subscription is to begin again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// `earliest`, `latest`, a position, or a time as in RFC 3339.
    pub from: String,
}

/// Where a subscription begins again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replayed {
    /// The position.
    pub position: u64,
}

/// A place in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest event that is kept.
    Earliest,
    /// What is published from now on.
    Latest,
    /// This position.
    Position(u64),
    /// The first event that was published at this time or later, in milliseconds since 1970.
    Time(u64),
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`from` is `{0}`: it can be `earliest`, `latest`, a position, or a time like 2026-01-31T09:00:00Z")]
pub struct InvalidStart(String);

impl FromStr for Start {
    type Err = InvalidStart;

    fn from_str(text: &str) -> Result<Self, InvalidStart> {
        let invalid = || InvalidStart(text.to_owned());
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map(Self::Position).map_err(|_| invalid())
            }
            time => {
                let time: jiff::Timestamp = time.parse().map_err(|_| invalid())?;
                Ok(Self::Time(u64::try_from(time.as_millisecond()).unwrap_or_default()))
            }
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Position(position) => write!(f, "{position}"),
            Self::Time(ms) => f.write_str(&time(*ms)),
        }
    }
}

/// A time in milliseconds since 1970, as it travels.
pub fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// An event in the JSON format, as it travels.
pub fn raw(event: &Event) -> Box<RawValue> {
    let mut text = Vec::with_capacity(json::length_hint(event));
    json::write(event, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    RawValue::from_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_topic_is_a_word_a_position_or_a_time() {
        for (text, start) in [
            ("earliest", Start::Earliest),
            ("latest", Start::Latest),
            ("17", Start::Position(17)),
            ("1970-01-01T00:00:01Z", Start::Time(1000)),
        ] {
            assert_eq!(text.parse(), Ok(start));
            assert_eq!(start.to_string(), text);
        }
        for text in ["", "first", "-1", "99999999999999999999", "yesterday"] {
            assert!(text.parse::<Start>().is_err(), "{text}");
        }
    }
}
