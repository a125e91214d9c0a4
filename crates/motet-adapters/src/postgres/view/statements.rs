//! The SQL of a view in PostgreSQL, made for the types that its columns have. Names come from the definition and stand in quotes.

use motet_relay::view::shape::COLUMNS;
use std::collections::BTreeMap;

/// The types that a column may have; the first is the one that it is made with.
const TYPES: [&[&str]; 8] = [
    &["text", "character varying"],
    &["jsonb", "json", "text"],
    &["text", "character varying"],
    &["text", "character varying"],
    &["text", "character varying"],
    &["timestamp with time zone", "text"],
    &["bigint"],
    &["bigint"],
];

/// $1 the table, $2 the subscription.
pub(super) const READ_PLACE: &str =
    "SELECT subscription, run, lineage, begins, until, position FROM motet_views WHERE name = $1";
pub(super) const FORGET_PLACE: &str = "DELETE FROM motet_views WHERE name = $1";
pub(super) const SET_PLACE: &str = "INSERT INTO motet_views (name, subscription, run, lineage, begins, until, position) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET subscription = excluded.subscription, run = excluded.run, \
     lineage = excluded.lineage, begins = excluded.begins, until = excluded.until, position = excluded.position, written_at = now()";
pub(super) const CREATE_PLACES: &str = "CREATE TABLE IF NOT EXISTS motet_views (
  name text NOT NULL PRIMARY KEY,
  subscription text NOT NULL,
  run bigint NOT NULL,
  lineage bigint NOT NULL,
  begins bigint NOT NULL,
  until bigint NOT NULL,
  position bigint NOT NULL,
  written_at timestamptz NOT NULL DEFAULT now()
)";

/// What depends on the table.
#[derive(Debug)]
pub(super) struct Statements {
    /// $1 to $7 a column each, as lists; $8 the run.
    pub(super) put: String,
    /// $1 keys, $2 positions.
    pub(super) remove: String,
    pub(super) forget: String,
    /// $1 the run, $2 from, $3 until.
    pub(super) sweep: String,
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The table with its schema, each in quotes.
pub(super) fn quoted_table(table: &str) -> String {
    table.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

/// Makes a table. `table` is quoted.
pub(super) fn create(table: &str) -> String {
    let columns = COLUMNS.iter().zip(TYPES).map(|(name, types)| {
        let null = if *name == "event_time" { "" } else { " NOT NULL" };
        let key = if *name == "key" { " PRIMARY KEY" } else { "" };
        format!("{name} {}{null}{key}", types[0])
    });
    format!("CREATE TABLE {table} ({})", columns.collect::<Vec<_>>().join(", "))
}

impl Statements {
    /// For a table with these columns, by name with their types.
    pub(super) fn new(table: &str, there: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut of = [""; COLUMNS.len()];
        for (at, (name, types)) in COLUMNS.iter().zip(TYPES).enumerate() {
            let found = there.get(*name).map_or("", String::as_str);
            if !types.contains(&found) {
                return Err(format!(
                    "its column {name} is of the type {found}, and it has to be {}",
                    types.join(" or ")
                ));
            }
            of[at] = found;
        }
        let columns = COLUMNS.map(quoted);
        let given = of.iter().take(7).enumerate().map(|(at, of)| format!("it.c{at}::{of}"));
        let set = columns.iter().skip(1).map(|column| format!("{column} = excluded.{column}"));
        let (given, set) = (given.collect::<Vec<_>>().join(", "), set.collect::<Vec<_>>().join(", "));
        Ok(Self {
            put: format!(
                "INSERT INTO {table} AS old ({}) SELECT {given}, $8::bigint FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[]) \
                 AS it(c0, c1, c2, c3, c4, c5, c6) ON CONFLICT (key) DO UPDATE SET {set} WHERE excluded.position >= old.position",
                columns.join(", ")
            ),
            remove: format!(
                "DELETE FROM {table} AS old USING unnest($1::text[], $2::bigint[]) AS it(c0, c6) WHERE old.key = it.c0 AND old.position <= it.c6"
            ),
            forget: format!("UPDATE {table} SET position = -1"),
            sweep: format!("DELETE FROM {table} WHERE run <> $1 AND position >= $2 AND position < $3"),
        })
    }
}
