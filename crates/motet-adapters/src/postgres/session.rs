//! One connection with limits: on connecting, on each statement at the server, and a little later on our side, for servers
//! that hang. Every error becomes one of the store's failures here.

use super::address::CONNECT;
use motet_datastore::{
    StoreError,
    error::{InUse, Refused, TooLate, Unreachable},
};
use motet_kernel::{
    name::ServiceName,
    task::{Kind, TaskGroup},
};
use std::{future::Future, time::Duration};
use tokio_postgres::{Client, Config, Error, NoTls, Row, error::SqlState, types::ToSql};

/// The limit of one statement at the server.
const STATEMENT: Duration = Duration::from_secs(60);
/// How much longer we wait for the server's own answer that the limit passed.
const GRACE: Duration = Duration::from_secs(5);
const CLOSE: Duration = Duration::from_secs(2);

pub(super) struct Session {
    client: Client,
    tasks: TaskGroup,
    server: String,
    service: ServiceName,
}

impl Session {
    pub(super) async fn open(config: &Config, server: &str, service: &ServiceName) -> Result<Self, StoreError> {
        let user = config.get_user().unwrap_or_default();
        let unreachable = |reason: String| Unreachable { server: server.to_owned(), reason };
        let connecting = tokio::time::timeout(CONNECT, config.connect(NoTls)).await;
        let connected = connecting.map_err(|_| unreachable(format!("no answer within {} s", CONNECT.as_secs())))?;
        let (client, connection) = connected.map_err(|error| match error.as_db_error() {
            Some(_) => refused(server, &format!("let `{user}` in"), &error),
            None => unreachable(causes(&error)).into(),
        })?;
        let tasks = TaskGroup::new();
        tasks.spawn_dropping(Kind::Connection, "postgres", async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to postgres ended");
            }
        });
        let session = Self { client, tasks, server: server.to_owned(), service: service.clone() };
        session.run("set limits", &format!("SET statement_timeout = '{}s'", STATEMENT.as_secs())).await?;
        Ok(session)
    }

    /// Runs one statement, or several as one transaction.
    pub(super) async fn run(&self, action: &str, sql: &str) -> Result<(), StoreError> {
        self.limited(action, self.client.batch_execute(sql)).await
    }

    pub(super) async fn row(
        &self,
        action: &str,
        sql: &str,
        with: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, StoreError> {
        self.limited(action, self.client.query_opt(sql, with)).await
    }

    async fn limited<T>(&self, action: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        match tokio::time::timeout(STATEMENT + GRACE, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.explain(action, &error)),
            Err(_) => Err(self.too_late(action)),
        }
    }

    fn too_late(&self, action: &str) -> StoreError {
        TooLate { action: format!("the server {} to {action}", self.server), limit: STATEMENT }.into()
    }

    fn explain(&self, action: &str, error: &Error) -> StoreError {
        match error.code() {
            Some(code) if *code == SqlState::QUERY_CANCELED => self.too_late(action),
            Some(code) if *code == SqlState::OBJECT_IN_USE => {
                InUse { service: self.service.clone(), by: "somebody is connected to its database".into() }.into()
            }
            Some(_) => refused(&self.server, action, error),
            None => Unreachable { server: self.server.clone(), reason: causes(error) }.into(),
        }
    }

    /// Ends the connection so that the server knows it.
    pub(super) async fn close(self) {
        let tasks = self.tasks.clone();
        drop(self.client);
        if tokio::time::timeout(CLOSE, tasks.wait()).await.is_err() {
            tasks.cancel();
        }
    }
}

fn refused(server: &str, action: &str, error: &Error) -> StoreError {
    let reason = error.as_db_error().map_or_else(
        || causes(error),
        |said| {
            let hint = said.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("{} (SQLSTATE {}){hint}", said.message(), said.code().code())
        },
    );
    Refused { server: server.to_owned(), action: action.to_owned(), reason }.into()
}

fn causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}
