//! Jobs page by page, those first that were asked for last.

use crate::{
    error::JobError,
    job::{Job, JobId, State},
    record::Shelves,
};

/// So many jobs are looked at for one page of a list.
const LOOKED_AT_MAX: usize = 10_000;

/// Which jobs are listed.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// Of this service only.
    pub service: Option<String>,
    /// In this state only.
    pub state: Option<State>,
    /// Only those that were asked for before this one.
    pub before: Option<JobId>,
    /// So many at most.
    pub most: usize,
}

/// From the newest to the oldest; the ids sort by age.
pub(super) fn look(shelves: &Shelves, list: &List) -> Result<(Vec<Job>, Option<JobId>), JobError> {
    let (mut found, mut looked_at) = (Vec::new(), 0);
    // Right before the id: ids are of one length, so its text without the last character sorts there, and what has that beginning does not.
    let mut end = list.before.map_or_else(|| vec![u8::MAX], |id| before(&id.to_string()));
    let mut last = None;
    while found.len() < list.most && looked_at < LOOKED_AT_MAX {
        let Some((key, _)) = shelves.records.at_or_before(b"", &end)? else { return Ok((found, None)) };
        end = before(&String::from_utf8_lossy(&key));
        looked_at += 1;
        let Some(id) = std::str::from_utf8(&key).ok().and_then(|text| text.parse::<JobId>().ok()) else { continue };
        last = Some(id);
        let Some(job) = shelves.job(id)? else { continue };
        let of_service = list.service.as_ref().is_none_or(|service| *service == job.target.service);
        if of_service && list.state.is_none_or(|state| state == job.state) {
            found.push(job);
        }
    }
    Ok((found, last))
}

/// The greatest key below `text`, among texts of lower-case letters and digits of this length.
fn before(text: &str) -> Vec<u8> {
    let mut key = text.as_bytes().to_vec();
    if let Some(last) = key.last_mut() {
        *last = last.saturating_sub(1);
        key.push(u8::MAX);
    }
    key
}
