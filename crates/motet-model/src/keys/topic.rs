//! The keys of a topic: what its events are, how long they are kept, what orders them.

use super::{Fields, Key, Kind, Shape, service};

const ABOUT: Key =
    Key::without("about", Shape::One(Kind::Text), "nothing is said", "What its events say, in one line.")
        .because("shown by `motet topics`, the console and editors")
        .example("about: a document can be found by its words");

static SCHEMA_SHAPES: [Shape; 2] = [Shape::One(Kind::File), Shape::Object];

pub(crate) const SCHEMA: Key = Key::without(
    "schema",
    Shape::Either(&SCHEMA_SHAPES),
    "every payload is taken",
    "The JSON Schema of its events' data: a file, relative to the file that says so, or the schema itself. A publish whose data does not fit is refused.",
)
.because("a publisher that is wrong hears of it at once, and not each of its subscribers in the night")
.example("schema: events/document.indexed.schema.json");

pub(crate) const KEEP_TIME: Key =
    Key::without("time", Shape::One(Kind::Duration { min_ms: 60_000 }), "no limit by time", "How long an event stays.")
        .because("after a while nobody asks for a replay any more")
        .example("time: 30d");

pub(crate) const KEEP_SIZE: Key = Key::without(
    "size",
    Shape::One(Kind::Size { min: 1 << 20, max: 1 << 50 }),
    "no limit by size",
    "How much of it stays; the oldest events go first.",
)
.because("a burst must not fill the disk that other topics need")
.example("size: 50GiB");

pub(crate) static KEEP_FIELDS: Fields =
    Fields { what: "`keep`", id: "keep", keys: &[KEEP_TIME, KEEP_SIZE], one_of: &[], one_needed: false };

static KEEP_SHAPES: [Shape; 2] = [Shape::One(Kind::Keep), Shape::Fields(&KEEP_FIELDS)];

/// What holds when nothing is said about how long events stay.
pub(crate) const KEEP_DEFAULT: (&str, &str) = ("7d", "10GiB");

pub(crate) const KEEP: Key = Key::without(
    "keep",
    Shape::Either(&KEEP_SHAPES),
    "7d, and 10GiB at most",
    "How long its events stay: a time, a size, or both. An event that is older is removed, whether everybody has it or not; what is not said is no limit.",
)
.because("a week is longer than a failure goes unnoticed over holidays and a weekend, and 10GiB an end that most disks bear")
.example("keep: { time: 30d, size: 50GiB }");

pub(crate) const KEY: Key = Key::without(
    "key",
    Shape::One(Kind::Pointer),
    "the event's own `partitionkey`; an event without one has no order",
    "Where in the data its key stands, as a JSON pointer (RFC 6901); where nothing stands there, the event's `partitionkey` counts. Events with the same key are delivered one after the other, in the order of publishing; other keys do not wait for them.",
)
.because("what happens to one document has an order, and what happens to two of them has none")
.example("key: /documentId");

pub(crate) const DEDUP: Key = Key::with(
    "dedup",
    Shape::One(Kind::DurationOr { min_ms: 1000, word: "none" }),
    "10m",
    "How long an event is known again: what comes with the same `source` and `id` within this time is acknowledged and not stored twice. `none` stores everything.",
)
.because("a publisher that got no answer asks again within minutes, and each id takes memory as long as it is known")
.example("dedup: 1h");

pub(crate) const MAX_PAYLOAD: Key = Key::with(
    "max_payload",
    Shape::One(Kind::Size { min: 1, max: 64 << 20 }),
    "1MiB",
    "How large an event's data may be.",
)
.because("what every engine takes as it is; larger things belong into a store, and their address into the event")
.example("max_payload: 8MiB");

/// A topic.
pub(crate) static TOPIC: Fields = Fields {
    what: "a topic",
    id: "topic",
    keys: &[ABOUT, SCHEMA, KEEP, KEY, DEDUP, MAX_PAYLOAD, service::ALLOW],
    one_of: &[],
    one_needed: false,
};
