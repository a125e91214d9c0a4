//! The SQLite engine, used as a service uses it: through a plain library and the credentials alone.

mod conformance;
mod files;
