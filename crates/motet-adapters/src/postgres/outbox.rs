//! Outboxes in PostgreSQL: a table of a service's own database whose rows become events ([`motet_relay::port::Table`]).
//!
//! Sequences give numbers before transactions commit, so what is read is always all that is not published, from the beginning, as of one
//! snapshot. Order per key is kept because one relay follows one table: a lock of the database (`pg_try_advisory_lock`) is held as long as
//! the connection lives, so a second Motet waits until the first is gone.
//!
//! A `NOTIFY motet_outbox` from a trigger on the table wakes the relay at once; without the trigger it looks twice a second.
//! It connects as the service's own role: it can do nothing that the service could not.

mod connection;
mod statements;

use async_trait::async_trait;
use connection::Connection;
use motet_datastore::Secret;
use motet_relay::{
    Lag, Place, Row, Spec, TableError,
    port::{Ask, Table},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Mutex, Notify};

/// How often the table is looked at when nothing says that it changed.
const POLL: Duration = Duration::from_millis(500);

/// The outbox in one database.
pub struct PostgresTable {
    url: Secret,
    spec: Spec,
    connection: Mutex<Option<Connection>>,
    notified: Arc<Notify>,
}

impl PostgresTable {
    /// A table of the database behind a service's own `DATABASE_URL`. Nothing is connected yet.
    pub fn new(url: Secret, spec: &Spec) -> Self {
        Self { url, spec: spec.clone(), connection: Mutex::new(None), notified: Arc::default() }
    }

    /// Does something with the connection, made when there is none. One that failed is not used again.
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&Connection) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, TableError> {
        let mut slot = self.connection.lock().await;
        let connection = match slot.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => Connection::open(&self.url, &self.spec, Arc::clone(&self.notified)).await?,
        };
        match work(&connection).await {
            Ok(done) => {
                *slot = Some(connection);
                Ok(done)
            }
            Err(error) => Err(connection::explain(&self.spec.table, &error)),
        }
    }
}

#[async_trait]
impl Table for PostgresTable {
    async fn claim(&self, ask: &Ask) -> Result<Vec<Row>, TableError> {
        let limits = (i64::try_from(ask.rows).unwrap_or(i64::MAX), i64::try_from(ask.bytes).unwrap_or(i64::MAX));
        let keys: Vec<&str> = ask.without_keys.iter().map(String::as_str).collect();
        let ids: Vec<&str> = ask.without_ids.iter().map(String::as_str).collect();
        self.with(async |connection| {
            let sql = &connection.statements.claim;
            let rows = connection.client.query(sql, &[&keys, &ids, &limits.0, &limits.1]).await?;
            rows.iter().map(|row| connection.statements.read(row)).collect()
        })
        .await
    }

    async fn settle(&self, places: &[Place]) -> Result<(), TableError> {
        let ids: Vec<&str> = places.iter().map(|place| place.id.as_str()).collect();
        self.with(async |connection| connection.client.execute(&connection.statements.settle, &[&ids]).await.map(drop))
            .await
    }

    async fn lag(&self) -> Result<Lag, TableError> {
        let limit = i64::try_from(Lag::COUNTED).unwrap_or(i64::MAX);
        self.with(async |connection| {
            let row = connection.client.query_one(&connection.statements.lag, &[&limit]).await?;
            let (rows, age): (i64, Option<f64>) = (row.try_get(0)?, row.try_get(1)?);
            let oldest = age.filter(|age| age.is_finite()).map(|age| Duration::from_secs_f64(age.clamp(0.0, 1e9)));
            Ok(Lag { rows: rows.unsigned_abs(), oldest })
        })
        .await
    }

    async fn sweep(&self, keep: Duration, most: u64) -> Result<u64, TableError> {
        let (seconds, most) = (keep.as_secs_f64(), i64::try_from(most).unwrap_or(i64::MAX));
        self.with(async |connection| match &connection.statements.sweep {
            Some(sql) => connection.client.execute(sql, &[&seconds, &most]).await,
            None => Ok(0),
        })
        .await
    }

    async fn changed(&self) {
        let _ = tokio::time::timeout(POLL, self.notified.notified()).await;
    }
}
