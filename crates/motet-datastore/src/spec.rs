//! Which service wants which engine: what the definition says about stores, in this context's words.

use motet_kernel::name::ServiceName;
use std::fmt;

/// A store as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSpec {
    /// The one service that owns it.
    pub service: ServiceName,
    /// What holds the data.
    pub engine: Engine,
}

/// What holds the data of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// A file of its own under the state directory. Needs no server; lives on one machine.
    Sqlite,
    /// A database and a role of its own on a PostgreSQL server.
    Postgres,
    /// A database and a user of its own on a MySQL or MariaDB server.
    Mysql,
}

impl Engine {
    /// The word for the engine in definitions and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
