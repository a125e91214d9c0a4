//! Giving back what a topic need not keep any more.
//!
//! Kafka does that itself, in whole files and minutes late; Motet does it exactly, by the times that records have and by what it has seen of
//! their sizes.

use super::{Kafka, client, follow, log::Log, sizes, topics};
use motet_broker::{Keep, Time, port::TransportError};
use rdkafka::error::RDKafkaErrorCode;
use std::{collections::HashMap, sync::Arc};

impl Kafka {
    /// Of each partition, the offset below which it has more than is to be kept. Writes down how large the topic is.
    pub(super) async fn too_large(&self, log: &Log, keep: &Keep) -> Result<Vec<u64>, TransportError> {
        let (unwritten, sum, reader) = {
            let mut sizes = log.sizes();
            (sizes.unwritten(), sizes.sum(), sizes.reader())
        };
        // Notes are read back at once, so they have to be there.
        if !unwritten.is_empty() {
            self.store.commit(unwritten).await?;
        }
        let Some(bytes) = keep.bytes else { return Ok(Vec::new()) };
        let found = tokio::task::spawn_blocking(move || sizes::first_within(&reader, sum, bytes)).await;
        let found = found.map_err(|error| self.cluster.unavailable(error.to_string()))?;
        match found.map_err(|error| self.cluster.unavailable(error.to_string()))? {
            Some((mark, forgotten)) => {
                self.store.write(forgotten).await?;
                Ok(mark.offsets)
            }
            None => Ok(Vec::new()),
        }
    }

    /// Removes what need not be kept, of each partition.
    pub(super) async fn give_back(&self, log: &Arc<Log>, keep: &Keep, now: Time) -> Result<(), TransportError> {
        let spans = self.spans(&log.name, log.partitions()).await?;
        let mut below: Vec<_> = spans.iter().map(|span| span.first).collect();
        if let Some(time) = keep.time {
            let young: HashMap<_, _> = self.offsets_at(log, now.before(time)).await?.into_iter().collect();
            for ((below, span), partition) in below.iter_mut().zip(&spans).zip(0..) {
                *below = young.get(&partition).copied().unwrap_or(span.next).max(*below);
            }
        }
        let large = self.too_large(log, keep).await?;
        below.iter_mut().zip(large).for_each(|(below, large)| *below = large.max(*below));
        let old = (0..).zip(below).zip(&spans).filter(|((_, below), span)| *below > span.first);
        let old: Vec<_> = old.map(|((partition, below), span)| (partition, below.min(span.next))).collect();
        if !old.is_empty() {
            let what = format!("removing what need not be kept from topic `{}`", log.name);
            let list = follow::places(&log.name, old).map_err(|error| self.cluster.failed(&what, &error))?;
            let call = self.topics.admin.delete_records(&list, &topics::options());
            let removed = self.topics.answer(&what, call).await?;
            for place in removed.elements() {
                match place.error() {
                    Ok(()) => {}
                    // A compacted topic: Kafka keeps it by key, and lets nobody remove what is old.
                    Err(error) if client::code(&error) == Some(RDKafkaErrorCode::PolicyViolation) => return Ok(()),
                    Err(error) => return Err(self.cluster.failed(&what, &error)),
                }
            }
        }
        let first = self.ends_of(log).await?.first.0;
        log.forget_below(first);
        let Some(keys) = log.keys().cloned() else { return Ok(()) };
        let mut from = Some(0);
        while let Some(at) = from {
            let keys = keys.clone();
            let forgotten = tokio::task::spawn_blocking(move || keys.forget(at, first)).await;
            let forgotten = forgotten.map_err(|error| self.cluster.unavailable(error.to_string()))?;
            let (batch, behind) = forgotten.map_err(|error| self.cluster.unavailable(error.to_string()))?;
            self.store.write(batch).await?;
            from = behind;
        }
        Ok(())
    }
}
