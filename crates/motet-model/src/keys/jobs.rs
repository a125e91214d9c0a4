//! The keys of a service's jobs: requests that nobody waits for, how long and how often they are tried, and how long results stay.
//!
//! They look like those of a subscription where they mean the same.

use super::{Fields, Key, Kind, Shape, subscription, topic};

pub(crate) const TIMEOUT: Key = Key::with(
    "timeout",
    Shape::One(Kind::Duration { min_ms: 10 }),
    "5m",
    "How long the service may take to answer a job until the attempt counts as failed. A handler that needs longer answers 202 and completes the job later.",
)
.because("what is made a job takes longer than a call; a handler that hangs should be noticed the same hour")
.example("timeout: 30m");

pub(crate) const LEASE: Key = Key::with(
    "lease",
    Shape::One(Kind::Duration { min_ms: 100 }),
    "1m",
    "How long a job belongs to a handler that answered 202. One that needs longer says how far it is, or extends the lease, while it works.",
)
.because("a job whose handler died is tried again soon, and one that lives says so with a small request")
.example("lease: 5m");

pub(crate) const IN_FLIGHT: Key = Key::with(
    "in_flight",
    Shape::One(Kind::Integer { min: 1, max: 10_000 }),
    "16",
    "How many jobs may be with the service at once, over all its instances.",
)
.because("enough to keep a few instances busy, and few enough that a service that is slow is not buried")
.example("in_flight: 2");

pub(crate) const ATTEMPTS: Key = Key::with(
    "attempts",
    Shape::One(Kind::Integer { min: 1, max: 10_000 }),
    "20",
    "How many times a job is tried in all until it has failed. A job may say another number.",
)
.because("with these pauses about an hour: longer than a deployment or the restart of a database, and short enough that somebody hears of it the same day")
.example("attempts: 5");

static RETRY_FIELDS: Fields = Fields {
    what: "a rule for attempts",
    id: "job-retry",
    keys: &[ATTEMPTS, subscription::BACKOFF],
    one_of: &[],
    one_needed: false,
};

static RETRY_SHAPES: [Shape; 2] = [Shape::One(Kind::Choice(&["never"])), Shape::Fields(&RETRY_FIELDS)];

pub(crate) const RETRY: Key = Key::without(
    "retry",
    Shape::Either(&RETRY_SHAPES),
    "20 attempts, 1s apart and doubling to 5m",
    "How often a job is tried, and with which pauses; `never` sends it at most once, whatever happens.",
)
.because("nobody waits for the answer, so trying for an hour costs little; what must not be done twice says `never`")
.example("retry: { attempts: 5, backoff: { max: 1m } }");

pub(crate) const PERMANENT: Key = Key::with(
    "permanent",
    Shape::List(&Shape::One(Kind::Integer { min: 400, max: 599 })),
    "[400, 410, 413, 415, 422]",
    "The statuses of an answer that say: this will never succeed. The job has failed at once. Every other failure is tried again.",
)
.because("these blame the request itself; a 404, 401 or 409 is mostly a deployment that is not finished or a row that is not there yet, and passes")
.example("permanent: [400, 404, 422]");

pub(crate) const MAX_AGE: Key = Key::with(
    "max_age",
    Shape::One(Kind::Duration { min_ms: 1000 }),
    "7d",
    "How old a job may become, counted from when it was asked for or is due, until it has failed instead of being tried again.",
)
.because("longer than a failure goes unnoticed over holidays and a weekend; what is not worth doing late says so")
.example("max_age: 1h");

pub(crate) const KEEP_DEFAULT: (&str, &str) = ("1d", "1GiB");

static KEEP_SHAPES: [Shape; 2] = [Shape::One(Kind::Keep), Shape::Fields(&topic::KEEP_FIELDS)];

pub(crate) const KEEP: Key = Key::without(
    "keep",
    Shape::Either(&KEEP_SHAPES),
    "1d, and 1GiB at most",
    "How long jobs that are over stay, with their results: a time, a size, or both. What is not said is no limit; there are never more than 100,000 of a service.",
)
.because("long enough to fetch a result the next morning, and an end that most disks bear")
.example("keep: { time: 7d, size: 10GiB }");

pub(crate) const MAX_PAYLOAD: Key = Key::with(
    "max_payload",
    Shape::One(Kind::Size { min: 1, max: 64 << 20 }),
    "1MiB",
    "How large the body of a job may be, and its result to be kept.",
)
.because("larger things belong into a store, and their address into the job")
.example("max_payload: 8MiB");

static JOBS_FIELDS: Fields = Fields {
    what: "jobs",
    id: "jobs",
    keys: &[TIMEOUT, LEASE, IN_FLIGHT, RETRY, PERMANENT, MAX_AGE, KEEP, MAX_PAYLOAD],
    one_of: &[],
    one_needed: false,
};

pub(crate) const JOBS: Key = Key::without(
    "jobs",
    Shape::Fields(&JOBS_FIELDS),
    "it takes no jobs",
    "The service takes jobs: whoever may call it can `POST $MOTET_URL/jobs/<service>/<path>`, hears at once that the request is on disk, and asks for the result later. `jobs: {}` takes all defaults.",
)
.because("what takes minutes should not be lost with its caller, and any endpoint can be asked that way without being changed")
.example("jobs: { in_flight: 2, timeout: 30m }");
