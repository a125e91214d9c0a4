//! Views in SQLite files.
//!
//! The file is the service's own, so this is one more connection to it: it waits for the service's transactions, as they wait for its own,
//! which are one batch long. In WAL mode, which Motet sets when it makes a store, reading goes on meanwhile. Unlike an outbox, what is
//! written here is synced before it is answered for: what was lost with the power would not be delivered again.

use super::{
    Batch, Change, Place, ViewError, ViewSpec, ViewTable,
    shape::{self, Column, PLACES},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, params};
use std::{os::unix::fs::MetadataExt as _, path::PathBuf, sync::Arc, time::Duration};

/// How long a transaction of the service is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// A view in one file.
#[derive(Debug, Clone)]
pub struct SqliteView(Arc<Mutex<File>>);

#[derive(Debug)]
struct File {
    path: PathBuf,
    spec: ViewSpec,
    sql: Statements,
    /// With which file it is: a store that is restored is another one under the same name.
    open: Option<(Connection, (u64, u64))>,
}

#[derive(Debug)]
struct Statements {
    schema: String,
    table: String,
    create: String,
    put: String,
    remove: String,
    forget: String,
    sweep: String,
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Statements {
    fn new(spec: &ViewSpec) -> Self {
        let (schema, table) = spec.table.split_once('.').unwrap_or(("main", &spec.table));
        let (whole, own) = (format!("{}.{}", quoted(schema), quoted(table)), quoted(table));
        let columns = shape::COLUMNS.map(quoted);
        let set: Vec<_> = columns.iter().skip(1).map(|column| format!("{column} = excluded.{column}")).collect();
        Self {
            create: format!(
                "CREATE TABLE {whole} (\n  key TEXT NOT NULL PRIMARY KEY,\n  value TEXT NOT NULL,\n  event_id TEXT NOT NULL,\n  event_source TEXT NOT NULL,\n  event_type TEXT NOT NULL,\n  event_time TEXT,\n  position INTEGER NOT NULL,\n  run INTEGER NOT NULL\n)"
            ),
            put: format!(
                "INSERT INTO {whole} ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (key) DO UPDATE SET {} WHERE excluded.position >= {own}.position",
                columns.join(", "),
                set.join(", ")
            ),
            remove: format!("DELETE FROM {whole} WHERE key = ?1 AND position <= ?2"),
            forget: format!("UPDATE {whole} SET position = -1"),
            sweep: format!("DELETE FROM {whole} WHERE run <> ?1 AND position >= ?2 AND position < ?3"),
            schema: schema.to_owned(),
            table: table.to_owned(),
        }
    }
}

impl SqliteView {
    /// A view in the file of a store, which has to be there. Nothing is opened yet.
    pub fn new(path: impl Into<PathBuf>, spec: &ViewSpec) -> Self {
        let file = File { path: path.into(), spec: spec.clone(), sql: Statements::new(spec), open: None };
        Self(Arc::new(Mutex::new(file)))
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut File) -> Result<T, ViewError> + Send + 'static,
    ) -> Result<T, ViewError> {
        let file = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&mut file.lock())).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(ViewError::Unavailable { table: String::new(), reason: "the runtime ends".into() }),
        }
    }
}

#[async_trait]
impl ViewTable for SqliteView {
    async fn open(&self) -> Result<Option<Place>, ViewError> {
        self.with(File::look).await
    }

    async fn apply(&self, batch: &Batch) -> Result<(), ViewError> {
        let batch = batch.clone();
        self.with(move |file| file.apply(&batch)).await
    }
}

impl File {
    fn connection(&mut self) -> Result<&mut Connection, ViewError> {
        let unavailable = |reason: String| ViewError::Unavailable { table: self.spec.table.clone(), reason };
        let metadata = std::fs::metadata(&self.path).map_err(|error| unavailable(format!("its file: {error}")))?;
        let identity = (metadata.dev(), metadata.ino());
        let connection = match self.open.take().filter(|(_, opened)| *opened == identity) {
            Some((connection, _)) => connection,
            None => connect(&self.path).map_err(|error| unavailable(error.to_string()))?,
        };
        Ok(&mut self.open.insert((connection, identity)).0)
    }

    fn look(&mut self) -> Result<Option<Place>, ViewError> {
        let name = self.spec.table.clone();
        let explain = |error: rusqlite::Error| explained(&name, &error);
        self.connection()?;
        let Some((connection, _)) = &mut self.open else { return Err(ViewError::Gone) };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
        transaction.execute_batch(CREATE_PLACES).map_err(explain)?;
        let columns = columns(&transaction, &self.sql).map_err(explain)?;
        let mut place = None;
        if columns.is_empty() {
            transaction.execute_batch(&self.sql.create).map_err(explain)?;
            transaction.execute(FORGET_PLACE, [&name]).map_err(explain)?;
        } else {
            let shape = |reason: String| ViewError::Shape { table: name.clone(), reason };
            shape::check(&columns).map_err(shape)?;
            if !has_key(&transaction, &self.sql).map_err(explain)? {
                return Err(shape(shape::NO_KEY.to_owned()));
            }
            if let Some((by, found)) = read_place(&transaction, &name).map_err(explain)? {
                if by != self.spec.subscription {
                    return Err(shape(shape::taken(&by, &name)));
                }
                place = Some(found);
            }
        }
        transaction.commit().map_err(explain)?;
        Ok(place)
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), ViewError> {
        let name = self.spec.table.clone();
        self.connection()?;
        let (Some((connection, _)), sql) = (&mut self.open, &self.sql) else { return Err(ViewError::Gone) };
        let explain = |error: rusqlite::Error| explained(&name, &error);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
        let found = read_place(&transaction, &name).map_err(explain)?;
        let found = found.filter(|(by, _)| *by == self.spec.subscription).map(|(_, place)| place);
        if found != batch.before {
            return Err(ViewError::Moved(found));
        }
        write(&transaction, sql, batch).map_err(explain)?;
        let Place { run, lineage, begins, until, position } = batch.after;
        let numbers = [run, lineage, begins, until].map(stored);
        let place = params![name, self.spec.subscription, numbers[0], numbers[1], numbers[2], numbers[3], position];
        transaction.prepare_cached(SET_PLACE).and_then(|mut set| set.execute(place)).map_err(explain)?;
        transaction.commit().map_err(explain)
    }
}

const CREATE_PLACES: &str = "CREATE TABLE IF NOT EXISTS motet_views (
  name TEXT NOT NULL PRIMARY KEY,
  subscription TEXT NOT NULL,
  run INTEGER NOT NULL,
  lineage INTEGER NOT NULL,
  begins INTEGER NOT NULL,
  until INTEGER NOT NULL,
  position INTEGER NOT NULL,
  written_at TEXT NOT NULL
)";
const FORGET_PLACE: &str = "DELETE FROM motet_views WHERE name = ?1";
const SET_PLACE: &str = "INSERT OR REPLACE INTO motet_views (name, subscription, run, lineage, begins, until, position, written_at) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))";

fn connect(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn read_place(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<Option<(String, Place)>> {
    let sql = format!("SELECT subscription, run, lineage, begins, until, position FROM {PLACES} WHERE name = ?1");
    let mut statement = transaction.prepare_cached(&sql)?;
    let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<(String, Place)> {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let (run, lineage, begins, until) = (number(1)?, number(2)?, number(3)?, number(4)?);
        Ok((row.get(0)?, Place { run, lineage, begins, until, position: row.get(5)? }))
    };
    statement.query_row([name], read).optional()
}

fn columns(transaction: &Transaction<'_>, sql: &Statements) -> rusqlite::Result<Vec<Column>> {
    // Hidden is 2 or 3 for what is generated.
    let mut statement = transaction
        .prepare("SELECT name, \"notnull\" AND dflt_value IS NULL AND hidden = 0 FROM pragma_table_xinfo(?1, ?2)")?;
    let rows =
        statement.query_map((&sql.table, &sql.schema), |row| Ok(Column { name: row.get(0)?, needed: row.get(1)? }))?;
    rows.collect()
}

/// Whether `key` alone is unique.
fn has_key(transaction: &Transaction<'_>, sql: &Statements) -> rusqlite::Result<bool> {
    let question = "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1, ?2) AS it WHERE it.\"unique\" AND NOT it.partial \
                    AND (SELECT group_concat(lower(name)) FROM pragma_index_info(it.name, ?2)) = 'key') \
                    OR (SELECT group_concat(lower(name)) FROM pragma_table_xinfo(?1, ?2) WHERE pk > 0) = 'key'";
    transaction
        .query_row(question, (&sql.table, &sql.schema), |row| row.get::<_, Option<bool>>(0))
        .map(Option::unwrap_or_default)
}

fn write(transaction: &Transaction<'_>, sql: &Statements, batch: &Batch) -> rusqlite::Result<()> {
    if batch.forget {
        transaction.execute(&sql.forget, [])?;
    }
    let run = stored(batch.after.run);
    let mut put = transaction.prepare_cached(&sql.put)?;
    let mut remove = transaction.prepare_cached(&sql.remove)?;
    for Change { key, position, row } in &batch.changes {
        match row {
            Some(row) => put.execute(params![key, row.value, row.id, row.source, row.kind, row.time, position, run])?,
            None => remove.execute(params![key, position])?,
        };
    }
    if let Some(sweep) = batch.sweep {
        transaction.execute(&sql.sweep, [sweep.run, sweep.from, sweep.until].map(stored))?;
    }
    Ok(())
}

/// A failure in words.
fn explained(table: &str, error: &rusqlite::Error) -> ViewError {
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
            ViewError::Refused(reason)
        }
        _ if reason.contains("no such table") => ViewError::Gone,
        _ => ViewError::Unavailable { table: table.to_owned(), reason },
    }
}
