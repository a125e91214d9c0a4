//! One database file: opened with limits, made, checked, and brought to rest so that nothing of it is in a side file.

use super::{Store, place, with_suffix};
use crate::{
    StoreError,
    error::{Damaged, InUse, TooLate},
};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// How long SQLite waits for a lock that another connection holds.
const BUSY: Duration = Duration::from_secs(5);

/// After how many of SQLite's instructions the deadline is looked at.
const INSTRUCTIONS: i32 = 10_000;

pub(super) fn open(path: &Path, deadline: Instant) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    limited(Connection::open_with_flags(path, flags)?, deadline)
}

pub(super) fn open_for_reading(path: &Path, deadline: Instant) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    limited(Connection::open_with_flags(path, flags)?, deadline)
}

fn limited(connection: Connection, deadline: Instant) -> Result<Connection, rusqlite::Error> {
    connection.busy_timeout(BUSY)?;
    connection.progress_handler(INSTRUCTIONS, Some(move || Instant::now() >= deadline))?;
    Ok(connection)
}

/// Makes the file if it is missing and brings it into WAL mode. Data that is there is not touched.
pub(super) fn make(store: &Store, deadline: Instant) -> Result<(), StoreError> {
    if store.path.exists() {
        place::restrict_file(&store.path)?;
    } else {
        // SQLite gives its side files the rights of the main one, so that one decides for all.
        place::create_private(&store.path)?.sync_all().map_err(|source| crate::error::FileTrouble {
            action: "create",
            path: store.path.clone(),
            source,
        })?;
        place::sync_directory_of(&store.path)?;
    }
    match open(&store.path, deadline).and_then(|connection| set_wal(&connection)) {
        Ok(()) => Ok(()),
        // A service that chose another journal mode holds the file: its choice stays.
        Err(error) if is_busy(&error) => {
            tracing::warn!(service = %store.service, "store is in use and not in wal mode, left as it is");
            Ok(())
        }
        Err(error) => Err(explain(store, &error)),
    }
}

pub(super) fn set_wal(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
}

/// Brings a database to rest: everything in the main file, no side files, nobody connected. Fails if somebody is.
/// A file that is missing, or that is no database any more, is at rest.
pub(super) fn settle(store: &Store, path: &Path, deadline: Instant) -> Result<(), StoreError> {
    if !path.exists() {
        return Ok(());
    }
    let at_rest = open(path, deadline).and_then(|connection| {
        // A reader of another process would make SQLite wait; five seconds of that would not change who is connected.
        connection.busy_timeout(Duration::from_millis(200))?;
        connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
        let mode: String = connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
        Ok(mode == "delete")
    });
    let in_use = || InUse { service: store.service.clone(), by: "another process has its file open".into() };
    match at_rest {
        Ok(true) => Ok(()),
        Ok(false) => Err(in_use().into()),
        Err(error) if is_busy(&error) => Err(in_use().into()),
        Err(error) if is_damage(&error) => Ok(()),
        Err(error) => Err(explain(store, &error)),
    }
}

/// Removes what a database that is about to be replaced keeps beside itself: SQLite would play it into the new one.
pub(super) fn remove_side_files(path: &Path) -> Result<(), StoreError> {
    for suffix in ["-wal", "-shm", "-journal"] {
        place::remove_file(&with_suffix(path, suffix))?;
    }
    Ok(())
}

/// SQLite's own check of a whole file; `None` if it found nothing.
pub(super) fn find_damage(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((verdict != "ok").then_some(verdict))
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// What an error of SQLite means for the store that it happened in.
pub(super) fn explain(store: &Store, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => {
            TooLate { action: format!("an operation on the store of `{}`", store.service), limit: super::QUICK }.into()
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            InUse { service: store.service.clone(), by: "a transaction holds its file locked".into() }.into()
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Damaged {
            service: store.service.clone(),
            location: store.path.display().to_string(),
            reason: error.to_string(),
        }
        .into(),
        _ => crate::error::FileTrouble {
            action: "use",
            path: store.path.clone(),
            source: std::io::Error::other(error.to_string()),
        }
        .into(),
    }
}
