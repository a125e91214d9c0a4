//! The keys of a subscription: who gets a topic's events, how often it is tried, and what happens to those that nobody takes.
//!
//! They look like those of an edge where they mean the same, with other defaults: a caller waits for the answer and gives up soon,
//! an event waits for its subscriber.

use super::{Fields, Key, KeyKind, Kind, Shape};

pub(crate) const TO: Key = Key::without(
    "to",
    Shape::One(Kind::UrlPath),
    "one of `to`, `pull` and `view` has to stand",
    "The path of the service that gets each event as a POST. A 2xx acknowledges it.",
)
.because("a handler is an HTTP endpoint like any other: it can be written in any language and tried with curl")
.example("to: /on/document-uploaded");

pub(crate) const PULL: Key = Key::without(
    "pull",
    Shape::One(Kind::True),
    "one of `to`, `pull` and `view` has to stand",
    "The service fetches events itself at `$MOTET_URL`, as many at a time as it wants.",
)
.because("a worker that takes minutes for each event takes the next one when it has room")
.example("pull: true");

pub(crate) const VIEW_TABLE: Key =
    Key::required("table", Shape::One(Kind::Table), "The table in the service's own store.")
        .because("Motet makes it; the service reads it like its other tables, and nobody else writes it")
        .example("table: customers");

pub(crate) const VIEW_DELETE: Key = Key::without(
    "delete",
    Shape::List(&Shape::One(Kind::Text)),
    "an event without data deletes its row",
    "The types of events that delete the row of their key, whatever data they have. An event without data, or whose data is `null`, does so too.",
)
.because("a topic with a schema takes no event without data; there the type says that something is gone")
.example("delete: [customer.removed]");

static VIEW_FIELDS: Fields =
    Fields { what: "a view", id: "view", keys: &[VIEW_TABLE, VIEW_DELETE], one_of: &[], one_needed: false };

pub(crate) const VIEW: Key = Key::without(
    "view",
    Shape::Fields(&VIEW_FIELDS),
    "one of `to`, `pull` and `view` has to stand",
    "Motet keeps the latest event of each key in a table of the service's own store; the row and the position are written in one transaction.",
)
.because("a service that has its own copy does not have to ask, and works on while the owner of the data is away")
.example("view: { table: customers }");

pub(crate) const TIMEOUT: Key = Key::with(
    "timeout",
    Shape::One(Kind::Duration { min_ms: 10 }),
    "30s",
    "How long the service may take to answer a delivery until it counts as failed. A handler that needs longer answers 202 and acknowledges later.",
)
.because("as long as a call; a handler that hangs should not hold its events up for hours")
.example("timeout: 2m");

pub(crate) const LEASE: Key = Key::with(
    "lease",
    Shape::One(Kind::Duration { min_ms: 100 }),
    "1m",
    "How long an event belongs to a worker that fetched it, or that answered 202. Who needs longer extends it while it works.",
)
.because("a worker that died gives its event back soon, and one that lives extends it with a small request")
.example("lease: 5m");

pub(crate) const IN_FLIGHT: Key = Key::with(
    "in_flight",
    Shape::One(Kind::Integer { min: 1, max: 10_000 }),
    "16",
    "How many deliveries may be under way at once, over all instances of the service.",
)
.because("enough to keep a few instances busy, and few enough that a service that is slow is not buried")
.example("in_flight: 64");

pub(crate) const ATTEMPTS: Key = Key::with(
    "attempts",
    Shape::One(Kind::Integer { min: 1, max: 10_000 }),
    "20",
    "How many times an event is delivered in all until it becomes a dead letter.",
)
.because("with these pauses about an hour: longer than a deployment or the restart of a database, and short enough that somebody hears of it the same day")
.example("attempts: 5");

pub(crate) const INITIAL: Key = Key::with(
    "initial",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "1s",
    "The first pause; each further one is twice as long, and half of each is random.",
)
.because("nobody waits for the answer, and what just failed seldom works a moment later")
.example("initial: 100ms");

pub(crate) const MAX: Key =
    Key::with("max", Shape::One(Kind::Duration { min_ms: 1 }), "5m", "No pause is longer, except by `Retry-After`.")
        .because("a handler that works again should not stay unused for long")
        .example("max: 1m");

static BACKOFF_FIELDS: Fields = Fields {
    what: "a pause between deliveries",
    id: "delivery-backoff",
    keys: &[INITIAL, MAX],
    one_of: &[],
    one_needed: false,
};

pub(crate) const BACKOFF: Key = Key::without(
    "backoff",
    Shape::Fields(&BACKOFF_FIELDS),
    "1s, doubling, to 5m",
    "The pause before an event is delivered again. A `Retry-After` lengthens it.",
)
.because("a service that is in trouble gets room to recover, and the pause of one key holds up no other key")
.example("backoff: { initial: 100ms, max: 1m }");

static RETRY_FIELDS: Fields = Fields {
    what: "a rule for deliveries",
    id: "delivery-retry",
    keys: &[ATTEMPTS, BACKOFF],
    one_of: &[],
    one_needed: false,
};

static RETRY_SHAPES: [Shape; 2] = [Shape::One(Kind::Choice(&["never"])), Shape::Fields(&RETRY_FIELDS)];

pub(crate) const RETRY: Key = Key::without(
    "retry",
    Shape::Either(&RETRY_SHAPES),
    "20 attempts, 1s apart and doubling to 5m",
    "How often an event is delivered that was not taken, and with which pauses; `never` makes it a dead letter after the first failure.",
)
.because("an event has time: trying for an hour costs little, and giving up needs a person")
.example("retry: { attempts: 5, backoff: { max: 1m } }");

pub(crate) const PERMANENT: Key = Key::with(
    "permanent",
    Shape::List(&Shape::One(Kind::Integer { min: 400, max: 599 })),
    "[400, 410, 413, 415, 422]",
    "The statuses of an answer that say: this event will never be taken. It becomes a dead letter at once. Every other failure is tried again.",
)
.because("these blame the event itself; a 404, 401 or 409 is mostly a deployment that is not finished or a row that is not there yet, and passes")
.example("permanent: [400, 404, 422]");

pub(crate) const MAX_AGE: Key = Key::without(
    "max_age",
    Shape::One(Kind::Duration { min_ms: 1000 }),
    "as old as the topic keeps it",
    "How old an event may become, counted from its publishing, until it becomes a dead letter instead of being delivered again.",
)
.because("most work is worth doing late; what is not, such as a reminder, says so")
.example("max_age: 1d");

pub(crate) const FROM: Key = Key::with(
    "from",
    Shape::One(Kind::From),
    "earliest",
    "Where a new subscription begins: `earliest` (with all that is kept), `latest` (with what comes), a time in UTC, or the number of a position. One that exists goes on where it was.",
)
.because("nothing is missed that was published before the subscription was there; who must not see what is old says `latest`")
.example("from: latest");

static FILTER_SHAPE: Shape = Shape::Fields(&FILTER_FIELDS);

const ATTRIBUTE_VALUES: Shape = Shape::Map(KeyKind::Attribute, &Shape::One(Kind::EnvValue));

pub(crate) const EXACT: Key = Key::without(
    "exact",
    ATTRIBUTE_VALUES,
    "not looked at",
    "Attributes of the event that have exactly these values, all of them.",
)
.because("the quickest of the filters, and mostly enough")
.example("exact: { type: document.uploaded, tenant: acme }");

pub(crate) const PREFIX: Key =
    Key::without("prefix", ATTRIBUTE_VALUES, "not looked at", "Attributes that begin with these texts, all of them.")
        .because("sources and subjects are paths, and a path has a beginning")
        .example("prefix: { subject: invoices/ }");

pub(crate) const SUFFIX: Key =
    Key::without("suffix", ATTRIBUTE_VALUES, "not looked at", "Attributes that end with these texts, all of them.")
        .because("subjects often end with what kind of thing they are")
        .example("suffix: { subject: .pdf }");

static ALL: Key = Key::without("all", Shape::List(&FILTER_SHAPE), "not looked at", "Filters that all have to match.")
    .because("to say two things at once within an `any` or a `not`")
    .example("all: [{ exact: { tenant: acme } }, { suffix: { subject: .pdf } }]");

static ANY: Key =
    Key::without("any", Shape::List(&FILTER_SHAPE), "not looked at", "Filters of which one has to match.")
        .because("a handler may care for several kinds of events")
        .example("any: [{ exact: { tenant: acme } }, { exact: { tenant: tryout } }]");

static NOT: Key = Key::without("not", Shape::Fields(&FILTER_FIELDS), "not looked at", "A filter that must not match.")
    .because("it is often easier to say what is not wanted")
    .example("not: { exact: { tenant: tryout } }");

pub(crate) const SQL: Key = Key::without(
    "sql",
    Shape::One(Kind::Text),
    "not looked at",
    "An expression of the CloudEvents SQL language, version 1.0, over the event's attributes.",
)
.because("for what the other filters cannot say")
.example("sql: \"type LIKE 'document.%' AND priority > 3\"");

/// Statics, because a constant cannot refer to what refers back to it.
static FILTER_KEYS: [Key; 7] = [EXACT, PREFIX, SUFFIX, ALL, ANY, NOT, SQL];

/// The filters of a subscription: the dialects of the CloudEvents Subscriptions API, each under its own name.
pub(crate) static FILTER_FIELDS: Fields =
    Fields { what: "a filter", id: "filter", keys: &FILTER_KEYS, one_of: &[], one_needed: false };

pub(crate) const FILTER: Key = Key::without(
    "filter",
    Shape::Fields(&FILTER_FIELDS),
    "every event of the topic",
    "Which events are delivered, by their attributes: several filters in one map all have to match. An event that does not match is passed over and acknowledged.",
)
.because("what a service does not want is better not sent; filters look at attributes and never into the data, so that they cost little")
.example("filter: { exact: { type: document.uploaded }, suffix: { subject: .pdf } }");

pub(crate) const BATCH_ITEMS: Key = Key::with(
    "items",
    Shape::One(Kind::Integer { min: 1, max: 10_000 }),
    "100",
    "How many events one request holds at most.",
)
.because("most of what a batch saves is saved by then")
.example("items: 500");

pub(crate) const BATCH_WAIT: Key = Key::with(
    "wait",
    Shape::One(Kind::Duration { min_ms: 0 }),
    "50ms",
    "How long a batch that is not full waits for more.",
)
.because("not felt by anybody, and long enough to fill a batch when much comes")
.example("wait: 1s");

pub(crate) const BATCH_BYTES: Key = Key::with(
    "bytes",
    Shape::One(Kind::Size { min: 1024, max: 64 << 20 }),
    "1MiB",
    "How large a batch may be; a single event that is larger goes alone.",
)
.because("web frameworks refuse bodies that are much larger unless they are told to")
.example("bytes: 4MiB");

static BATCH_FIELDS: Fields = Fields {
    what: "a batch",
    id: "delivery-batch",
    keys: &[BATCH_ITEMS, BATCH_WAIT, BATCH_BYTES],
    one_of: &[],
    one_needed: false,
};

pub(crate) const BATCH: Key = Key::without(
    "batch",
    Shape::Fields(&BATCH_FIELDS),
    "one event in each request",
    "Several events in one request, in the batched format of CloudEvents; the answer may say for each of them whether it was taken.",
)
.because("a handler that writes to a database or calls a model is often much quicker with many at once, and has to be written for it")
.example("batch: { items: 100, wait: 50ms }");

pub(crate) const ORDERED: Key =
    Key::with("ordered", Shape::One(Kind::Bool), "true", "Whether events with the same key wait for each other.")
        .because("an order that is lost cannot be had back; who needs none says so, and no event waits for another one")
        .example("ordered: false");

pub(crate) const MODE: Key = Key::with(
    "mode",
    Shape::One(Kind::Choice(&["binary", "structured"])),
    "binary",
    "How an event lies in the request: its data as the body and the rest in `ce-` headers, or all of it as one JSON document. A batch is always JSON.",
)
.because("with the data as the body any handler works that takes a POST; some frameworks only read the other one")
.example("mode: structured");

/// A subscription.
pub(crate) static SUBSCRIPTION: Fields = Fields {
    what: "a subscription",
    id: "subscription",
    keys: &[TO, PULL, VIEW, TIMEOUT, LEASE, IN_FLIGHT, RETRY, PERMANENT, MAX_AGE, FROM, FILTER, BATCH, MODE, ORDERED],
    one_of: &["to", "pull", "view"],
    one_needed: true,
};
