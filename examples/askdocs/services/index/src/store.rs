//! The SQLite file: what the index knows, and the only thing that it keeps.
//!
//! A document's row gets a new number each time it is replaced, and numbers are never used twice. So the set of numbers
//! says exactly which versions of which documents are there, and a projection catches up by comparing two sets, whatever
//! happened in between and whichever process did it. How documents come into it is told in [`crate::arrival`].

use crate::arrival;
use crate::document::{Document, InvalidDocument, Passage};
use chassis::event::{ATTEMPTS, Event, Outcome};
use chassis::outbox;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Passages in the whole index: what one instance searches in a fraction of a second and holds in memory.
pub const PASSAGES_MAX: usize = 200_000;
const SCHEMA_VERSION: i64 = 2;
const SCHEMA: &str = "
    CREATE TABLE document (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL, source TEXT,
        passages INTEGER NOT NULL, fingerprint BLOB NOT NULL, indexed_at INTEGER NOT NULL
    );
    CREATE TABLE passage (
        document INTEGER NOT NULL REFERENCES document (number) ON DELETE CASCADE, position INTEGER NOT NULL,
        id TEXT NOT NULL, text TEXT NOT NULL, heading TEXT, page INTEGER, ordinal INTEGER NOT NULL, vector BLOB NOT NULL,
        PRIMARY KEY (document, position)
    ) WITHOUT ROWID;
    CREATE TABLE model (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), name TEXT NOT NULL, dimensions INTEGER NOT NULL);
";
/// From the version before: documents that came by calls have versions that are older than any event's.
const SCHEMA_2: &str = "
    ALTER TABLE document ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE document DROP COLUMN fingerprint;
    PRAGMA user_version = 2;
";

/// Why the store cannot do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("the store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be opened or is not ours.
    #[error("cannot open the store {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file was written by a newer version of this service.
    #[error("{} has schema {found}, this service knows {SCHEMA_VERSION}: run the newer version again", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// Vectors of two models cannot be compared.
    #[error(
        "the passages here were embedded with {kept}, the embedder now runs {offered}: reset the index's store and add the documents again"
    )]
    ModelChanged {
        /// The model of what is kept.
        kept: Model,
        /// The embedder's model now.
        offered: Model,
    },
    /// It is not what can be indexed.
    #[error("{0}")]
    Document(#[from] InvalidDocument),
    /// Its vectors make no sense.
    #[error("{0}")]
    Vectors(String),
    /// Whoever worked on it was stopped in the middle each time.
    #[error("each of {ATTEMPTS} attempts was broken off; the log of the index says more")]
    BrokenOff,
    /// There is no room for more.
    #[error("the index holds {held} passages and can hold {PASSAGES_MAX}: delete documents first")]
    Full {
        /// Passages of all other documents.
        held: usize,
    },
}

/// What vectors were made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Numbers per vector.
    pub dimensions: usize,
}

impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} dimensions)", self.name, self.dimensions)
    }
}

/// A document in a list.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Where it came from.
    pub source: Option<String>,
    /// How many passages it has.
    pub passages: usize,
    /// When it was indexed, in seconds since 1970.
    pub indexed_at: u64,
}

/// One version of a document with its vectors, for the projection.
#[derive(Debug)]
pub struct Version {
    /// The document's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its passages, in order.
    pub passages: Vec<Passage>,
    /// One vector after the other, in the order of the passages.
    pub vectors: Vec<f32>,
}

/// The open file. Each call blocks for as long as the disk takes.
///
/// Two connections: SQLite tells the reader when somebody else, be it the writer, has changed the file.
pub struct Store {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Every commit is on disk before it is acknowledged, also when the power fails.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

impl Store {
    /// Opens the file and makes it when it is new.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let cannot = |source| StoreError::Open { path: path.into(), source };
        let mut writer = connect(path).map_err(cannot)?;
        let change = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(cannot)?;
        let steps: &[&str] = match change.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(cannot)? {
            0 => &[SCHEMA, SCHEMA_2, arrival::SCHEMA, outbox::SCHEMA],
            1 => &[SCHEMA_2, arrival::SCHEMA, outbox::SCHEMA],
            SCHEMA_VERSION => &[],
            found => return Err(StoreError::Newer { path: path.into(), found }),
        };
        steps.iter().try_for_each(|step| change.execute_batch(step)).map_err(cannot)?;
        change.commit().map_err(cannot)?;
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(connect(path).map_err(cannot)?) })
    }

    /// Takes what events say, all of it in one transaction. An outcome for each.
    pub fn learn(&self, events: Vec<Event>) -> Result<Vec<Outcome>, StoreError> {
        let mut writer = self.writer.lock();
        let mut change = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcomes = events.into_iter().map(|event| arrival::take(&mut change, event)).collect::<Result<_, _>>()?;
        change.commit()?;
        Ok(outcomes)
    }

    /// Up to `limit` documents whose ids come after `after`, in the order of their ids.
    pub fn list(&self, after: &str, limit: usize) -> Result<Vec<Summary>, StoreError> {
        let reader = self.reader.lock();
        let mut select = reader.prepare_cached(
            "SELECT id, title, source, passages, indexed_at FROM document WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let rows = select.query_map(params![after, limit], summary)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A document and its passages.
    pub fn find(&self, id: &str) -> Result<Option<(Summary, Vec<Passage>)>, StoreError> {
        let mut reader = self.reader.lock();
        let read = reader.transaction()?;
        let select = "SELECT id, title, source, passages, indexed_at, number FROM document WHERE id = ?1";
        let found = read.query_row(select, [id], |row| Ok((summary(row)?, row.get(5)?))).optional()?;
        let Some((summary, number)) = found else { return Ok(None) };
        let (passages, _) = passages(&read, number)?;
        Ok(Some((summary, passages)))
    }

    /// What the vectors were made with, once there are any.
    pub fn model(&self) -> Result<Option<Model>, StoreError> {
        Ok(read_model(&self.reader.lock())?)
    }

    /// A number that is another one whenever the file has changed since the last call.
    pub fn change_mark(&self) -> Result<i64, StoreError> {
        Ok(self.reader.lock().query_row("PRAGMA data_version", [], |row| row.get(0))?)
    }

    /// The numbers of all versions that are there now.
    pub fn numbers(&self) -> Result<BTreeSet<i64>, StoreError> {
        let reader = self.reader.lock();
        let mut select = reader.prepare_cached("SELECT number FROM document")?;
        let rows = select.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One version with its vectors; none when it has been replaced meanwhile.
    pub fn version(&self, number: i64) -> Result<Option<Version>, StoreError> {
        let mut reader = self.reader.lock();
        let read = reader.transaction()?;
        let select = "SELECT id, title FROM document WHERE number = ?1";
        let found = read.query_row(select, [number], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((id, title)) = found else { return Ok(None) };
        let (passages, vectors) = passages(&read, number)?;
        Ok(Some(Version { id, title, passages, vectors }))
    }
}

/// Puts a document in the place of the one with the same id, in the transaction that is open.
pub(crate) fn put(
    change: &Connection,
    id: &str,
    version: i64,
    document: &Document,
    vectors: &[Vec<f32>],
    model: &Model,
) -> Result<(), StoreError> {
    change.execute("DELETE FROM document WHERE id = ?1", [id])?;
    let held: usize = change.query_row("SELECT coalesce(sum(passages), 0) FROM document", [], |row| row.get(0))?;
    if held + document.passages.len() > PASSAGES_MAX {
        return Err(StoreError::Full { held });
    }
    keep_model(change, model, held == 0)?;
    change.execute(
        "INSERT INTO document (id, version, title, source, passages, indexed_at) VALUES (?1, ?2, ?3, ?4, ?5, unixepoch())",
        params![id, version, document.title, document.source, document.passages.len()],
    )?;
    let number = change.last_insert_rowid();
    let mut insert = change.prepare("INSERT INTO passage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    for (position, (passage, vector)) in document.passages.iter().zip(vectors).enumerate() {
        let Passage { id, text, heading, page, ordinal } = passage;
        let vector: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        insert.execute(params![number, position, id, text, heading, page, ordinal, vector])?;
    }
    Ok(())
}

fn summary(row: &rusqlite::Row<'_>) -> rusqlite::Result<Summary> {
    let [id, title] = [row.get(0)?, row.get(1)?];
    Ok(Summary { id, title, source: row.get(2)?, passages: row.get(3)?, indexed_at: row.get(4)? })
}

fn passages(read: &Transaction<'_>, number: i64) -> rusqlite::Result<(Vec<Passage>, Vec<f32>)> {
    let mut select = read.prepare_cached(
        "SELECT id, text, heading, page, ordinal, vector FROM passage WHERE document = ?1 ORDER BY position",
    )?;
    let mut rows = select.query([number])?;
    let (mut passages, mut vectors) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let vector = row.get_ref(5)?.as_blob()?;
        vectors.extend(vector.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        let (id, text, heading) = (row.get(0)?, row.get(1)?, row.get(2)?);
        passages.push(Passage { id, text, heading, page: row.get(3)?, ordinal: row.get(4)? });
    }
    Ok((passages, vectors))
}

fn read_model(connection: &Connection) -> rusqlite::Result<Option<Model>> {
    let row = |row: &rusqlite::Row<'_>| Ok(Model { name: row.get(0)?, dimensions: row.get(1)? });
    connection.query_row("SELECT name, dimensions FROM model", [], row).optional()
}

fn keep_model(change: &Connection, offered: &Model, empty: bool) -> Result<(), StoreError> {
    match read_model(change)? {
        Some(kept) if kept == *offered => Ok(()),
        Some(kept) if !empty => Err(StoreError::ModelChanged { kept, offered: offered.clone() }),
        _ => {
            let insert = "INSERT OR REPLACE INTO model (only_row, name, dimensions) VALUES (1, ?1, ?2)";
            change.execute(insert, params![offered.name, offered.dimensions])?;
            Ok(())
        }
    }
}
