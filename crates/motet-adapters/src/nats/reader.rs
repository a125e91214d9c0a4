//! Reading from a position: with the cursor that stands there from the last read, or with a new one.
//!
//! A message whose headers are no text makes the client give its connection up, again at each attempt. So where a read breaks twice at one
//! place, the messages there are fetched one by one in a form that cannot break anything, and the topic goes on.

use super::{
    api::{Api, NO_MESSAGE, NO_STREAM},
    cursor::{Cursor, End, Fetched, Portion},
    link::Trouble,
    message::{Incoming, raw_headers},
    topic::Topic,
};
use motet_broker::{Limits, Stored};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// What one request asks for at most.
const PORTION_ITEMS: usize = 1024;
const PORTION_BYTES: usize = 8 << 20;
/// So many attempts with a cursor before messages are fetched one by one …
const ATTEMPTS: u32 = 2;
/// … and so many are.
const ONE_BY_ONE: usize = 64;
/// A server says for a moment that nothing is there although it has acknowledged it: a consumer hears of a message after its publisher does. So it
/// is asked so often, with a pause that doubles. Where nothing is there for good (the last messages were deleted), this is what it costs.
const LOOKS: u32 = 6;
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What stands at `from` or behind it, in order, up to the limits.
pub(super) async fn read(
    api: &Api,
    topic: &Topic,
    from: u64,
    limits: Limits,
    until: Instant,
) -> Result<Vec<Stored>, Arc<str>> {
    let mut found = Vec::new();
    let (mut at, mut bytes, mut failures, mut looks) = (from, 0_usize, 0, 0);
    while found.len() < limits.items && bytes < limits.bytes {
        let items = (limits.items - found.len()).min(PORTION_ITEMS);
        let portion = Portion { items, bytes: Some((limits.bytes - bytes).min(PORTION_BYTES)) };
        let mut fetched = Vec::new();
        let end = fetch(api, topic, at, portion, &mut fetched, until).await;
        if let Some(last) = fetched.last() {
            at = last.sequence + 1;
            bytes = fetched.iter().fold(bytes, |sum, message| sum.saturating_add(message.bytes));
            found.extend(fetched.into_iter().map(|message| stored(topic, message)));
        }
        match end {
            Ok(End::Filled) => {}
            Ok(End::Drained) => {
                let is_said_to_be_there = found.is_empty() && topic.sequence(*topic.head().borrow()) > at;
                if !is_said_to_be_there || looks == LOOKS || Instant::now() >= until {
                    break;
                }
                tokio::time::sleep(LOOK_AGAIN * 2_u32.pow(looks)).await;
                looks += 1;
            }
            // A portion ends where its bytes do; there is more where they were fewer than what may still be read.
            Ok(End::TooLarge) if portion.bytes == Some(PORTION_BYTES) => {}
            Ok(End::TooLarge) => break,
            // What came before the trouble is in order; the next read sees whether it is still there.
            Err(_) if !found.is_empty() => break,
            Err(trouble) if trouble.is(NO_STREAM) => return Err(topic.lose("was deleted")),
            Err(trouble) => {
                failures += 1;
                if failures > ATTEMPTS {
                    let limits = Limits { items: limits.items.min(ONE_BY_ONE), ..limits };
                    return one_by_one(api, topic, at, limits, until).await.map_err(|_| trouble.to_string().into());
                }
                if Instant::now() >= until {
                    return Err(trouble.to_string().into());
                }
            }
        }
    }
    if let Some(last) = found.last() {
        topic.reached(topic.sequence(last.position) + 1);
    }
    Ok(found)
}

/// One portion. Where the first message alone is larger, it is that one.
async fn fetch(
    api: &Api,
    topic: &Topic,
    at: u64,
    portion: Portion,
    found: &mut Vec<Fetched>,
    until: Instant,
) -> Result<End, Trouble> {
    let mut cursor = match topic.take_cursor(at) {
        Some(cursor) => cursor,
        None => Cursor::open(api, &topic.stream, at, until).await?,
    };
    let mut end = cursor.fetch(portion, found, until).await?;
    if end == End::TooLarge && found.is_empty() {
        end = cursor.fetch(Portion { items: 1, bytes: None }, found, until).await?;
    }
    if let Some(oldest) = topic.keep_cursor(cursor) {
        oldest.close(api).await;
    }
    Ok(end)
}

async fn one_by_one(
    api: &Api,
    topic: &Topic,
    from: u64,
    limits: Limits,
    until: Instant,
) -> Result<Vec<Stored>, Trouble> {
    let mut found = Vec::new();
    let (mut at, mut bytes) = (from, 0_usize);
    while found.len() < limits.items && bytes < limits.bytes {
        let kept = match api.message(&topic.stream, at, &topic.subject, until).await {
            Ok(kept) => kept,
            Err(trouble) if trouble.is(NO_MESSAGE) || !found.is_empty() => break,
            Err(trouble) => return Err(trouble),
        };
        at = kept.sequence + 1;
        bytes = bytes.saturating_add(kept.headers.len() + kept.data.len());
        let incoming = Incoming {
            topic: &topic.name,
            subject: &kept.subject,
            sequence: kept.sequence,
            millis: kept.millis,
            headers: raw_headers(&kept.headers),
            payload: kept.data.clone(),
        };
        let entry = incoming.entry(topic.spec.read().key.as_ref());
        found.push(Stored { position: topic.position(kept.sequence), entry });
    }
    Ok(found)
}

fn stored(topic: &Topic, message: Fetched) -> Stored {
    let headers = message.headers.iter().flat_map(|headers| headers.iter());
    let pairs = headers.flat_map(|(name, values)| {
        values.iter().map(move |value| (AsRef::<str>::as_ref(name), value.as_str().as_bytes()))
    });
    let incoming = Incoming {
        topic: &topic.name,
        subject: &message.subject,
        sequence: message.sequence,
        millis: message.millis,
        headers: pairs.collect(),
        payload: message.payload,
    };
    let entry = incoming.entry(topic.spec.read().key.as_ref());
    Stored { position: topic.position(message.sequence), entry }
}
