//! The SQL of an outbox in MySQL or MariaDB, made for the types that its columns have. Names come from the definition and stand in quotes.
//!
//! Texts are compared as bytes: to these servers `a`, `A` and `á` are by default the same, and to Motet three keys.

use crate::mysql::naming::name as quoted;
use bytes::Bytes;
use motet_relay::{Lag, Place, Row, Spec, port::Ask};
use mysql_async::{FromValueError, Value, prelude::FromValue};
use std::collections::BTreeMap;

/// What is known of a column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its type, as the server writes it, without length.
    pub(super) of: String,
    pub(super) not_null: bool,
}

/// The largest data of a row, in bytes as they are stored.
const DATA_MAX: usize = 64 << 20;
/// How much of a packet the rest of a row may need.
const REST: usize = 256 << 10;
/// How times become texts.
const RFC3339: &str = "'%Y-%m-%dT%H:%i:%s.%fZ'";

/// What a column holds, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Bytes,
    Whole,
    Time,
    /// What is made a text by the server: fractions, UUIDs of MariaDB and more.
    Other,
}

fn kind(of: &str) -> Kind {
    match of {
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "json" | "enum" | "set" => Kind::Text,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Kind::Bytes,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Kind::Whole,
        "timestamp" | "datetime" => Kind::Time,
        _ => Kind::Other,
    }
}

/// A column as a text.
fn text(name: &str, kind: Kind) -> String {
    let it = quoted(name);
    match kind {
        Kind::Text => it,
        Kind::Bytes => format!("LOWER(HEX({it}))"),
        Kind::Time => format!("DATE_FORMAT({it}, {RFC3339})"),
        Kind::Whole | Kind::Other => format!("CAST({it} AS CHAR)"),
    }
}

/// A text as its bytes in UTF-8, whatever the column's own character set.
fn bytes(text: &str) -> String {
    format!("CAST(CONVERT({text} USING utf8mb4) AS BINARY)")
}

/// All of it, made once for each connection.
#[derive(Debug)]
pub(super) struct Statements {
    table: String,
    waiting: String,
    order: String,
    /// The order is a whole number, so it says where a row stands.
    numbered: Option<String>,
    primary: Vec<String>,
    list: String,
    length: String,
    id: (String, Kind),
    key: Option<String>,
    set: Option<String>,
    pub(super) lag: String,
    /// Microseconds, how many rows.
    pub(super) sweep: Option<String>,
    data_max: usize,
}

/// How a column says that its row was published.
struct Mark {
    waiting: String,
    set: String,
    /// Before which time, of a value in microseconds.
    before: Option<String>,
}

fn mark(name: &str, column: &Column) -> Result<Mark, String> {
    let it = quoted(name);
    let kind = kind(&column.of);
    if kind == Kind::Whole {
        let waiting = format!("({it} IS NULL OR {it} = 0)");
        return Ok(Mark { waiting, set: format!("{it} = 1"), before: None });
    }
    if column.not_null {
        return Err(format!("the column {name} is NOT NULL, and it has to be empty until a row is published"));
    }
    let (set, before) = match kind {
        Kind::Time => {
            (format!("{it} = UTC_TIMESTAMP(6)"), format!("{it} <= UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND"))
        }
        Kind::Text => (
            format!("{it} = DATE_FORMAT(UTC_TIMESTAMP(6), {RFC3339})"),
            format!("{it} <= DATE_FORMAT(UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND, {RFC3339})"),
        ),
        Kind::Bytes | Kind::Whole | Kind::Other => {
            let of = &column.of;
            return Err(format!(
                "the column {name} is of the type {of}, and it has to be a time, a text or true and false"
            ));
        }
    };
    Ok(Mark { waiting: format!("{it} IS NULL"), set, before: Some(before) })
}

impl Statements {
    /// `primary` are the columns of the table's primary key, `packet` how many bytes the server sends at once.
    pub(super) fn new(
        spec: &Spec,
        there: &BTreeMap<String, Column>,
        primary: &[String],
        packet: usize,
    ) -> Result<Self, String> {
        lacking(spec, there)?;
        let columns = &spec.columns;
        if primary.is_empty() {
            return Err(
                "it has no primary key, and needs one: for instance on the column of `columns.order`".to_owned()
            );
        }
        let of = |name: &str| column(there, name).map_or(Kind::Other, |column| kind(&column.of));
        let table = spec.table.split('.').map(quoted).collect::<Vec<_>>().join(".");
        let primary: Vec<String> = primary.iter().map(|name| quoted(name)).collect();
        let Some(order) = columns.order.as_ref().or(columns.time.as_ref()) else {
            return Err("nothing tells in which order its rows were written: name a column that grows under `columns.order`, or the time under `columns.time`".to_owned());
        };
        let numbered = columns.order.as_deref().filter(|name| of(name) == Kind::Whole).map(quoted);
        let order = quoted(order);
        let mark = match &columns.published {
            Some(name) => column(there, name).map(|column| mark(name, column)).transpose()?,
            None => None,
        };
        let waiting = mark.as_ref().map_or_else(|| "1 = 1".to_owned(), |mark| mark.waiting.clone());
        let time = columns.time.as_deref().filter(|name| of(name) == Kind::Time).map(quoted);
        let age = time.map_or_else(
            || "NULL".to_owned(),
            |time| {
                format!("(SELECT TIMESTAMPDIFF(MICROSECOND, {time}, UTC_TIMESTAMP(6)) / 1e6 FROM {table} WHERE {waiting} ORDER BY {order} LIMIT 1)")
            },
        );
        let sweep = mark.as_ref().and_then(|mark| mark.before.as_ref());
        let data = quoted(&columns.data);
        let data_max = DATA_MAX.min(packet.saturating_sub(REST));
        Ok(Self {
            list: list(spec, &of, data_max),
            length: format!("COALESCE(LENGTH({data}), 0)"),
            id: (columns.id.clone(), of(&columns.id)),
            key: columns.key.as_deref().map(|name| text(name, of(name))),
            set: mark.as_ref().map(|mark| mark.set.clone()),
            lag: format!(
                "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM {table} WHERE {waiting} LIMIT {}) AS counted), {age}",
                Lag::COUNTED
            ),
            sweep: sweep.map(|before| format!("DELETE FROM {table} WHERE {before} LIMIT ?")),
            table,
            waiting,
            order,
            numbered,
            primary,
            data_max,
        })
    }

    /// The question for rows, and its values. How many bytes there are is counted before any data is read, so that what is too much is
    /// neither read nor sent.
    pub(super) fn claim(&self, ask: &Ask) -> (String, Vec<Value>) {
        let mut values = Vec::new();
        let mut without = |of: &str, texts: &std::collections::BTreeSet<String>| {
            values.extend(texts.iter().map(|text| Value::from(text.as_bytes())));
            format!("{} NOT IN ({})", bytes(of), vec!["?"; texts.len()].join(", "))
        };
        let mut rest = String::new();
        if let Some(key) = self.key.as_ref().filter(|_| !ask.without_keys.is_empty()) {
            rest += &format!(" AND ({key} IS NULL OR {})", without(key, &ask.without_keys));
        }
        if !ask.without_ids.is_empty() {
            let id = format!("COALESCE({}, '')", text(&self.id.0, self.id.1));
            rest += &format!(" AND {}", without(&id, &ask.without_ids));
        }
        let Self { table, waiting, order, length, list, .. } = self;
        // Rows of one time follow each other in the order of the primary key.
        let primary = self.primary.join(", ");
        let number = self.numbered.as_deref().map_or_else(|| "motet_at".to_owned(), |it| format!("t.{it}"));
        let same: Vec<String> = self.primary.iter().map(|it| format!("t.{it} = measured.{it}")).collect();
        let first = format!(
            "SELECT {primary}, {order} AS motet_order, {length} AS motet_length FROM {table} \
             WHERE {waiting}{rest} ORDER BY {order}, {primary} LIMIT {}",
            ask.rows
        );
        let within = format!("OVER (ORDER BY motet_order, {primary} ROWS UNBOUNDED PRECEDING)");
        let measured = format!(
            "SELECT {primary}, COUNT(*) {within} AS motet_at, SUM(motet_length + 128) {within} AS motet_sum FROM ({first}) AS first_rows"
        );
        let sql = format!(
            "SELECT {list}, CAST({number} AS SIGNED) FROM ({measured}) AS measured JOIN {table} AS t ON {} \
             WHERE motet_at = 1 OR motet_sum <= {} ORDER BY motet_at",
            same.join(" AND "),
            ask.bytes
        );
        (sql, values)
    }

    /// What notes that rows are published, or deletes them.
    pub(super) fn settle(&self, places: &[Place]) -> (String, Vec<Value>) {
        let (id, kind) = (quoted(&self.id.0), self.id.1);
        let marks = |one: &str| vec![one; places.len()].join(", ");
        let mut values: Vec<Value> = Vec::with_capacity(places.len() * 3);
        let mut these = String::new();
        if let Some(number) = &self.numbered {
            values.extend(places.iter().map(|place| Value::Int(place.number)));
            these += &format!("{number} IN ({}) AND ", marks("?"));
        }
        // With the column as it is, so that an index can tell; then byte by byte, because what an index calls the same may be another row.
        let one = if kind == Kind::Bytes { "UNHEX(?)" } else { "?" };
        values.extend(places.iter().map(|place| match (kind, place.id.parse()) {
            (Kind::Whole, Ok(number)) => Value::Int(number),
            _ => Value::from(place.id.as_bytes()),
        }));
        these += &format!("{id} IN ({})", marks(one));
        if kind == Kind::Text {
            values.extend(places.iter().map(|place| Value::from(place.id.as_bytes())));
            these += &format!(" AND {} IN ({})", bytes(&id), marks("?"));
        }
        let sql = match &self.set {
            Some(set) => format!("UPDATE {} SET {set} WHERE {these}", self.table),
            None => format!("DELETE FROM {} WHERE {these}", self.table),
        };
        (sql, values)
    }

    /// A row of the answer to [`Statements::claim`]. What cannot be read is said and not lost.
    pub(super) fn read(&self, mut row: mysql_async::Row) -> Row {
        let mut bytes = |at: usize| row.take_opt::<Option<Vec<u8>>, _>(at).and_then(Result::ok).flatten();
        let into_text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let id = into_text(bytes(0));
        let topic = into_text(bytes(1));
        let kind = into_text(bytes(2));
        let key = into_text(bytes(3));
        let data = bytes(4).map(Bytes::from);
        let content_type = into_text(bytes(5));
        let time = into_text(bytes(6));
        let extensions = into_text(bytes(7));
        let whole = |value: Option<Value>| {
            value.and_then(|value| Result::<i64, FromValueError>::ok(i64::from_value_opt(value)))
        };
        let stored = whole(row.take(8)).map_or(0, |stored| usize::try_from(stored).unwrap_or(usize::MAX));
        let number = whole(row.take(9)).unwrap_or(0);
        let attributes = extensions.as_deref().map_or_else(|| Some(Vec::new()), motet_relay::row::attributes);
        let lacks = |value: &Option<String>| value.as_ref().is_none_or(String::is_empty);
        let broken = match () {
            () if lacks(&id) => Some("it has no id".to_owned()),
            () if lacks(&kind) => Some("it has no type".to_owned()),
            () if attributes.is_none() => {
                Some("its extensions are not a JSON object of texts, numbers and truth values".to_owned())
            }
            () if data.is_none() && stored > self.data_max => Some(format!(
                "its data has {stored} bytes, and {} are the most that the server sends (`max_allowed_packet`) and Motet takes",
                self.data_max
            )),
            () => None,
        };
        Row {
            place: Place { number, id: id.unwrap_or_default() },
            topic,
            kind: kind.unwrap_or_default(),
            key,
            data,
            content_type,
            time,
            extensions: attributes.unwrap_or_default(),
            broken,
        }
    }
}

/// A column, in whatever case its name is written.
fn column<'a>(there: &'a BTreeMap<String, Column>, name: &str) -> Option<&'a Column> {
    there.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, column)| column)
}

/// Fails if a column is not there.
fn lacking(spec: &Spec, there: &BTreeMap<String, Column>) -> Result<(), String> {
    let columns = &spec.columns;
    let named = [&columns.order, &columns.topic, &columns.key, &columns.content_type, &columns.time];
    let more = [&columns.extensions, &columns.published];
    let needed = [&columns.id, &columns.kind, &columns.data].into_iter().chain(named.into_iter().chain(more).flatten());
    let lacking: Vec<&str> = needed.filter(|name| column(there, name).is_none()).map(String::as_str).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let known: Vec<_> = there.keys().map(String::as_str).collect();
    let (lacking, known) = (lacking.join(", "), known.join(", "));
    Err(format!("it has no column {lacking}; it has {known}. Say under `columns` what they are called"))
}

/// What is asked of each row, in the order of [`Statements::read`].
fn list(spec: &Spec, of: &impl Fn(&str) -> Kind, data_max: usize) -> String {
    let columns = &spec.columns;
    let here = |name: &str| text(name, of(name)).replace(&quoted(name), &format!("t.{}", quoted(name)));
    let maybe = |name: &Option<String>| name.as_deref().map_or_else(|| "NULL".to_owned(), here);
    let data = format!("t.{}", quoted(&columns.data));
    let content = if of(&columns.data) == Kind::Bytes { data.clone() } else { here(&columns.data) };
    [
        here(&columns.id),
        maybe(&columns.topic),
        here(&columns.kind),
        maybe(&columns.key),
        format!("CASE WHEN LENGTH({data}) <= {data_max} THEN {content} END"),
        maybe(&columns.content_type),
        maybe(&columns.time),
        maybe(&columns.extensions),
        format!("LENGTH({data})"),
    ]
    .join(", ")
}
