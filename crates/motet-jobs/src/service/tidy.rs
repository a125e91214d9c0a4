//! What is over goes when its time has come; what never came to an end is given up.

use super::{Core, Counts, now};
use crate::{
    error::JobError,
    machine,
    record::{Owed, Shelves, kept_prefix, owed_key, read_kept, read_kept_value, read_open, read_open_value},
};
use bytes::Bytes;
use motet_store::{Batch, Limits};
use std::{collections::BTreeMap, ops::Bound, sync::Arc};

/// So much is removed in one write.
const ROUND: usize = 256;

/// How many there are, at a start.
pub(super) fn count(shelves: &Shelves) -> Result<BTreeMap<String, Counts>, JobError> {
    let mut counts = BTreeMap::<String, Counts>::new();
    each(&shelves.open, |_, value| {
        if let Some((service, size)) = read_open_value(value) {
            let counts = counts.entry(service.to_owned()).or_default();
            counts.open += 1;
            counts.open_bytes += size;
        }
    })?;
    each(&shelves.kept, |key, value| {
        if let Some((service, _, _)) = read_kept(key) {
            let counts = counts.entry(service.to_owned()).or_default();
            counts.kept += 1;
            counts.kept_bytes += read_kept_value(value);
        }
    })?;
    Ok(counts)
}

fn each(keyspace: &motet_store::Keyspace, mut see: impl FnMut(&[u8], &[u8])) -> Result<(), JobError> {
    let mut from = Bytes::new();
    loop {
        let page = keyspace.range(&from, Bound::Unbounded, Limits::items(4096))?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        from = [last.as_ref(), &[0]].concat().into();
        page.iter().for_each(|(key, value)| see(key, value));
    }
}

/// Until the group is cancelled. What fails is done the next time.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        if let Err(error) = Box::pin(round(&core)).await {
            tracing::warn!(%error, "jobs that are over could not be removed; tried again");
        }
        tokio::select! {
            () = core.group.cancelled() => return,
            () = tokio::time::sleep(core.config.tidy_every) => {}
        }
    }
}

async fn round(core: &Core) -> Result<(), JobError> {
    lose(core).await?;
    let services: Vec<String> = core.counts.lock().keys().cloned().collect();
    for service in services {
        while prune(core, &service).await? {}
    }
    Ok(())
}

/// Gives up what is still open though its age is over: its ticket is gone.
async fn lose(core: &Core) -> Result<(), JobError> {
    let end = now().saturating_add(1).to_be_bytes();
    let found = core.shelves.open.range(b"", Bound::Excluded(&end), Limits::items(ROUND))?;
    for (key, _) in found {
        let Some((_, id)) = read_open(&key) else { continue };
        match core.change(id, |job, _, now| (machine::lose(job, now), None)).await {
            Ok(_) | Err(JobError::Unknown(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes the oldest of a service's jobs that are over, as far as they are too old or too many. Whether there may be more.
async fn prune(core: &Core, service: &str) -> Result<bool, JobError> {
    let keep = core.spec_of(service).keep;
    let oldest = core.shelves.kept.prefix(&kept_prefix(service), Limits::items(ROUND))?;
    let Counts { kept, kept_bytes, .. } = core.counts.lock().get(service).copied().unwrap_or_default();
    let since = keep.time.map(|time| now().saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
    let (mut gone, mut gone_bytes) = (0, 0);
    for (key, value) in oldest {
        let Some((_, over_at, id)) = read_kept(&key) else { continue };
        let too_old = since.is_some_and(|since| over_at < since);
        let too_many = kept - gone > core.config.kept_max;
        let too_large = keep.bytes.is_some_and(|most| kept_bytes.saturating_sub(gone_bytes) > most);
        if !(too_old || too_many || too_large) {
            break;
        }
        let _alone = core.alone(&id).await;
        let mut batch = Batch::new();
        match core.shelves.job(id) {
            // It was begun again meanwhile.
            Ok(Some(job)) if !job.state.is_over() => continue,
            // Its end is still to be told.
            Ok(Some(_)) if core.shelves.owed.get(owed_key(id, Owed::Event))?.is_some() => continue,
            Ok(Some(job)) => core.shelves.forget(&mut batch, &job),
            Ok(None) => batch.remove(&core.shelves.kept, key),
            Err(error) => {
                tracing::error!(job = %id, %error, "a job that is over cannot be read; it is removed");
                for keyspace in [&core.shelves.records, &core.shelves.requests, &core.shelves.results] {
                    batch.remove(keyspace, id.to_string());
                }
                batch.remove(&core.shelves.kept, key);
            }
        }
        core.shelves.store.write(batch).await?;
        gone += 1;
        gone_bytes += read_kept_value(&value);
    }
    // Readers see lazy writes when they are on disk: the next round must not find them again.
    core.shelves.store.flush().await?;
    core.count(service, |counts| {
        counts.kept = counts.kept.saturating_sub(gone);
        counts.kept_bytes = counts.kept_bytes.saturating_sub(gone_bytes);
    });
    Ok(gone as usize == ROUND)
}
