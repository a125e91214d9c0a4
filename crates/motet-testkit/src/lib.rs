//! Conformance suites for the ports, fixtures, output filters.
//!
//! Nothing here runs outside tests. Map: `discovery` (the suite of the discovery port), `datastore` (the suite of the store
//! port), `events` (the suite of the events engines), `views` (the suite of the views' tables); throw-away servers: `kafka`, `mysql`, `nats`,
//! `postgres`, `rabbitmq`; `relay` (a network that a test can break); each behind the cargo feature of its name; `place` (where their data is).

#[cfg(feature = "discovery")]
pub mod discovery;

#[cfg(feature = "datastore")]
pub mod datastore;

#[cfg(feature = "events")]
pub mod events;

#[cfg(feature = "kafka")]
pub mod kafka;

#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
mod leftovers;

#[cfg(feature = "mysql")]
pub mod mysql;

#[cfg(feature = "nats")]
pub mod nats;

pub mod place;

#[cfg(feature = "postgres")]
pub mod postgres;

#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;

#[cfg(feature = "relay")]
pub mod relay;

#[cfg(feature = "views")]
pub mod views;
