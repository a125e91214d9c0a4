//! The SQL of an outbox in SQLite. Names come from the definition and stand in quotes.
//!
//! SQLite takes a quoted name that is no column for a text, so a table is held against its spec before any of this runs (`file.rs`).

use crate::{port::Ask, spec::Spec};

/// All of it, made once; questions differ only in whether something is left out.
#[derive(Debug)]
pub(super) struct Statements {
    columns: String,
    from: String,
    order: String,
    id: String,
    key: Option<String>,
    pub(super) settle: String,
    pub(super) count: String,
    pub(super) oldest: Option<String>,
    pub(super) sweep: Option<String>,
    /// The schema of the database and the table, unquoted.
    pub(super) place: (String, String),
    /// The columns that have to be there.
    pub(super) needed: Vec<String>,
    /// The column that has to be empty until a row is published.
    pub(super) published: Option<String>,
}

/// The function that makes a text of any value, as rows are read (`file.rs`). What is left out has to be called as it was read.
pub(super) const TEXT: &str = "motet_text";

/// What a row without an id is called.
const NAMELESS: &str = "'row ' || rowid";

/// How times are written, and compared as texts.
const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Statements {
    pub(super) fn new(spec: &Spec) -> Self {
        let columns = &spec.columns;
        let (schema, table) = spec.table.split_once('.').unwrap_or(("main", &spec.table));
        let whole = format!("{}.{}", quoted(schema), quoted(table));
        let order = columns.order.as_deref().map_or_else(|| "rowid".to_owned(), quoted);
        let id = quoted(&columns.id);
        let or_null = |name: &Option<String>| name.as_deref().map_or_else(|| "NULL".to_owned(), quoted);
        let waiting = columns.published.as_deref().map(|name| format!("{} IS NULL", quoted(name)));
        let from = format!("{whole} WHERE {}", waiting.as_deref().unwrap_or("1"));
        let settle = match &columns.published {
            Some(name) => format!("UPDATE {whole} SET {} = {NOW} WHERE rowid = ?1", quoted(name)),
            None => format!("DELETE FROM {whole} WHERE rowid = ?1"),
        };
        let list = [
            "rowid".to_owned(),
            id.clone(),
            or_null(&columns.topic),
            quoted(&columns.kind),
            or_null(&columns.key),
            quoted(&columns.data),
            or_null(&columns.content_type),
            or_null(&columns.time),
            or_null(&columns.extensions),
        ];
        let oldest = columns.time.as_deref().map(|time| {
            // Times are written in many ways; julianday reads those of SQL, and NULL comes of the others.
            let time = quoted(time);
            format!("SELECT (julianday('now') - julianday({time})) * 86400.0 FROM {from} ORDER BY {order} LIMIT 1")
        });
        let sweep = columns.published.as_deref().map(quoted).map(|published| {
            format!(
                "DELETE FROM {whole} WHERE rowid IN (SELECT rowid FROM {whole} WHERE {published} IS NOT NULL AND {published} <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1) LIMIT ?2)"
            )
        });
        let named = [&columns.order, &columns.topic, &columns.key, &columns.content_type, &columns.time];
        let more = [&columns.extensions, &columns.published];
        let mut needed = vec![columns.id.clone(), columns.kind.clone(), columns.data.clone()];
        needed.extend(named.into_iter().chain(more).flatten().cloned());
        Self {
            columns: list.join(", "),
            count: format!("SELECT count(*) FROM (SELECT 1 FROM {from} LIMIT ?1)"),
            from,
            key: columns.key.as_deref().map(quoted),
            order,
            id,
            settle,
            oldest,
            sweep,
            place: (schema.to_owned(), table.to_owned()),
            needed,
            published: columns.published.clone(),
        }
    }

    /// The question for rows. ?1 are the keys to leave out, ?2 the ids, as JSON, ?3 is how many.
    pub(super) fn claim(&self, ask: &Ask) -> String {
        let mut sql = format!("SELECT {} FROM {}", self.columns, self.from);
        if let Some(key) = self.key.as_ref().filter(|_| !ask.without_keys.is_empty()) {
            sql.push_str(&format!(" AND ({key} IS NULL OR {TEXT}({key}) NOT IN (SELECT value FROM json_each(?1)))"));
        }
        if !ask.without_ids.is_empty() {
            let id = format!("coalesce(nullif({TEXT}({}), ''), {NAMELESS})", self.id);
            sql.push_str(&format!(" AND {id} NOT IN (SELECT value FROM json_each(?2))"));
        }
        sql.push_str(&format!(" ORDER BY {} LIMIT ?3", self.order));
        sql
    }
}
