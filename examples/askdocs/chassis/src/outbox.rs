//! The outbox: a table in a service's own SQLite file. A row that is committed becomes an event; publishing it is Motet's job.
//!
//! The id of a row says what it is about, so a service sees by it what it has done before: the table is its memory, too.

use rusqlite::{Connection, params};
use serde::Serialize;

/// Makes the table if it is not there.
pub const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, type TEXT NOT NULL, key TEXT,
        data TEXT, content_type TEXT NOT NULL DEFAULT 'application/json', extensions TEXT,
        created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), published_at TEXT
    );
    CREATE INDEX IF NOT EXISTS outbox_unpublished ON outbox (seq) WHERE published_at IS NULL;
";

/// Something to be told.
#[derive(Debug)]
pub struct Row<'a, D> {
    /// What it is about. Two rows with one id are one.
    pub id: &'a str,
    /// Where it is told, which is its type as well.
    pub topic: &'a str,
    /// What it belongs to.
    pub key: &'a str,
    /// What it says.
    pub data: &'a D,
    /// The trace that it belongs to.
    pub traceparent: Option<&'a str>,
}

impl<D: Serialize> Row<'_, D> {
    /// Writes it down, in the transaction that is open on this connection.
    pub fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let json = |value: serde_json::Result<String>| {
            value.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
        };
        let extensions = self.traceparent.map(|trace| serde_json::json!({ "traceparent": trace }).to_string());
        let mut insert = connection.prepare_cached(
            "INSERT OR IGNORE INTO outbox (id, topic, type, key, data, extensions) VALUES (?1, ?2, ?2, ?3, ?4, ?5)",
        )?;
        insert.execute(params![self.id, self.topic, self.key, json(serde_json::to_string(self.data))?, extensions])?;
        Ok(())
    }
}

/// Whether this was written down before, and not so long ago that it has been cleared away.
pub fn has(connection: &Connection, id: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM outbox WHERE id = ?1")?.exists([id])
}
