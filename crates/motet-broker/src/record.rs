//! What is on disk, byte for byte.
//!
//! Keys are big-endian, so that they sort as numbers do. What is written once per event is packed by hand; what is written once per
//! failure is JSON with a length before it, because it will grow fields. Every value begins with the version of its form.

mod state;

use crate::{port::Entry, time::Time};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use motet_cloudevents::Event;
use motet_store::BlobRef;

pub(crate) use state::{Checkpoint, DeadRecord, RetryRecord};

const VERSION: u8 = 1;
const HAS_KEY: u8 = 1;
const HAS_PAYLOAD: u8 = 2;

/// A value that is not what this version of Motet writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {of} on disk cannot be understood: {reason}")]
pub struct Malformed {
    /// What it should have been.
    pub of: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl Malformed {
    fn new(of: &'static str, reason: &(impl ToString + ?Sized)) -> Self {
        Self { of, reason: reason.to_string() }
    }
}

/// Writes an entry: `version | flags | published_at | key? | payload? | event`.
pub(crate) fn write_entry(entry: &Entry) -> Bytes {
    let mut out = BytesMut::with_capacity(18 + BlobRef::LEN + entry.event.record_len());
    out.put_u8(VERSION);
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    out.put_u8(flag(entry.key.is_some(), HAS_KEY) | flag(entry.payload.is_some(), HAS_PAYLOAD));
    out.put_u64_le(entry.published_at.0);
    if let Some(key) = entry.key {
        out.put_u64_le(key);
    }
    if let Some(payload) = entry.payload {
        payload.write(&mut out);
    }
    entry.event.write_record(&mut out);
    out.freeze()
}

/// Reads what [`write_entry`] wrote; the event shares the record's memory.
pub(crate) fn read_entry(mut record: Bytes) -> Result<Entry, Malformed> {
    let of = "event";
    let version = record.try_get_u8().map_err(|error| Malformed::new(of, &error))?;
    if version != VERSION {
        return Err(Malformed::new(of, &format!("version {version}, and this motet knows {VERSION}")));
    }
    let flags = record.try_get_u8().map_err(|error| Malformed::new(of, &error))?;
    if flags & !(HAS_KEY | HAS_PAYLOAD) != 0 {
        return Err(Malformed::new(of, &format!("flags {flags}, of which this motet does not know all")));
    }
    let published_at = Time(record.try_get_u64_le().map_err(|error| Malformed::new(of, &error))?);
    let key = match flags & HAS_KEY {
        0 => None,
        _ => Some(record.try_get_u64_le().map_err(|error| Malformed::new(of, &error))?),
    };
    let payload = match flags & HAS_PAYLOAD {
        0 => None,
        _ => Some(BlobRef::read(&mut record).ok_or_else(|| Malformed::new(of, "it ends within its payload's name"))?),
    };
    let event = Event::read_record(&record).map_err(|error| Malformed::new(of, &error))?;
    Ok(Entry { event, key, published_at, payload })
}

/// A key of several numbers.
#[derive(Default)]
pub(crate) struct Key(BytesMut);

impl Key {
    /// Of something that has a number of its own: a topic, a subscription.
    pub(crate) fn of(id: u32) -> Self {
        Self::default().u32(id)
    }

    /// Four bytes more.
    pub(crate) fn u32(mut self, number: u32) -> Self {
        self.0.put_u32(number);
        self
    }

    /// Eight bytes more.
    pub(crate) fn u64(mut self, number: u64) -> Self {
        self.0.put_u64(number);
        self
    }

    /// The key.
    pub(crate) fn bytes(self) -> Bytes {
        self.0.freeze()
    }
}

/// The number in a key's eight bytes from `at` on.
pub(crate) fn number_at(key: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_as_it_was_and_no_prefix_of_it_panics() {
        let mut somewhere = Bytes::from_static(&[9; BlobRef::LEN]);
        let payload = BlobRef::read(&mut somewhere);
        for (key, payload) in [(None, None), (Some(7), None), (None, payload), (Some(7), payload)] {
            let event = Event::builder("1", "/s", "t").subject("x").data("{}").build().unwrap();
            let entry = Entry { payload, ..Entry::new(event, key, Time(1_700_000_000_123)) };
            let record = write_entry(&entry);
            assert_eq!(read_entry(record.clone()).unwrap(), entry);
            for length in 0..record.len() {
                let _ = read_entry(record.slice(..length));
            }
            let mut newer = record.to_vec();
            newer[0] = 9;
            assert!(read_entry(newer.into()).unwrap_err().reason.contains("version 9"));
        }
    }
}
