//! SQLite: one file per service under the state directory, `<state>/stores/<service>/<service>.db`.
//!
//! The file is in WAL mode, so that a backup, a shell and the service do not block each other. All access is through SQLite
//! itself, never by copying the file, because a copy of a database in use is a damaged one.
//!
//! What this does not do: services that run as one user of one machine can open each other's files if they guess the path.
//! Each is told its own path only; whoever needs a wall between services takes PostgreSQL or containers.

mod content;
mod database;

use crate::{
    Credentials, Description, Occupancy, Provision, Secret, ShellCommand, StoreError,
    error::{FileTrouble, InUse, NoStore, TargetExists, TooLate},
    place::{self, Place},
    tool::Tool,
};
use async_trait::async_trait;
use motet_kernel::name::ServiceName;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The limit for making and describing a store.
const QUICK: Duration = Duration::from_secs(20);

/// The limit for copying and checking a whole store.
const COPY: Duration = Duration::from_secs(30 * 60);

/// How much longer than its own limit a piece of blocking work is waited for, before its answer is given up.
const GRACE: Duration = Duration::from_secs(10);

const SHELL: Tool = Tool { program: "sqlite3", package: "sqlite3" };

/// The engine. Cheap to make: nothing is touched before the first store.
#[derive(Debug, Clone)]
pub struct Sqlite {
    state: PathBuf,
}

/// Everything that a piece of blocking work knows about its store.
#[derive(Debug, Clone)]
struct Store {
    service: ServiceName,
    place: Place,
    path: PathBuf,
}

impl Sqlite {
    /// Stores below the state directory of a system. A relative path is taken from the working directory of now.
    pub fn new(state: impl AsRef<Path>) -> Result<Self, StoreError> {
        let state = state.as_ref();
        let trouble = |source| FileTrouble { action: "find", path: state.to_owned(), source };
        Ok(Self { state: std::path::absolute(state).map_err(trouble)? })
    }

    fn store(&self, service: &ServiceName) -> Store {
        let place = Place::of(&self.state, service);
        let path = place.file(&format!("{service}.db"));
        Store { service: service.clone(), place, path }
    }
}

impl Store {
    fn existing(self) -> Result<Self, StoreError> {
        if self.path.exists() {
            return Ok(self);
        }
        Err(NoStore { service: self.service, reason: "it was not made yet, its service never started" }.into())
    }

    fn allow(&self, occupancy: Occupancy) -> Result<(), StoreError> {
        match occupancy {
            Occupancy::Free | Occupancy::Forced => Ok(()),
            Occupancy::InUse => Err(InUse { service: self.service.clone(), by: "the service runs".into() }.into()),
        }
    }
}

/// Runs blocking work off the runtime's threads. The work looks at its deadline itself; the wait here is for disks that hang.
async fn blocking<T: Send + 'static>(
    action: String,
    limit: Duration,
    work: impl FnOnce(Instant) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let deadline = Instant::now() + limit;
    let work = tokio::task::spawn_blocking(move || work(deadline));
    match tokio::time::timeout(limit + GRACE, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(panicked)) if panicked.is_panic() => std::panic::resume_unwind(panicked.into_panic()),
        Ok(Err(_)) | Err(_) => Err(TooLate { action, limit }.into()),
    }
}

#[async_trait]
impl Provision for Sqlite {
    async fn provision(&self, service: &ServiceName) -> Result<Credentials, StoreError> {
        let store = self.store(service);
        let lock = store.place.lock().await?;
        blocking(format!("making the store of `{service}`"), QUICK, move |deadline| {
            let _lock = lock;
            store.place.prepare()?;
            database::make(&store, deadline)?;
            Ok(credentials(&store.path))
        })
        .await
    }

    async fn describe(&self, service: &ServiceName) -> Result<Description, StoreError> {
        let store = self.store(service);
        let size = |suffix: &str| {
            let path = with_suffix(&store.path, suffix);
            std::fs::metadata(path).ok().map(|found| found.len())
        };
        let size = size("").map(|main| main + size("-wal").unwrap_or(0) + size("-shm").unwrap_or(0));
        Ok(Description {
            engine: format!("SQLite {}", rusqlite::version()),
            location: store.path.display().to_string(),
            size,
        })
    }

    async fn backup(&self, service: &ServiceName, to: &Path) -> Result<(), StoreError> {
        let store = self.store(service).existing()?;
        let to = to.to_owned();
        blocking(format!("the backup of `{service}`"), COPY, move |deadline| content::backup(&store, &to, deadline))
            .await
    }

    async fn restore(&self, service: &ServiceName, from: &Path, occupancy: Occupancy) -> Result<(), StoreError> {
        let store = self.store(service);
        store.allow(occupancy)?;
        let lock = store.place.lock().await?;
        let from = from.to_owned();
        blocking(format!("the restore of `{service}`"), COPY, move |deadline| {
            let _lock = lock;
            store.place.prepare()?;
            content::restore(&store, &from, occupancy, deadline)
        })
        .await
    }

    async fn reset(&self, service: &ServiceName, occupancy: Occupancy) -> Result<(), StoreError> {
        let store = self.store(service);
        store.allow(occupancy)?;
        let lock = store.place.lock().await?;
        blocking(format!("the reset of `{service}`"), QUICK, move |deadline| {
            let _lock = lock;
            store.place.prepare()?;
            content::reset(&store, occupancy, deadline)
        })
        .await
    }

    async fn shell(&self, service: &ServiceName) -> Result<ShellCommand, StoreError> {
        let store = self.store(service).existing()?;
        let program = SHELL.find(std::env::var_os("PATH").as_deref())?;
        Ok(ShellCommand { argv: vec![program.into(), store.path.into()], env: BTreeMap::new() })
    }

    async fn remove(&self, service: &ServiceName, occupancy: Occupancy) -> Result<(), StoreError> {
        let store = self.store(service);
        store.allow(occupancy)?;
        let lock = store.place.lock().await?;
        blocking(format!("the removal of the store of `{service}`"), QUICK, move |deadline| {
            let _lock = lock;
            if occupancy != Occupancy::Forced {
                database::settle(&store, &store.path, deadline)?;
            }
            Ok(store.place.remove()?)
        })
        .await
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn target_is_free(path: &Path) -> Result<(), StoreError> {
    match path.symlink_metadata() {
        Ok(_) => Err(TargetExists { path: path.to_owned() }.into()),
        Err(_) => Ok(()),
    }
}

/// Readers of database URLs disagree about `sqlite:///abs`: SQLAlchemy and `dj-database-url` take it for the relative path
/// `abs`, silently, while sqlx takes it for `/abs`. With four slashes all of them open the same absolute file (a doubled
/// slash at the start of a path is one slash on Linux and macOS). Libraries that want a path and no URL get it by itself.
fn credentials(path: &Path) -> Credentials {
    let text = path.to_string_lossy();
    let escaped = text.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    let plain = || Secret::new(text.clone());
    Credentials::new(
        Secret::new(format!("sqlite:///{escaped}")),
        [("SQLITE_PATH", plain()), ("DATABASE_PATH", plain())],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_has_the_form_that_all_libraries_read_as_an_absolute_path() {
        let it = credentials(Path::new("/home/ana/my docs/library.db"));
        assert_eq!(it.url.expose(), "sqlite:////home/ana/my docs/library.db");
        assert_eq!(it.env["SQLITE_PATH"].expose(), "/home/ana/my docs/library.db");
        assert_eq!(credentials(Path::new("/50%?#/x.db")).url.expose(), "sqlite:////50%25%3F%23/x.db");
    }
}
