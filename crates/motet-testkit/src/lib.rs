//! Conformance suites for the ports, fixtures, output filters.
//!
//! Nothing here runs outside tests. Map: `discovery` (the suite of the discovery port), `datastore` (the suite of the store
//! port), `events` (the suite of the events engines), `views` (the suite of the views' tables); throw-away servers: `kafka`, `nats`, `postgres`, `rabbitmq`; `relay` (a network
//! that a test can break); each behind the cargo feature of its name.

#[cfg(feature = "discovery")]
pub mod discovery;

#[cfg(feature = "datastore")]
pub mod datastore;

#[cfg(feature = "events")]
pub mod events;

#[cfg(feature = "kafka")]
pub mod kafka;

#[cfg(feature = "nats")]
pub mod nats;

#[cfg(feature = "postgres")]
pub mod postgres;

#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;

#[cfg(feature = "relay")]
pub mod relay;

#[cfg(feature = "views")]
pub mod views;
