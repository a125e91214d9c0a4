//! Topics: made as they are declared, and held to what is declared while they exist.
//!
//! A topic that Motet makes has one partition unless more are asked for: Motet keeps order per key and shares work among instances itself,
//! so more are needed only where one cannot carry what is published. With a single replica nobody else has what is acknowledged, so such a topic is written to the disk
//! before the acknowledgement, as Motet promises; with three and more, two have to have it.
//!
//! Of a topic that exists, retention and the largest record are changed where they differ from the declaration, and nothing else.

use super::{
    Settings,
    client::{self, CALL, Cluster, Ear, MESSAGE_MAX},
    message,
};
use motet_broker::{Keep, TopicSpec, port::TransportError};
use rdkafka::{
    admin::{
        AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewTopic, ResourceSpecifier,
        TopicReplication,
    },
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// What Kafka has as its default; a batch of small records may be that large too.
const RECORD_BYTES: usize = 1_048_588;
/// The smallest piece of a topic that Kafka gives back.
const SEGMENT_MIN: u64 = 1 << 20;
const SEGMENT_MAX: u64 = 1 << 30;
/// How often a new topic is looked for until all brokers know it.
const LOOK: Duration = Duration::from_millis(50);

/// Makes topics and changes their settings.
pub(super) struct Topics {
    settings: Settings,
    cluster: Arc<Cluster>,
    pub(super) admin: AdminClient<Ear>,
}

/// A topic as the cluster has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    partitions: usize,
    replicas: usize,
}

impl Topics {
    pub(super) fn new(settings: &Settings, cluster: &Arc<Cluster>) -> KafkaResult<Self> {
        let admin = client::admin(settings).create_with_context(Ear(Arc::clone(cluster)))?;
        Ok(Self { settings: settings.clone(), cluster: Arc::clone(cluster), admin })
    }

    /// Makes the topic if it is not there, and holds it to its declaration. How many partitions it has.
    pub(super) async fn ensure(
        &self,
        consumer: &Arc<super::follow::Follower>,
        name: &str,
        spec: &TopicSpec,
    ) -> Result<u32, TransportError> {
        let until = Instant::now() + CALL;
        let mut is_new = false;
        if self.find(consumer, name).await?.is_none() {
            is_new = self.create(name, spec).await?;
        }
        let found = loop {
            match self.find(consumer, name).await? {
                Some(found) => break found,
                None if Instant::now() >= until => {
                    return Err(self.cluster.unavailable(format!("topic `{name}` was created and is not there")));
                }
                None => sleep(LOOK).await,
            }
        };
        let new_with = (is_new && self.settings.replicas.is_none()).then_some(found.replicas);
        self.hold(name, spec, new_with).await?;
        Ok(u32::try_from(found.partitions).unwrap_or(u32::MAX))
    }

    async fn find(&self, follower: &Arc<super::follow::Follower>, name: &str) -> Result<Option<Found>, TransportError> {
        let (follower, asked) = (Arc::clone(follower), name.to_owned());
        let found = tokio::task::spawn_blocking(move || find(&follower.consumer, &asked)).await;
        let found = found.map_err(|error| self.cluster.unavailable(error.to_string()))?;
        found.map_err(|error| self.cluster.failed(&format!("looking for topic `{name}`"), &error))
    }

    /// Whether it was made now; somebody else may have been faster.
    async fn create(&self, name: &str, spec: &TopicSpec) -> Result<bool, TransportError> {
        let wanted = wanted(spec, self.settings.replicas.map(usize::from));
        let replicas = self.settings.replicas.map_or(-1, i32::from);
        let mut topic =
            NewTopic::new(name, i32::from(self.settings.partitions.max(1)), TopicReplication::Fixed(replicas));
        for (key, value) in &wanted {
            topic = topic.set(key, value);
        }
        let what = || format!("creating topic `{name}`");
        let made = self.answer(&what(), self.admin.create_topics([&topic], &options())).await?;
        match made.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor))) => Err(self.cluster.unavailable(format!(
                "topic `{name}` cannot have {replicas} replicas: the cluster has fewer brokers; set `replicas` under `engines.events.kafka`"
            ))),
            Some(Err((_, code))) => Err(self.cluster.failed(&what(), &KafkaError::AdminOp(code))),
            None => Err(self.cluster.unavailable(format!("{} was not answered", what()))),
        }
    }

    /// Changes what differs from the declaration.
    async fn hold(&self, name: &str, spec: &TopicSpec, new_with: Option<usize>) -> Result<(), TransportError> {
        let what = format!("reading the settings of topic `{name}`");
        let resource = ResourceSpecifier::Topic(name);
        let found = self.answer(&what, self.admin.describe_configs([&resource], &options())).await?;
        let found = match found.into_iter().next() {
            Some(Ok(found)) => found.entries,
            Some(Err(code)) => return Err(self.cluster.failed(&what, &KafkaError::AdminOp(code))),
            None => return Err(self.cluster.unavailable(format!("{what} was not answered"))),
        };
        let changes = changes(spec, &found, new_with);
        if value(&found, "cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
            tracing::warn!(topic = name, "Kafka compacts this topic: events whose key comes again are removed unread");
        }
        if changes.is_empty() {
            return Ok(());
        }
        // Kafka's older call for this replaces all settings of the topic, so those that it has go with it.
        let own = found.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        let own = own.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)));
        let mut altered = AlterConfig::new(ResourceSpecifier::Topic(name));
        for (key, value) in own.filter(|(key, _)| !changes.iter().any(|(changed, _)| changed == key)) {
            altered = altered.set(key, value);
        }
        for (key, value) in &changes {
            altered = altered.set(key, value);
        }
        let list = changes.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ");
        let what = format!("setting {list} of topic `{name}` as declared (an administrator can set it instead)");
        let result = self.answer(&what, self.admin.alter_configs([&altered], &options())).await?;
        match result.into_iter().next() {
            Some(Ok(_)) => {
                tracing::info!(topic = name, settings = list, "a topic's settings follow its declaration");
                Ok(())
            }
            Some(Err((_, code))) => Err(self.cluster.failed(&what, &KafkaError::AdminOp(code))),
            None => Err(self.cluster.unavailable(format!("{what} was not answered"))),
        }
    }

    /// The answer of the administration's call, within the deadline.
    pub(super) async fn answer<T>(
        &self,
        what: &str,
        call: impl Future<Output = KafkaResult<T>>,
    ) -> Result<T, TransportError> {
        match tokio::time::timeout(CALL, call).await {
            Ok(result) => result.map_err(|error| self.cluster.failed(what, &error)),
            Err(_) => Err(self.cluster.unavailable(format!("{what} was not answered within {CALL:?}"))),
        }
    }
}

/// What every call of the administration is given.
pub(super) fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(CALL)).operation_timeout(Some(CALL))
}

fn find(consumer: &BaseConsumer<Ear>, name: &str) -> KafkaResult<Option<Found>> {
    let metadata = consumer.fetch_metadata(Some(name), CALL)?;
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else { return Ok(None) };
    let error = topic.error().map(RDKafkaErrorCode::from);
    match error {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::LeaderNotAvailable) => return Ok(None),
        Some(code) => return Err(KafkaError::MetadataFetch(code)),
    }
    let has_leaders = topic.partitions().iter().all(|partition| partition.leader() >= 0);
    let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
    Ok(has_leaders.then_some(Found { partitions: topic.partitions().len(), replicas: replicas.unwrap_or(0) }))
}

fn largest_record(spec: &TopicSpec) -> usize {
    (spec.event_max_bytes + message::OVERHEAD).clamp(RECORD_BYTES, MESSAGE_MAX)
}

fn retention(keep: &Keep) -> [(&'static str, String); 2] {
    let time = keep.time.map(|time| time.as_millis().to_string());
    let bytes = keep.bytes.map(|bytes| bytes.to_string());
    let forever = || "-1".to_owned();
    [("retention.ms", time.unwrap_or_else(forever)), ("retention.bytes", bytes.unwrap_or_else(forever))]
}

/// What makes an acknowledgement mean that an event is safe, with so many replicas.
fn safety(replicas: usize) -> Option<(&'static str, String)> {
    match replicas {
        0 | 2 => None,
        1 => Some(("flush.messages", "1".to_owned())),
        _ => Some(("min.insync.replicas", "2".to_owned())),
    }
}

/// The settings of a topic that is made.
fn wanted(spec: &TopicSpec, replicas: Option<usize>) -> Vec<(&'static str, String)> {
    let mut wanted = vec![
        ("cleanup.policy", "delete".to_owned()),
        ("message.timestamp.type", "CreateTime".to_owned()),
        ("max.message.bytes", largest_record(spec).to_string()),
    ];
    wanted.extend(retention(&spec.keep));
    if let Some(bytes) = spec.keep.bytes {
        // Kafka gives back whole segments: with large ones, a small topic would never get smaller.
        wanted.push(("segment.bytes", (bytes / 8).clamp(SEGMENT_MIN, SEGMENT_MAX).to_string()));
    }
    wanted.extend(replicas.and_then(safety));
    wanted
}

fn value<'a>(found: &'a [ConfigEntry], name: &str) -> Option<&'a str> {
    found.iter().find(|entry| entry.name == name)?.value.as_deref()
}

/// What is to be changed of a topic that is there. `new_with`: it was made just now, with so many replicas as the cluster chose.
fn changes(spec: &TopicSpec, found: &[ConfigEntry], new_with: Option<usize>) -> Vec<(&'static str, String)> {
    let mut changes: Vec<_> = new_with.and_then(safety).into_iter().collect();
    let needed = largest_record(spec);
    let allowed = value(found, "max.message.bytes").and_then(|value| value.parse::<usize>().ok());
    if allowed.is_some_and(|allowed| allowed < needed) {
        changes.push(("max.message.bytes", needed.to_string()));
    }
    // A compacted topic is kept by key and not by time: what is declared has no meaning there.
    let is_kept_by_time = value(found, "cleanup.policy").is_none_or(|policy| policy.contains("delete"));
    let differs = |(key, wanted): &(&str, String)| value(found, key) != Some(wanted);
    if is_kept_by_time {
        changes.extend(retention(&spec.keep).into_iter().filter(differs));
    }
    changes.retain(differs);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, value: &str) -> ConfigEntry {
        ConfigEntry {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source: ConfigSource::DynamicTopic,
            is_read_only: false,
            is_default: false,
            is_sensitive: false,
        }
    }

    fn spec() -> TopicSpec {
        TopicSpec {
            keep: Keep { time: Some(Duration::from_secs(60)), bytes: None },
            ..TopicSpec::new("t".parse().unwrap())
        }
    }

    #[test]
    fn a_topic_as_declared_is_left_alone_and_anything_else_is_changed() {
        let spec = spec();
        let mut found: Vec<_> = wanted(&spec, Some(1)).iter().map(|(key, value)| entry(key, value)).collect();
        assert_eq!(changes(&spec, &found, None), []);
        found.retain(|entry| entry.name != "retention.ms");
        found.push(entry("retention.ms", "604800000"));
        assert_eq!(changes(&spec, &found, None), [("retention.ms", "60000".to_owned())]);
        let larger = TopicSpec { event_max_bytes: 8 << 20, ..spec };
        let changes = changes(&larger, &found, None);
        assert_eq!(changes[0], ("max.message.bytes", ((8 << 20) + message::OVERHEAD).to_string()));
    }

    #[test]
    fn a_compacted_topic_keeps_its_own_retention() {
        let found = [entry("cleanup.policy", "compact"), entry("retention.ms", "1"), entry("retention.bytes", "1")];
        assert_eq!(changes(&spec(), &found, None), []);
    }

    #[test]
    fn an_acknowledged_event_is_on_a_disk_or_at_two_brokers() {
        let has = |replicas, key: &str| wanted(&spec(), replicas).iter().any(|(name, _)| *name == key);
        assert!(has(Some(1), "flush.messages") && !has(Some(1), "min.insync.replicas"));
        assert!(has(Some(3), "min.insync.replicas") && !has(Some(3), "flush.messages"));
        let found: Vec<_> = wanted(&spec(), None).iter().map(|(key, value)| entry(key, value)).collect();
        assert_eq!(changes(&spec(), &found, Some(1)), [("flush.messages", "1".to_owned())]);
    }
}
