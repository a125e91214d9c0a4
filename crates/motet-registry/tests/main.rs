//! The registry through its handle, and the port's conformance suite over the embedded engine.

mod conformance;
mod embedded;
