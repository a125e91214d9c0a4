//! The keys of what is done about failures: repetition, breaker, hedge.

use super::{Fields, Key, Kind, Shape};

pub(crate) const ATTEMPTS: Key = Key::with(
    "attempts",
    Shape::One(Kind::Integer { min: 1, max: 10 }),
    "3",
    "How many times a call is tried in all; 1 means never again.",
)
.because("one repetition hides an instance that just died, the second one an unlucky choice; more only add load to a service that is already in trouble")
.example("attempts: 2");

pub(crate) const ON: Key = Key::with(
    "on",
    Shape::List(&Shape::One(Kind::Integer { min: 400, max: 599 })),
    "[502, 503, 504]",
    "The statuses of an answer that are worth another try.",
)
.because("these say that somebody on the way could not answer now; a 500 usually comes again, and a 4xx is the caller's own mistake")
.example("on: [503]");

pub(crate) const METHODS: Key = Key::with(
    "methods",
    Shape::List(&Shape::One(Kind::Choice(&[
        "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "PATCH", "QUERY",
    ]))),
    "[GET, HEAD, OPTIONS, TRACE, PUT, DELETE]",
    "The methods that may be repeated after something was sent. Anything may be repeated when nothing was sent yet, and what carries an `Idempotency-Key` too.",
)
.because("these are idempotent by definition (RFC 9110, section 9.2.2): a second time changes nothing; repeat POST only where the callee knows a request again")
.example("methods: [GET, HEAD, POST]");

/// The statuses of gRPC that are failures, by number.
pub(crate) const GRPC_STATUSES: [&str; 16] = [
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

pub(crate) const GRPC: Key = Key::with(
    "grpc",
    Shape::List(&Shape::One(Kind::Choice(&GRPC_STATUSES))),
    "[UNAVAILABLE]",
    "The gRPC statuses that are worth another try. Every gRPC call is a POST: list POST under `methods` for the gRPC methods that may be done twice.",
)
.because("it is the one that says `come again`; the others come again by themselves or mean that something was done")
.example("grpc: [UNAVAILABLE, RESOURCE_EXHAUSTED]");

pub(crate) const BACKOFF_INITIAL: Key = Key::with(
    "initial",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "25ms",
    "The first pause; each further one is twice as long, and half of each is random.",
)
.because("longer than an instance that died stays in the set of those to choose from")
.example("initial: 100ms");

pub(crate) const BACKOFF_MAX: Key =
    Key::with("max", Shape::One(Kind::Duration { min_ms: 1 }), "1s", "No pause is longer.")
        .because("a caller waits meanwhile")
        .example("max: 5s");

static BACKOFF_FIELDS: Fields = Fields {
    what: "a pause between tries",
    id: "backoff",
    keys: &[BACKOFF_INITIAL, BACKOFF_MAX],
    one_of: &[],
    one_needed: false,
};

pub(crate) const BACKOFF: Key = Key::without(
    "backoff",
    Shape::Fields(&BACKOFF_FIELDS),
    "25ms, doubling, to 1s",
    "The pause before the same instance is tried again; another instance is tried at once. An instance's `Retry-After` lengthens it.",
)
.because("an instance that just failed needs a moment, and many who failed together must not come back together")
.example("backoff: { initial: 50ms, max: 2s }");

pub(crate) const BUDGET: Key = Key::with(
    "budget",
    Shape::One(Kind::Percent { min: 0, max: 100 }),
    "20%",
    "How many repetitions there may be per request on average. Ten more are there after quiet times, so that a lone failure can be repeated.",
)
.because("when everything fails, repetitions add a fifth to the load instead of tripling it")
.example("budget: 10%");

pub(crate) const BODY_MAX: Key = Key::with(
    "body_max",
    Shape::One(Kind::Size { min: 0, max: 16 << 20 }),
    "64KiB",
    "How much of a request's body is kept for sending it again. A longer one is sent once.",
)
.because("most requests are shorter, and what is kept takes memory for each request under way")
.example("body_max: 1MiB");

pub(crate) static RETRY_FIELDS: Fields = Fields {
    what: "a retry rule",
    id: "retry",
    keys: &[ATTEMPTS, ON, METHODS, GRPC, BACKOFF, BUDGET, BODY_MAX],
    one_of: &[],
    one_needed: false,
};

static RETRY_SHAPES: [Shape; 2] = [Shape::One(Kind::Choice(&["never"])), Shape::Fields(&RETRY_FIELDS)];

pub(crate) const RETRY: Key = Key::without(
    "retry",
    Shape::Either(&RETRY_SHAPES),
    "3 attempts of idempotent methods, on 502, 503 and 504, each on another instance where there is one",
    "When a call is tried again, within the timeout; `never` turns it off.",
)
.because("an instance that dies or is replaced should not be felt by the caller, and a call that may do something twice should not be repeated by itself")
.example("retry: { attempts: 2, on: [503] }");

pub(crate) const FAILURES: Key = Key::with(
    "failures",
    Shape::One(Kind::Integer { min: 1, max: 1000 }),
    "5",
    "So many failures in a row, and the instance is left alone.",
)
.because("two may be chance, five in a row are not")
.example("failures: 3");

pub(crate) const FAILURE_RATE: Key = Key::with(
    "rate",
    Shape::One(Kind::Percent { min: 1, max: 100 }),
    "50%",
    "So large a share of failures within `window`, and the instance is left alone too.",
)
.because("an instance that fails every second time never fails five times in a row")
.example("rate: 25%");

pub(crate) const WINDOW: Key =
    Key::with("window", Shape::One(Kind::Duration { min_ms: 100 }), "10s", "Over how long the share is taken.")
        .because("long enough to count something, short enough to forget what is over")
        .example("window: 30s");

pub(crate) const REQUESTS_MIN: Key = Key::with(
    "requests",
    Shape::One(Kind::Integer { min: 1, max: 1_000_000 }),
    "20",
    "Below so many requests within `window`, the share says nothing.",
)
.because("one failure of two is half, and chance")
.example("requests: 100");

pub(crate) const OPEN: Key = Key::with(
    "open",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "1s",
    "For how long it is left alone the first time; then one request probes it, and a failed probe doubles the time.",
)
.because("a restart takes about as long")
.example("open: 5s");

pub(crate) const OPEN_MAX: Key =
    Key::with("open_max", Shape::One(Kind::Duration { min_ms: 1 }), "30s", "The longest time that it is left alone.")
        .because("an instance that works again should not stay unused for minutes")
        .example("open_max: 2m");

pub(crate) const PANIC: Key = Key::with(
    "panic",
    Shape::One(Kind::Percent { min: 0, max: 100 }),
    "50%",
    "When a larger share of instances than this would be left alone, but not all, none is.",
)
.because("the rest would not bear the load, and a failing dependency of all of them is not their fault")
.example("panic: 70%");

pub(crate) static BREAKER_FIELDS: Fields = Fields {
    what: "a breaker",
    id: "breaker",
    keys: &[FAILURES, FAILURE_RATE, WINDOW, REQUESTS_MIN, OPEN, OPEN_MAX, PANIC],
    one_of: &[],
    one_needed: false,
};

static BREAKER_SHAPES: [Shape; 2] = [Shape::One(Kind::Choice(&["never"])), Shape::Fields(&BREAKER_FIELDS)];

pub(crate) const BREAKER: Key = Key::without(
    "breaker",
    Shape::Either(&BREAKER_SHAPES),
    "after 5 failures in a row, or half of at least 20 within 10s, for 1s, doubling, to 30s",
    "When an instance that fails is left alone, and for how long; `never` turns it off.",
)
.because("an instance that fails gets time to recover, and callers get an answer from another one")
.example("breaker: { failures: 3, open: 2s }");

pub(crate) const HEDGE_AFTER: Key = Key::required(
    "after",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "After how long without an answer's head a second copy is sent to another instance.",
)
.because("a little more than what 95 of 100 calls take: then 5 of 100 are sent twice")
.example("after: 200ms");

static HEDGE_FIELDS: Fields =
    Fields { what: "a hedge", id: "hedge", keys: &[HEDGE_AFTER], one_of: &[], one_needed: false };

static HEDGE_SHAPES: [Shape; 2] = [Shape::One(Kind::Choice(&["never"])), Shape::Fields(&HEDGE_FIELDS)];

pub(crate) const HEDGE: Key = Key::without(
    "hedge",
    Shape::Either(&HEDGE_SHAPES),
    "never",
    "When a second copy of a request that takes long is sent, of which the first answer counts. Only of what may be repeated, and within the budget of `retry`.",
)
.because("it pays for a shorter tail with more load, and only who knows the callee can say when that is right")
.example("hedge: { after: 200ms }");
