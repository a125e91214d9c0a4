//! The connection of a view: made with limits, at a table that was made or checked, ready to write.

use super::statements::{self, Statements};
use motet_datastore::Secret;
use motet_kernel::task::{Kind, TaskGroup};
use motet_relay::view::{
    Batch, Change, Place, ViewError, ViewSpec,
    shape::{self, Column},
};
use std::{collections::BTreeMap, time::Duration};
use tokio_postgres::{Client, Config, Error, NoTls, Transaction, error::SqlState};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a statement may take at the server.
const LIMITS: &str = "SET statement_timeout = '25s'; SET idle_in_transaction_session_timeout = '60s'";
/// After how long a server that does not answer any more counts as gone.
const SILENCE: Duration = Duration::from_secs(30);

/// The columns of a table: name, type, whether it has to be given.
const COLUMNS: &str = "SELECT attname::text, format_type(atttypid, NULL), attnotnull AND NOT atthasdef AND attidentity = '' \
                       FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
/// Whether `key` alone is unique.
const HAS_KEY: &str = "SELECT EXISTS (SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
                       WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indpred IS NULL AND i.indnkeyatts = 1 AND a.attname = 'key')";
/// One at a time for each table. The first number says that the lock is of a view.
const ALONE: &str = "SELECT pg_advisory_xact_lock(1299145846, hashtext($1))";

pub(super) struct Connection {
    client: Client,
    statements: Statements,
    /// Ends what drives the connection when this is dropped.
    tasks: TaskGroup,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

impl Connection {
    /// Connects, and makes the table or holds it against what a view has to be.
    pub(super) async fn open(url: &Secret, spec: &ViewSpec) -> Result<(Self, Option<Place>), ViewError> {
        let unavailable = |reason: String| ViewError::Unavailable { table: spec.table.clone(), reason };
        // What the parser says may repeat the URL, which holds a password.
        let mut config: Config =
            url.expose().parse().map_err(|_| unavailable("its address cannot be read".to_owned()))?;
        config.connect_timeout(CONNECT).keepalives_idle(SILENCE).tcp_user_timeout(SILENCE);
        config.application_name("motet view");
        let connecting = tokio::time::timeout(CONNECT, config.connect(NoTls)).await;
        let connected = connecting.map_err(|_| unavailable("the server does not answer".to_owned()))?;
        let (mut client, driver) = connected.map_err(|error| explained(&spec.table, &error))?;
        let tasks = TaskGroup::new();
        tasks.spawn_dropping(Kind::Connection, "view connection", async move {
            // Whoever uses the connection is told by its next statement.
            let _ = driver.await;
        });
        let (statements, place) = prepare(&mut client, spec).await?;
        Ok((Self { client, statements, tasks }, place))
    }

    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    pub(super) async fn apply(&mut self, spec: &ViewSpec, batch: &Batch) -> Result<(), ViewError> {
        let explain = |error: Error| explained(&spec.table, &error);
        let transaction = self.client.transaction().await.map_err(explain)?;
        transaction.execute(ALONE, &[&spec.table]).await.map_err(explain)?;
        let found = read_place(&transaction, &spec.table).await.map_err(explain)?;
        let found = found.filter(|(by, _)| *by == spec.subscription).map(|(_, place)| place);
        if found != batch.before {
            return Err(ViewError::Moved(found));
        }
        write(&transaction, &self.statements, batch).await.map_err(explain)?;
        let Place { run, lineage, begins, until, position } = batch.after;
        let [run, lineage, begins, until] = [run, lineage, begins, until].map(stored);
        let place: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&spec.table, &spec.subscription, &run, &lineage, &begins, &until, &position];
        transaction.execute(statements::SET_PLACE, &place).await.map_err(explain)?;
        transaction.commit().await.map_err(explain)
    }
}

async fn prepare(client: &mut Client, spec: &ViewSpec) -> Result<(Statements, Option<Place>), ViewError> {
    let explain = |error: Error| explained(&spec.table, &error);
    let shape = |reason: String| ViewError::Shape { table: spec.table.clone(), reason };
    let table = statements::quoted_table(&spec.table);
    client.batch_execute(LIMITS).await.map_err(explain)?;
    let transaction = client.transaction().await.map_err(explain)?;
    // For all views of the database: two that make the table of places at once would be in each other's way.
    transaction.execute(ALONE, &[&shape::PLACES]).await.map_err(explain)?;
    transaction.batch_execute(statements::CREATE_PLACES).await.map_err(explain)?;
    let (mut columns, mut types) = columns(&transaction, &table).await.map_err(explain)?;
    let mut place = None;
    if columns.is_empty() {
        transaction.batch_execute(&statements::create(&table)).await.map_err(explain)?;
        transaction.execute(statements::FORGET_PLACE, &[&spec.table]).await.map_err(explain)?;
        (columns, types) = self::columns(&transaction, &table).await.map_err(explain)?;
    } else if let Some((by, found)) = read_place(&transaction, &spec.table).await.map_err(explain)? {
        if by != spec.subscription {
            return Err(shape(shape::taken(&by, &spec.table)));
        }
        place = Some(found);
    }
    shape::check(&columns).map_err(shape)?;
    let statements = Statements::new(&table, &types).map_err(shape)?;
    if !transaction.query_one(HAS_KEY, &[&table]).await.and_then(|row| row.try_get(0)).map_err(explain)? {
        return Err(shape(shape::NO_KEY.to_owned()));
    }
    transaction.commit().await.map_err(explain)?;
    Ok((statements, place))
}

async fn columns(transaction: &Transaction<'_>, table: &str) -> Result<(Vec<Column>, BTreeMap<String, String>), Error> {
    let (mut columns, mut types) = (Vec::new(), BTreeMap::new());
    for row in transaction.query(COLUMNS, &[&table]).await? {
        let name: String = row.try_get(0)?;
        types.insert(name.clone(), row.try_get(1)?);
        columns.push(Column { name, needed: row.try_get(2)? });
    }
    Ok((columns, types))
}

async fn read_place(transaction: &Transaction<'_>, table: &str) -> Result<Option<(String, Place)>, Error> {
    let Some(row) = transaction.query_opt(statements::READ_PLACE, &[&table]).await? else { return Ok(None) };
    let number = |at: usize| row.try_get::<_, i64>(at).map(i64::unsigned_abs);
    let (run, lineage, begins, until) = (number(1)?, number(2)?, number(3)?, number(4)?);
    Ok(Some((row.try_get(0)?, Place { run, lineage, begins, until, position: row.try_get(5)? })))
}

async fn write(transaction: &Transaction<'_>, statements: &Statements, batch: &Batch) -> Result<(), Error> {
    if batch.forget {
        transaction.execute(&statements.forget, &[]).await?;
    }
    let mut lists: [Vec<&str>; 5] = Default::default();
    let (mut times, mut positions, mut gone, mut gone_positions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Change { key, position, row } in &batch.changes {
        match row {
            Some(row) => {
                let values: [&str; 5] = [key, &row.value, &row.id, &row.source, &row.kind];
                lists.iter_mut().zip(values).for_each(|(list, value)| list.push(value));
                times.push(row.time.as_deref());
                positions.push(*position);
            }
            None => {
                gone.push(key.as_str());
                gone_positions.push(*position);
            }
        }
    }
    let run = stored(batch.after.run);
    if !positions.is_empty() {
        let [key, value, id, source, kind] = &lists;
        transaction.execute(&statements.put, &[key, value, id, source, kind, &times, &positions, &run]).await?;
    }
    if !gone.is_empty() {
        transaction.execute(&statements.remove, &[&gone, &gone_positions]).await?;
    }
    if let Some(sweep) = batch.sweep {
        let [run, from, until] = [sweep.run, sweep.from, sweep.until].map(stored);
        transaction.execute(&statements.sweep, &[&run, &from, &until]).await?;
    }
    Ok(())
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A failure in words.
fn explained(table: &str, error: &Error) -> ViewError {
    let Some(said) = error.as_db_error() else {
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            reason = format!("{reason}: {error}");
            cause = error.source();
        }
        return ViewError::Unavailable { table: table.to_owned(), reason };
    };
    let reason = said.message().to_owned();
    // Data that is not as it should be, constraints, checks of views, limits of rows and indexes, what a trigger raises.
    let of_a_row = ["22", "23", "44", "54"].iter().any(|class| said.code().code().starts_with(class));
    match said.code() {
        code if of_a_row || *code == SqlState::RAISE_EXCEPTION => {
            let detail = said.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
            ViewError::Refused(format!("{reason}{detail}"))
        }
        code if *code == SqlState::UNDEFINED_TABLE => ViewError::Gone,
        _ => ViewError::Unavailable { table: table.to_owned(), reason },
    }
}
