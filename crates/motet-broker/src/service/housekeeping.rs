//! What has to be done now and then: retention, large data that nothing needs, old pages of ids, looks at counters.

use super::Core;
use crate::publish;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Does it until the group is cancelled. What fails is done the next time.
pub(super) async fn run(core: Arc<Core>) {
    let mut trim_at = core.clock.now().after(core.config.trim_every);
    loop {
        tokio::select! {
            () = core.group.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY.min(core.config.trim_every)) => {}
        }
        let now = core.clock.now();
        let topics: Vec<_> = core.topics.load().values().cloned().collect();
        for topic in &topics {
            if topic.remembered().1 && !topic.told_of_window.swap(true, Relaxed) {
                tracing::warn!(
                    topic = %topic.name, ids_max = core.config.dedup_ids_max,
                    "more events came within `dedup` than can be remembered: duplicates from the beginning of that time may pass; shorten it"
                );
            }
            let mut rates = core.rates.lock();
            rates.entry(topic.name.clone()).or_default().look(now, topic.published.load(Relaxed));
        }
        if let Err(error) = core.store.sweep_blobs().await {
            tracing::warn!(%error, "large data that nothing needs any more could not be removed");
        }
        if now < trim_at {
            continue;
        }
        trim_at = now.after(core.config.trim_every);
        for topic in topics {
            let spec = topic.spec();
            if let Err(error) = core.transport.trim(&spec.name, &spec.keep, now).await {
                tracing::warn!(topic = %spec.name, %error, "what need not be kept could not be given back");
            }
            if let Err(error) = publish::forget_pages(&core, &topic).await {
                tracing::warn!(topic = %spec.name, %error, "old ids could not be forgotten");
            }
        }
    }
}
