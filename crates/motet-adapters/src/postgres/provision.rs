//! Makes a store, or whatever is missing of it: each step looks at what is there, so that the way from any half-made state
//! ends in the same whole one.

use super::{
    Postgres, Target, naming,
    ownership::{self, Database, Foreign, Found},
    session::Session,
};
use motet_datastore::{
    Credentials, Secret, StoreError,
    error::{ForeignStore, NoRandomness},
    record::{self, Remembered},
};
use postgres_protocol::{
    escape::{escape_identifier as name, escape_literal as text},
    password::scram_sha_256,
};

/// The first version whose databases let their owner rule over the schema `public`.
const OWNER_RULES_PUBLIC: i32 = 150_000;

/// What the administrator may do, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admin {
    pub(super) superuser: bool,
    pub(super) version: i32,
}

pub(super) async fn admin(session: &Session) -> Result<Admin, StoreError> {
    let sql = "SELECT rolsuper, current_setting('server_version_num')::int4 FROM pg_roles WHERE rolname = current_user";
    let row = session.row("describe its administrator", sql, &[]).await?;
    Ok(row.map_or(Admin { superuser: false, version: 0 }, |row| Admin { superuser: row.get(0), version: row.get(1) }))
}

/// Keeps two Motets from making the same store at once. Ends with the session.
pub(super) async fn exclude_others(session: &Session, target: &Target) -> Result<(), StoreError> {
    let key = format!("motet store {}", target.database);
    let sql = "SELECT 1 FROM (SELECT pg_advisory_lock(hashtextextended($1, 0))) AS locked";
    session.row("lock a store", sql, &[&key]).await.map(|_| ())
}

pub(super) async fn find(it: &Postgres, session: &Session, target: &Target) -> Result<Found, StoreError> {
    let sql = "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = $1";
    let role = session.row("look for a role", sql, &[&target.role]).await?.map(|row| row.get(0));
    let sql = "SELECT pg_get_userbyid(datdba)::text, shobj_description(oid, 'pg_database'), datconnlimit = 0 \
               FROM pg_database WHERE datname = $1";
    let database = session.row("look for a database", sql, &[&target.database]).await?;
    let database = database.map(|row| Database { owner: row.get(0), comment: row.get(1), closed: row.get(2) });
    let mut found = Found { role, database, holds_key: false };
    if ownership::check(&found, &target.role, &target.mark, false).is_err() {
        found.holds_key = holds_key(it, target).await?;
    }
    Ok(found)
}

/// Whether the remembered password opens the role.
async fn holds_key(it: &Postgres, target: &Target) -> Result<bool, StoreError> {
    let Some(remembered) = it.remembered(target)? else {
        return Ok(false);
    };
    match it.open(&it.server.service(&remembered, &target.database), target).await {
        Ok(session) => {
            session.close().await;
            Ok(true)
        }
        Err(StoreError::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Fails if something of the store's name belongs to somebody else.
pub(super) fn check(it: &Postgres, found: &Found, target: &Target) -> Result<(), StoreError> {
    ownership::check(found, &target.role, &target.mark, it.options.take_over).map_err(|foreign| {
        let (kind, object, comment) = match foreign {
            Foreign::Role(comment) => ("role", &target.role, comment),
            Foreign::Database(comment) => ("database", &target.database, comment),
        };
        ForeignStore { what: format!("the {kind} `{object}` on {}", it.server), owner: crate::mark::owner(comment) }
            .into()
    })
}

pub(super) async fn provision(it: &Postgres, session: &Session, target: &Target) -> Result<Credentials, StoreError> {
    let admin = admin(session).await?;
    let found = find(it, session, target).await?;
    check(it, &found, target)?;
    // The file comes first: a password that the server knows and nobody else does would be lost.
    let remembered = match it.remembered(target)? {
        Some(remembered) => remembered,
        None => remember_new(it, target, &found)?,
    };
    make_role(session, target, &remembered, &found, admin).await?;
    make_database(session, target, &target.database, found.database.as_ref()).await?;
    drop_leftovers(session, target).await?;
    guard_schema(it, target, &target.database, admin).await?;
    let credentials = it.server.credentials(&remembered);
    // What is handed out has been tried.
    it.open(&it.server.service(&remembered, &target.database), target).await?.close().await;
    Ok(credentials)
}

fn remember_new(it: &Postgres, target: &Target, found: &Found) -> Result<Remembered, StoreError> {
    if found.role.is_some() {
        tracing::warn!(service = %target.service, role = %target.role, "the store's password was lost, it gets a new one");
    }
    let remembered = Remembered {
        server: it.server.to_string(),
        role: target.role.clone(),
        database: target.database.clone(),
        password: Secret::generate().map_err(NoRandomness)?,
    };
    record::save(&target.place, &it.options.system, &target.service, &remembered)?;
    Ok(remembered)
}

/// The password travels as a SCRAM verifier (RFC 5803), so that neither the network nor the server's log sees it.
async fn make_role(
    session: &Session,
    target: &Target,
    it: &Remembered,
    found: &Found,
    admin: Admin,
) -> Result<(), StoreError> {
    let role = name(&target.role);
    let verifier = text(&scram_sha_256(it.password.expose().as_bytes()));
    let verb = if found.role.is_some() { "ALTER" } else { "CREATE" };
    // An administrator who is no superuser may not even say that a role is none.
    let never = if admin.superuser { "NOSUPERUSER NOREPLICATION NOBYPASSRLS" } else { "" };
    let member = if admin.superuser { String::new() } else { format!("GRANT {role} TO CURRENT_USER;") };
    let sql = format!(
        "{verb} ROLE {role} LOGIN {never} NOCREATEDB NOCREATEROLE PASSWORD {verifier}; {member} COMMENT ON ROLE {role} IS {};",
        text(&target.mark)
    );
    session.run(&format!("make the role `{}`", target.role), &sql).await
}

/// A database belongs to its role, and nobody else may connect. It opens when that is so.
pub(super) async fn make_database(
    session: &Session,
    target: &Target,
    database: &str,
    found: Option<&Database>,
) -> Result<(), StoreError> {
    let action = format!("make the database `{database}`");
    let (base, role) = (name(database), name(&target.role));
    if found.is_none() {
        let sql = format!("CREATE DATABASE {base} OWNER {role} TEMPLATE template0 ENCODING 'UTF8' CONNECTION LIMIT 0");
        session.run(&action, &sql).await?;
    }
    let owner = match found {
        Some(it) if it.owner != target.role => format!("ALTER DATABASE {base} OWNER TO {role};"),
        _ => String::new(),
    };
    let open = match found {
        Some(it) if !it.closed => String::new(),
        _ => format!("ALTER DATABASE {base} CONNECTION LIMIT -1;"),
    };
    let sql = format!(
        "{owner} REVOKE ALL ON DATABASE {base} FROM PUBLIC; COMMENT ON DATABASE {base} IS {}; {open}",
        text(&target.mark)
    );
    session.run(&action, &sql).await
}

/// Before version 15 everybody who could connect could make tables in `public`; and what an administrator grants by habit to
/// everybody should not reach into a store.
pub(super) async fn guard_schema(
    it: &Postgres,
    target: &Target,
    database: &str,
    admin: Admin,
) -> Result<(), StoreError> {
    let session = it.open(&it.server.admin_in(database), target).await?;
    let found = session.row("look for a schema", "SELECT 1 FROM pg_namespace WHERE nspname = 'public'", &[]).await?;
    let role = name(&target.role);
    let act = if admin.version >= OWNER_RULES_PUBLIC { format!("SET ROLE {role};") } else { String::new() };
    if found.is_some() {
        let sql = format!("{act} REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT ALL ON SCHEMA public TO {role};");
        session.run("guard the schema `public`", &sql).await?;
    }
    session.close().await;
    Ok(())
}

/// Databases that a killed restore left.
pub(super) async fn drop_leftovers(session: &Session, target: &Target) -> Result<(), StoreError> {
    for database in [naming::restoring(&target.database), naming::replaced(&target.database)] {
        let sql = "SELECT 1 FROM pg_database WHERE datname = $1 AND pg_get_userbyid(datdba) = $2";
        if session.row("look for a database", sql, &[&database, &target.role]).await?.is_some() {
            tracing::info!(%database, "dropping what an interrupted restore left");
            let sql = format!("DROP DATABASE {} WITH (FORCE)", name(&database));
            session.run(&format!("drop the database `{database}`"), &sql).await?;
        }
    }
    Ok(())
}
