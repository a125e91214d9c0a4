//! The data plane through its handle, with real servers and real callers on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod answers;
mod change;
mod children;
mod draining;
mod failure;
mod gateway;
mod gateway_access;
mod gateway_cors;
mod gateway_limits;
mod gateway_tls;
mod gateway_tokens;
mod grpc;
mod h2spec;
mod http2;
mod issuer;
mod load;
mod moody;
mod policies_failure;
mod policies_faults;
mod policies_limits;
mod policies_time;
mod protocol;
mod smuggling;
mod soak;
mod streaming;
mod survival;
mod websocket;
mod world;
