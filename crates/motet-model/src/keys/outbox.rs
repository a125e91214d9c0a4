//! The keys of an outbox: a table of a service's own store whose rows become events.

use super::{Fields, Key, Kind, Shape};

pub(crate) const TABLE: Key = Key::with("table", Shape::One(Kind::Table), "outbox", "The table.")
    .because("the name that most descriptions of the pattern use")
    .example("table: outgoing_events");

pub(crate) const LAYOUT: Key = Key::with(
    "layout",
    Shape::One(Kind::Choice(&["native", "debezium"])),
    "native",
    "Which columns it has: Motet's own, or those of Debezium's outbox event router.",
)
.because("a table that is there already can stay; a new one is better off with a column for what has been published")
.example("layout: debezium");

pub(crate) const TOPIC: Key = Key::without(
    "topic",
    Shape::One(Kind::Topic),
    "what the row says",
    "The topic of all its rows. It has to stand under the service's `publishes`.",
)
.because("an outbox for one topic needs no column for it")
.example("topic: document.uploaded");

pub(crate) const KEEP: Key = Key::with(
    "keep",
    Shape::One(Kind::Duration { min_ms: 0 }),
    "1d",
    "How long a row stays after it was published. A table without a column for that loses its rows at once.",
)
.because("long enough to look at what went out yesterday, and a table that only grows becomes slow")
.example("keep: 2h");

const fn column(name: &'static str, default: &'static str, about: &'static str, example: &'static str) -> Key {
    Key::without(name, Shape::One(Kind::Column), default, about)
        .because("tables that are there already have columns of their own")
        .example(example)
}

pub(crate) const ORDER: Key = column(
    "order",
    "`seq`; Debezium's layout has none, and SQLite's `rowid` stands in for it",
    "A column that grows with each row.",
    "order: sequence_number",
);
pub(crate) const ID: Key =
    column("id", "`id`", "The event's id, which tells whether it was published before.", "id: message_id");
pub(crate) const ROW_TOPIC: Key =
    column("topic", "`topic`; Debezium: `aggregatetype`", "The topic of the row.", "topic: destination");
pub(crate) const TYPE: Key = column("type", "`type`", "The event's type.", "type: event_type");
pub(crate) const ROW_KEY: Key = column(
    "key",
    "`key`; Debezium: `aggregateid`",
    "The event's key: it becomes `partitionkey` and `subject`.",
    "key: partition_key",
);
pub(crate) const DATA: Key = column("data", "`data`; Debezium: `payload`", "The event's data.", "data: body");
pub(crate) const CONTENT_TYPE: Key = column(
    "content_type",
    "`content_type`; Debezium: all data is `application/json`",
    "The media type of the data.",
    "content_type: media_type",
);
pub(crate) const TIME: Key = column(
    "time",
    "`created_at`; Debezium: none, and the event has the time of its publishing",
    "When it happened.",
    "time: occurred_at",
);
pub(crate) const EXTENSIONS: Key = column(
    "extensions",
    "`extensions`; Debezium: none",
    "A JSON object with more attributes of the event, such as `traceparent`.",
    "extensions: headers",
);
pub(crate) const PUBLISHED: Key = column(
    "published",
    "`published_at`; Debezium: none, and rows are deleted once they are published",
    "The time of publishing, which Motet writes; empty until then.",
    "published: processed_at",
);

static COLUMNS_FIELDS: Fields = Fields {
    what: "the mapping of columns",
    id: "outbox-columns",
    keys: &[ORDER, ID, ROW_TOPIC, TYPE, ROW_KEY, DATA, CONTENT_TYPE, TIME, EXTENSIONS, PUBLISHED],
    one_of: &[],
    one_needed: false,
};

pub(crate) const COLUMNS: Key = Key::without(
    "columns",
    Shape::Fields(&COLUMNS_FIELDS),
    "those of the layout",
    "What its columns are called, where they are not called as in the layout.",
)
.because("the tables of other libraries hold the same under other names")
.example("columns: { topic: destination, data: body }");

static OUTBOX_FIELDS: Fields = Fields {
    what: "an outbox",
    id: "outbox",
    keys: &[TABLE, LAYOUT, TOPIC, COLUMNS, KEEP],
    one_of: &[],
    one_needed: false,
};

pub(crate) const OUTBOX: Key = Key::without(
    "outbox",
    Shape::Fields(&OUTBOX_FIELDS),
    "it publishes by itself",
    "A table in the service's own store whose rows Motet publishes: the service writes an event in the same transaction as the change that it tells of.",
)
.because("a change without its event, or an event without its change, cannot be found afterwards")
.example("outbox: { table: outgoing_events }");
