//! The stores of a system: engines from the definition, databases made before services start.

use crate::place::Place;
use anyhow::{Context as _, Result};
use motet_adapters::postgres::{self, Postgres};
use motet_datastore::{Credentials, Engine, Engines, Provision, Secret, Sqlite, StoreError, StoreSpec, Stores};
use motet_kernel::name::ServiceName;
use motet_model::system::{StoreEngine, System};
use std::{collections::BTreeMap, sync::Arc};

/// The stores that a definition declares, on the engines that its profile names. Touches nothing yet.
pub(crate) fn of(system: &System, place: &Place) -> Result<Stores> {
    let sqlite: Arc<dyn Provision> = Arc::new(Sqlite::new(place.dir()).map_err(told)?);
    let postgres = system.engines.stores.postgres.as_ref().map(|url| {
        let options = postgres::Options {
            system: system.name.clone(),
            state: place.dir().to_owned(),
            admin_url: Secret::new(url.as_str()),
            origin: "engines.stores.postgres.url".to_owned(),
            installation: None,
            take_over: false,
        };
        Postgres::new(options).map(|engine| Arc::new(engine) as Arc<dyn Provision>).map_err(told)
    });
    let engines = Engines { sqlite: Some(sqlite), postgres: postgres.transpose()?, mysql: mysql(system, place)? };
    let specs = system.services.values().filter_map(|service| {
        let engine = match service.store.as_ref()?.engine {
            StoreEngine::Sqlite => Engine::Sqlite,
            StoreEngine::Postgres => Engine::Postgres,
            StoreEngine::Mysql => Engine::Mysql,
        };
        Some(StoreSpec { service: service.name.clone(), engine })
    });
    Stores::new(specs, &engines).map_err(told)
}

#[cfg(feature = "mysql")]
fn mysql(system: &System, place: &Place) -> Result<Option<Arc<dyn Provision>>> {
    use motet_adapters::mysql::{self, Mysql};
    let engine = system.engines.stores.mysql.as_ref().map(|url| {
        let options = mysql::Options {
            system: system.name.clone(),
            state: place.dir().to_owned(),
            admin_url: Secret::new(url.as_str()),
            origin: "engines.stores.mysql.url".to_owned(),
            installation: None,
            take_over: false,
        };
        Mysql::new(options).map(|engine| Arc::new(engine) as Arc<dyn Provision>).map_err(told)
    });
    engine.transpose()
}

#[cfg(not(feature = "mysql"))]
fn mysql(system: &System, _: &Place) -> Result<Option<Arc<dyn Provision>>> {
    match &system.engines.stores.mysql {
        Some(_) => anyhow::bail!("this motet was built without stores in MySQL: build it with the feature `mysql`"),
        None => Ok(None),
    }
}

/// A failure as a person reads it: what, what to do, where to read more.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
pub(crate) fn told(error: StoreError) -> anyhow::Error {
    anyhow::anyhow!("{error}\n  {} ({})", error.help(), error.code())
}

/// Makes every store that is not there yet; returns what each service needs to reach its own.
pub(crate) async fn provision(stores: &Stores) -> Result<BTreeMap<ServiceName, Credentials>> {
    let mut credentials = BTreeMap::new();
    for (service, engine) in stores.iter() {
        let made = stores.provision(service).await;
        let made = made.map_err(told).with_context(|| format!("the {engine} store of `{service}` cannot be made"))?;
        credentials.insert(service.clone(), made);
    }
    Ok(credentials)
}
