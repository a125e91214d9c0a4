//! The state of a subscription on disk: how far it is, what is tried again, what was given up.

use super::{Malformed, read_entry, write_entry};
use crate::{
    dead::Reason,
    machine::{Attempts, Ledger},
    outcome::Refusal,
    port::Entry,
    run::Run,
    time::Time,
    topic::Position,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

const VERSION: u8 = 1;
/// Of a checkpoint; those of version 1 know no run.
const CHECKPOINT: u8 = 2;
/// How long a checkpoint without ranges is, by its version.
const HEAD: [usize; 3] = [0, 10, 50];

/// How far a subscription is: what is settled, and whether it is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// What is settled.
    pub ledger: Ledger,
    /// Whether it is paused.
    pub paused: bool,
    /// The run it is on.
    pub run: Run,
}

impl Checkpoint {
    /// `version | paused | run: id, lineage, begins, until, acked + 1 | cursor | (start, end)*`.
    pub(crate) fn write(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEAD[2] + 16 * self.ledger.holes());
        out.put_u8(CHECKPOINT);
        out.put_u8(u8::from(self.paused));
        let Run { id, lineage, begins, until, acked } = self.run;
        for number in [id, lineage, begins.0, until.0, acked.map_or(0, |position| position.0 + 1)] {
            out.put_u64_le(number);
        }
        out.put_u64_le(self.ledger.cursor());
        for (start, end) in self.ledger.ranges() {
            out.put_u64_le(start);
            out.put_u64_le(end);
        }
        out.freeze()
    }

    /// Reads what [`Checkpoint::write`] wrote.
    pub(crate) fn read(mut record: Bytes) -> Result<Self, Malformed> {
        let of = "subscription's position";
        let head = record.first().and_then(|version| HEAD.get(usize::from(*version))).copied().unwrap_or(0);
        if head == 0 || !record.len().checked_sub(head).is_some_and(|rest| rest.is_multiple_of(16)) {
            return Err(Malformed::new(of, &format!("{} bytes of version {:?}", record.len(), record.first())));
        }
        let version = record.get_u8();
        let paused = record.get_u8() != 0;
        let mut run = Run::default();
        if version == CHECKPOINT {
            (run.id, run.lineage) = (record.get_u64_le(), record.get_u64_le());
            (run.begins, run.until) = (Position(record.get_u64_le()), Position(record.get_u64_le()));
            run.acked = record.get_u64_le().checked_sub(1).map(Position);
        }
        let cursor = record.get_u64_le();
        if version == VERSION {
            // What was acknowledged was not written down then: everything was.
            run.acked = cursor.checked_sub(1).map(Position);
        }
        let mut ledger = Ledger::new(cursor);
        while record.has_remaining() {
            ledger.settle(record.get_u64_le()..record.get_u64_le());
        }
        Ok(Self { ledger, paused, run })
    }
}

/// An event that is tried again; redriven ones carry the event, because the topic may not have it any more.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RetryRecord {
    /// What was tried so far.
    pub attempts: Attempts,
    /// When it is tried again.
    pub due: Time,
    /// What keeps it in order: it holds its key across a restart.
    pub key: Option<u64>,
    /// When it was published.
    pub published_at: Time,
    /// Where it stood before it was redriven.
    pub stood: Option<u64>,
    /// The event, if it was redriven.
    pub entry: Option<Entry>,
}

#[derive(Serialize, Deserialize)]
struct RetryForm {
    made: u32,
    first_at: u64,
    last_at: u64,
    due: u64,
    key: Option<u64>,
    published_at: u64,
    status: Option<u16>,
    detail: String,
    #[serde(default)]
    stood: Option<u64>,
}

impl RetryRecord {
    /// `version | length | JSON | entry?`.
    pub(crate) fn write(&self) -> Bytes {
        let Attempts { made, first_at, last_at, last } = &self.attempts;
        let form = RetryForm {
            made: *made,
            first_at: first_at.0,
            last_at: last_at.0,
            due: self.due.0,
            key: self.key,
            published_at: self.published_at.0,
            status: last.status,
            detail: last.detail.clone(),
            stood: self.stood,
        };
        write_form(&form, self.entry.as_ref())
    }

    /// Reads what [`RetryRecord::write`] wrote.
    pub(crate) fn read(record: Bytes) -> Result<Self, Malformed> {
        let (form, entry) = read_form::<RetryForm>("retry", record)?;
        let last = Refusal { status: form.status, detail: form.detail };
        let attempts = Attempts { made: form.made, first_at: Time(form.first_at), last_at: Time(form.last_at), last };
        let RetryForm { key, stood, .. } = form;
        Ok(Self { attempts, due: Time(form.due), key, published_at: Time(form.published_at), stood, entry })
    }
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeadRecord {
    /// Why it was given up.
    pub reason: Reason,
    /// What was tried.
    pub attempts: Attempts,
    /// When it was given up.
    pub buried_at: Time,
    /// Where it stood in the topic. Unknown only of what was redriven by an older version.
    pub position: Option<u64>,
    /// The event.
    pub entry: Entry,
}

#[derive(Serialize, Deserialize)]
struct DeadForm {
    reason: Reason,
    made: u32,
    first_at: u64,
    last_at: u64,
    buried_at: u64,
    position: Option<u64>,
    status: Option<u16>,
    detail: String,
}

impl DeadRecord {
    /// `version | length | JSON | entry`.
    pub(crate) fn write(&self) -> Bytes {
        let Attempts { made, first_at, last_at, last } = &self.attempts;
        let form = DeadForm {
            reason: self.reason,
            made: *made,
            first_at: first_at.0,
            last_at: last_at.0,
            buried_at: self.buried_at.0,
            position: self.position,
            status: last.status,
            detail: last.detail.clone(),
        };
        write_form(&form, Some(&self.entry))
    }

    /// Reads what [`DeadRecord::write`] wrote.
    pub(crate) fn read(record: Bytes) -> Result<Self, Malformed> {
        let (form, entry) = read_form::<DeadForm>("dead letter", record)?;
        let last = Refusal { status: form.status, detail: form.detail };
        let attempts = Attempts { made: form.made, first_at: Time(form.first_at), last_at: Time(form.last_at), last };
        let entry = entry.ok_or_else(|| Malformed::new("dead letter", "it has no event"))?;
        let DeadForm { reason, position, .. } = form;
        Ok(Self { reason, attempts, buried_at: Time(form.buried_at), position, entry })
    }
}

fn write_form(form: &impl Serialize, entry: Option<&Entry>) -> Bytes {
    let json = serde_json::to_vec(form).unwrap_or_default();
    let entry = entry.map(write_entry).unwrap_or_default();
    let mut out = BytesMut::with_capacity(5 + json.len() + entry.len());
    out.put_u8(VERSION);
    out.put_u32_le(u32::try_from(json.len()).unwrap_or(u32::MAX));
    out.put_slice(&json);
    out.put_slice(&entry);
    out.freeze()
}

fn read_form<F: DeserializeOwned>(of: &'static str, mut record: Bytes) -> Result<(F, Option<Entry>), Malformed> {
    if record.len() < 5 || record[0] != VERSION {
        return Err(Malformed::new(of, &format!("{} bytes of version {:?}", record.len(), record.first())));
    }
    record.advance(1);
    let length = record.get_u32_le() as usize;
    if length > record.len() {
        return Err(Malformed::new(of, "it is cut off"));
    }
    let json = record.split_to(length);
    let form = serde_json::from_slice(&json).map_err(|error| Malformed::new(of, &error))?;
    let entry = if record.is_empty() { None } else { Some(read_entry(record)?) };
    Ok((form, entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_cloudevents::Event;

    fn attempts() -> Attempts {
        let last = Refusal { status: Some(503), detail: "busy".to_owned() };
        Attempts { made: 3, first_at: Time(1), last_at: Time(2), last }
    }

    fn entry() -> Entry {
        Entry { event: Event::builder("1", "/s", "t").build().unwrap(), key: Some(9), published_at: Time(5) }
    }

    #[test]
    fn records_read_back_as_they_were_and_garbage_is_an_error() {
        let mut ledger = Ledger::new(10);
        ledger.settle(20..30);
        ledger.settle(40..41);
        for acked in [None, Some(Position(0)), Some(Position(7))] {
            let run = Run { id: 3, lineage: 2, begins: Position(4), until: Position(50), acked };
            let checkpoint = Checkpoint { ledger: ledger.clone(), paused: true, run };
            assert_eq!(Checkpoint::read(checkpoint.write()).unwrap(), checkpoint);
        }
        let run = Run { acked: Some(Position(9)), ..Run::default() };
        let checkpoint = Checkpoint { ledger, paused: true, run };
        let written = checkpoint.write();
        let of_version_1 = [&[1, 1][..], &written[42..]].concat();
        assert_eq!(Checkpoint::read(of_version_1.into()).unwrap(), checkpoint);
        for entry in [None, Some(entry())] {
            let (due, published_at, stood) = (Time(7), Time(5), entry.is_some().then_some(12));
            let retry = RetryRecord { attempts: attempts(), due, key: Some(3), published_at, stood, entry };
            assert_eq!(RetryRecord::read(retry.write()).unwrap(), retry);
        }
        let dead = DeadRecord {
            reason: Reason::Attempts,
            attempts: attempts(),
            buried_at: Time(8),
            position: Some(4),
            entry: entry(),
        };
        let written = dead.write();
        assert_eq!(DeadRecord::read(written.clone()).unwrap(), dead);
        for length in 0..written.len() {
            assert!(DeadRecord::read(written.slice(..length)).is_err());
            let _ = (RetryRecord::read(written.slice(..length)), Checkpoint::read(written.slice(..length)));
        }
    }
}
