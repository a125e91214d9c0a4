//! The engines against the real systems that they speak to. Each module says what it needs and is skipped without it,
//! except where the variable `CI` is set.

#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
