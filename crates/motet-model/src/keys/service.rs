//! The keys of a service.

use super::{Fields, Key, KeyKind, Kind, Shape, edge, jobs, outbox, policy, probe, subscription};

/// A command line: a text for the shell, or a list that is run without one.
pub(crate) const COMMAND_SHAPE: Shape =
    Shape::Either(&[Shape::One(Kind::Command), Shape::List(&Shape::One(Kind::Text))]);

const INCLUDE: Key = Key::without(
    "include",
    Shape::One(Kind::File),
    "everything stands here",
    "A file that holds the keys of this service, usually `service.yaml` beside its code. Keys beside `include` lie over it; paths inside are relative to that file.",
)
.because("a service that lives in a folder of its own, or in a repository of its own, brings its part of the definition along")
.example("include: services/embedder/service.yaml");

const ABOUT: Key = Key::without("about", Shape::One(Kind::Text), "nothing is said", "What it does, in one line.")
    .because("shown by `motet ps`, the console and editors")
    .example("about: turns text into vectors");

pub(crate) const PATH: Key = Key::without(
    "path",
    Shape::One(Kind::Folder),
    "`services/<name>`, or the folder of the included file",
    "The service's folder: its commands run there, and its files are looked for there.",
)
.because("one place per service keeps services apart")
.example("path: services/embedder");

pub(crate) const BUILD_COMMAND: Key = Key::required("command", COMMAND_SHAPE, "What to run in the service's folder.")
    .because("there is no build without it")
    .example("command: cargo build --release");

pub(crate) const INPUTS: Key = Key::without(
    "inputs",
    Shape::List(&Shape::One(Kind::Glob)),
    "all files in the service's folder that git does not ignore",
    "The files whose change makes a build necessary; globs relative to the service's folder.",
)
.because("what did not change is not built again")
.example("inputs: [\"src/**\", Cargo.toml]");

static BUILD_FIELDS: Fields =
    Fields { what: "a build", id: "build", keys: &[BUILD_COMMAND, INPUTS], one_of: &[], one_needed: false };

static BUILD_SHAPES: [Shape; 3] =
    [Shape::One(Kind::Command), Shape::List(&Shape::One(Kind::Text)), Shape::Fields(&BUILD_FIELDS)];

const BUILD: Key = Key::without(
    "build",
    Shape::Either(&BUILD_SHAPES),
    "nothing is built",
    "What is run before the service starts, when its inputs changed.",
)
.because("`motet up` starts what you see in the editor, not what was built last week")
.example("build: cargo build --release");

pub(crate) const PROCESS_COMMAND: Key = Key::required(
    "command",
    COMMAND_SHAPE,
    "The command line: a text is run by `/bin/sh -c`, a list without a shell. `$PORT` is the port to listen on.",
)
.because("any program in any language is a service, if it listens on `$PORT`")
.example("command: ./target/release/embedder");

static PROCESS_FIELDS: Fields =
    Fields { what: "a process", id: "process", keys: &[PROCESS_COMMAND], one_of: &[], one_needed: false };

const PROCESS: Key = Key::without(
    "process",
    Shape::Fields(&PROCESS_FIELDS),
    "one of `process`, `container` and `external` has to stand",
    "A program that Motet starts.",
)
.because("the quickest way to run what you are working on")
.example("process: { command: uv run answerer }");

const IMAGE: Key = Key::required("image", Shape::One(Kind::Text), "The image's reference.")
    .because("a tag or a digest, so that tomorrow's start is today's")
    .example("image: qdrant/qdrant:v1.12.4");

const CONTAINER_COMMAND: Key =
    Key::without("command", COMMAND_SHAPE, "what the image says", "What to run in the container instead.")
        .because("the same image with other arguments")
        .example("command: [serve, --verbose]");

const CONTAINER_PORT: Key = Key::without(
    "port",
    Shape::One(Kind::Port),
    "the value of `PORT`",
    "The port on which the program listens inside of the container.",
)
.because("images that exist already have a port of their own")
.example("port: 6333");

static CONTAINER_FIELDS: Fields = Fields {
    what: "a container",
    id: "container",
    keys: &[IMAGE, CONTAINER_COMMAND, CONTAINER_PORT],
    one_of: &[],
    one_needed: false,
};

const CONTAINER: Key = Key::without(
    "container",
    Shape::Fields(&CONTAINER_FIELDS),
    "one of `process`, `container` and `external` has to stand",
    "A container that Motet starts.",
)
.because("for what you use and don't write")
.example("container: { image: qdrant/qdrant:v1.12.4, port: 6333 }");

const EXTERNAL_URL: Key =
    Key::required("url", Shape::One(Kind::Url(&["http", "https"])), "Where it answers: scheme, host and port.")
        .because("Motet puts its edges in front of it and starts nothing")
        .example("url: http://vectors.internal:6333");

static EXTERNAL_FIELDS: Fields =
    Fields { what: "an external service", id: "external", keys: &[EXTERNAL_URL], one_of: &[], one_needed: false };

const EXTERNAL: Key = Key::without(
    "external",
    Shape::Fields(&EXTERNAL_FIELDS),
    "one of `process`, `container` and `external` has to stand",
    "Something that runs elsewhere.",
)
.because("a call to it gets the same timeout, retries and statistics as any other")
.example("external: { url: \"https://models.example.com\" }");

pub(crate) const PUBLISHED: Key =
    Key::with("published", Shape::One(Kind::Bool), "false", "Whether services of other contexts may call it.")
        .because("what others depend on cannot be changed freely any more, so it is said")
        .example("published: true");

pub(crate) const ONCE: Key = Key::with(
    "once",
    Shape::One(Kind::Bool),
    "false",
    "Whether it runs to completion (a migration, an import) instead of serving. Those that name it in `after` start when it has exited with 0.",
)
.because("most services serve")
.example("once: true");

const ENV: Key = Key::without(
    "env",
    Shape::Map(KeyKind::Variable, &Shape::One(Kind::EnvValue)),
    "only what Motet injects: `PORT`, `<CALLEE>_URL`, `DATABASE_URL`, …",
    "Variables of its environment. Numbers and truth values become text.",
)
.because("settings that differ between profiles belong into the environment")
.example("env: { LOG_LEVEL: info, MODEL: \"${MODEL:-small}\" }");

const PORT: Key = Key::without(
    "port",
    Shape::One(Kind::Port),
    "a free port for each instance",
    "The port it insists on. It cannot have several instances then.",
)
.because("a free port never collides; others find the service by its edge, not by its port")
.example("port: 9000");

const CONTRACT: Key = Key::without(
    "contract",
    Shape::One(Kind::File),
    "no contract: a lint at each edge that leads here",
    "Its OpenAPI document, relative to the service's folder.",
)
.because("whoever calls it can know what to expect, and a change that breaks them is found before it runs")
.example("contract: openapi.yaml");

const READY: Key = Key::without(
    "ready",
    Shape::Fields(&probe::READY),
    "as soon as its port accepts a connection",
    "When it may get requests.",
)
.because("a program that listens is not always one that can answer")
.example("ready: { http: /healthz }");

const ALIVE: Key = Key::without(
    "alive",
    Shape::Fields(&probe::ALIVE),
    "restarted only when it exits",
    "When it has to be restarted although it runs.",
)
.because("a probe that is too strict restarts a service that is only busy, so there is none unless you want one")
.example("alive: { http: /healthz, interval: 10s }");

pub(crate) const SCALE_MIN: Key =
    Key::with("min", Shape::One(Kind::Integer { min: 0, max: 1000 }), "1", "How many instances are started.")
        .because("one is enough to work")
        .example("min: 2");

pub(crate) const SCALE_MAX: Key = Key::without(
    "max",
    Shape::One(Kind::Integer { min: 1, max: 1000 }),
    "the same as `min`",
    "How many instances there may be.",
)
.because("scaling is asked for, not a surprise")
.example("max: 4");

static SCALE_FIELDS: Fields =
    Fields { what: "a scale", id: "scale", keys: &[SCALE_MIN, SCALE_MAX], one_of: &[], one_needed: false };

static SCALE_SHAPES: [Shape; 2] = [Shape::One(Kind::Integer { min: 0, max: 1000 }), Shape::Fields(&SCALE_FIELDS)];

pub(crate) const SCALE: Key =
    Key::with("scale", Shape::Either(&SCALE_SHAPES), "1", "How many instances: a number, or a range.")
        .because("one is enough to work; `motet scale` changes it while the system runs")
        .example("scale: { min: 1, max: 4 }");

const AFTER: Key = Key::without(
    "after",
    Shape::List(&Shape::One(Kind::Service)),
    "only after the services it uses",
    "Services that it starts after, beside those it uses: after they are ready, or have run to completion.",
)
.because("for order without calls, such as a migration")
.example("after: [migrate]");

static EDGE_SHAPE: Shape = Shape::Fields(&edge::EDGE);

const USES: Key = Key::without(
    "uses",
    Shape::Map(KeyKind::Service, &EDGE_SHAPE),
    "it calls nobody",
    "The services it may call. Each edge gets an address of its own, handed over as `<CALLEE>_URL`.",
)
.because("a dependency that is declared has a timeout, retries, statistics and a place on the map; one that is not has nowhere to go")
.example("uses:\n  embedder: { timeout: 2s }\n  index: {}");

pub(crate) const PUBLISHES: Key = Key::without(
    "publishes",
    Shape::List(&Shape::One(Kind::Topic)),
    "it publishes nothing",
    "The topics that it may publish to, with `POST $MOTET_URL/topics/<topic>` or through its `outbox`.",
)
.because("who tells what belongs to the map of the system, and a typo in a topic's name is refused instead of heard by nobody")
.example("publishes: [document.indexed]");

static SUBSCRIPTION_SHAPE: Shape = Shape::Fields(&subscription::SUBSCRIPTION);

pub(crate) const SUBSCRIBES: Key = Key::without(
    "subscribes",
    Shape::Map(KeyKind::Topic, &SUBSCRIPTION_SHAPE),
    "it listens to nothing",
    "The topics whose events it gets, each with its rules. All its instances share one subscription: each event goes to one of them.",
)
.because("an event is kept until it was taken, so the service may be down, slow or new")
.example("subscribes:\n  document.indexed: { to: /on/document-indexed, in_flight: 8 }");

pub(crate) const PROTOCOL: Key = Key::with(
    "protocol",
    Shape::One(Kind::Choice(&["http1", "h2c"])),
    "http1",
    "What its instances speak: HTTP/1.1, or HTTP/2 without TLS (`h2c`). Callers may speak either, and a gRPC request goes out as HTTP/2 in any case.",
)
.because("every framework speaks HTTP/1.1")
.example("protocol: h2c");

pub(crate) const POLICY: Key = Key::without(
    "policy",
    Shape::Fields(&policy::SERVICE_POLICY),
    "the defaults of each key",
    "What every edge and every route to this service begins with. What an edge, a route or a path says itself wins.",
)
.because(
    "who writes a service knows best how long it takes and how much it bears; what a caller needs stands at its edge",
)
.example("policy: { timeout: 5s, concurrency: 64 }");

const MIGRATE: Key = Key::without(
    "migrate",
    COMMAND_SHAPE,
    "nothing is run",
    "Run to completion before the service starts, with the store's credentials in its environment.",
)
.because("a program can rely on the tables that it expects")
.example("migrate: ./migrate.sh");

pub(crate) static STORE_ENGINE: Fields =
    Fields { what: "a store", id: "store-engine", keys: &[MIGRATE], one_of: &[], one_needed: false };

const SQLITE: Key =
    Key::without("sqlite", Shape::Fields(&STORE_ENGINE), "another kind of store, or none", "A file of its own.")
        .because("needs no server, and is enough for one machine")
        .example("sqlite: {}");

const POSTGRES: Key = Key::without(
    "postgres",
    Shape::Fields(&STORE_ENGINE),
    "another kind of store, or none",
    "A database and a role of its own on the server of `engines.stores.postgres`.",
)
.because("the password is made by Motet and given to nobody else")
.example("postgres: { migrate: alembic upgrade head }");

const MYSQL: Key = Key::without(
    "mysql",
    Shape::Fields(&STORE_ENGINE),
    "another kind of store, or none",
    "A database and a user of its own on the MySQL or MariaDB server of `engines.stores.mysql`.",
)
.because("the password is made by Motet and given to nobody else")
.example("mysql: { migrate: ./migrate.sh }");

static STORE_FIELDS: Fields = Fields {
    what: "a store",
    id: "store",
    keys: &[SQLITE, POSTGRES, MYSQL],
    one_of: &["sqlite", "postgres", "mysql"],
    one_needed: true,
};

const STORE: Key = Key::without(
    "store",
    Shape::Fields(&STORE_FIELDS),
    "it keeps no data",
    "The data that it owns, handed over as `DATABASE_URL`.",
)
.because("data with one owner can change its shape without asking anybody")
.example("store: { sqlite: {} }");

pub(crate) const SIGNAL: Key = Key::with(
    "signal",
    Shape::One(Kind::Choice(&["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"])),
    "TERM",
    "The signal that asks it to end.",
)
.because("what every program understands as `finish and go`")
.example("signal: INT");

pub(crate) const STOP_GRACE: Key = Key::with(
    "grace",
    Shape::One(Kind::Duration { min_ms: 0 }),
    "10s",
    "How long it has to end by itself before it is killed.",
)
.because("enough to finish the requests that it has; as long as Docker waits")
.example("grace: 30s");

static STOP_FIELDS: Fields =
    Fields { what: "a stop", id: "stop", keys: &[SIGNAL, STOP_GRACE], one_of: &[], one_needed: false };

const STOP: Key =
    Key::without("stop", Shape::Fields(&STOP_FIELDS), "TERM, and 10s until it is killed", "How it is asked to stop.")
        .because("a program that is told can finish what it has")
        .example("stop: { signal: INT, grace: 30s }");

pub(crate) const RESTART: Key = Key::without(
    "restart",
    Shape::One(Kind::Choice(&["always", "on-failure", "never"])),
    "`always`; `on-failure` for a service with `once`",
    "What happens when an instance exits.",
)
.because("a service that is gone is not wanted, whatever it says about itself; a migration that succeeded is done")
.example("restart: on-failure");

const WATCH: Key = Key::without(
    "watch",
    Shape::List(&Shape::One(Kind::Glob)),
    "the inputs of the build, or all files in the service's folder that git does not ignore",
    "Which files `motet up --watch` looks at; globs relative to the service's folder.",
)
.because("what is built again is what changed")
.example("watch: [\"src/**\"]");

const ALLOW_LINT: Key = Key::required("lint", Shape::One(Kind::Lint), "The code of the lint.")
    .because("`motet check` prints it with each finding")
    .example("lint: MO-model-203");

const ALLOW_BECAUSE: Key = Key::required("because", Shape::One(Kind::Text), "Why it is right here.")
    .because("whoever reads it in a year wants to know whether it still holds")
    .example("because: has no HTTP interface");

static ALLOW_FIELDS: Fields =
    Fields { what: "an exception", id: "allow", keys: &[ALLOW_LINT, ALLOW_BECAUSE], one_of: &[], one_needed: false };

static ALLOW_SHAPE: Shape = Shape::Fields(&ALLOW_FIELDS);

pub(crate) const ALLOW: Key = Key::without(
    "allow",
    Shape::List(&ALLOW_SHAPE),
    "no exceptions",
    "Lints that are silenced here, each with its reason. One that silences nothing is reported.",
)
.because("a rule that has no exceptions is switched off as a whole")
.example("allow: [{ lint: MO-model-203, because: a legacy service }]");

/// A service.
pub(crate) static SERVICE: Fields = Fields {
    what: "a service",
    id: "service",
    keys: &[
        INCLUDE,
        ABOUT,
        PATH,
        BUILD,
        PROCESS,
        CONTAINER,
        EXTERNAL,
        PUBLISHED,
        ONCE,
        ENV,
        PORT,
        CONTRACT,
        READY,
        ALIVE,
        SCALE,
        AFTER,
        PROTOCOL,
        POLICY,
        USES,
        PUBLISHES,
        SUBSCRIBES,
        STORE,
        outbox::OUTBOX,
        jobs::JOBS,
        STOP,
        RESTART,
        WATCH,
        ALLOW,
    ],
    one_of: &["process", "container", "external"],
    one_needed: true,
};
