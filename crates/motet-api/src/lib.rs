//! The control API of a running system: what `motet ps`, `logs`, `scale` and the rest speak with the process that runs it.
//!
//! HTTP over a socket that only its owner may open, and over loopback with a token. The document that describes it is
//! [`document::openapi`], kept in the repository as `schema/control-api.openapi.json` and checked for drift.
//!
//! Invariants:
//! - This crate decides nothing. Handlers translate between [`wire`] and the port [`port::Control`], which the binary implements.
//! - Wire types belong to this crate alone: no context knows them, so none can leak its insides by accident.
//! - Nothing here listens beyond loopback.
//!
//! Map: [`wire`] (what travels), [`port`] (what the API needs from the system), [`server`] (listeners, token, routes),
//! [`exposition`] (metrics in the formats that Prometheus reads),
//! [`services`] (the other API, which services speak: events),
//! [`client`] (the typed client that the commands use), [`document`] (the OpenAPI document).

pub mod client;
pub mod document;
pub mod error;
pub mod exposition;
pub mod port;
pub mod server;
pub mod services;
mod sse;
pub mod wire;
