//! The whole content of a store: dumped, replaced at once, emptied, dropped.
//!
//! Databases of these servers cannot be swapped, so a restore closes the door instead: while it works the service's user has a password that
//! nobody else knows. Before anything is taken away, the old content is written to a file beside the credentials. As long as that file is
//! there the restore has not happened, and whoever comes next, after a failure or a kill, brings the old content back.

use super::{
    Mysql, Target, client,
    naming::{name, user},
    provision,
    session::Session,
};
use motet_datastore::{
    Occupancy, StoreError,
    error::{InUse, NoStore, TargetExists},
    place,
    record::Remembered,
};
use std::{io, path::Path, time::Duration};

/// The content of before a restore that is not done.
const BEFORE: &str = "before-restore.sql";
const BEFORE_PARTIAL: &str = "before-restore.sql.partial";

/// How long a service that has just ended, or was cut off, may still be counted as connected.
const SETTLE: Duration = Duration::from_secs(1);
const CUT: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(50);

pub(super) async fn backup(it: &Mysql, target: &Target, to: &Path) -> Result<(), StoreError> {
    if to.symlink_metadata().is_ok() {
        return Err(TargetExists { path: to.to_owned() }.into());
    }
    let unmade =
        || NoStore { service: target.service.clone(), reason: "it was not made yet, its service never started" };
    let remembered = it.remembered(target)?.ok_or_else(unmade)?;
    let mut session = it.admin_session().await?;
    let found = provision::find(it, &mut session, target).await?;
    let flavour = session.flavour();
    session.close().await;
    if !found.database {
        return Err(unmade().into());
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = Path::new(&partial);
    place::remove_file(partial)?;
    place::create_private(partial)?;
    let written = match client::dump(&it.server, flavour, &remembered, partial).await {
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
    place::publish(partial, to).map_err(|trouble| match trouble.source.kind() {
        io::ErrorKind::AlreadyExists => TargetExists { path: to.to_owned() }.into(),
        _ => trouble.into(),
    })
}

/// Puts the content of a backup, or nothing, in the place of what is there.
pub(super) async fn replace(
    it: &Mysql,
    target: &Target,
    from: Option<&Path>,
    occupancy: Occupancy,
) -> Result<(), StoreError> {
    if let Some(from) = from {
        client::check(from).await?;
    }
    let mut session = it.admin_session().await?;
    provision::exclude_others(&mut session, target).await?;
    if occupancy != Occupancy::Forced {
        wait_until_free(&mut session, target, SETTLE).await?;
    }
    // Makes user, database and file whole, and ends what was killed before.
    provision::provision(it, &mut session, target).await?;
    let remembered = provision::make(it, &mut session, target).await?;
    let done = behind_the_door(it, &mut session, target, from, occupancy, &remembered).await;
    // The next start does both too: it brings back what could not be brought back now, and opens the door.
    let opened = match target.place.file(BEFORE).exists() {
        true => Ok(()),
        false => provision::set_password(&mut session, target, &remembered.password).await,
    };
    session.close().await;
    done.and(opened)
}

async fn behind_the_door(
    it: &Mysql,
    session: &mut Session,
    target: &Target,
    from: Option<&Path>,
    occupancy: Occupancy,
    remembered: &Remembered,
) -> Result<(), StoreError> {
    let key = close_door(session, target, remembered).await?;
    if occupancy == Occupancy::Forced {
        cut(session, target).await?;
    } else {
        wait_until_free(session, target, SETTLE).await?;
    }
    let Some(from) = from else {
        return empty(session, target).await;
    };
    let flavour = session.flavour();
    // Before anything is taken away: what fills the store has to be there.
    client::shell(flavour)?;
    let (partial, before) = (target.place.file(BEFORE_PARTIAL), target.place.file(BEFORE));
    place::remove_file(&partial)?;
    place::create_private(&partial)?;
    client::dump(&it.server, flavour, &key, &partial).await?;
    place::replace(&partial, &before)?;
    empty(session, target).await?;
    match client::load(&it.server, flavour, &key, from).await {
        Ok(()) => Ok(place::remove_file(&before)?),
        Err(error) => {
            bring_back(it, session, target, &key).await?;
            Err(error)
        }
    }
}

/// Ends a restore that was killed: the old content comes back. The service's own password is set by the caller.
pub(super) async fn finish_restore(
    it: &Mysql,
    session: &mut Session,
    target: &Target,
    remembered: &Remembered,
) -> Result<(), StoreError> {
    place::remove_file(&target.place.file(BEFORE_PARTIAL))?;
    if !target.place.file(BEFORE).exists() {
        return Ok(());
    }
    tracing::warn!(service = %target.service, "a restore was interrupted, the content of before it comes back");
    let key = close_door(session, target, remembered).await?;
    // The program that was killed may have left a statement that the server still works on.
    cut(session, target).await?;
    bring_back(it, session, target, &key).await
}

async fn bring_back(it: &Mysql, session: &mut Session, target: &Target, key: &Remembered) -> Result<(), StoreError> {
    let before = target.place.file(BEFORE);
    cut(session, target).await?;
    empty(session, target).await?;
    client::load(&it.server, session.flavour(), key, &before).await?;
    Ok(place::remove_file(&before)?)
}

/// Gives the user a password that nobody else knows.
async fn close_door(session: &mut Session, target: &Target, remembered: &Remembered) -> Result<Remembered, StoreError> {
    let password = provision::new_password()?;
    provision::set_password(session, target, &password).await?;
    Ok(Remembered { password, ..remembered.clone() })
}

async fn empty(session: &mut Session, target: &Target) -> Result<(), StoreError> {
    let sql = format!("DROP DATABASE IF EXISTS {}", name(&target.name));
    session.run(&format!("drop the database `{}`", target.name), &sql).await?;
    provision::make_database(session, target).await
}

pub(super) async fn remove(it: &Mysql, target: &Target, occupancy: Occupancy) -> Result<(), StoreError> {
    let mut session = it.admin_session().await?;
    provision::exclude_others(&mut session, target).await?;
    let found = provision::find(it, &mut session, target).await?;
    provision::check(it, &found, target)?;
    if occupancy != Occupancy::Forced && found.user {
        wait_until_free(&mut session, target, SETTLE).await?;
    }
    if found.user {
        let sql = format!("DROP USER IF EXISTS {}", user(&target.name));
        session.run(&format!("drop the user `{}`", target.name), &sql).await?;
        cut(&mut session, target).await?;
    }
    if found.database {
        let sql = format!("DROP DATABASE IF EXISTS {}", name(&target.name));
        session.run(&format!("drop the database `{}`", target.name), &sql).await?;
    }
    if found.mark.is_some() {
        let sql = "DELETE FROM motet__stores.marks WHERE name = ?";
        session.run_with("forget a store", sql, (&target.name,)).await?;
    }
    session.close().await;
    Ok(target.place.remove()?)
}

/// Who is connected as the service's user, or to its database.
async fn connected(session: &mut Session, target: &Target) -> Result<Vec<(u64, String)>, StoreError> {
    let whose = super::naming::text(&target.name);
    let sql = format!(
        "SELECT ID, COALESCE(USER, '') FROM information_schema.PROCESSLIST WHERE (USER = {whose} OR DB = {whose}) AND ID <> CONNECTION_ID()"
    );
    session.rows("count connections", &sql).await
}

/// Ends every connection to the store, and waits until the server is done with them.
async fn cut(session: &mut Session, target: &Target) -> Result<(), StoreError> {
    for (id, _) in connected(session, target).await? {
        if let Err(error) = session.run("cut a connection", &format!("KILL CONNECTION {id}")).await {
            // It may have ended by itself.
            tracing::debug!(%error, "a connection could not be cut");
        }
    }
    wait_until_free(session, target, CUT).await
}

/// A connection that was closed a moment ago is still counted for some milliseconds.
async fn wait_until_free(session: &mut Session, target: &Target, limit: Duration) -> Result<(), StoreError> {
    let sees = "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'PROCESS' \
                AND GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')";
    if session.row::<u64>("tell the administrator's rights", sees, ()).await? == Some(0) {
        let reason = "the administrator lacks the right PROCESS, and would see nobody";
        return Err(session.refuse("tell who is connected", reason));
    }
    let until = tokio::time::Instant::now() + limit;
    loop {
        let connected = connected(session, target).await?;
        let Some((_, who)) = connected.first() else { return Ok(()) };
        if tokio::time::Instant::now() >= until {
            let by = format!("{} connected to its database, among them `{who}`", connected.len());
            return Err(InUse { service: target.service.clone(), by }.into());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
