//! The keys of engines: the servers that keep services' stores, and what carries events.

use super::{Fields, Key, Kind, Shape};

pub(crate) const POSTGRES_URL: Key = Key::required(
    "url",
    Shape::One(Kind::Url(&["postgres", "postgresql"])),
    "The URL with which an administrator connects: Motet makes databases and roles with it.",
)
.because("services get roles of their own and never see this URL; keep it in a variable, not in the file")
.example("url: \"${POSTGRES_ADMIN_URL}\"");

static POSTGRES_SERVER: Fields = Fields {
    what: "a PostgreSQL server",
    id: "postgres-server",
    keys: &[POSTGRES_URL],
    one_of: &[],
    one_needed: false,
};

const STORES_POSTGRES: Key = Key::without(
    "postgres",
    Shape::Fields(&POSTGRES_SERVER),
    "no server: a service with `store: { postgres: {} }` is an error",
    "The PostgreSQL server that keeps the databases of services.",
)
.because("one server for all, one database and one role for each: nobody reaches another one's data")
.example("postgres: { url: \"${POSTGRES_ADMIN_URL}\" }");

const MYSQL_URL: Key = Key::required(
    "url",
    Shape::One(Kind::Url(&["mysql", "mariadb"])),
    "The URL with which an administrator connects: Motet makes databases and users with it.",
)
.because("services get users of their own and never see this URL; keep it in a variable, not in the file")
.example("url: \"${MYSQL_ADMIN_URL}\"");

static MYSQL_SERVER: Fields =
    Fields { what: "a MySQL server", id: "mysql-server", keys: &[MYSQL_URL], one_of: &[], one_needed: false };

const STORES_MYSQL: Key = Key::without(
    "mysql",
    Shape::Fields(&MYSQL_SERVER),
    "no server: a service with `store: { mysql: {} }` is an error",
    "The MySQL or MariaDB server that keeps the databases of services.",
)
.because("one server for all, one database and one user for each: nobody reaches another one's data")
.example("mysql: { url: \"${MYSQL_ADMIN_URL}\" }");

static STORES: Fields = Fields {
    what: "the stores' servers",
    id: "stores",
    keys: &[STORES_POSTGRES, STORES_MYSQL],
    one_of: &[],
    one_needed: false,
};

const ENGINES_STORES: Key = Key::without(
    "stores",
    Shape::Fields(&STORES),
    "files beside the system (SQLite)",
    "The servers that keep services' stores.",
)
.because("a laptop needs none, a production has one already")
.example("stores: { postgres: { url: \"${POSTGRES_ADMIN_URL}\" } }");

pub(crate) const BROKERS: Key =
    Key::required("brokers", Shape::List(&Shape::One(Kind::HostPort)), "Brokers to begin with: host and port of each.")
        .because("the rest of the cluster is learned from whichever of them answers")
        .example("brokers: [\"kafka-1:9092\", \"kafka-2:9092\"]");

pub(crate) const PARTITIONS: Key = Key::with(
    "partitions",
    Shape::One(Kind::Integer { min: 1, max: 1000 }),
    "1",
    "How many partitions a topic gets that Motet creates. One that exists stays as it is.",
)
.because("Motet keeps the order of each key and shares the work among instances itself; more partitions help only others who read the topic")
.example("partitions: 12");

pub(crate) const KAFKA_REPLICAS: Key = Key::without(
    "replicas",
    Shape::One(Kind::Integer { min: 1, max: 15 }),
    "what the cluster has as its default",
    "How many brokers keep a copy of a topic that Motet creates.",
)
.because("who runs the cluster knows how many it can lose")
.example("replicas: 3");

static KAFKA_FIELDS: Fields = Fields {
    what: "a Kafka cluster",
    id: "kafka",
    keys: &[BROKERS, PARTITIONS, KAFKA_REPLICAS],
    one_of: &[],
    one_needed: false,
};

const KAFKA: Key =
    Key::without("kafka", Shape::Fields(&KAFKA_FIELDS), "another engine", "Events are kept by Apache Kafka.")
        .because("a company that has it wants its events there")
        .example("kafka: { brokers: [\"kafka:9092\"] }");

pub(crate) const RABBITMQ_URL: Key = Key::required(
    "url",
    Shape::One(Kind::Url(&["amqp", "amqps"])),
    "Where it answers, with user, password and virtual host.",
)
.because("it holds a password: keep it in a variable, not in the file")
.example("url: \"${RABBITMQ_URL}\"");

pub(crate) const RABBITMQ_REPLICAS: Key = Key::without(
    "replicas",
    Shape::One(Kind::Integer { min: 1, max: 15 }),
    "what the server has as its default",
    "How many servers keep a copy of a queue that Motet creates.",
)
.because("who runs the cluster knows how many it can lose")
.example("replicas: 3");

static RABBITMQ_FIELDS: Fields = Fields {
    what: "a RabbitMQ server",
    id: "rabbitmq",
    keys: &[RABBITMQ_URL, RABBITMQ_REPLICAS],
    one_of: &[],
    one_needed: false,
};

const RABBITMQ: Key = Key::without(
    "rabbitmq",
    Shape::Fields(&RABBITMQ_FIELDS),
    "another engine",
    "Events are kept by RabbitMQ, in quorum queues.",
)
.because("a company that has it wants its events there")
.example("rabbitmq: { url: \"${RABBITMQ_URL}\" }");

pub(crate) const NATS_URL: Key = Key::required(
    "url",
    Shape::One(Kind::Url(&["nats", "tls"])),
    "Where it answers, with user and password or a token.",
)
.because("it may hold a password: keep it in a variable, not in the file")
.example("url: \"${NATS_URL}\"");

pub(crate) const NATS_REPLICAS: Key = Key::with(
    "replicas",
    Shape::One(Kind::Integer { min: 1, max: 5 }),
    "1",
    "How many servers keep a copy of a stream that Motet creates.",
)
.because("a single server cannot keep more, and a cluster is told how many")
.example("replicas: 3");

static NATS_FIELDS: Fields =
    Fields { what: "a NATS server", id: "nats", keys: &[NATS_URL, NATS_REPLICAS], one_of: &[], one_needed: false };

const NATS: Key =
    Key::without("nats", Shape::Fields(&NATS_FIELDS), "another engine", "Events are kept by NATS, in JetStream.")
        .because("a company that has it wants its events there")
        .example("nats: { url: \"${NATS_URL}\" }");

static EVENTS_FIELDS: Fields = Fields {
    what: "the engine of events",
    id: "events-engine",
    keys: &[KAFKA, RABBITMQ, NATS],
    one_of: &["kafka", "rabbitmq", "nats"],
    one_needed: true,
};

static EVENTS_SHAPES: [Shape; 2] = [Shape::One(Kind::Choice(&["embedded"])), Shape::Fields(&EVENTS_FIELDS)];

pub(crate) const EVENTS: Key = Key::with(
    "events",
    Shape::Either(&EVENTS_SHAPES),
    "embedded",
    "What keeps events: a durable log in Motet itself (`embedded`), or `kafka`, `rabbitmq` or `nats`.",
)
.because("nothing has to be installed, and each event is on the disk before its publisher hears yes")
.example("events: { nats: { url: \"${NATS_URL}\" } }");

static ENGINES_FIELDS: Fields =
    Fields { what: "the engines", id: "engines", keys: &[EVENTS, ENGINES_STORES], one_of: &[], one_needed: false };

pub(crate) const ENGINES: Key = Key::without(
    "engines",
    Shape::Fields(&ENGINES_FIELDS),
    "everything is embedded",
    "What stands behind each capability: something embedded, or an external system.",
)
.because("the same definition runs on a laptop and over the systems that a company already has")
.example("engines:\n  stores: { postgres: { url: \"${POSTGRES_ADMIN_URL}\" } }");
