//! What events say about documents, brought into the file: parts arrive, and when the last one is there, a document is.
//!
//! An event may come twice, late, or after the one that takes its document out. Each document has versions that only grow, so three rules
//! make all of that harmless: a part is kept once; what is not newer than the document that is there, or than its deletion, says nothing;
//! a newer version's first part ends the waiting for an older one.

use crate::document::{Document, Passage};
use crate::store::{Model, StoreError, put};
use base64::prelude::{BASE64_STANDARD, Engine};
use chassis::event::{ATTEMPTS, Event, Outcome};
use chassis::outbox::Row;
use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

const INDEXED: &str = "document.indexed.v1";
const FAILED: &str = "document.failed.v1";
const DELETED: &str = "document.deleted.v1";
/// That a document was deleted is known for so long: longer than any topic keeps what could come late.
const GONE_SECONDS: i64 = 30 * 24 * 3600;

/// What is kept of documents that are not whole yet, and of those that were deleted.
pub const SCHEMA: &str = "
    CREATE TABLE staged (
        document TEXT NOT NULL, version INTEGER NOT NULL, part INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (document, version, part)
    );
    CREATE TABLE gone (id TEXT PRIMARY KEY, version INTEGER NOT NULL, at INTEGER NOT NULL DEFAULT (unixepoch())) WITHOUT ROWID;
";

/// The data of a `document.embedded.v1`.
#[derive(Debug, Deserialize, Serialize)]
struct Part {
    document: String,
    version: i64,
    name: String,
    title: String,
    part: u32,
    parts: usize,
    model: String,
    dimensions: usize,
    items: Vec<Item>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Item {
    ordinal: u32,
    text: String,
    heading: Option<String>,
    page: Option<u32>,
    vector: String,
}

/// The data of a `document.deleted.v1`.
#[derive(Debug, Deserialize)]
struct Deleted {
    document: String,
    version: i64,
}

/// Takes one event. What it changes is in the transaction; what it is refused for has changed nothing but what is told of it.
pub fn take(change: &mut Transaction<'_>, mut event: Event) -> rusqlite::Result<Outcome> {
    if event.r#type == DELETED {
        return Ok(match event.data() {
            Ok(deleted) => delete(change, &deleted).map(|()| Outcome::taken())?,
            Err(unreadable) => unreadable,
        });
    }
    let part: Part = match event.data() {
        Ok(part) => part,
        Err(unreadable) => return Ok(unreadable),
    };
    let trace = event.traceparent.as_deref();
    let attempt = change.savepoint()?;
    let result = if event.attempt > ATTEMPTS { Err(StoreError::BrokenOff) } else { arrive(&attempt, &part, trace) };
    let why = match result {
        Ok(()) => {
            attempt.commit()?;
            return Ok(Outcome::taken());
        }
        Err(StoreError::Sqlite(error)) => return Err(error),
        Err(error) => format!("It could not be indexed: {error}."),
    };
    drop(attempt); // which takes back what it has changed
    tracing::warn!("{}/{}: {why}", part.document, part.version);
    let (document, version) = (&part.document, part.version);
    let failed = json!({"document": document, "version": version, "step": "indexing", "reason": why});
    let id = format!("{document}/{version}/{}/failed", part.part);
    Row { id: &id, topic: FAILED, key: document, data: &failed, traceparent: trace }.insert(change)?;
    Ok(Outcome::never(why))
}

fn delete(change: &Connection, Deleted { document, version }: &Deleted) -> rusqlite::Result<()> {
    change.execute("DELETE FROM document WHERE id = ?1 AND version < ?2", params![document, version])?;
    change.execute("DELETE FROM staged WHERE document = ?1 AND version < ?2", params![document, version])?;
    change.execute("INSERT OR REPLACE INTO gone (id, version) VALUES (?1, ?2)", params![document, version])?;
    change.execute("DELETE FROM gone WHERE at < unixepoch() - ?1", [GONE_SECONDS])?;
    Ok(())
}

fn arrive(change: &Connection, part: &Part, trace: Option<&str>) -> Result<(), StoreError> {
    let Part { document, version, .. } = part;
    let newest: Option<i64> = change.query_row(
        "SELECT max(version) FROM (
            SELECT version FROM document WHERE id = ?1 UNION ALL SELECT version FROM gone WHERE id = ?1
            UNION ALL SELECT version - 1 FROM staged WHERE document = ?1)",
        [document],
        |row| row.get(0),
    )?;
    if newest.is_some_and(|newest| newest >= *version) {
        return Ok(());
    }
    change.execute("DELETE FROM staged WHERE document = ?1 AND version < ?2", params![document, version])?;
    let body = serde_json::to_string(part).map_err(|error| StoreError::Vectors(error.to_string()))?;
    let stage = "INSERT OR IGNORE INTO staged (document, version, part, body) VALUES (?1, ?2, ?3, ?4)";
    change.execute(stage, params![document, version, part.part, body])?;
    let here: usize =
        change.query_row("SELECT count(*) FROM staged WHERE document = ?1", [document], |row| row.get(0))?;
    if here < part.parts {
        return Ok(());
    }
    let (whole, vectors, model) = assemble(change, part)?;
    put(change, document, *version, &whole, &vectors, &model)?;
    change.execute("DELETE FROM staged WHERE document = ?1", [document])?;
    let indexed = json!({"document": document, "version": version, "passages": whole.passages.len()});
    let id = format!("{document}/{version}");
    Row { id: &id, topic: INDEXED, key: document, data: &indexed, traceparent: trace }.insert(change)?;
    tracing::info!("{id} is indexed: {} passages", whole.passages.len());
    Ok(())
}

/// The document that all its parts make, which believes nothing unchecked.
fn assemble(change: &Connection, last: &Part) -> Result<(Document, Vec<Vec<f32>>, Model), StoreError> {
    let model = Model { name: last.model.clone(), dimensions: last.dimensions };
    let mut select = change.prepare_cached("SELECT body FROM staged WHERE document = ?1 ORDER BY part")?;
    let bodies = select.query_map([&last.document], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    let (mut passages, mut vectors) = (Vec::new(), Vec::new());
    for body in bodies {
        let part: Part = serde_json::from_str(&body).map_err(|error| StoreError::Vectors(error.to_string()))?;
        let offered = Model { name: part.model, dimensions: part.dimensions };
        if offered != model {
            return Err(StoreError::ModelChanged { kept: offered, offered: model });
        }
        for Item { ordinal, text, heading, page, vector } in part.items {
            vectors.push(numbers(&vector, model.dimensions)?);
            passages.push(Passage { id: None, text, heading, page, ordinal: Some(ordinal) });
        }
    }
    let whole = Document { title: last.title.clone(), source: Some(last.name.clone()), passages };
    Ok((whole.checked()?, vectors, model))
}

fn numbers(vector: &str, dimensions: usize) -> Result<Vec<f32>, StoreError> {
    let nonsense = |what: &str| StoreError::Vectors(what.to_owned());
    let bytes = BASE64_STANDARD.decode(vector).map_err(|_| nonsense("a vector is not base64"))?;
    let (numbers, rest) = bytes.as_chunks();
    let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let length = numbers.iter().map(|x| x * x).sum::<f32>();
    if !rest.is_empty() || numbers.len() != dimensions || (length - 1.0).abs() > 0.01 {
        return Err(nonsense("a vector does not have the dimensions that it says, or not length one"));
    }
    Ok(numbers)
}
