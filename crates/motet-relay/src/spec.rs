//! Which table is followed, and how much is done at once.

use std::time::Duration;

/// The table of an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The table, possibly with its schema. Letters, digits, underscores; it is put into SQL in quotes.
    pub table: String,
    /// What its columns are called.
    pub columns: Columns,
    /// How long a row stays after it was published, where there is a column for that.
    pub keep: Duration,
    /// How much is done at once.
    pub limits: Limits,
}

/// The columns of an outbox. A column that is `None` is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// A whole number that grows with each row. `None`: what the engine has for that (SQLite's `rowid`).
    pub order: Option<String>,
    /// The event's id.
    pub id: String,
    /// The topic.
    pub topic: Option<String>,
    /// The event's type.
    pub kind: String,
    /// The event's key.
    pub key: Option<String>,
    /// The event's data.
    pub data: String,
    /// The media type of the data.
    pub content_type: Option<String>,
    /// When it happened.
    pub time: Option<String>,
    /// A JSON object with more attributes.
    pub extensions: Option<String>,
    /// The time of publishing, NULL until then. `None`: rows are deleted once they are published.
    pub published: Option<String>,
}

impl Columns {
    /// Motet's own layout.
    pub fn native() -> Self {
        let some = |name: &str| Some(name.to_owned());
        Self {
            order: some("seq"),
            id: "id".into(),
            topic: some("topic"),
            kind: "type".into(),
            key: some("key"),
            data: "data".into(),
            content_type: some("content_type"),
            time: some("created_at"),
            extensions: some("extensions"),
            published: some("published_at"),
        }
    }

    /// The layout of Debezium's outbox event router.
    pub fn debezium() -> Self {
        Self {
            order: None,
            id: "id".into(),
            topic: Some("aggregatetype".into()),
            kind: "type".into(),
            key: Some("aggregateid".into()),
            data: "payload".into(),
            content_type: None,
            time: None,
            extensions: None,
            published: None,
        }
    }
}

/// How much is done at once, and how long things may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Rows that are read and published at once.
    pub rows: usize,
    /// The same in bytes; a single row may be larger.
    pub bytes: usize,
    /// Keys that may be held up at once. With more the relay waits until somebody has looked.
    pub held: usize,
    /// How often the table is looked at although nothing says that it changed, and rows that are held up are tried again.
    pub slow: Duration,
    /// How long one look at the table, and one publishing, may take.
    pub deadline: Duration,
}

impl Default for Limits {
    /// 500 rows or 1 MiB at once, 1000 keys held up, a look every 5 s, 30 s for each step.
    fn default() -> Self {
        Self { rows: 500, bytes: 1 << 20, held: 1000, slow: Duration::from_secs(5), deadline: Duration::from_secs(30) }
    }
}
