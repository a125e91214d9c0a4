//! The keys of a policy: what holds on an edge or a route when things are slow, many or broken.
//!
//! The same keys stand at four places (a service's `policy`, an edge, a route, and a path of each), so they are one list that
//! is joined to what else such a place may say.

use super::{Fields, Key, KeyKind, Kind, Shape, fallback, retry};

pub(crate) const TIMEOUT: Key = Key::with(
    "timeout",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "30s",
    "How long a call may take in all: waiting, all tries, and the answer. Of an answer that streams it bounds the time to its head.",
)
.because("no call waits for ever; half a minute is longer than a person waits and long enough for a model that is loading")
.example("timeout: 2s");

pub(crate) const TRY_TIMEOUT: Key = Key::without(
    "try_timeout",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "as long as `timeout` leaves",
    "How long one try may take. A try that is over before its answer's head may be repeated.",
)
.because("only the caller knows how long a good answer takes; with it set, an instance that hangs leaves time for another one")
.example("try_timeout: 1s");

pub(crate) const FIRST_BYTE: Key = Key::without(
    "first_byte",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "as long as `try_timeout`",
    "How long one try may take up to the head of its answer.",
)
.because("an answer that streams for minutes should still begin soon")
.example("first_byte: 500ms");

pub(crate) const IDLE: Key = Key::with(
    "idle",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "10m",
    "The longest silence within an answer that streams, or on a WebSocket.",
)
.because("longer than the usual pings of either, so that only what is dead is cut")
.example("idle: 1m");

pub(crate) const CONNECT_TIMEOUT: Key = Key::with(
    "connect_timeout",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "1s",
    "How long one connection may take to be made.",
)
.because("an instance on the same network accepts within milliseconds or not at all")
.example("connect_timeout: 250ms");

pub(crate) const READY_WAIT: Key = Key::with(
    "ready_wait",
    Shape::One(Kind::Duration { min_ms: 0 }),
    "5s",
    "How long a request is held while no instance is ready or accepts connections, within the timeout.",
)
.because("longer than a restart takes, shorter than people wait")
.example("ready_wait: 20s");

/// As many requests as the data plane takes on one edge.
const CONCURRENCY_MAX: i64 = 1_000_000;

pub(crate) const ADAPTIVE_MIN: Key = Key::with(
    "min",
    Shape::One(Kind::Integer { min: 1, max: CONCURRENCY_MAX }),
    "4",
    "The limit never becomes smaller.",
)
.because("a limit that falls to one can no longer measure what two at once would do")
.example("min: 2");

pub(crate) const ADAPTIVE_MAX: Key = Key::with(
    "max",
    Shape::One(Kind::Integer { min: 1, max: CONCURRENCY_MAX }),
    "1024",
    "The limit never becomes larger.",
)
.because("what was measured while little happened says nothing about thousands at once")
.example("max: 256");

pub(crate) static ADAPTIVE_FIELDS: Fields = Fields {
    what: "an adaptive limit",
    id: "adaptive",
    keys: &[ADAPTIVE_MIN, ADAPTIVE_MAX],
    one_of: &[],
    one_needed: false,
};

pub(crate) const ADAPTIVE: Key = Key::required(
    "adaptive",
    Shape::Fields(&ADAPTIVE_FIELDS),
    "A limit that is found by measuring: as many at once as do not slow each other down.",
)
.because("nobody knows the right number beforehand, and it changes with the machine and the load")
.example("adaptive: { min: 2, max: 64 }");

static LIMIT_FIELDS: Fields =
    Fields { what: "a limit", id: "limit", keys: &[ADAPTIVE], one_of: &[], one_needed: false };

const LIMIT_KIND: Kind = Kind::NumberOr { min: 1, max: CONCURRENCY_MAX, word: "adaptive" };

static LIMIT_SHAPES: [Shape; 2] = [Shape::One(LIMIT_KIND), Shape::Fields(&LIMIT_FIELDS)];

pub(crate) const LIMIT: Key = Key::with(
    "limit",
    Shape::Either(&LIMIT_SHAPES),
    "16384",
    "How many requests may be under way at once: a number, or `adaptive`.",
)
.because("enough for any service that works, and an end for one that hangs: what waits for it needs memory")
.example("limit: 64");

pub(crate) const QUEUE: Key = Key::with(
    "queue",
    Shape::One(Kind::Integer { min: 0, max: CONCURRENCY_MAX }),
    "1024",
    "How many more may wait for their turn, the most urgent first. When the queue is full, the least urgent is refused.",
)
.because("a short burst is better served late than refused, and a long queue only makes everybody late")
.example("queue: 128");

pub(crate) const QUEUE_WAIT: Key = Key::with(
    "queue_wait",
    Shape::One(Kind::Duration { min_ms: 0 }),
    "5s",
    "How long one may wait for its turn, within the timeout.",
)
.because("who has waited that long is better told to come again")
.example("queue_wait: 1s");

static CONCURRENCY_FIELDS: Fields = Fields {
    what: "a concurrency limit",
    id: "concurrency",
    keys: &[LIMIT, QUEUE, QUEUE_WAIT],
    one_of: &[],
    one_needed: false,
};

static CONCURRENCY_SHAPES: [Shape; 2] = [Shape::One(LIMIT_KIND), Shape::Fields(&CONCURRENCY_FIELDS)];

pub(crate) const CONCURRENCY: Key = Key::without(
    "concurrency",
    Shape::Either(&CONCURRENCY_SHAPES),
    "16384 at once, and 1024 that wait up to 5s",
    "How many requests may be under way at once, and what happens to more. A number or `adaptive` sets the limit alone.",
)
.because("a callee that is slow must not fill its caller with requests that wait; each edge and route counts for itself")
.example("concurrency: { limit: 64, queue: 128 }");

pub(crate) const PRIORITY: Key = Key::with(
    "priority",
    Shape::One(Kind::Integer { min: 0, max: 7 }),
    "3",
    "Who goes first when requests have to wait: the urgency of RFC 9218, from 0 (first) to 7. On an edge, a request's own `Priority` header counts instead.",
)
.because("the default that RFC 9218 names, with room above for people who wait and below for work that can")
.example("priority: 1");

const REQUESTS: Key = Key::required(
    "requests",
    Shape::One(Kind::Integer { min: 1, max: 10_000_000 }),
    "How many requests are let in per `per`.",
)
.because("there is no limit without a number")
.example("requests: 100");

pub(crate) const PER: Key = Key::with("per", Shape::One(Kind::Duration { min_ms: 1 }), "1s", "In how much time.")
    .because("rates are mostly told per second")
    .example("per: 1m");

pub(crate) const BURST: Key = Key::without(
    "burst",
    Shape::One(Kind::Integer { min: 1, max: 10_000_000 }),
    "the same as `requests`",
    "How many may come at once after a quiet time.",
)
.because("who was quiet may use what it has left, and not more than that")
.example("burst: 20");

pub(crate) const BY: Key = Key::with(
    "by",
    Shape::One(Kind::Choice(&["all", "client"])),
    "all",
    "Who shares the limit: all callers together, or each client of the gateway for itself (who it proved to be, or else its address).",
)
.because("it protects the callee, which does not care who asks; `client` is fairness among strangers")
.example("by: client");

static RATE_FIELDS: Fields =
    Fields { what: "a rate limit", id: "rate", keys: &[REQUESTS, PER, BURST, BY], one_of: &[], one_needed: false };

static RATE_SHAPES: [Shape; 2] = [Shape::One(Kind::Rate), Shape::Fields(&RATE_FIELDS)];

pub(crate) const RATE: Key = Key::without(
    "rate",
    Shape::Either(&RATE_SHAPES),
    "no limit",
    "How many requests are let in over time; `100/s` is short for `{ requests: 100, per: 1s }`, and `none` lifts it.",
)
.because(
    "how much a service may be asked over time is a decision about money or fairness, which nobody can make for you",
)
.example("rate: { requests: 100, per: 1s, burst: 20 }");

pub(crate) const SLOW_START: Key = Key::with(
    "slow_start",
    Shape::One(Kind::Duration { min_ms: 0 }),
    "5s",
    "How long a new instance is spared: its share of requests grows to the full one over this time.",
)
.because("caches are cold and code is not compiled yet in the first seconds")
.example("slow_start: 30s");

pub(crate) const WAIT: Key = Key::with(
    "wait",
    Shape::One(Kind::Choice(&["ready", "none"])),
    "ready",
    "Whether the caller is started only after the callee is ready (`ready`) or without regard to it (`none`).",
)
.because("most services ask their dependencies something when they start; `none` is for those that don't, and the way out of a circle")
.example("wait: none");

/// What every policy may say.
pub(crate) const POLICY_KEYS: [Key; 14] = [
    TIMEOUT,
    TRY_TIMEOUT,
    FIRST_BYTE,
    IDLE,
    CONNECT_TIMEOUT,
    READY_WAIT,
    CONCURRENCY,
    PRIORITY,
    RATE,
    retry::RETRY,
    retry::BREAKER,
    SLOW_START,
    retry::HEDGE,
    fallback::FALLBACK,
];

/// The keys of a policy for some paths.
pub(crate) static PATH: Fields =
    Fields { what: "the policy of a path", id: "path-policy", keys: &POLICY_KEYS, one_of: &[], one_needed: false };

static PATH_SHAPE: Shape = Shape::Fields(&PATH);

pub(crate) const PATHS: Key = Key::without(
    "paths",
    Shape::Map(KeyKind::UrlPath, &PATH_SHAPE),
    "all paths alike",
    "Where some paths behave otherwise: prefixes of whole segments as the callee sees them, or gRPC methods (`/package.Service/Method`). What a path does not say, it has from the longest shorter one, then from what stands around it.",
)
.because("a service has quick and slow paths, and some that may be done twice")
.example("paths:\n  /embed: { timeout: 5s }\n  /shop.Stock/Watch: { idle: 1h }");

static SERVICE_POLICY_KEYS: [Key; 15] = joined(&[PATHS]);

/// What a service says for everybody who calls it.
pub(crate) static SERVICE_POLICY: Fields =
    Fields { what: "a policy", id: "policy", keys: &SERVICE_POLICY_KEYS, one_of: &[], one_needed: false };

/// The keys of a policy, and others behind them.
pub(crate) const fn joined<const MORE: usize, const ALL: usize>(more: &[Key; MORE]) -> [Key; ALL] {
    let mut all = [TIMEOUT; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < POLICY_KEYS.len() { POLICY_KEYS[at] } else { more[at - POLICY_KEYS.len()] };
        at += 1;
    }
    all
}
