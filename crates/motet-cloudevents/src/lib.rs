//! CloudEvents 1.0: the event as a value, its formats and bindings, and filters over it.
//!
//! Everything that travels between services by way of Motet is an [`Event`]: what a producer sent, what the store keeps, what a
//! subscriber gets. An event is checked once, when it is made, and is two pieces of memory from then on: its attributes, packed in
//! the form in which they are stored, and its data as it came. So cloning is cheap, and storing and sending copy bytes and no more.
//!
//! Invariants:
//! - An [`Event`] that exists is valid: all required attributes are there, each attribute has a value that its type allows, and all
//!   limits hold. There is no way to change one; [`Event::edit`] makes another.
//! - Data is bytes. Nothing here reads, re-formats or re-encodes what a producer sent.
//! - Nothing here knows topics, subscriptions, sockets or files, and nothing panics on what it is given.
//!
//! Map: [`event`] (the value and how it is made), [`attribute`] (names, values, limits), [`record`] (the form on disk), [`http`] (requests and
//! answers, all modes), [`json`] (the JSON formats), [`binding`] (headers of Kafka, NATS and AMQP), [`filter`] (which events are
//! wanted, CESQL included), [`media`] (what media types say), [`error`].
//!
//! ```
//! use motet_cloudevents::Event;
//! let event = Event::builder("a-1", "/parser", "document.parsed")
//!     .content_type("application/json")
//!     .extension("partitionkey", "doc-7")
//!     .data(r#"{"pages":3}"#)
//!     .build()?;
//! assert_eq!(event.partition_key(), Some("doc-7"));
//!
//! let mut stored = Vec::new();
//! event.write_record(&mut stored);
//! assert_eq!(Event::read_record(&stored.into())?, event);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod attribute;
pub mod binding;
pub mod error;
pub mod event;
pub mod filter;
pub mod http;
pub mod json;
pub mod media;
pub mod record;

pub use attribute::Value;
pub use error::{DecodeError, InvalidEvent, InvalidFilter, InvalidRecord};
pub use event::{Builder, Event};
pub use filter::Filter;
