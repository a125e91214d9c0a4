//! The real engines behind the ports of the contexts, one module and one cargo feature each.
//!
//! A context declares what it needs as a port; a module here speaks the language of one existing system and translates. So a
//! vendor's client is named in one module, and a build that does not want it leaves its feature out.
//!
//! Absent: no module here decides anything that is not about its engine, and no module knows another.
//!
//! Map: [`kafka`] (events in Apache Kafka) · [`mysql`] (a database and a user per service on a MySQL or MariaDB server, and outboxes in them) ·
//! [`nats`] (topics on a NATS server with JetStream) · [`postgres`] (a database and a role per service on
//! a PostgreSQL server, and outboxes in them) · [`rabbitmq`] (topics as queues of a RabbitMQ server).

#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod mark;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
