//! Makes a store, or whatever is missing of it: each step looks at what is there, so that the way from any half-made state
//! ends in the same whole one.

use super::{
    Mysql, Target, content,
    naming::{granted, name, text, user},
    ownership::{self, Found},
    session::{Flavour, Session},
};
use crate::mark;
use motet_datastore::{
    Credentials, Secret, StoreError,
    error::{ForeignStore, NoRandomness, TooLate},
    record::{self, Remembered},
};
use sha1::{Digest as _, Sha1};
use std::time::Duration;

/// How long another Motet that works on the same store is waited for.
const TURN: Duration = Duration::from_secs(50);

/// Motet's own table, beside the stores. No name of a store has this form.
const TABLE: [&str; 2] = [
    "CREATE DATABASE IF NOT EXISTS motet__stores CHARACTER SET utf8mb4",
    "CREATE TABLE IF NOT EXISTS motet__stores.marks (\
     name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, mark TEXT NOT NULL)",
];

/// Keeps two Motets from making the same store at once. Ends with the session.
pub(super) async fn exclude_others(session: &mut Session, target: &Target) -> Result<(), StoreError> {
    let key = format!("motet store {}", target.name);
    let sql = "SELECT COALESCE(GET_LOCK(?, ?), 0)";
    match session.row("lock a store", sql, (key, TURN.as_secs())).await? {
        Some(1_u8) => Ok(()),
        _ => Err(TooLate { action: "another Motet's work on the same store".to_owned(), limit: TURN }.into()),
    }
}

pub(super) async fn find(it: &Mysql, session: &mut Session, target: &Target) -> Result<Found, StoreError> {
    let action = "look for a store";
    let with = (&target.name,);
    let user: Option<u8> = session.row(action, "SELECT 1 FROM mysql.user WHERE User = ? LIMIT 1", with).await?;
    let sql = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?";
    let database: Option<u8> = session.row(action, sql, with).await?;
    let sql = "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'motet__stores' AND TABLE_NAME = 'marks'";
    let table: Option<u8> = session.row(action, sql, ()).await?;
    let mark = match table {
        Some(_) => session.row(action, "SELECT mark FROM motet__stores.marks WHERE name = ?", with).await?,
        None => None,
    };
    let mut found = Found { user: user.is_some(), database: database.is_some(), mark, holds_key: false };
    if ownership::check(&found, &target.mark, false).is_err() {
        found.holds_key = holds_key(it, target).await?;
    }
    Ok(found)
}

/// Whether the remembered password opens the store.
async fn holds_key(it: &Mysql, target: &Target) -> Result<bool, StoreError> {
    let Some(remembered) = it.remembered(target)? else {
        return Ok(false);
    };
    match it.open(it.server.service(&remembered)).await {
        Ok(session) => {
            session.close().await;
            Ok(true)
        }
        Err(StoreError::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Fails if something of the store's name belongs to somebody else.
pub(super) fn check(it: &Mysql, found: &Found, target: &Target) -> Result<(), StoreError> {
    ownership::check(found, &target.mark, it.options.take_over).map_err(|foreign| {
        let what = format!("the {} `{}` on {}", foreign.what, target.name, it.server);
        ForeignStore { what, owner: mark::owner(foreign.mark) }.into()
    })
}

/// All of the store, as its service needs it.
pub(super) async fn provision(it: &Mysql, session: &mut Session, target: &Target) -> Result<Credentials, StoreError> {
    let remembered = make(it, session, target).await?;
    content::finish_restore(it, session, target, &remembered).await?;
    // Last of all: a restore that was killed has taken the service's own password away.
    set_password(session, target, &remembered.password).await?;
    // What is handed out has been tried.
    it.open(it.server.service(&remembered)).await?.close().await;
    Ok(it.server.credentials(&remembered))
}

/// User and database, whatever the user's password is now.
pub(super) async fn make(it: &Mysql, session: &mut Session, target: &Target) -> Result<Remembered, StoreError> {
    let found = find(it, session, target).await?;
    check(it, &found, target)?;
    is_for_one(session, target).await?;
    // The file comes first: a password that the server knows and nobody else does would be lost.
    let remembered = match it.remembered(target)? {
        Some(remembered) => remembered,
        None => remember_new(it, target, &found)?,
    };
    leave_mark(session, target, &found).await?;
    if !found.user {
        identify(session, "CREATE USER IF NOT EXISTS", target, &remembered.password).await?;
    }
    if !found.database {
        make_database(session, target).await?;
    }
    grant(session, target).await?;
    Ok(remembered)
}

fn remember_new(it: &Mysql, target: &Target, found: &Found) -> Result<Remembered, StoreError> {
    if found.user {
        tracing::warn!(service = %target.service, user = %target.name, "the store's password was lost, it gets a new one");
    }
    let remembered = Remembered {
        server: it.server.to_string(),
        role: target.name.clone(),
        database: target.name.clone(),
        password: new_password()?,
    };
    record::save(&target.place, &it.options.system, &target.service, &remembered)?;
    Ok(remembered)
}

/// Servers may be set to refuse passwords that lack one of the kinds of characters.
pub(super) fn new_password() -> Result<Secret, StoreError> {
    let random = Secret::generate().map_err(NoRandomness)?;
    Ok(Secret::new(format!("Mo-1{}", random.expose())))
}

async fn leave_mark(session: &mut Session, target: &Target, found: &Found) -> Result<(), StoreError> {
    if found.mark.as_deref() == Some(&target.mark) {
        return Ok(());
    }
    for sql in TABLE {
        session.run("make its table of stores", sql).await?;
    }
    let sql = "REPLACE INTO motet__stores.marks (name, mark) VALUES (?, ?)";
    session.run_with("mark a store", sql, (&target.name, &target.mark)).await
}

/// MariaDB takes the hash of the password, so that neither the network nor the server's log sees it; for MySQL's default there is no form of
/// that kind, and it keeps passwords out of its log by itself.
async fn identify(session: &mut Session, verb: &str, target: &Target, password: &Secret) -> Result<(), StoreError> {
    let how = match session.flavour() {
        Flavour::Mariadb => {
            format!("IDENTIFIED VIA mysql_native_password USING '{}'", verifier(password))
        }
        Flavour::Mysql => format!("IDENTIFIED BY {}", text(password.expose())),
    };
    let sql = format!("{verb} {} {how} PASSWORD EXPIRE NEVER ACCOUNT UNLOCK", user(&target.name));
    session.run(&format!("make the user `{}`", target.name), &sql).await
}

/// What `mysql_native_password` keeps: the hash of a hash. Whoever knows it cannot log in with it, and cannot guess 192 random bits.
fn verifier(password: &Secret) -> String {
    let twice = Sha1::digest(Sha1::digest(password.expose().as_bytes()));
    twice.iter().fold("*".to_owned(), |text, byte| format!("{text}{byte:02X}"))
}

pub(super) async fn set_password(session: &mut Session, target: &Target, password: &Secret) -> Result<(), StoreError> {
    identify(session, "ALTER USER", target, password).await
}

/// Fails if there is one: it would be one that the administrator is not shown, so somebody else's.
pub(super) async fn make_database(session: &mut Session, target: &Target) -> Result<(), StoreError> {
    let sql = format!("CREATE DATABASE {} CHARACTER SET utf8mb4", name(&target.name));
    session.run(&format!("make the database `{}`", target.name), &sql).await
}

/// Older servers were set up with databases for trying things out, which everybody may enter: those whose names begin with `test_`.
async fn is_for_one(session: &mut Session, target: &Target) -> Result<(), StoreError> {
    let sql = "SELECT Db FROM mysql.db WHERE User IN ('', 'PUBLIC') AND ? LIKE Db LIMIT 1";
    let open: Option<String> = session.row("tell who may enter a database", sql, (&target.name,)).await?;
    let Some(open) = open else { return Ok(()) };
    let reason = format!(
        "everybody may enter databases called like `{open}`; take that right away (as an administrator: DELETE FROM mysql.db \
         WHERE User IN ('', 'PUBLIC'); FLUSH PRIVILEGES) or give the system another name"
    );
    Err(session.refuse(&format!("keep the database `{}` for one service", target.name), &reason))
}

/// The user has all rights in its own database and none elsewhere, whatever somebody gave or took.
async fn grant(session: &mut Session, target: &Target) -> Result<(), StoreError> {
    let who = user(&target.name);
    let wanted = format!("GRANT ALL PRIVILEGES ON {}.* TO {who}", granted(&target.name));
    let held: Vec<String> = session.rows("tell the rights of a user", &format!("SHOW GRANTS FOR {who}")).await?;
    let (usage, held): (Vec<_>, Vec<_>) = held.into_iter().partition(|it| it.starts_with("GRANT USAGE ON *.* "));
    if held == [wanted.clone()] && !usage.iter().any(|it| it.contains("GRANT OPTION")) {
        return Ok(());
    }
    let action = format!("give rights to the user `{}`", target.name);
    if !held.is_empty() || usage.iter().any(|it| it.contains("GRANT OPTION")) {
        session.run(&action, &format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {who}")).await?;
    }
    session.run(&action, &wanted).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_what_the_servers_own_function_makes() {
        // SELECT PASSWORD('mypass')
        assert_eq!(verifier(&Secret::new("mypass")), "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4");
    }
}
