//! Outboxes in MySQL and MariaDB: a table of a service's own database whose rows become events ([`motet_relay::port::Table`]).
//!
//! Numbers of `AUTO_INCREMENT` are given before transactions commit, so what is read is always all that is not published, from the beginning,
//! as of the moment of one statement. Order per key is kept because one relay follows one table: a lock of the server (`GET_LOCK`) is held as
//! long as the connection lives, so a second Motet waits until the first is gone.
//!
//! These servers tell nobody that something was committed. So the relay looks: often while rows come, less and less often when none do.
//! It connects as the service's own user: it can do nothing that the service could not.

mod connection;
mod statements;

use async_trait::async_trait;
use connection::Connection;
use motet_datastore::Secret;
use motet_relay::{
    Lag, Place, Row, Spec, TableError,
    port::{Ask, Table},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// The shortest and the longest pause between two looks.
const QUICK: Duration = Duration::from_millis(10);
const QUIET: Duration = Duration::from_millis(500);
/// After a silence the next look comes when a twentieth of it has passed again: waiting is 5 % longer for it, and no more.
const SHARE: u32 = 20;

/// The outbox in one database.
pub struct MysqlTable {
    url: Secret,
    spec: Spec,
    connection: Mutex<Option<Connection>>,
    /// When rows came last.
    busy: Arc<parking_lot::Mutex<Instant>>,
}

impl MysqlTable {
    /// A table of the database behind a service's own `DATABASE_URL`. Nothing is connected yet.
    pub fn new(url: Secret, spec: &Spec) -> Self {
        let busy = Arc::new(parking_lot::Mutex::new(Instant::now()));
        Self { url, spec: spec.clone(), connection: Mutex::new(None), busy }
    }

    /// Does something with the connection, made when there is none. One that failed, or was left in the middle, is not used again.
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, mysql_async::Error>,
    ) -> Result<T, TableError> {
        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => Connection::open(&self.url, &self.spec).await?,
        };
        match work(&mut connection).await {
            Ok(done) => {
                *slot = Some(connection);
                Ok(done)
            }
            Err(error) => Err(connection::explain(&self.spec.table, &error)),
        }
    }
}

#[async_trait]
impl Table for MysqlTable {
    async fn claim(&self, ask: &Ask) -> Result<Vec<Row>, TableError> {
        let rows = self.with(async |connection| connection.claim(ask).await).await?;
        if !rows.is_empty() {
            *self.busy.lock() = Instant::now();
        }
        Ok(rows)
    }

    async fn settle(&self, places: &[Place]) -> Result<(), TableError> {
        self.with(async |connection| connection.settle(places).await).await
    }

    async fn lag(&self) -> Result<Lag, TableError> {
        self.with(async |connection| connection.lag().await).await
    }

    async fn sweep(&self, keep: Duration, most: u64) -> Result<u64, TableError> {
        self.with(async |connection| connection.sweep(keep, most).await).await
    }

    async fn changed(&self) {
        let silence = self.busy.lock().elapsed();
        tokio::time::sleep((silence / SHARE).clamp(QUICK, QUIET)).await;
    }
}
