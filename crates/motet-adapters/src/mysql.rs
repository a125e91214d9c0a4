//! Stores on a MySQL or MariaDB server: a database and a user for each service, made through an administrator's address.
//!
//! A service's user may do what it likes in its own database and has no right anywhere else. Passwords are 192 random bits, kept in the
//! state directory for the owner's eyes only. MariaDB is told their hash and never the password; MySQL makes its own hash, so it is.
//!
//! Databases and users of these servers bear no comments, so whose they are stands in a table that Motet keeps beside them, in the
//! database `motet__stores`, which no service may read.
//!
//! Not here: encryption. Connections to the server are in the clear, so the server belongs on this machine or on a private network; an
//! address that asks for encryption is an error (`MO-datastore-108`) and is never used without it.
//!
//! From MariaDB 10.6 and MySQL 8.0.19 on.

mod address;
mod client;
mod content;
mod dump;
mod naming;
pub mod outbox;
mod ownership;
mod provision;
mod session;

use crate::mark;
use address::Server;
use async_trait::async_trait;
use motet_datastore::{
    Credentials, Description, Occupancy, Provision, Secret, ShellCommand, StoreError,
    error::{FileTrouble, InUse, NoStore},
    place::Place,
    record::{self, Remembered},
};
use motet_kernel::name::{ServiceName, SystemName};
use session::{Flavour, Session};
use std::path::{Path, PathBuf};

/// What the engine is made from.
#[derive(Debug, Clone)]
pub struct Options {
    /// The system whose stores these are; its name is the first part of each user and database.
    pub system: SystemName,
    /// The state directory, which keeps the credentials files.
    pub state: PathBuf,
    /// The administrator's address: `mysql://user:password@host:3306`.
    pub admin_url: Secret,
    /// Where the address was written, for messages: `engines.stores.mysql.url in motet.yaml:12`.
    pub origin: String,
    /// Which copy of the system this is, for the marks on the server. `None` takes the machine's name and the state
    /// directory, which is right unless the machine's name changes with each start, as that of a container does.
    pub installation: Option<String>,
    /// Whether stores that another copy of this system made may be taken over, with a new password, which locks it out.
    pub take_over: bool,
}

/// The engine. Making it reads the address and connects to nothing.
#[derive(Debug, Clone)]
pub struct Mysql {
    options: Options,
    server: Server,
    installation: String,
}

/// One store, by all its names.
#[derive(Debug)]
struct Target {
    service: ServiceName,
    place: Place,
    /// The name of the user, and of the database.
    name: String,
    mark: String,
}

impl Mysql {
    /// Fails if the address cannot be read or asks for what is not there.
    pub fn new(options: Options) -> Result<Self, StoreError> {
        let server = Server::parse(&options.admin_url, &options.origin)?;
        let trouble = |source| FileTrouble { action: "find", path: options.state.clone(), source };
        let state = std::path::absolute(&options.state).map_err(trouble)?;
        let installation = options.installation.clone().unwrap_or_else(|| mark::installation(&state));
        Ok(Self { options: Options { state, ..options }, server, installation })
    }

    fn target(&self, service: &ServiceName) -> Target {
        Target {
            service: service.clone(),
            place: Place::of(&self.options.state, service),
            name: naming::of(&self.options.system, service),
            mark: mark::mark(&self.options.system, service, &self.installation),
        }
    }

    /// What the credentials file holds for this server. The file of a server that the system has left is no key to this one.
    fn remembered(&self, target: &Target) -> Result<Option<Remembered>, StoreError> {
        let it = record::load(&target.place, &self.options.system, &target.service)?;
        Ok(it.filter(|it| it.server == self.server.to_string() && it.role == target.name && it.database == target.name))
    }

    async fn open(&self, config: mysql_async::Opts) -> Result<Session, StoreError> {
        Session::open(config, &self.server.to_string()).await
    }

    async fn admin_session(&self) -> Result<Session, StoreError> {
        self.open(self.server.admin()).await
    }
}

fn allow(target: &Target, occupancy: Occupancy) -> Result<(), StoreError> {
    match occupancy {
        Occupancy::Free | Occupancy::Forced => Ok(()),
        Occupancy::InUse => Err(InUse { service: target.service.clone(), by: "the service runs".into() }.into()),
    }
}

#[async_trait]
impl Provision for Mysql {
    async fn provision(&self, service: &ServiceName) -> Result<Credentials, StoreError> {
        let target = self.target(service);
        let _lock = target.place.lock().await?;
        target.place.prepare()?;
        let mut session = self.admin_session().await?;
        provision::exclude_others(&mut session, &target).await?;
        let credentials = provision::provision(self, &mut session, &target).await?;
        session.close().await;
        Ok(credentials)
    }

    async fn describe(&self, service: &ServiceName) -> Result<Description, StoreError> {
        let target = self.target(service);
        let mut session = self.admin_session().await?;
        if session.flavour() == Flavour::Mysql {
            session.run("ask for sizes as of now", "SET SESSION information_schema_stats_expiry = 0").await?;
        }
        let action = "describe a database";
        let is_there = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?";
        let found: Option<u8> = session.row(action, is_there, (&target.name,)).await?;
        let sum = "SELECT CAST(COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) AS UNSIGNED) \
                   FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?";
        let size: Option<u64> = session.row(action, sum, (&target.name,)).await?;
        let engine = session.version().to_owned();
        session.close().await;
        let location = format!("{}/{}", self.server, target.name);
        Ok(Description { engine, location, size: found.and(size) })
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
        let path = std::env::var_os("PATH");
        let program = client::SHELLS[0].find(path.as_deref()).or_else(|_| client::SHELLS[1].find(path.as_deref()))?;
        let mut argv = vec![program.into_os_string()];
        argv.extend(self.server.arguments(&remembered.role).into_iter().map(Into::into));
        argv.push(remembered.database.into());
        Ok(ShellCommand { argv, env: [(address::PASSWORD.to_owned(), remembered.password)].into() })
    }

    async fn remove(&self, service: &ServiceName, occupancy: Occupancy) -> Result<(), StoreError> {
        let target = self.target(service);
        allow(&target, occupancy)?;
        let _lock = target.place.lock().await?;
        content::remove(self, &target, occupancy).await
    }
}
