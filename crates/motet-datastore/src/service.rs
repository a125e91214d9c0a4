//! All stores of one system: which service has one, and which engine serves it. This is what the supervisor's wiring and
//! the `store` commands talk to.

use crate::{
    Credentials, Description, Engine, Occupancy, Provision, ShellCommand, StoreError, StoreSpec,
    error::{EngineMissing, NoStore, TwoStores},
};
use motet_kernel::name::ServiceName;
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// The engines that a system has at hand.
#[derive(Debug, Clone, Default)]
pub struct Engines {
    /// Files under the state directory.
    pub sqlite: Option<Arc<dyn Provision>>,
    /// The PostgreSQL server that the profile names.
    pub postgres: Option<Arc<dyn Provision>>,
    /// The MySQL or MariaDB server that the profile names.
    pub mysql: Option<Arc<dyn Provision>>,
}

impl Engines {
    fn get(&self, engine: Engine) -> Option<&Arc<dyn Provision>> {
        match engine {
            Engine::Sqlite => self.sqlite.as_ref(),
            Engine::Postgres => self.postgres.as_ref(),
            Engine::Mysql => self.mysql.as_ref(),
        }
    }
}

/// The stores of a system. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stores {
    stores: Arc<BTreeMap<ServiceName, Store>>,
}

#[derive(Debug)]
struct Store {
    engine: Engine,
    provision: Arc<dyn Provision>,
}

impl Stores {
    /// Fails if a service has two stores or wants an engine that is not at hand: before anything is started.
    pub fn new(specs: impl IntoIterator<Item = StoreSpec>, engines: &Engines) -> Result<Self, StoreError> {
        let mut stores = BTreeMap::new();
        for StoreSpec { service, engine } in specs {
            let Some(provision) = engines.get(engine) else {
                return Err(EngineMissing { service, engine }.into());
            };
            let store = Store { engine, provision: Arc::clone(provision) };
            if stores.insert(service.clone(), store).is_some() {
                return Err(TwoStores { service }.into());
            }
        }
        Ok(Self { stores: Arc::new(stores) })
    }

    /// Every service that owns a store, with its engine, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceName, Engine)> {
        self.stores.iter().map(|(service, store)| (service, store.engine))
    }

    /// Whether a service owns a store.
    pub fn has(&self, service: &ServiceName) -> bool {
        self.stores.contains_key(service)
    }

    fn of(&self, service: &ServiceName) -> Result<&dyn Provision, StoreError> {
        match self.stores.get(service) {
            Some(store) => Ok(store.provision.as_ref()),
            None => Err(NoStore { service: service.clone(), reason: "its definition declares none" }.into()),
        }
    }

    /// See [`Provision::provision`].
    pub async fn provision(&self, service: &ServiceName) -> Result<Credentials, StoreError> {
        self.of(service)?.provision(service).await
    }

    /// See [`Provision::describe`].
    pub async fn describe(&self, service: &ServiceName) -> Result<Description, StoreError> {
        self.of(service)?.describe(service).await
    }

    /// See [`Provision::backup`].
    pub async fn backup(&self, service: &ServiceName, to: &Path) -> Result<(), StoreError> {
        self.of(service)?.backup(service, to).await
    }

    /// See [`Provision::restore`].
    pub async fn restore(&self, service: &ServiceName, from: &Path, occupancy: Occupancy) -> Result<(), StoreError> {
        self.of(service)?.restore(service, from, occupancy).await
    }

    /// See [`Provision::reset`].
    pub async fn reset(&self, service: &ServiceName, occupancy: Occupancy) -> Result<(), StoreError> {
        self.of(service)?.reset(service, occupancy).await
    }

    /// See [`Provision::shell`].
    pub async fn shell(&self, service: &ServiceName) -> Result<ShellCommand, StoreError> {
        self.of(service)?.shell(service).await
    }

    /// See [`Provision::remove`].
    pub async fn remove(&self, service: &ServiceName, occupancy: Occupancy) -> Result<(), StoreError> {
        self.of(service)?.remove(service, occupancy).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sqlite;

    #[test]
    fn a_store_without_an_engine_and_a_second_store_are_refused_before_anything_starts() {
        let library: ServiceName = "library".parse().expect("name");
        let spec = |engine| StoreSpec { service: library.clone(), engine };
        let sqlite: Arc<dyn Provision> = Arc::new(Sqlite::new("/nowhere").expect("path"));
        let engines = Engines { sqlite: Some(sqlite), ..Engines::default() };
        assert!(matches!(Stores::new([spec(Engine::Postgres)], &engines), Err(StoreError::EngineMissing(_))));
        let twice = [spec(Engine::Sqlite), spec(Engine::Sqlite)];
        assert!(matches!(Stores::new(twice, &engines), Err(StoreError::TwoStores(_))));
        assert!(Stores::new([spec(Engine::Sqlite)], &engines).expect("one store").has(&library));
    }
}
