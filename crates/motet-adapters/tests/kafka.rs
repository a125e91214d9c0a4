//! Apache Kafka as an engine of events, against a real broker.

mod conformance;
