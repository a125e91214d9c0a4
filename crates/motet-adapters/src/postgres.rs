//! Stores on a PostgreSQL server: a database and a role for each service, made through an administrator's address.
//!
//! A service's role may log in, may do what it likes in its own database, and may connect to no other store: `CONNECT` is
//! taken from everybody on each of them. Passwords are 192 random bits, kept in the state directory for the owner's eyes
//! only; the server is told a SCRAM verifier, never the password.
//!
//! Not here: encryption. Connections to the server are in the clear, so the server belongs on this machine or on a private
//! network; an address that asks for encryption is an error (`MO-datastore-108`) and is never used without it. Also not
//! here: the maintenance databases `postgres` and `template1`, which everybody may enter unless the server's administrator
//! has changed that, and the names of all databases, which PostgreSQL shows to every role.
//!
//! An administrator who is a superuser always suffices. One with `CREATEDB CREATEROLE`, as managed servers give, suffices
//! from PostgreSQL 15 on.

mod address;
mod client;
mod content;
mod naming;
pub mod outbox;
mod ownership;
mod provision;
mod session;
pub mod view;

use address::Server;
use async_trait::async_trait;
use motet_datastore::{
    Credentials, Description, Occupancy, Provision, Secret, ShellCommand, StoreError,
    error::{FileTrouble, InUse, NoStore},
    place::Place,
    record::{self, Remembered},
};
use motet_kernel::name::{ServiceName, SystemName};
use session::Session;
use std::path::{Path, PathBuf};

/// What the engine is made from.
#[derive(Debug, Clone)]
pub struct Options {
    /// The system whose stores these are; its name is the first part of each role and database.
    pub system: SystemName,
    /// The state directory, which keeps the credentials files.
    pub state: PathBuf,
    /// The administrator's address: `postgres://user:password@host:5432/postgres`.
    pub admin_url: Secret,
    /// Where the address was written, for messages: `engines.stores.postgres.url in motet.yaml:12`.
    pub origin: String,
    /// Which copy of the system this is, for the marks on the server. `None` takes the machine's name and the state
    /// directory, which is right unless the machine's name changes with each start, as that of a container does.
    pub installation: Option<String>,
    /// Whether stores that another copy of this system made may be taken over, with a new password, which locks it out.
    pub take_over: bool,
}

/// The engine. Making it reads the address and connects to nothing.
#[derive(Debug, Clone)]
pub struct Postgres {
    options: Options,
    server: Server,
    installation: String,
}

/// One store, by all its names.
#[derive(Debug)]
struct Target {
    service: ServiceName,
    place: Place,
    role: String,
    database: String,
    mark: String,
}

impl Postgres {
    /// Fails if the address cannot be read or asks for what is not there.
    pub fn new(options: Options) -> Result<Self, StoreError> {
        let server = Server::parse(&options.admin_url, &options.origin)?;
        let trouble = |source| FileTrouble { action: "find", path: options.state.clone(), source };
        let state = std::path::absolute(&options.state).map_err(trouble)?;
        let installation = options.installation.clone().unwrap_or_else(|| naming::installation(&state));
        Ok(Self { options: Options { state, ..options }, server, installation })
    }

    fn target(&self, service: &ServiceName) -> Target {
        let name = naming::of(&self.options.system, service);
        Target {
            service: service.clone(),
            place: Place::of(&self.options.state, service),
            role: name.clone(),
            database: name,
            mark: naming::mark(&self.options.system, service, &self.installation),
        }
    }

    /// What the credentials file holds for this server. The file of a server that the system has left is no key to this one.
    fn remembered(&self, target: &Target) -> Result<Option<Remembered>, StoreError> {
        let it = record::load(&target.place, &self.options.system, &target.service)?;
        Ok(it.filter(|it| {
            it.server == self.server.to_string() && it.role == target.role && it.database == target.database
        }))
    }

    async fn open(&self, config: &tokio_postgres::Config, target: &Target) -> Result<Session, StoreError> {
        Session::open(config, &self.server.to_string(), &target.service).await
    }

    async fn admin_session(&self, target: &Target) -> Result<Session, StoreError> {
        self.open(&self.server.admin(), target).await
    }
}

fn allow(target: &Target, occupancy: Occupancy) -> Result<(), StoreError> {
    match occupancy {
        Occupancy::Free | Occupancy::Forced => Ok(()),
        Occupancy::InUse => Err(InUse { service: target.service.clone(), by: "the service runs".into() }.into()),
    }
}

#[async_trait]
impl Provision for Postgres {
    async fn provision(&self, service: &ServiceName) -> Result<Credentials, StoreError> {
        let target = self.target(service);
        let _lock = target.place.lock().await?;
        target.place.prepare()?;
        let session = self.admin_session(&target).await?;
        provision::exclude_others(&session, &target).await?;
        let credentials = provision::provision(self, &session, &target).await?;
        session.close().await;
        Ok(credentials)
    }

    async fn describe(&self, service: &ServiceName) -> Result<Description, StoreError> {
        let target = self.target(service);
        let session = self.admin_session(&target).await?;
        let sql = "SELECT current_setting('server_version'), \
                   (SELECT pg_database_size(oid) FROM pg_database WHERE datname = $1)";
        let row = session.row("describe a database", sql, &[&target.database]).await?;
        session.close().await;
        let (version, size) = row.map_or((String::new(), None), |row| (row.get(0), row.get::<_, Option<i64>>(1)));
        // Debian's packages add their own version in brackets.
        let version = version.split(' ').next().unwrap_or_default();
        Ok(Description {
            engine: format!("PostgreSQL {version}"),
            location: format!("{}/{}", self.server, target.database),
            size: size.and_then(|size| u64::try_from(size).ok()),
        })
    }

    async fn backup(&self, service: &ServiceName, to: &Path) -> Result<(), StoreError> {
        content::backup(self, &self.target(service), to).await
    }

    async fn restore(&self, service: &ServiceName, from: &Path, occupancy: Occupancy) -> Result<(), StoreError> {
        let target = self.target(service);
        allow(&target, occupancy)?;
        let _lock = target.place.lock().await?;
        target.place.prepare()?;
        content::replace(self, &target, Some(from), occupancy).await
    }

    async fn reset(&self, service: &ServiceName, occupancy: Occupancy) -> Result<(), StoreError> {
        let target = self.target(service);
        allow(&target, occupancy)?;
        let _lock = target.place.lock().await?;
        target.place.prepare()?;
        content::replace(self, &target, None, occupancy).await
    }

    async fn shell(&self, service: &ServiceName) -> Result<ShellCommand, StoreError> {
        let target = self.target(service);
        let Some(remembered) = self.remembered(&target)? else {
            let reason = "it was not made yet, its service never started";
            return Err(NoStore { service: service.clone(), reason }.into());
        };
        let program = client::SHELL.find(std::env::var_os("PATH").as_deref())?;
        let env = self.server.libpq(&remembered, &target.database);
        Ok(ShellCommand { argv: vec![program.into(), "--no-password".into()], env })
    }

    async fn remove(&self, service: &ServiceName, occupancy: Occupancy) -> Result<(), StoreError> {
        let target = self.target(service);
        allow(&target, occupancy)?;
        let _lock = target.place.lock().await?;
        content::remove(self, &target, occupancy).await
    }
}
