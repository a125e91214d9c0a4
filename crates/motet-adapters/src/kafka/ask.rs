//! Questions to the cluster: where topics begin and end, and what stands at a time.
//!
//! They are asked of the follower's consumer, which sees what is committed and no more; each blocks, and has a deadline.

use super::{
    Kafka,
    client::{self, CALL},
    follow::{self, Follower},
    index::Span,
    log::Log,
};
use motet_broker::{
    Position, Time,
    port::{Ends, TransportError},
};
use motet_store::ReadError;
use rdkafka::{
    Offset,
    consumer::Consumer,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How soon a question is asked again whose answer was that leaders are about to change.
const LOOK: Duration = Duration::from_millis(50);

fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let codes = [Code::NotLeaderForPartition, Code::LeaderNotAvailable, Code::UnknownTopicOrPartition];
    client::code(error).is_some_and(|code| codes.contains(&code))
}

impl Kafka {
    /// A question to the cluster that blocks.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> String,
        question: impl FnOnce(&Follower) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, TransportError> {
        let follower = Arc::clone(&self.follower);
        match tokio::task::spawn_blocking(move || question(&follower)).await {
            Ok(result) => result.map_err(|error| self.cluster.failed(&what(), &error)),
            Err(error) => Err(self.cluster.unavailable(error.to_string())),
        }
    }

    /// What each partition holds, as far as it may be seen.
    pub(super) async fn spans(&self, name: &str, partitions: u32) -> Result<Vec<Span>, TransportError> {
        let asked = name.to_owned();
        let what = || format!("asking for the ends of topic `{name}`");
        let question = move |follower: &Follower| {
            let until = Instant::now() + CALL;
            let span = |partition| loop {
                let left = until.saturating_duration_since(Instant::now());
                match follower.consumer.fetch_watermarks(&asked, partition, left) {
                    Ok((first, next)) => {
                        let offset = |given| u64::try_from(given).unwrap_or_default();
                        return Ok(Span { first: offset(first), next: offset(next) });
                    }
                    // A broker that was just made the leader of a new topic may not have heard of it.
                    Err(error) if is_passing(&error) && Instant::now() + LOOK < until => thread::park_timeout(LOOK),
                    Err(error) => return Err(error),
                }
            };
            (0..i32::try_from(partitions).unwrap_or(i32::MAX)).map(span).collect()
        };
        self.ask(what, question).await
    }

    pub(super) async fn ends_of(&self, log: &Arc<Log>) -> Result<Ends, TransportError> {
        // Before asking: what is counted meanwhile stands behind it.
        let counted = *log.head().borrow();
        let spans = self.spans(&log.name, log.partitions()).await?;
        if log.keys().is_none() {
            let ends = |span: &Span| Ends { first: Position(span.first), next: Position(span.next) };
            return Ok(spans.first().map(ends).unwrap_or_default());
        }
        let firsts = (0..).zip(spans).filter(|(_, span)| span.first < span.next);
        let first = self.first_of(log, firsts.map(|(partition, span)| (partition, span.first)).collect()).await?;
        Ok(Ends { first: first.map_or(counted, |first| first.min(counted)), next: *log.head().borrow() })
    }

    /// The lowest position of what stands at these offsets, or behind them, in a topic that is counted.
    pub(super) async fn first_of(
        &self,
        log: &Arc<Log>,
        offsets: Vec<(u32, u64)>,
    ) -> Result<Option<Position>, TransportError> {
        let log = Arc::clone(log);
        let found = tokio::task::spawn_blocking(move || {
            let positions = offsets.into_iter().map(|(partition, offset)| log.position_from(partition, offset));
            positions.collect::<Result<Vec<_>, ReadError>>()
        });
        let found = found.await.map_err(|error| self.cluster.unavailable(error.to_string()))?;
        let found = found.map_err(|error| self.cluster.unavailable(error.to_string()))?;
        Ok(found.into_iter().flatten().min().map(Position))
    }

    /// The first offset of each partition whose record has this time or a later one; partitions without such a record are left out.
    pub(super) async fn offsets_at(&self, log: &Log, time: Time) -> Result<Vec<(u32, u64)>, TransportError> {
        let (name, partitions) = (log.name.clone(), log.partitions());
        let what = || format!("asking for a time in topic `{}`", log.name);
        let question = move |follower: &Follower| {
            let asked = follow::places(&name, (0..partitions).map(|partition| (partition, time.0)))?;
            let found = follower.consumer.offsets_for_times(asked, CALL)?;
            let mut offsets = Vec::new();
            for place in found.elements() {
                place.error()?;
                if let Offset::Offset(offset) = place.offset() {
                    let partition = u32::try_from(place.partition()).unwrap_or_default();
                    offsets.push((partition, u64::try_from(offset).unwrap_or_default()));
                }
            }
            Ok(offsets)
        };
        self.ask(what, question).await
    }

    pub(super) async fn find_time(&self, log: &Arc<Log>, time: Time) -> Result<Position, TransportError> {
        let offsets = self.offsets_at(log, time).await?;
        let first = match log.keys() {
            None => offsets.first().map(|(_, offset)| Position(*offset)),
            Some(_) => self.first_of(log, offsets).await?,
        };
        match first {
            Some(first) => Ok(first),
            None => Ok(self.ends_of(log).await?.next),
        }
    }
}
