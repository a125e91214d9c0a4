//! The keys of probes: `ready` and `alive` ask the same in different rhythms.

use super::{Fields, Key, Kind, Shape, service::COMMAND_SHAPE};

const HTTP: Key = Key::without(
    "http",
    Shape::One(Kind::UrlPath),
    "another kind of probe, or none",
    "A path that answers `GET` with 2xx or 3xx.",
)
.because("only the program itself can say that it is ready: its models loaded, its store reachable")
.example("http: /healthz");

const TCP: Key = Key::without(
    "tcp",
    Shape::One(Kind::True),
    "another kind of probe, or none",
    "Whether the port accepts a connection.",
)
.because(
    "the weakest sign, for programs that have no health path: it says that somebody listens, not that anybody works",
)
.example("tcp: true");

const LOG: Key = Key::without(
    "log",
    Shape::One(Kind::Regex),
    "another kind of probe, or none",
    "A regular expression that a line of the program's output matches.",
)
.because("for programs that open their port before they can answer, and say so when they can")
.example("log: \"listening on .*\"");

const COMMAND: Key = Key::without(
    "command",
    COMMAND_SHAPE,
    "another kind of probe, or none",
    "A command that exits with 0. It runs in the service's folder with the service's environment.",
)
.because("for programs that speak neither HTTP nor open a port")
.example("command: pg_isready -p $PORT");

pub(crate) const READY_INTERVAL: Key =
    Key::with("interval", Shape::One(Kind::Duration { min_ms: 10 }), "250ms", "How often it is asked.")
        .because("a start is waited for by a person: a quarter of a second is not noticed, and costs next to nothing")
        .example("interval: 1s");

pub(crate) const ALIVE_INTERVAL: Key =
    Key::with("interval", Shape::One(Kind::Duration { min_ms: 10 }), "10s", "How often it is asked.")
        .because(
            "a program that hangs is rare, so asking may be rare; with 3 failures a hang is ended within half a minute",
        )
        .example("interval: 30s");

pub(crate) const READY_TIMEOUT: Key =
    Key::with("timeout", Shape::One(Kind::Duration { min_ms: 1 }), "1s", "How long an answer may take.")
        .because("a health path that needs longer does too much")
        .example("timeout: 3s");

pub(crate) const ALIVE_TIMEOUT: Key =
    Key::with("timeout", Shape::One(Kind::Duration { min_ms: 1 }), "3s", "How long an answer may take.")
        .because("a program under load answers slowly and is alive: a restart would make it worse")
        .example("timeout: 5s");

pub(crate) const GRACE: Key = Key::with(
    "grace",
    Shape::One(Kind::Duration { min_ms: 0 }),
    "60s",
    "How long after its start an instance may fail without consequence.",
)
.because("models are loaded and caches are filled before the first answer; a minute is enough for most, and a start that hangs is still noticed")
.example("grace: 5m");

pub(crate) const FAILURES: Key = Key::with(
    "failures",
    Shape::One(Kind::Integer { min: 1, max: 100 }),
    "3",
    "How many failures in a row count as one.",
)
.because("one lost answer is no news, three in a row are")
.example("failures: 5");

const CHECKS: &[&str] = &["http", "tcp", "log", "command"];

pub(crate) static READY: Fields = Fields {
    what: "a readiness probe",
    id: "ready",
    keys: &[HTTP, TCP, LOG, COMMAND, READY_INTERVAL, READY_TIMEOUT, GRACE, FAILURES],
    one_of: CHECKS,
    one_needed: true,
};

pub(crate) static ALIVE: Fields = Fields {
    what: "a liveness probe",
    id: "alive",
    keys: &[HTTP, TCP, LOG, COMMAND, ALIVE_INTERVAL, ALIVE_TIMEOUT, GRACE, FAILURES],
    one_of: CHECKS,
    one_needed: true,
};
