//! What is owed is done: tickets get into their queues, ends of jobs onto their topics.
//!
//! A job is on disk before its ticket is in the queue, because only one of the two can be first and the engine of the queue may be anybody's.
//! So what is owed is written with the job, looked for from the beginning each time, and crossed out once it is done. A crash in between does
//! it twice; the job knows that it runs, and the topic finds the duplicate.

use super::Core;
use crate::{
    error::JobError,
    job::{Job, JobId},
    port::{NotAnnounced, Ticket},
    record::{Owed, owed_key, read_owed},
};
use bytes::Bytes;
use motet_store::{Batch, Limits};
use std::{
    collections::{BTreeMap, HashSet},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

/// So much is looked at in one go.
const ROUND: usize = 256;
/// After a failure, and now and then in any case.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Until the group is cancelled.
pub(super) async fn run(core: Arc<Core>) {
    let mut troubled = HashSet::new();
    loop {
        let owes = core.owes.notified();
        tokio::pin!(owes);
        owes.as_mut().enable();
        if let Err(error) = Box::pin(whole(&core, &mut troubled)).await {
            tracing::error!(%error, "what is owed for jobs could not be read; tried again");
        }
        tokio::select! {
            () = core.group.cancelled() => return,
            () = owes => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Everything that is owed now. What cannot be done stays.
async fn whole(core: &Core, troubled: &mut HashSet<String>) -> Result<(), JobError> {
    let mut from = Bytes::new();
    // A queue that does not take one gets none that came later: their order would be lost.
    let mut closed: HashSet<String> = HashSet::new();
    loop {
        let page = core.shelves.owed.range(&from, Bound::Unbounded, Limits::items(ROUND))?;
        let Some((last, _)) = page.last() else { break };
        from = [last.as_ref(), &[0]].concat().into();
        let (mut tickets, mut done) = (BTreeMap::<String, Vec<Ticket>>::new(), Batch::new());
        for (key, _) in page {
            let Some((id, owed)) = read_owed(&key) else { continue };
            let Some(job) = core.shelves.job(id)? else {
                done.remove(&core.shelves.owed, key);
                continue;
            };
            match owed {
                Owed::Ticket if job.state.is_over() => done.remove(&core.shelves.owed, key),
                Owed::Ticket => tickets.entry(job.target.service.clone()).or_default().push(ticket(job)),
                Owed::Event if announced(core, &job, troubled).await => done.remove(&core.shelves.owed, key),
                Owed::Event => {}
            }
        }
        for (service, tickets) in tickets {
            if closed.contains(&service) || !core.specs.read().contains_key(&service) {
                continue;
            }
            let ids: Vec<JobId> = tickets.iter().map(|ticket| ticket.job).collect();
            match core.queue.put(&service, tickets).await {
                Ok(()) => {
                    troubled.remove(&service);
                    ids.into_iter().for_each(|id| done.remove(&core.shelves.owed, owed_key(id, Owed::Ticket)));
                }
                Err(error) => {
                    if troubled.insert(service.clone()) {
                        tracing::warn!(service, %error, "jobs wait for their queue; tried again until it takes them");
                    }
                    closed.insert(service);
                }
            }
        }
        if !done.is_empty() {
            core.shelves.store.commit(done).await?;
        }
    }
    Ok(())
}

fn ticket(job: Job) -> Ticket {
    Ticket { job: job.id, round: job.round, key: job.key, not_before: job.due_at }
}

/// Whether that is done with.
async fn announced(core: &Core, job: &Job, troubled: &mut HashSet<String>) -> bool {
    let Some(topic) = job.event.as_deref().filter(|_| job.state.is_over()) else { return true };
    match core.reach.announce(topic, job).await {
        Ok(()) => true,
        Err(NotAnnounced::Ever(why)) => {
            tracing::error!(job = %job.id, topic, why, "the end of a job cannot be published");
            true
        }
        Err(NotAnnounced::Yet(why)) => {
            if troubled.insert(format!("topic {topic}")) {
                tracing::warn!(job = %job.id, topic, why, "the end of a job waits to be published");
            }
            false
        }
    }
}
