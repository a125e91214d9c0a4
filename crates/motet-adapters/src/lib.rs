//! The real engines behind the ports of the contexts, one module and one cargo feature each.
//!
//! A context declares what it needs as a port; a module here speaks the language of one existing system and translates. So a
//! vendor's client is named in one module, and a build that does not want it leaves its feature out.
//!
//! Absent: no module here decides anything that is not about its engine, and no module knows another.
//!
//! Map: [`kafka`] (events in Apache Kafka), [`postgres`] (a database and a role per service on a PostgreSQL server, and outboxes in them).

#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "postgres")]
pub mod postgres;
