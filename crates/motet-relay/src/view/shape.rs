//! The columns that a view has, the same in all engines.

/// The table where each store keeps how far its views are. One row for each.
pub const PLACES: &str = "motet_views";

/// The columns of a view, in the order in which they are written.
pub const COLUMNS: [&str; 8] =
    ["key", "value", "event_id", "event_source", "event_type", "event_time", "position", "run"];

/// A column of a table that is there.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// It has to be given: NOT NULL, and nothing fills it by itself.
    pub needed: bool,
}

/// Holds a table against what a view has to be.
///
/// # Errors
/// What does not fit, and what to do.
pub fn check(there: &[Column]) -> Result<(), String> {
    let is = |column: &Column, name: &str| column.name.eq_ignore_ascii_case(name);
    let lacking: Vec<_> = COLUMNS.into_iter().filter(|name| !there.iter().any(|column| is(column, name))).collect();
    if !lacking.is_empty() {
        let known: Vec<_> = there.iter().map(|column| column.name.as_str()).collect();
        let (lacking, known) = (lacking.join(", "), known.join(", "));
        return Err(format!(
            "it has no column {lacking}; it has {known}. Name a table that is not there yet, and Motet makes it"
        ));
    }
    let filled = there.iter().find(|column| column.needed && !COLUMNS.iter().any(|name| is(column, name)));
    match filled {
        Some(column) => Err(format!(
            "its column {} is NOT NULL and has no default, and nobody would fill it. Give it a default, or let it be generated from `value`",
            column.name
        )),
        None => Ok(()),
    }
}

/// What is said of a table whose `key` is not unique.
pub const NO_KEY: &str = "its column key is neither the primary key nor unique";

/// What is said of a table that belongs to another subscription.
pub fn taken(by: &str, table: &str) -> String {
    format!("it holds the events of the subscription `{by}`. Name another table, or drop this one: DROP TABLE {table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(more: &[(&str, bool)]) -> Vec<Column> {
        let own = COLUMNS.iter().map(|name| (*name, true));
        own.chain(more.iter().copied()).map(|(name, needed)| Column { name: name.to_uppercase(), needed }).collect()
    }

    #[test]
    fn a_table_may_have_more_columns_if_they_fill_themselves() {
        assert_eq!(check(&columns(&[("note", false)])), Ok(()));
        let refused = check(&columns(&[("note", true)])).expect_err("nobody fills it");
        assert!(refused.contains("NOTE") && refused.contains("default"), "{refused}");
        let refused = check(&columns(&[])[1..]).expect_err("it has no key");
        assert!(refused.contains("no column key"), "{refused}");
    }
}
