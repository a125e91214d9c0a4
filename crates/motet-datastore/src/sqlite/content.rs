//! The whole content of a store: copied out while it is in use, replaced at once, or emptied.

use super::{
    COPY, Store,
    database::{explain, find_damage, is_damage, open, open_for_reading, remove_side_files, set_wal, settle},
    place, target_is_free, with_suffix,
};
use crate::{
    Engine, Occupancy, StoreError,
    error::{FileTrouble, NotABackup, TooLate},
};
use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::{Duration, Instant},
};

/// How many pages are copied before writers get their turn: 4 MiB at SQLite's usual 4 KiB.
const PAGES: i32 = 1024;

/// What every SQLite file begins with (<https://www.sqlite.org/fileformat.html>, section 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

pub(super) fn backup(store: &Store, to: &Path, deadline: Instant) -> Result<(), StoreError> {
    target_is_free(to)?;
    let partial = with_suffix(to, &format!(".{}.partial", std::process::id()));
    place::remove_file(&partial)?;
    let written = copy_out(store, &partial, deadline).and_then(|()| {
        place::publish(&partial, to).map_err(|trouble| match trouble.source.kind() {
            io::ErrorKind::AlreadyExists => crate::error::TargetExists { path: to.to_owned() }.into(),
            _ => trouble.into(),
        })
    });
    if written.is_err() {
        discard(&partial);
    }
    written
}

fn copy_out(store: &Store, partial: &Path, deadline: Instant) -> Result<(), StoreError> {
    place::create_private(partial)?;
    let failed = |error: rusqlite::Error| explain(store, &error);
    let source = open_for_reading(&store.path, deadline).map_err(failed)?;
    copy(store, &source, partial, deadline)?;
    let target = open(partial, deadline).map_err(failed)?;
    // The copy stands alone: no side files, readable from a medium that cannot be written.
    target.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(failed)?;
    drop(target);
    sync(partial)
}

/// Copies one consistent state. A writer of another process makes SQLite begin again with what it wrote, so a store that is
/// written to without a pause is copied in one step in the end, during which writers wait.
fn copy(store: &Store, source: &Connection, to: &Path, deadline: Instant) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| explain(store, &error);
    let mut target = open(to, deadline).map_err(failed)?;
    let backup = Backup::new(source, &mut target).map_err(failed)?;
    let patient_until = Instant::now() + Duration::from_secs(10);
    loop {
        if Instant::now() >= deadline {
            return Err(TooLate { action: format!("copying the store of `{}`", store.service), limit: COPY }.into());
        }
        let pages = if Instant::now() < patient_until { PAGES } else { -1 };
        match backup.step(pages).map_err(failed)? {
            StepResult::Done => return Ok(()),
            StepResult::Busy | StepResult::Locked => std::thread::park_timeout(Duration::from_millis(20)),
            _ => std::thread::yield_now(),
        }
    }
}

pub(super) fn restore(store: &Store, from: &Path, occupancy: Occupancy, deadline: Instant) -> Result<(), StoreError> {
    let unusable =
        |reason: String| StoreError::from(NotABackup { path: from.to_owned(), engine: Engine::Sqlite, reason });
    begins_like_a_database(from)?.then_some(()).ok_or_else(|| unusable("it does not begin like a database".into()))?;
    let source = open_for_reading(from, deadline).map_err(|error| unusable(error.to_string()))?;
    match find_damage(&source) {
        Ok(None) => {}
        Ok(Some(damage)) => return Err(unusable(damage)),
        Err(error) if is_damage(&error) => return Err(unusable(error.to_string())),
        Err(error) => return Err(explain(store, &error)),
    }
    let beside = with_suffix(&store.path, ".restoring");
    let replaced = fill(store, &source, &beside, deadline).and_then(|()| swap(store, &beside, occupancy, deadline));
    if replaced.is_err() {
        discard(&beside);
    }
    replaced
}

pub(super) fn reset(store: &Store, occupancy: Occupancy, deadline: Instant) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| explain(store, &error);
    let empty = Connection::open_in_memory().map_err(failed)?;
    let beside = with_suffix(&store.path, ".restoring");
    let replaced = fill(store, &empty, &beside, deadline).and_then(|()| swap(store, &beside, occupancy, deadline));
    if replaced.is_err() {
        discard(&beside);
    }
    replaced
}

/// Makes a database that is complete, on disk and in WAL mode, beside the one that is used.
fn fill(store: &Store, source: &Connection, beside: &Path, deadline: Instant) -> Result<(), StoreError> {
    remove_with_side_files(beside)?;
    place::create_private(beside)?;
    copy(store, source, beside, deadline)?;
    let made = open(beside, deadline).map_err(|error| explain(store, &error))?;
    set_wal(&made).map_err(|error| explain(store, &error))?;
    drop(made);
    sync(beside)
}

/// The old database is brought to rest first, so that at every line either all of the old or all of the new is there.
fn swap(store: &Store, beside: &Path, occupancy: Occupancy, deadline: Instant) -> Result<(), StoreError> {
    if occupancy != Occupancy::Forced {
        settle(store, &store.path, deadline)?;
    }
    remove_side_files(&store.path)?;
    Ok(place::replace(beside, &store.path)?)
}

fn begins_like_a_database(path: &Path) -> Result<bool, StoreError> {
    let trouble = |source| FileTrouble { action: "read", path: path.to_owned(), source };
    let mut head = [0_u8; MAGIC.len()];
    let mut file = File::open(path).map_err(trouble)?;
    match file.read_exact(&mut head) {
        Ok(()) => Ok(&head == MAGIC),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(source) => Err(trouble(source).into()),
    }
}

fn sync(path: &Path) -> Result<(), StoreError> {
    let trouble = |source| FileTrouble { action: "sync", path: path.to_owned(), source };
    Ok(File::open(path).and_then(|file| file.sync_all()).map_err(trouble)?)
}

fn remove_with_side_files(path: &Path) -> Result<(), StoreError> {
    place::remove_file(path)?;
    remove_side_files(path)
}

/// After a failure, whose error is the one to report.
fn discard(path: &Path) {
    if let Err(error) = remove_with_side_files(path) {
        tracing::warn!(path = %path.display(), %error, "could not remove an unfinished copy");
    }
}
