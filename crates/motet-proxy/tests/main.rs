//! The data plane through its handle, with real servers on loopback.
