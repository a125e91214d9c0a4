//! One task for each topic, which notices what others publish, and that the stream is not what it was.
//!
//! It lets the server tell it the sequence of each new message, without data. It needs nothing of them, so whatever goes wrong it asks for the
//! stream's end and begins again there.

use super::{
    api::{Api, NO_STREAM},
    cursor::Cursor,
    link::Trouble,
    topic::Topic,
};
use motet_kernel::backoff::Backoff;
use std::{sync::Weak, time::Duration};
use tokio::time::Instant;

/// What one request waits for.
const MESSAGES: usize = 1024;
const WAIT: Duration = Duration::from_secs(15);
/// So often at least the stream itself is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(10);
const AFTER_TROUBLE: Backoff = Backoff { initial: Duration::from_millis(20), max: Duration::from_secs(2), factor: 2.0 };

/// Until the topic is gone.
pub(super) async fn watch(api: Api, topic: Weak<Topic>) {
    let mut failures = 0;
    loop {
        let began = Instant::now();
        match follow(&api, &topic).await {
            Ok(()) => return,
            Err(trouble) => {
                let Some(topic) = topic.upgrade() else { return };
                tracing::debug!(topic = %topic.name, %trouble, "the end of the topic is looked for again");
            }
        }
        failures = if began.elapsed() > LOOK_EVERY { 1 } else { failures + 1 };
        tokio::time::sleep(AFTER_TROUBLE.wait_jittered(failures)).await;
    }
}

/// Until something goes wrong, or the topic is gone.
async fn follow(api: &Api, topic: &Weak<Topic>) -> Result<(), Trouble> {
    let Some(next) = look(api, topic).await? else { return Ok(()) };
    let Some(stream) = topic.upgrade().map(|topic| topic.stream.clone()) else { return Ok(()) };
    let mut cursor = Cursor::open_headers(api, &stream, next, Instant::now() + PATIENCE).await?;
    let mut looked_at = Instant::now();
    loop {
        let see = |next| {
            if let Some(topic) = topic.upgrade() {
                topic.reached(next);
            }
        };
        cursor.watch(MESSAGES, WAIT, see).await?;
        if looked_at.elapsed() >= LOOK_EVERY {
            looked_at = Instant::now();
            if look(api, topic).await?.is_none() {
                cursor.close(api).await;
                return Ok(());
            }
        }
    }
}

/// Where the stream ends; nothing if the topic is gone.
async fn look(api: &Api, topic: &Weak<Topic>) -> Result<Option<u64>, Trouble> {
    let Some(known) = topic.upgrade() else { return Ok(None) };
    let head = *known.head().borrow();
    match api.stream(&known.stream, Instant::now() + PATIENCE).await {
        Ok(stream) => match known.see(&stream, head) {
            Ok(()) => Ok(Some(stream.state.next())),
            Err(reason) => Err(Trouble::Away(reason)),
        },
        Err(trouble) if trouble.is(NO_STREAM) => Err(Trouble::Away(known.lose("was deleted"))),
        Err(trouble) => Err(trouble),
    }
}
