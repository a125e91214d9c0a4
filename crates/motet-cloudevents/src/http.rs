//! Events over HTTP (HTTP protocol binding 1.0.2): what a request or an answer carries, in all three content modes, and requests that
//! carry no CloudEvent at all.
//!
//! Most programs that publish for the first time send JSON with nothing around it. That is taken too: the attributes that are missing are
//! filled in, so that nobody needs to know of CloudEvents to begin, and everybody has them from then on.

mod decode;
mod encode;
pub mod value;

pub(crate) use decode::within;
pub use decode::{Decoded, Fill, Limits, decode, decode_as, mode};
pub use encode::{batched, binary, structured};

/// How events are put into a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One event: attributes in headers, data in the body.
    Binary,
    /// One event in the JSON event format.
    Structured,
    /// Several events in the JSON batch format.
    Batched,
    /// Data only; not a mode of the specification.
    Plain,
}
