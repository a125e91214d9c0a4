//! One file and its connection: opened when it is there, opened anew when another file has taken its place.

use super::statements::{Statements, TEXT};
use crate::{
    error::TableError,
    port::Ask,
    row::{Place, Row, attributes},
    status::Lag,
};
use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, ToSql, functions::FunctionFlags, types::ValueRef};
use std::{collections::BTreeSet, os::unix::fs::MetadataExt as _, path::PathBuf, time::Duration};

/// How long a transaction of the service is waited for.
const BUSY: Duration = Duration::from_secs(5);
/// The largest data of a row, in bytes. No topic takes more.
const DATA_MAX: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    table: String,
    statements: Statements,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    /// Which file it is: a store that is restored is another one under the same name.
    identity: (u64, u64),
    /// The version of the schema that the table was held against.
    checked: Option<i64>,
    /// The version of the data when rows were last asked for.
    seen: Option<i64>,
}

impl File {
    pub(super) fn new(path: PathBuf, table: String, statements: Statements) -> Self {
        Self { path, table, statements, open: None }
    }

    pub(super) fn claim(&mut self, ask: &Ask) -> Result<Vec<Row>, TableError> {
        let table = self.table.clone();
        let sql = self.statements.claim(ask);
        let open = self.ready()?;
        // Before the rows: what is committed in between is seen twice rather than not at all.
        open.seen = Some(version(&open.connection).map_err(unavailable(&table))?);
        open.rows(&sql, ask).map_err(unavailable(&table))
    }

    pub(super) fn settle(&mut self, places: &[Place]) -> Result<(), TableError> {
        let table = self.table.clone();
        let sql = self.statements.settle.clone();
        let open = self.ready()?;
        let settle = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            {
                let mut statement = transaction.prepare_cached(&sql)?;
                for place in places {
                    statement.execute([place.number])?;
                }
            }
            transaction.commit()
        };
        settle(&mut open.connection).map_err(unavailable(&table))
    }

    pub(super) fn lag(&mut self) -> Result<Lag, TableError> {
        let table = self.table.clone();
        let (count, oldest) = (self.statements.count.clone(), self.statements.oldest.clone());
        let open = self.ready()?;
        let ask = |connection: &Connection| -> rusqlite::Result<Lag> {
            let limit = i64::try_from(Lag::COUNTED).unwrap_or(i64::MAX);
            let rows: i64 = connection.prepare_cached(&count)?.query_row([limit], |row| row.get(0))?;
            let age = match oldest.filter(|_| rows > 0) {
                Some(sql) => connection.prepare_cached(&sql)?.query_row([], |row| row.get::<_, Option<f64>>(0))?,
                None => None,
            };
            let oldest = age.filter(|age| age.is_finite()).map(|age| Duration::from_secs_f64(age.clamp(0.0, 1e9)));
            Ok(Lag { rows: rows.unsigned_abs(), oldest })
        };
        ask(&open.connection).map_err(unavailable(&table))
    }

    pub(super) fn sweep(&mut self, keep: Duration, most: u64) -> Result<u64, TableError> {
        let table = self.table.clone();
        let Some(sql) = self.statements.sweep.clone() else { return Ok(0) };
        let open = self.ready()?;
        let ago = format!("-{:.3} seconds", keep.as_secs_f64());
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sweep = |connection: &Connection| connection.prepare_cached(&sql)?.execute((ago, most));
        sweep(&open.connection).map(|gone| gone as u64).map_err(unavailable(&table))
    }

    /// Whether somebody else has committed since rows were last asked for.
    pub(super) fn has_changed(&mut self) -> Result<bool, TableError> {
        let table = self.table.clone();
        let open = self.ready()?;
        let now = version(&open.connection).map_err(unavailable(&table))?;
        Ok(open.seen != Some(now))
    }

    /// The connection, with the table as it is described.
    fn ready(&mut self) -> Result<&mut Open, TableError> {
        let missing = || TableError::Missing(self.table.clone());
        let metadata = std::fs::metadata(&self.path).map_err(|_| missing())?;
        let identity = (metadata.dev(), metadata.ino());
        if self.open.as_ref().is_some_and(|open| open.identity != identity) {
            self.open = None;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open {
                connection: connect(&self.path).map_err(unavailable(&self.table))?,
                identity,
                checked: None,
                seen: None,
            },
        };
        let schema: i64 = open
            .connection
            .query_row("PRAGMA schema_version", [], |row| row.get(0))
            .map_err(unavailable(&self.table))?;
        if open.checked != Some(schema) {
            self.check(&open.connection)?;
            open.checked = Some(schema);
        }
        Ok(self.open.insert(open))
    }

    fn check(&self, connection: &Connection) -> Result<(), TableError> {
        let (schema, table) = &self.statements.place;
        let read = |connection: &Connection| -> rusqlite::Result<Vec<(String, bool)>> {
            let mut statement = connection.prepare("SELECT name, \"notnull\" FROM pragma_table_xinfo(?1, ?2)")?;
            let rows = statement.query_map((table, schema), |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        let columns = read(connection).map_err(unavailable(&self.table))?;
        if columns.is_empty() {
            return Err(TableError::Missing(self.table.clone()));
        }
        let shape = |reason: String| Err(TableError::Shape { table: self.table.clone(), reason });
        let known: BTreeSet<String> = columns.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let lacking: Vec<_> =
            self.statements.needed.iter().filter(|name| !known.contains(&name.to_ascii_lowercase())).cloned().collect();
        if !lacking.is_empty() {
            let there: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
            return shape(format!(
                "it has no column {}; it has {}. Say under `columns` what they are called",
                lacking.join(", "),
                there.join(", ")
            ));
        }
        let published = self.statements.published.as_ref();
        let filled =
            |name: &String| columns.iter().any(|(column, not_null)| *not_null && column.eq_ignore_ascii_case(name));
        if let Some(name) = published.filter(|name| filled(name)) {
            return shape(format!("the column {name} is NOT NULL, and it has to be empty until a row is published"));
        }
        Ok(())
    }
}

impl Open {
    fn rows(&self, sql: &str, ask: &Ask) -> rusqlite::Result<Vec<Row>> {
        let json = |texts: &BTreeSet<String>| serde_json::to_string(texts).unwrap_or_default();
        let (keys, ids) = (json(&ask.without_keys), json(&ask.without_ids));
        let limit = i64::try_from(ask.rows).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(sql)?;
        // A parameter that the question does not have may not be given.
        let given: [&dyn ToSql; 3] = [&keys, &ids, &limit];
        for (at, value) in given.iter().enumerate().take(statement.parameter_count()) {
            statement.raw_bind_parameter(at + 1, value)?;
        }
        let mut found = statement.raw_query();
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(row) = found.next()? {
            let row = read(row)?;
            bytes += row.size();
            if bytes > ask.bytes && !rows.is_empty() {
                break;
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

fn connect(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.create_scalar_function(
        TEXT,
        1,
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
        |given| Ok(text(given.get_raw(0))),
    )?;
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

fn unavailable(table: &str) -> impl Fn(rusqlite::Error) -> TableError + '_ {
    move |error| TableError::Unavailable { table: table.to_owned(), reason: error.to_string() }
}

/// A row, whatever its columns hold: what is not as it should be is said and not lost.
fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let mut broken = None;
    let data = match row.get_ref(5)? {
        ValueRef::Null => None,
        ValueRef::Text(data) | ValueRef::Blob(data) if data.len() > DATA_MAX => {
            broken = Some(format!("its data has {} bytes, and no topic takes more than {DATA_MAX}", data.len()));
            None
        }
        ValueRef::Text(data) | ValueRef::Blob(data) => Some(Bytes::copy_from_slice(data)),
        ValueRef::Integer(number) => Some(Bytes::from(number.to_string())),
        ValueRef::Real(number) => Some(Bytes::from(number.to_string())),
    };
    let extensions = match text(row.get_ref(8)?) {
        None => Vec::new(),
        Some(json) => attributes(&json).unwrap_or_else(|| {
            broken = Some("its extensions are not a JSON object of texts, numbers and truth values".to_owned());
            Vec::new()
        }),
    };
    let id = text(row.get_ref(1)?).filter(|id| !id.is_empty());
    let kind = text(row.get_ref(3)?).filter(|kind| !kind.is_empty());
    if id.is_none() || kind.is_none() {
        broken = Some(format!("it has no {}", if id.is_none() { "id" } else { "type" }));
    }
    let number = row.get(0)?;
    Ok(Row {
        // A row without an id is held up under a name of its own.
        place: Place { number, id: id.unwrap_or_else(|| format!("row {number}")) },
        topic: text(row.get_ref(2)?),
        kind: kind.unwrap_or_default(),
        key: text(row.get_ref(4)?),
        data,
        content_type: text(row.get_ref(6)?),
        time: text(row.get_ref(7)?),
        extensions,
        broken,
    })
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        // Ids are often UUIDs as bytes.
        ValueRef::Blob(bytes) => Some(match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        }),
    }
}
