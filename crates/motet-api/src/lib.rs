//! The control API: wire types, handlers, typed client.
