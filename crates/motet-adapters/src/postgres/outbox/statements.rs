//! The SQL of an outbox in PostgreSQL, made for the types that its columns have. Names come from the definition and stand in quotes.

use bytes::Bytes;
use motet_relay::{Place, Row, Spec};
use std::collections::BTreeMap;

/// What is known of a column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its type, as the server writes it.
    pub(super) of: String,
    pub(super) not_null: bool,
}

/// The largest data of a row, in bytes as they are stored.
const DATA_MAX: usize = 64 << 20;
/// How times become texts.
const RFC3339: &str = "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'";

/// All of it, made once for each connection.
#[derive(Debug)]
pub(super) struct Statements {
    /// $1 keys and $2 ids to leave out, $3 how many rows, $4 how many bytes.
    pub(super) claim: String,
    /// $1 ids.
    pub(super) settle: String,
    /// $1 how far is counted.
    pub(super) lag: String,
    /// $1 seconds, $2 how many rows.
    pub(super) sweep: Option<String>,
    is_bytes: bool,
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The table with its schema, each in quotes.
pub(super) fn quoted_table(table: &str) -> String {
    table.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

/// How a column says that its row was published.
struct Mark {
    waiting: String,
    set: String,
    /// Before which time, of $1 seconds.
    before: Option<String>,
}

fn mark(name: &str, column: &Column) -> Result<Mark, String> {
    let it = quoted(name);
    let utc = format!("to_char(now() AT TIME ZONE 'UTC', {RFC3339})");
    let empty = format!("{it} IS NULL");
    let (set, before) = match column.of.as_str() {
        "boolean" => {
            return Ok(Mark { waiting: format!("{it} IS NOT TRUE"), set: format!("{it} = true"), before: None });
        }
        _ if column.not_null => {
            return Err(format!("the column {name} is NOT NULL, and it has to be empty until a row is published"));
        }
        "timestamp with time zone" | "timestamp without time zone" => {
            (format!("{it} = now()"), format!("{it} <= now() - make_interval(secs => $1)"))
        }
        "text" | "character varying" => (
            format!("{it} = {utc}"),
            format!("{it} <= to_char((now() - make_interval(secs => $1)) AT TIME ZONE 'UTC', {RFC3339})"),
        ),
        other => {
            return Err(format!(
                "the column {name} is of the type {other}, and it has to be a time, a text or true and false"
            ));
        }
    };
    Ok(Mark { waiting: empty, set, before: Some(before) })
}

impl Statements {
    pub(super) fn new(spec: &Spec, there: &BTreeMap<String, Column>) -> Result<Self, String> {
        let columns = &spec.columns;
        let named = [&columns.order, &columns.topic, &columns.key, &columns.content_type, &columns.time];
        let more = [&columns.extensions, &columns.published];
        let needed =
            [&columns.id, &columns.kind, &columns.data].into_iter().chain(named.into_iter().chain(more).flatten());
        let lacking: Vec<&str> = needed.filter(|name| !there.contains_key(*name)).map(String::as_str).collect();
        if !lacking.is_empty() {
            let known: Vec<_> = there.keys().map(String::as_str).collect();
            let (lacking, known) = (lacking.join(", "), known.join(", "));
            return Err(format!(
                "it has no column {lacking}; it has {known}. Say under `columns` what they are called"
            ));
        }
        // Rows of one transaction have one time: among them it is the place in the table that tells.
        let timed = |time: String| (format!("{time}, ctid"), format!("{time}, motet_place"));
        let plain = |order: String| (order.clone(), order);
        let order = columns.order.as_deref().map(|name| plain(quoted(name)));
        let Some((order, order_outside)) = order.or_else(|| columns.time.as_deref().map(|name| timed(quoted(name))))
        else {
            return Err("nothing tells in which order its rows were written: name a column that grows under `columns.order`, or the time under `columns.time`".to_owned());
        };
        let of = |name: &str| there.get(name).map_or("text", |column| column.of.as_str());
        let table = quoted_table(&spec.table);
        let id = quoted(&columns.id);
        let mark = match &columns.published {
            Some(name) => there.get(name).map(|column| mark(name, column)).transpose()?,
            None => None,
        };
        let waiting = mark.as_ref().map_or("true", |mark| &mark.waiting);
        let these = format!("{id} = ANY($1::text[]::{}[])", of(&columns.id));
        let settle = match &mark {
            Some(mark) => format!("UPDATE {table} SET {} WHERE {these}", mark.set),
            None => format!("DELETE FROM {table} WHERE {these}"),
        };
        let is_time = columns.time.as_deref().is_some_and(|name| of(name).starts_with("timestamp"));
        let age = columns.time.as_deref().filter(|_| is_time).map_or_else(
            || "NULL::float8".to_owned(),
            |time| {
                let time = quoted(time);
                format!("(SELECT extract(epoch FROM now() - {time})::float8 FROM {table} WHERE {waiting} ORDER BY {order} LIMIT 1)")
            },
        );
        let sweep = mark.as_ref().and_then(|mark| mark.before.as_ref()).map(|before| {
            format!("DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {before} LIMIT $2))")
        });
        let is_bytes = of(&columns.data) == "bytea";
        Ok(Self {
            claim: claim(spec, &table, waiting, (&order, &order_outside), is_time, is_bytes),
            settle,
            lag: format!(
                "SELECT (SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {waiting} LIMIT $1) AS counted), {age}"
            ),
            sweep,
            is_bytes,
        })
    }

    /// A row of the answer to [`Statements::claim`].
    pub(super) fn read(&self, row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
        let id: Option<String> = row.try_get(0)?;
        let kind: Option<String> = row.try_get(2)?;
        let data = match self.is_bytes {
            true => row.try_get::<_, Option<Vec<u8>>>(4)?.map(Bytes::from),
            false => row.try_get::<_, Option<String>>(4)?.map(Bytes::from),
        };
        let stored: Option<i32> = row.try_get(8)?;
        let extensions: Option<String> = row.try_get(7)?;
        let attributes = extensions.as_deref().map_or_else(|| Some(Vec::new()), motet_relay::row::attributes);
        let lacks = |value: &Option<String>| value.as_ref().is_none_or(String::is_empty);
        let broken = match () {
            () if lacks(&id) => Some("it has no id".to_owned()),
            () if lacks(&kind) => Some("it has no type".to_owned()),
            () if attributes.is_none() => {
                Some("its extensions are not a JSON object of texts, numbers and truth values".to_owned())
            }
            () if data.is_none() && stored.is_some_and(|stored| stored as usize > DATA_MAX) => {
                Some(format!("its data has more than {DATA_MAX} bytes, which no topic takes"))
            }
            () => None,
        };
        Ok(Row {
            place: Place { number: row.try_get(9)?, id: id.unwrap_or_default() },
            topic: row.try_get(1)?,
            kind: kind.unwrap_or_default(),
            key: row.try_get(3)?,
            data,
            content_type: row.try_get(5)?,
            time: row.try_get(6)?,
            extensions: attributes.unwrap_or_default(),
            broken,
        })
    }
}

/// The question for rows; `order` as the table knows it, and as what was taken of the table does. How many bytes there are is counted by the server, so that what is too much is not even sent.
fn claim(spec: &Spec, table: &str, waiting: &str, order: (&str, &str), is_time: bool, is_bytes: bool) -> String {
    let (order, outside) = order;
    let columns = &spec.columns;
    let text = |name: &Option<String>| {
        name.as_deref().map_or_else(|| "NULL::text".to_owned(), |name| format!("{}::text", quoted(name)))
    };
    let (id, key, data) = (quoted(&columns.id), text(&columns.key), quoted(&columns.data));
    let time = columns.time.as_deref().filter(|_| is_time).map_or_else(
        || text(&columns.time),
        |time| format!("to_char({}::timestamptz AT TIME ZONE 'UTC', {RFC3339})", quoted(time)),
    );
    let content = if is_bytes { data.clone() } else { format!("{data}::text") };
    let list = [
        format!("{id}::text AS a"),
        format!("{} AS b", text(&columns.topic)),
        format!("{}::text AS c", quoted(&columns.kind)),
        format!("{key} AS d"),
        format!("CASE WHEN pg_column_size({data}) <= {DATA_MAX} THEN {content} END AS e"),
        format!("{} AS f", text(&columns.content_type)),
        format!("{time} AS g"),
        format!("{} AS h", text(&columns.extensions)),
        format!("pg_column_size({data}) AS i"),
        format!("row_number() OVER (ORDER BY {outside}) AS j"),
        format!(
            "sum(coalesce(pg_column_size({data}), 0) + 128) OVER (ORDER BY {outside} ROWS UNBOUNDED PRECEDING) AS k"
        ),
    ];
    format!(
        "SELECT a, b, c, d, e, f, g, h, i, j FROM (SELECT {} FROM (SELECT *, ctid AS motet_place FROM {table} WHERE {waiting} \
         AND ({key} IS NULL OR {key} <> ALL($1::text[])) AND coalesce({id}::text, '') <> ALL($2::text[]) ORDER BY {order} LIMIT $3) AS first) AS \
         measured WHERE j = 1 OR k <= $4 ORDER BY j",
        list.join(", ")
    )
}
