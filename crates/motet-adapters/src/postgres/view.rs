//! Views in PostgreSQL: a table of a service's own database that is a copy of a topic ([`motet_relay::view::ViewTable`]).
//!
//! All rows of a batch go in one statement, so that a thousand events cost three round trips. Whoever writes a view holds a lock of the
//! database for the length of the transaction (`pg_advisory_xact_lock`), so that two see each other's place. It connects as the service's
//! own role: the table is the service's, which may index it, alter it and drop it.

mod connection;
mod statements;

use async_trait::async_trait;
use connection::Connection;
use motet_datastore::Secret;
use motet_relay::view::{Batch, Place, ViewError, ViewSpec, ViewTable};
use tokio::sync::Mutex;

/// A view in one database.
pub struct PostgresView {
    url: Secret,
    spec: ViewSpec,
    connection: Mutex<Option<Connection>>,
}

impl PostgresView {
    /// A table of the database behind a service's own `DATABASE_URL`. Nothing is connected yet.
    pub fn new(url: Secret, spec: &ViewSpec) -> Self {
        Self { url, spec: spec.clone(), connection: Mutex::new(None) }
    }
}

#[async_trait]
impl ViewTable for PostgresView {
    async fn open(&self) -> Result<Option<Place>, ViewError> {
        let mut slot = self.connection.lock().await;
        // Anew: the table may be another one, and statements are made for its columns.
        *slot = None;
        let (connection, place) = Connection::open(&self.url, &self.spec).await?;
        *slot = Some(connection);
        Ok(place)
    }

    async fn apply(&self, batch: &Batch) -> Result<(), ViewError> {
        let mut slot = self.connection.lock().await;
        // Out of its slot: one whose work was dropped in the middle is not used again, and the server undoes what it did.
        let mut connection = match slot.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => Connection::open(&self.url, &self.spec).await?.0,
        };
        let done = connection.apply(&self.spec, batch).await;
        if matches!(done, Ok(()) | Err(ViewError::Refused(_))) {
            *slot = Some(connection);
        }
        done
    }
}
