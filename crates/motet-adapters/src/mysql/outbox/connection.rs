//! The connection of a relay: made with limits, alone at its table, and with a session whose settings are Motet's own.

use super::statements::{Column, Statements};
use crate::mysql::{address, session::causes};
use blake3::Hasher;
use motet_datastore::Secret;
use motet_relay::{Lag, Place, Row, Spec, TableError, port::Ask};
use mysql_async::{Conn, Error, Opts, OptsBuilder, Value, prelude::*};
use std::{collections::BTreeMap, time::Duration};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Times are UTC; a read sees what is committed at its moment and locks nothing but what it changes; a lock is waited for shortly; and a
/// connection of which nothing is heard, though it looks every few seconds, is ended by the server, with all that it holds.
const SETTINGS: &str = "SET NAMES utf8mb4, SESSION sql_mode = 'STRICT_TRANS_TABLES', SESSION time_zone = '+00:00', \
                        SESSION lock_wait_timeout = 10, SESSION innodb_lock_wait_timeout = 10, SESSION wait_timeout = 60, \
                        SESSION transaction_isolation = 'READ-COMMITTED'";

/// The same where that setting has its older name.
const OLDER: (&str, &str) = ("transaction_isolation", "tx_isolation");

/// The columns of a table: name, type, whether it may be NULL.
const COLUMNS: &str = "SELECT COLUMN_NAME, LOWER(DATA_TYPE), IS_NULLABLE = 'YES' FROM information_schema.COLUMNS \
                       WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ?";
/// Those that tell rows apart.
const KEY: &str = "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) \
                   AND TABLE_NAME = ? AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX";

/// No table of that name, and no database.
const MISSING: [u16; 2] = [1146, 1049];
/// A setting that is not known.
const UNKNOWN_SETTING: u16 = 1193;

pub(super) struct Connection {
    conn: Conn,
    statements: Statements,
}

impl Connection {
    pub(super) async fn open(url: &Secret, spec: &Spec) -> Result<Self, TableError> {
        let unavailable = |reason: &str| TableError::Unavailable { table: spec.table.clone(), reason: reason.into() };
        // What the parser says may repeat the URL, which holds a password.
        let opts = Opts::from_url(url.expose()).map_err(|_| unavailable("its address cannot be read"))?;
        let opts = address::plain(OptsBuilder::from_opts(opts));
        let connecting = async {
            let mut conn = Conn::new(opts).await?;
            match conn.query_drop(SETTINGS).await {
                Err(Error::Server(said)) if said.code == UNKNOWN_SETTING => {
                    conn.query_drop(SETTINGS.replace(OLDER.0, OLDER.1)).await?;
                }
                other => other?,
            }
            Ok(conn)
        };
        let connected = tokio::time::timeout(CONNECT, connecting).await;
        let connected = connected.map_err(|_| unavailable("the server does not answer"))?;
        let mut conn = connected.map_err(|error| explain(&spec.table, &error))?;
        let statements = prepare(&mut conn, spec).await?;
        Ok(Self { conn, statements })
    }

    pub(super) async fn claim(&mut self, ask: &Ask) -> Result<Vec<Row>, Error> {
        let (sql, values) = self.statements.claim(ask);
        let rows: Vec<mysql_async::Row> = self.conn.exec(sql, values).await?;
        Ok(rows.into_iter().map(|row| self.statements.read(row)).collect())
    }

    pub(super) async fn settle(&mut self, places: &[Place]) -> Result<(), Error> {
        let (sql, values) = self.statements.settle(places);
        self.conn.exec_drop(sql, values).await
    }

    pub(super) async fn lag(&mut self) -> Result<Lag, Error> {
        let found: Option<(u64, Option<f64>)> = self.conn.query_first(self.statements.lag.as_str()).await?;
        let (rows, age) = found.unwrap_or_default();
        let oldest = age.filter(|age| age.is_finite()).map(|age| Duration::from_secs_f64(age.clamp(0.0, 1e9)));
        Ok(Lag { rows, oldest })
    }

    pub(super) async fn sweep(&mut self, keep: Duration, most: u64) -> Result<u64, Error> {
        let Some(sql) = &self.statements.sweep else { return Ok(0) };
        let keep = u64::try_from(keep.as_micros()).unwrap_or(u64::MAX).min(1 << 60);
        self.conn.exec_drop(sql.as_str(), vec![Value::UInt(keep), Value::UInt(most)]).await?;
        Ok(self.conn.affected_rows())
    }
}

/// Holds the table against its spec, and takes it for this relay.
async fn prepare(conn: &mut Conn, spec: &Spec) -> Result<Statements, TableError> {
    let failed = |error: Error| explain(&spec.table, &error);
    let (schema, table) = match spec.table.split_once('.') {
        Some((schema, table)) => (Some(schema), table),
        None => (None, spec.table.as_str()),
    };
    let found: Vec<(String, String, bool)> = conn.exec(COLUMNS, (schema, table)).await.map_err(failed)?;
    if found.is_empty() {
        return Err(TableError::Missing(spec.table.clone()));
    }
    let columns: BTreeMap<_, _> =
        found.into_iter().map(|(name, of, nullable)| (name, Column { of, not_null: !nullable })).collect();
    let key: Vec<String> = conn.exec(KEY, (schema, table)).await.map_err(failed)?;
    let packet: Option<u64> = conn.query_first("SELECT @@max_allowed_packet").await.map_err(failed)?;
    let packet = usize::try_from(packet.unwrap_or(0)).unwrap_or(usize::MAX);
    let statements = Statements::new(spec, &columns, &key, packet)
        .map_err(|reason| TableError::Shape { table: spec.table.clone(), reason })?;
    // Names of locks are those of the whole server, and 64 characters long at most.
    let whose: Option<String> = conn.query_first("SELECT DATABASE()").await.map_err(failed)?;
    let place = format!("{}.{table}", schema.map(str::to_owned).or(whose).unwrap_or_default());
    let lock = format!("motet outbox {}", &Hasher::new().update(place.as_bytes()).finalize().to_hex()[..40]);
    let alone: Option<i64> = conn.exec_first("SELECT COALESCE(GET_LOCK(?, 0), 0)", (lock,)).await.map_err(failed)?;
    if alone == Some(1) {
        return Ok(statements);
    }
    Err(TableError::Unavailable {
        table: spec.table.clone(),
        reason: "another Motet publishes its rows; this one goes on when the other is gone".to_owned(),
    })
}

/// A failure in words.
pub(super) fn explain(table: &str, error: &Error) -> TableError {
    let reason = match error {
        Error::Server(said) if MISSING.contains(&said.code) => return TableError::Missing(table.to_owned()),
        Error::Server(said) => said.message.clone(),
        other => causes(other),
    };
    TableError::Unavailable { table: table.to_owned(), reason }
}
