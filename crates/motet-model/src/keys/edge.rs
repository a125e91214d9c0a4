//! The keys of an edge (`uses`) and of a repetition (`retry`).

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
    "The methods that may be repeated after something was sent. Anything may be repeated when nothing was sent yet.",
)
.because("these are idempotent by definition (RFC 9110, section 9.2.2): a second time changes nothing; repeat POST only where the callee knows a request again")
.example("methods: [GET, HEAD, POST]");

pub(crate) static RETRY_FIELDS: Fields =
    Fields { what: "a retry rule", id: "retry", keys: &[ATTEMPTS, ON, METHODS], one_of: &[], one_needed: false };

static RETRY_SHAPES: [Shape; 2] = [Shape::One(Kind::Choice(&["never"])), Shape::Fields(&RETRY_FIELDS)];

pub(crate) const RETRY: Key = Key::without(
    "retry",
    Shape::Either(&RETRY_SHAPES),
    "3 attempts of idempotent methods, on 502, 503 and 504, each on another instance where there is one",
    "When a call is tried again, within the timeout; `never` turns it off.",
)
.because("an instance that dies or is replaced should not be felt by the caller, and a call that may do something twice should not be repeated by itself")
.example("retry: { attempts: 2, on: [503] }");

pub(crate) const TIMEOUT: Key = Key::with(
    "timeout",
    Shape::One(Kind::Duration { min_ms: 1 }),
    "30s",
    "How long a call may take in all, repetitions included. For a stream it bounds the time to the head of the response.",
)
.because("no call waits for ever; half a minute is longer than a person waits and long enough for a model that is loading")
.example("timeout: 2s");

pub(crate) const WAIT: Key = Key::with(
    "wait",
    Shape::One(Kind::Choice(&["ready", "none"])),
    "ready",
    "Whether the caller is started only after the callee is ready (`ready`) or without regard to it (`none`).",
)
.because("most services ask their dependencies something when they start; `none` is for those that don't, and the way out of a circle")
.example("wait: none");

pub(crate) static EDGE: Fields =
    Fields { what: "an edge", id: "edge", keys: &[TIMEOUT, RETRY, WAIT], one_of: &[], one_needed: false };

pub(crate) const TO: Key = Key::required("to", Shape::One(Kind::Service), "The service that answers.")
    .because("a route has one callee")
    .example("to: web");

pub(crate) const STRIP_PREFIX: Key = Key::with(
    "strip_prefix",
    Shape::One(Kind::Bool),
    "false",
    "Whether the route's path is cut off before the request is passed on.",
)
.because("a service that sees the path that the browser sees builds links that work")
.example("strip_prefix: true");

pub(crate) static ROUTE: Fields =
    Fields { what: "a route", id: "route", keys: &[TO, STRIP_PREFIX, TIMEOUT, RETRY], one_of: &[], one_needed: false };
