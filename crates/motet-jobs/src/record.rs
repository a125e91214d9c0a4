//! What is on disk.
//!
//! | Keyspace | Key | Value |
//! |---|---|---|
//! | `jobs.records` | id | the job, as JSON behind the version of its form |
//! | `jobs.requests`, `jobs.results` | id | a body |
//! | `jobs.keys` | caller, 0, idempotency key | id |
//! | `jobs.owed` | id, what | what is owed for the job: its ticket in the queue, the event of its end |
//! | `jobs.open` | deadline, id | of a job that is not over: bytes that it takes, its service |
//! | `jobs.kept` | service, 0, time of its end, id | of a job that is over: bytes that it takes |
//!
//! Bodies stand apart, so that a list of jobs reads none, and a result is read when somebody asks for it.

use crate::{
    error::JobError,
    job::{Job, JobId},
};
use bytes::{BufMut, Bytes, BytesMut};
use motet_store::{Batch, Keyspace, OpenError, Store};

const VERSION: u8 = 1;
/// Of an id in a key.
const ID_LENGTH: usize = 36;

/// What is owed for a job until it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owed {
    /// Its ticket.
    Ticket,
    /// The event of its end.
    Event,
}

/// Where jobs are.
#[derive(Clone)]
pub(crate) struct Shelves {
    pub(crate) store: Store,
    pub(crate) records: Keyspace,
    pub(crate) requests: Keyspace,
    pub(crate) results: Keyspace,
    pub(crate) keys: Keyspace,
    pub(crate) owed: Keyspace,
    pub(crate) open: Keyspace,
    pub(crate) kept: Keyspace,
}

impl Shelves {
    pub(crate) fn open(store: &Store) -> Result<Self, OpenError> {
        let keyspace = |name| store.keyspace(name);
        Ok(Self {
            store: store.clone(),
            records: keyspace("jobs.records")?,
            requests: keyspace("jobs.requests")?,
            results: keyspace("jobs.results")?,
            keys: keyspace("jobs.keys")?,
            owed: keyspace("jobs.owed")?,
            open: keyspace("jobs.open")?,
            kept: keyspace("jobs.kept")?,
        })
    }

    pub(crate) fn job(&self, id: JobId) -> Result<Option<Job>, JobError> {
        self.records.get(id.to_string())?.map(|record| read_job(id, &record)).transpose()
    }

    pub(crate) fn put(&self, batch: &mut Batch, job: &Job) {
        batch.insert(&self.records, job.id.to_string(), write_job(job));
    }

    /// A job that is not over: in the list of what has a deadline, with what is owed.
    pub(crate) fn put_open(&self, batch: &mut Batch, job: &Job) {
        self.put(batch, job);
        batch.insert(&self.open, open_key(job), open_value(job));
        batch.insert(&self.owed, owed_key(job.id, Owed::Ticket), Bytes::new());
    }

    /// A job that was open and is over: in the list of what is kept. Its record is written by [`Shelves::put`].
    pub(crate) fn move_to_kept(&self, batch: &mut Batch, job: &Job) {
        batch.remove(&self.open, open_key(job));
        batch.insert(&self.kept, kept_key(job), size_kept(job).to_le_bytes().to_vec());
    }

    /// A job that was over and is open again.
    pub(crate) fn move_to_open(&self, batch: &mut Batch, before: &Job, job: &Job) {
        batch.remove(&self.kept, kept_key(before));
        batch.remove(&self.results, job.id.to_string());
        batch.remove(&self.owed, owed_key(job.id, Owed::Event));
        self.put_open(batch, job);
    }

    /// Everything of a job that is over.
    pub(crate) fn forget(&self, batch: &mut Batch, job: &Job) {
        let id = job.id.to_string();
        if let Some(key) = &job.idempotency_key {
            batch.remove(&self.keys, idempotency_key(&job.caller, key));
        }
        batch.remove(&self.kept, kept_key(job));
        for owed in [Owed::Ticket, Owed::Event] {
            batch.remove(&self.owed, owed_key(job.id, owed));
        }
        batch.remove(&self.requests, id.clone());
        batch.remove(&self.results, id.clone());
        batch.remove(&self.records, id);
    }
}

/// What a job takes on disk, roughly, without its result.
pub(crate) fn size_open(job: &Job) -> u64 {
    let headers: usize = job.headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    job.body_bytes + headers as u64 + job.target.path.len() as u64 + 512
}

/// The same with its result.
pub(crate) fn size_kept(job: &Job) -> u64 {
    size_open(job) + job.answer.as_ref().and_then(|answer| answer.bytes).unwrap_or_default()
}

fn write_job(job: &Job) -> Bytes {
    let mut out = vec![VERSION];
    // Everything in a job can be written as JSON, and to memory.
    let _ = serde_json::to_writer(&mut out, job);
    out.into()
}

fn read_job(id: JobId, record: &[u8]) -> Result<Job, JobError> {
    let malformed = |reason: String| JobError::Malformed { job: id.to_string(), reason };
    match record.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json).map_err(|error| malformed(error.to_string())),
        first => {
            Err(malformed(format!("version {:?}, and this motet knows {VERSION}", first.map(|(version, _)| version))))
        }
    }
}

pub(crate) fn idempotency_key(caller: &str, key: &str) -> Bytes {
    Bytes::from([caller.as_bytes(), &[0], key.as_bytes()].concat())
}

pub(crate) fn owed_key(id: JobId, owed: Owed) -> Bytes {
    let what = match owed {
        Owed::Ticket => 't',
        Owed::Event => 'e',
    };
    format!("{id}{what}").into()
}

pub(crate) fn read_owed(key: &[u8]) -> Option<(JobId, Owed)> {
    let (id, what) = std::str::from_utf8(key).ok()?.split_at_checked(ID_LENGTH)?;
    let owed = match what {
        "t" => Owed::Ticket,
        "e" => Owed::Event,
        _ => return None,
    };
    Some((id.parse().ok()?, owed))
}

fn open_key(job: &Job) -> Bytes {
    let mut key = BytesMut::with_capacity(8 + ID_LENGTH);
    key.put_u64(job.deadline);
    key.put_slice(job.id.to_string().as_bytes());
    key.freeze()
}

/// The id, and until when.
pub(crate) fn read_open(key: &[u8]) -> Option<(u64, JobId)> {
    let (deadline, id) = key.split_at_checked(8)?;
    Some((u64::from_be_bytes(deadline.try_into().ok()?), std::str::from_utf8(id).ok()?.parse().ok()?))
}

fn open_value(job: &Job) -> Bytes {
    let mut value = BytesMut::from(&size_open(job).to_le_bytes()[..]);
    value.put_slice(job.target.service.as_bytes());
    value.freeze()
}

/// Whose, and what it takes.
pub(crate) fn read_open_value(value: &[u8]) -> Option<(&str, u64)> {
    let (size, service) = value.split_at_checked(8)?;
    Some((std::str::from_utf8(service).ok()?, u64::from_le_bytes(size.try_into().ok()?)))
}

pub(crate) fn kept_prefix(service: &str) -> Vec<u8> {
    [service.as_bytes(), &[0]].concat()
}

fn kept_key(job: &Job) -> Bytes {
    let mut key = BytesMut::from(&kept_prefix(&job.target.service)[..]);
    key.put_u64(job.finished_at.unwrap_or_default());
    key.put_slice(job.id.to_string().as_bytes());
    key.freeze()
}

/// Whose, since when over, and which.
pub(crate) fn read_kept(key: &[u8]) -> Option<(&str, u64, JobId)> {
    let end = key.iter().position(|byte| *byte == 0)?;
    let service = std::str::from_utf8(&key[..end]).ok()?;
    let (time, id) = key[end + 1..].split_at_checked(8)?;
    let id = std::str::from_utf8(id).ok()?.parse().ok()?;
    Some((service, u64::from_be_bytes(time.try_into().ok()?), id))
}

pub(crate) fn read_kept_value(value: &[u8]) -> u64 {
    value.try_into().map(u64::from_le_bytes).unwrap_or_default()
}
