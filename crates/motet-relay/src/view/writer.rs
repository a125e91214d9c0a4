//! Writes what is delivered: opens the table, waits while its store is away, and finds the event that a table refuses.

use super::{Given, Place, Plan, Rewind, Run, ViewError, ViewSpec, ViewTable, plan::plan};
use motet_kernel::backoff::Backoff;
use parking_lot::Mutex;
use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

/// The pauses while a store is away.
const PAUSES: Backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(5), factor: 2.0 };
/// How long one transaction may take. Longer than any database is asked to wait itself.
const DEADLINE: Duration = Duration::from_secs(60);

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The table has it, or something newer.
    Done,
    /// The table will never have it, for this reason.
    Refused(String),
}

/// The one that writes a view. One at a time hands it events.
pub struct Writer {
    spec: ViewSpec,
    table: Arc<dyn ViewTable>,
    place: Mutex<Option<Option<Place>>>,
    trouble: Mutex<Option<String>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Writer {
    /// A writer of that table. Nothing is opened yet.
    pub fn new(spec: ViewSpec, table: Arc<dyn ViewTable>) -> Self {
        Self { spec, table, place: Mutex::default(), trouble: Mutex::default() }
    }

    /// Why nothing can be written at the moment, if so.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Makes the table if it is not there, so that its service finds it.
    ///
    /// # Errors
    /// Those of [`ViewTable::open`].
    pub async fn open(&self) -> Result<(), ViewError> {
        let place = within(&self.spec.table, self.table.open()).await?;
        *self.place.lock() = Some(place);
        Ok(())
    }

    /// Writes events of a run, which come in the order of the topic: what became of each. Waits as long as the store is away.
    ///
    /// # Errors
    /// When something is missing in the table that has to be delivered first; nothing was written then, or only a first part.
    pub async fn write(&self, run: Run, mut given: Vec<Given>) -> Result<Vec<Verdict>, Rewind> {
        let mut verdicts = vec![Verdict::Done; given.len()];
        let refuse = |verdicts: &mut [Verdict], at: usize, why: &str| verdicts[at] = Verdict::Refused(why.to_owned());
        for (at, event) in given.iter().enumerate() {
            if let Err(why) = &event.change {
                refuse(&mut verdicts, at, why);
            }
        }
        let mut parts: VecDeque<Range<usize>> = std::iter::once(0..given.len()).collect();
        while let Some(part) = parts.pop_front() {
            match self.write_part(run, &given[part.clone()]).await {
                Ok(()) => {}
                Err(Stopped::Rewind(rewind)) => return Err(rewind),
                // Halves of halves: the others are written, and what is refused is alone at last.
                Err(Stopped::Refused(_)) if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.push_front(middle..part.end);
                    parts.push_front(part.start..middle);
                }
                Err(Stopped::Refused(why)) => {
                    refuse(&mut verdicts, part.start, &why);
                    given[part.start].change = Err(why.into());
                    // Once more without it: the table is behind it then.
                    parts.push_front(part);
                }
            }
        }
        Ok(verdicts)
    }

    async fn write_part(&self, run: Run, given: &[Given]) -> Result<(), Stopped> {
        let mut failures = 0;
        loop {
            let error = match self.try_once(run, given).await {
                Ok(()) => {
                    *self.trouble.lock() = None;
                    return Ok(());
                }
                Err(Tried::Rewind(rewind)) => return Err(Stopped::Rewind(rewind)),
                Err(Tried::Failed(ViewError::Refused(why))) if given.iter().any(|event| event.change.is_ok()) => {
                    return Err(Stopped::Refused(why));
                }
                Err(Tried::Failed(error)) => error,
            };
            *self.place.lock() = None;
            failures += 1;
            if matches!(error, ViewError::Moved(_) | ViewError::Gone) && failures == 1 {
                continue;
            }
            if failures == 1 {
                tracing::warn!(subscription = %self.spec.subscription, %error, code = error.code().0, "a view is not written; tried again until it is");
            }
            *self.trouble.lock() = Some(format!("{error} ({})", error.code().0));
            tokio::time::sleep(PAUSES.wait_jittered(failures)).await;
        }
    }

    async fn try_once(&self, run: Run, given: &[Given]) -> Result<(), Tried> {
        let known = *self.place.lock();
        let place = match known {
            Some(place) => place,
            None => within(&self.spec.table, self.table.open()).await.map_err(Tried::Failed)?,
        };
        let batch = match plan(place, run, given, self.spec.refills) {
            Plan::Rewind(rewind) => {
                // Only if it is so: what was known may be old.
                return match known {
                    Some(_) => Err(Tried::Failed(ViewError::Moved(place))),
                    None => Err(Tried::Rewind(rewind)),
                };
            }
            Plan::Write(batch) => batch,
        };
        let is_noted = batch.before == Some(batch.after) && batch.changes.is_empty();
        if !is_noted || known.is_none() {
            within(&self.spec.table, self.table.apply(&batch)).await.map_err(Tried::Failed)?;
        }
        *self.place.lock() = Some(Some(batch.after));
        Ok(())
    }
}

/// Why a part was not written.
enum Stopped {
    Rewind(Rewind),
    Refused(String),
}

enum Tried {
    Rewind(Rewind),
    Failed(ViewError),
}

async fn within<T>(table: &str, work: impl Future<Output = Result<T, ViewError>>) -> Result<T, ViewError> {
    let late = |_| ViewError::Unavailable { table: table.to_owned(), reason: format!("no answer within {DEADLINE:?}") };
    tokio::time::timeout(DEADLINE, work).await.map_err(late)?
}
