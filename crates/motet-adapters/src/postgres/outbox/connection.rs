//! The connection of a relay: made with limits, alone at its table, woken by notifications.

use super::statements::{Column, Statements};
use motet_datastore::Secret;
use motet_kernel::task::{Kind, TaskGroup};
use motet_relay::{Spec, TableError};
use std::{collections::BTreeMap, future::poll_fn, sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, error::SqlState};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a statement may take at the server.
const STATEMENT: &str =
    "SET statement_timeout = '25s'; SET idle_in_transaction_session_timeout = '60s'; LISTEN motet_outbox";
/// After how long a server that does not answer any more counts as gone.
const SILENCE: Duration = Duration::from_secs(30);

/// The columns of a table: name, type, whether it is NOT NULL.
const COLUMNS: &str = "SELECT attname::text, format_type(atttypid, NULL), attnotnull FROM pg_attribute \
                       WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
/// One relay for each table, over all that are connected to the database. The first number says that the lock is of an outbox.
const ALONE: &str = "SELECT pg_try_advisory_lock(1299145844, to_regclass($1)::oid::int)";

pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) statements: Statements,
    /// Ends what drives the connection when this is dropped.
    tasks: TaskGroup,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

impl Connection {
    pub(super) async fn open(url: &Secret, spec: &Spec, notified: Arc<Notify>) -> Result<Self, TableError> {
        let unavailable = |reason: String| TableError::Unavailable { table: spec.table.clone(), reason };
        // What the parser says may repeat the URL, which holds a password.
        let mut config: Config =
            url.expose().parse().map_err(|_| unavailable("its address cannot be read".to_owned()))?;
        config.connect_timeout(CONNECT).keepalives_idle(SILENCE).tcp_user_timeout(SILENCE);
        config.application_name("motet outbox relay");
        let connecting = tokio::time::timeout(CONNECT, config.connect(NoTls)).await;
        let connected = connecting.map_err(|_| unavailable("the server does not answer".to_owned()))?;
        let (client, mut driver) = connected.map_err(|error| explain(&spec.table, &error))?;
        let tasks = TaskGroup::new();
        tasks.spawn_dropping(Kind::Connection, "outbox connection", async move {
            while let Some(Ok(message)) = poll_fn(|context| driver.poll_message(context)).await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    notified.notify_one();
                }
            }
            // Whoever waits finds out by its next statement.
            notified.notify_one();
        });
        let statements = prepare(&client, spec).await?;
        Ok(Self { client, statements, tasks })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }
}

/// Holds the table against its spec, and takes it for this relay.
async fn prepare(client: &Client, spec: &Spec) -> Result<Statements, TableError> {
    let failed = |error: Error| explain(&spec.table, &error);
    client.batch_execute(STATEMENT).await.map_err(failed)?;
    let place = super::statements::quoted_table(&spec.table);
    let rows = client.query(COLUMNS, &[&place]).await.map_err(failed)?;
    let mut columns = BTreeMap::new();
    for row in rows {
        let (name, of, not_null): (String, String, bool) =
            (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
        columns.insert(name, Column { of, not_null });
    }
    if columns.is_empty() {
        return Err(TableError::Missing(spec.table.clone()));
    }
    let statements =
        Statements::new(spec, &columns).map_err(|reason| TableError::Shape { table: spec.table.clone(), reason })?;
    let alone: bool = client.query_one(ALONE, &[&place]).await.and_then(|row| row.try_get(0)).map_err(failed)?;
    if alone {
        return Ok(statements);
    }
    Err(TableError::Unavailable {
        table: spec.table.clone(),
        reason: "another Motet publishes its rows; this one goes on when the other is gone".to_owned(),
    })
}

/// A failure in words.
pub(super) fn explain(table: &str, error: &Error) -> TableError {
    if error.code() == Some(&SqlState::UNDEFINED_TABLE) {
        return TableError::Missing(table.to_owned());
    }
    let reason = match error.as_db_error() {
        Some(said) => said.message().to_owned(),
        None => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(error);
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            text
        }
    };
    TableError::Unavailable { table: table.to_owned(), reason }
}
