//! The whole content of a store: dumped, replaced at once, emptied, dropped.
//!
//! A restore fills a database beside the real one and then swaps their names in one transaction: a dump that breaks off in
//! the middle, or a kill, leaves the real one alone.

use super::{Postgres, Target, client, naming, provision, session::Session};
use motet_datastore::{
    Occupancy, StoreError,
    error::{FileTrouble, InUse, NoStore, TargetExists},
    place,
};
use postgres_protocol::escape::escape_identifier as name;
use std::{fs::File, io, path::Path, time::Duration};

/// How long a service that has just ended may still be counted as connected.
const SETTLE: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(50);

pub(super) async fn backup(it: &Postgres, target: &Target, to: &Path) -> Result<(), StoreError> {
    if to.symlink_metadata().is_ok() {
        return Err(TargetExists { path: to.to_owned() }.into());
    }
    let unmade =
        || NoStore { service: target.service.clone(), reason: "it was not made yet, its service never started" };
    let remembered = it.remembered(target)?.ok_or_else(unmade)?;
    let session = it.admin_session(target).await?;
    let found = provision::find(it, &session, target).await?;
    session.close().await;
    if found.database.is_none() {
        return Err(unmade().into());
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = Path::new(&partial);
    place::remove_file(partial)?;
    place::create_private(partial)?;
    let written = match client::dump(&it.server.libpq(&remembered, &target.database), partial).await {
        Ok(()) => publish(partial, to),
        Err(error) => Err(error),
    };
    if written.is_err()
        && let Err(error) = place::remove_file(partial)
    {
        tracing::warn!(%error, "could not remove an unfinished backup");
    }
    written
}

fn publish(partial: &Path, to: &Path) -> Result<(), StoreError> {
    let trouble = |source| FileTrouble { action: "sync", path: partial.to_owned(), source };
    File::open(partial).and_then(|file| file.sync_all()).map_err(trouble)?;
    place::publish(partial, to).map_err(|trouble| match trouble.source.kind() {
        io::ErrorKind::AlreadyExists => TargetExists { path: to.to_owned() }.into(),
        _ => trouble.into(),
    })
}

/// Puts the content of a dump, or nothing, in the place of what is there.
pub(super) async fn replace(
    it: &Postgres,
    target: &Target,
    from: Option<&Path>,
    occupancy: Occupancy,
) -> Result<(), StoreError> {
    if let Some(from) = from {
        client::check(from).await?;
    }
    let session = it.admin_session(target).await?;
    provision::exclude_others(&session, target).await?;
    if occupancy != Occupancy::Forced {
        wait_until_free(&session, target).await?;
    }
    // Makes role, database and file whole, so that the swap finds both.
    provision::provision(it, &session, target).await?;
    let admin = provision::admin(&session).await?;
    let beside = naming::restoring(&target.database);
    let filled = fill(it, &session, target, &beside, from, admin).await;
    let swapped = match filled {
        Ok(()) => swap(&session, target, &beside, occupancy).await,
        Err(error) => Err(error),
    };
    if let Err(error) = provision::drop_leftovers(&session, target).await {
        tracing::warn!(%error, "could not drop the database of a restore, the next start does");
    }
    session.close().await;
    swapped
}

async fn fill(
    it: &Postgres,
    session: &Session,
    target: &Target,
    beside: &str,
    from: Option<&Path>,
    admin: provision::Admin,
) -> Result<(), StoreError> {
    provision::make_database(session, target, beside, None).await?;
    provision::guard_schema(it, target, beside, admin).await?;
    let Some(from) = from else {
        return Ok(());
    };
    let missing = || NoStore { service: target.service.clone(), reason: "its credentials are gone" };
    let remembered = it.remembered(target)?.ok_or_else(missing)?;
    client::restore(&it.server.libpq(&remembered, beside), from).await
}

async fn swap(session: &Session, target: &Target, beside: &str, occupancy: Occupancy) -> Result<(), StoreError> {
    let (real, beside) = (name(&target.database), name(beside));
    let old = name(&naming::replaced(&target.database));
    if occupancy == Occupancy::Forced {
        // Closed first, so that a service that connects again at once does not keep its place. If this is the last that
        // happens, the next provision opens it.
        session.run("close a database", &format!("ALTER DATABASE {real} CONNECTION LIMIT 0")).await?;
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
        session.row("cut connections", sql, &[&target.database]).await?;
    }
    let sql = format!("ALTER DATABASE {real} RENAME TO {old}; ALTER DATABASE {beside} RENAME TO {real};");
    // Several statements sent as one are one transaction.
    let swapped = session.run("swap two databases", &sql).await;
    if swapped.is_err() && occupancy == Occupancy::Forced {
        session.run("open a database", &format!("ALTER DATABASE {real} CONNECTION LIMIT -1")).await?;
    }
    swapped
}

pub(super) async fn remove(it: &Postgres, target: &Target, occupancy: Occupancy) -> Result<(), StoreError> {
    let session = it.admin_session(target).await?;
    provision::exclude_others(&session, target).await?;
    let found = provision::find(it, &session, target).await?;
    provision::check(it, &found, target)?;
    let force = if occupancy == Occupancy::Forced { " WITH (FORCE)" } else { "" };
    if found.database.is_some() {
        if occupancy != Occupancy::Forced {
            wait_until_free(&session, target).await?;
        }
        let sql = format!("DROP DATABASE {}{force}", name(&target.database));
        session.run(&format!("drop the database `{}`", target.database), &sql).await?;
    }
    provision::drop_leftovers(&session, target).await?;
    if found.role.is_some() {
        let sql = format!("DROP ROLE {}", name(&target.role));
        session.run(&format!("drop the role `{}`", target.role), &sql).await?;
    }
    session.close().await;
    Ok(target.place.remove()?)
}

/// A connection that was closed a moment ago is still counted for some milliseconds.
async fn wait_until_free(session: &Session, target: &Target) -> Result<(), StoreError> {
    let until = tokio::time::Instant::now() + SETTLE;
    loop {
        let sql = "SELECT count(*), max(application_name) FROM pg_stat_activity \
                   WHERE datname = $1 AND backend_type = 'client backend'";
        let row = session.row("count connections", sql, &[&target.database]).await?;
        let (connected, who) = row.map_or((0, None), |row| (row.get::<_, i64>(0), row.get::<_, Option<String>>(1)));
        if connected == 0 {
            return Ok(());
        }
        if tokio::time::Instant::now() >= until {
            let who =
                who.filter(|name| !name.is_empty()).map(|name| format!(", among them `{name}`")).unwrap_or_default();
            let by = format!("{connected} connected to its database{who}");
            return Err(InUse { service: target.service.clone(), by }.into());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
